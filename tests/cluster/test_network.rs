//! Each instance on a machine of its own: network namespaces behind one bridge, whose links can be
//! cut, in both directions or one, or made to lose what they carry.
//!
//! Everything lies in namespaces, the bridge too: the machine's own network is not touched. What a
//! killed run left behind is removed by the next.

use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the names of our namespaces begin with.
const PREFIX: &str = "cdx-";
/// The port of every instance's cluster listener.
pub const PORT: u16 = 7946;

/// Instances with namespaces, and the bridge between them.
pub struct TestNetwork {
    tag: String,
    nodes: u64,
}

/// Why there can be none here; looked at once.
fn missing_requirement() -> Option<&'static str> {
    static HINDRANCE: OnceLock<Option<String>> = OnceLock::new();
    let look = || {
        remove_stale();
        let tag = format!("{PREFIX}{}-probe", std::process::id());
        let tried = ip(&["netns", "add", &tag]).and_then(|()| {
            let rule = ["-w", "-A", "INPUT", "-m", "statistic", "--mode", "random"];
            inside(
                &tag,
                "iptables",
                &[&rule[..], &["--probability", "0.3", "-j", "DROP"]].concat(),
            )
        });
        // It may not be there.
        let _ = ip(&["netns", "del", &tag]);
        tried.err().map(|error| error.to_string())
    };
    HINDRANCE.get_or_init(look).as_deref()
}

impl TestNetwork {
    /// Namespaces for `nodes` instances, or why there can be none.
    pub fn create(nodes: u64) -> Result<Self, &'static str> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if let Some(hindrance) = missing_requirement() {
            return Err(hindrance);
        }
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let net = Self {
            tag: format!("{PREFIX}{}-{count}", std::process::id()),
            nodes,
        };
        net.build().expect("namespaces, as at the probe");
        Ok(net)
    }

    fn build(&self) -> io::Result<()> {
        let hub = self.hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for node in 0..self.nodes {
            let (space, plug) = (self.space(node), format!("plug{node}"));
            ip(&["netns", "add", &space])?;
            let link = ["link", "add", &plug, "type", "veth", "peer", "name", "eth0"];
            ip(&[&["-n", &hub], &link[..], &["netns", &space]].concat())?;
            ip(&["-n", &hub, "link", "set", &plug, "master", "bridge", "up"])?;
            let address = format!("{}/24", host(node));
            ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.tag)
    }

    fn space(&self, node: u64) -> String {
        format!("{}-{node}", self.tag)
    }

    /// The words before a command that make it run on the machine of `node`.
    pub fn enter(&self, node: u64) -> Vec<String> {
        let space = self.space(node);
        ["ip", "netns", "exec", &space].map(str::to_owned).to_vec()
    }

    /// Nothing of `from` reaches `to` any more; the other direction is as it was.
    pub fn block_inbound(&self, to: u64, from: u64) {
        self.rule(to, &["-A", "INPUT", "-s", &host(from), "-j", "DROP"]);
    }

    /// Nothing passes between the two any more.
    pub fn cut(&self, one: u64, other: u64) {
        self.block_inbound(one, other);
        self.block_inbound(other, one);
    }

    /// Cuts `node` off from all others.
    pub fn isolate(&self, node: u64) {
        let others = (0..self.nodes).filter(|other| *other != node);
        others.for_each(|other| self.cut(node, other));
    }

    /// Of what reaches each machine from another, this share is lost.
    pub fn drop_packets(&self, percent: u64) {
        let share = format!("0.{percent:02}");
        for node in 0..self.nodes {
            let lossy = ["-i", "eth0", "-m", "statistic", "--mode", "random"];
            self.rule(
                node,
                &[
                    &["-A", "INPUT"],
                    &lossy[..],
                    &["--probability", &share, "-j", "DROP"],
                ]
                .concat(),
            );
        }
    }

    /// Everything passes again.
    pub fn heal(&self) {
        (0..self.nodes).for_each(|node| self.rule(node, &["-F"]));
    }

    fn rule(&self, node: u64, rule: &[&str]) {
        let rule = [&["-w"], rule].concat();
        inside(&self.space(node), "iptables", &rule).expect("a rule, as at the probe");
    }
}

/// The address of a machine.
pub fn host(node: u64) -> String {
    format!("10.77.0.{}", 10 + node)
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        for space in (0..self.nodes)
            .map(|node| self.space(node))
            .chain([self.hub()])
        {
            // One that was never made cannot be removed.
            let _ = ip(&["netns", "del", &space]);
        }
    }
}

/// Removes the namespaces of runs that are no more.
fn remove_stale() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else {
        return;
    };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    for name in names {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Somebody else may have been quicker.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(words: &[&str]) -> io::Result<()> {
    succeed(Command::new("ip").args(words).output()?)
}

fn inside(space: &str, program: &str, words: &[&str]) -> io::Result<()> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space, program]).args(words);
    succeed(command.output()?)
}

fn succeed(output: Output) -> io::Result<()> {
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(io::Error::other(said))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::fs::File;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// A socket on the machine of `node`: it stays there, whoever holds it.
    fn socket(net: &TestNetwork, node: u64) -> UdpSocket {
        let space = Path::new("/var/run/netns").join(net.space(node));
        let bind = move || {
            let space = File::open(space).unwrap();
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            UdpSocket::bind((host(node), 9_000)).unwrap()
        };
        let socket = std::thread::spawn(bind).join().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket
    }

    /// How many of so many messages arrive.
    fn arrive(from: &UdpSocket, to: &UdpSocket, messages: usize) -> usize {
        let mut arrived = 0;
        for _ in 0..messages {
            from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        }
        while arrived < messages && to.recv(&mut [0; 8]).is_ok() {
            arrived += 1;
        }
        arrived
    }

    #[test]
    fn links_are_cut_in_one_direction_or_both_and_healed() {
        let Ok(net) = TestNetwork::create(3) else {
            return println!("skipped: no namespaces");
        };
        let [one, two, three] = [0, 1, 2].map(|node| socket(&net, node));
        assert_eq!((arrive(&one, &two, 1), arrive(&two, &one, 1)), (1, 1));
        net.block_inbound(1, 0);
        assert_eq!((arrive(&one, &two, 1), arrive(&two, &one, 1)), (0, 1));
        net.heal();
        net.cut(0, 1);
        assert_eq!((arrive(&one, &two, 1), arrive(&two, &one, 1)), (0, 0));
        assert_eq!((arrive(&one, &three, 1), arrive(&three, &two, 1)), (1, 1));
        net.heal();
        net.isolate(2);
        assert_eq!((arrive(&one, &three, 1), arrive(&one, &two, 1)), (0, 1));
        net.heal();
        assert_eq!(arrive(&one, &three, 1), 1);
    }

    #[test]
    fn a_lossy_network_loses_about_what_it_is_told() {
        let Ok(net) = TestNetwork::create(2) else {
            return println!("skipped: no namespaces");
        };
        let [one, two] = [0, 1].map(|node| socket(&net, node));
        net.drop_packets(30);
        let arrived = arrive(&one, &two, 200);
        assert!((100..190).contains(&arrived), "{arrived} of 200");
    }
}
