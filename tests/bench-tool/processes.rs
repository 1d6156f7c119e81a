//! The instances that a measurement has started, each a process of its own: told what to do, their
//! CPU read, and none of them left.

use super::instance_protocol::{InstanceCommand, InstanceReply};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What any order may take.
const REPLY_MAX: Duration = Duration::from_secs(60);
/// Clock ticks a second in /proc: the same on every Linux that Rust knows.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where in /proc/PID/stat, counted after the name, the ticks spent in user mode are; those in the
/// kernel come next (proc(5), fields 14 and 15).
const UTIME_AT: usize = 11;

/// Everybody who works. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Processes(Arc<Mutex<Vec<Child>>>);

impl Processes {
    /// Starts one more.
    pub(super) fn spawn(&self, name: &str) -> io::Result<InstanceProcess> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["instance"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (id, orders, out) = (child.id(), child.stdin.take(), child.stdout.take());
        self.lock().push(child);
        let (Some(orders), Some(out)) = (orders, out) else {
            return Err(io::Error::other("an instance without pipes"));
        };
        let (tell, answers) = channel();
        std::thread::Builder::new().spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(InstanceProcess {
            name: name.to_owned(),
            id,
            stdin: orders,
            replies: answers,
        })
    }

    /// Ends all of them: what they have is thrown away in any case.
    pub(super) fn kill_all(&self) {
        for mut child in self.lock().drain(..) {
            // One that has ended by itself is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
pub(super) struct InstanceProcess {
    name: String,
    id: u32,
    stdin: ChildStdin,
    /// One line for each order.
    replies: Receiver<String>,
}

impl InstanceProcess {
    /// Gives an order, whose answer has to be heard before the next one.
    pub(super) fn send(&mut self, order: &InstanceCommand) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.stdin.write_all(&line)
    }

    /// The answer to the last order.
    ///
    /// # Errors
    /// None in [`REPLY_MAX`], and what the instance itself could not do.
    pub(super) fn receive(&self) -> io::Result<InstanceReply> {
        let wrong = |why: &str| io::Error::other(format!("instance {}: {why}", self.name));
        let line = self.replies.recv_timeout(REPLY_MAX);
        let line = line.map_err(|_| wrong("no answer"))?;
        match serde_json::from_str(&line)? {
            InstanceReply::Failed { why } => Err(wrong(&why)),
            answer => Ok(answer),
        }
    }

    /// Gives an order and hears the answer.
    pub(super) fn request(&mut self, order: &InstanceCommand) -> io::Result<InstanceReply> {
        self.send(order)?;
        self.receive()
    }

    /// CPU seconds that the process has spent; nothing where the kernel does not say.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds_of(self.id)
    }
}

fn cpu_seconds_of(process_id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // The name may have spaces and brackets in it; what follows the last one has not.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(UTIME_AT);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_cpu_of_a_process_is_read_and_grows() {
        let own = std::process::id();
        let before = cpu_seconds_of(own).unwrap();
        let begun = std::time::Instant::now();
        while cpu_seconds_of(own).unwrap() <= before {
            assert!(begun.elapsed() < REPLY_MAX, "work without CPU");
        }
    }
}
