//! What the service manager is told while a server runs (sd_notify(3)): ready, alive, stopping.
//!
//! Without `NOTIFY_SOCKET`, that is outside systemd, all of it is silence. What cannot be sent is
//! logged once where it matters (ready) and left: a manager that does not listen ends no calls.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net as std_unix;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixDatagram;

/// Where the manager listens: a path, or `@name` for an abstract socket.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How long the manager waits between two signs of life before it restarts us, in microseconds.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// Whose signs of life it waits for; of everybody's where it is not set.
const WATCHDOG_PID_VARIABLE: &str = "WATCHDOG_PID";

/// The service manager.
#[derive(Clone)]
pub(super) struct ServiceManager {
    socket: Option<Arc<UnixDatagram>>,
    watchdog_period: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names. Within a runtime.
    pub(super) fn from_environment() -> Self {
        let socket = std::env::var_os(SOCKET_VARIABLE).filter(|address| !address.is_empty());
        let socket = socket.and_then(|address| match connect(&address) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told anything ({SOCKET_VARIABLE})");
                None
            }
        });
        let microseconds = std::env::var(WATCHDOG_VARIABLE).ok();
        let whose = std::env::var(WATCHDOG_PID_VARIABLE).ok();
        Self {
            socket,
            watchdog_period: watchdog_period(
                microseconds.as_deref(),
                whose.as_deref(),
                std::process::id(),
            ),
        }
    }

    /// Not ready yet: in cluster mode it may wait for its cluster.
    pub(super) async fn starting(&self, status: &str) {
        if let Err(error) = self.send(&format!("STATUS={status}\n")).await {
            tracing::debug!(%error, "the service manager was not told of the start");
        }
    }

    /// The listeners are open.
    pub(super) async fn ready(&self, status: &str) {
        let told = self.send(&format!("READY=1\nSTATUS={status}\n")).await;
        if let Err(error) = told {
            tracing::warn!(%error, "the service manager was not told that the server is ready");
        }
    }

    /// The listeners close; the stop may take so long.
    pub(super) async fn stopping(&self, at_most: Duration) {
        let microseconds = at_most.as_micros();
        let status = "draining: live calls go on";
        let message = format!("STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={microseconds}\n");
        if let Err(error) = self.send(&message).await {
            tracing::debug!(%error, "the service manager was not told of the stop");
        }
    }

    /// Gives signs of life until the process ends, twice as often as the manager asks for. Each
    /// goes through a fresh task: a runtime whose threads are all stuck gives none.
    pub(super) fn start_watchdog(&self) {
        let (Some(watchdog), Some(_)) = (self.watchdog_period, &self.socket) else {
            return;
        };
        let manager = self.clone();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(watchdog / 2);
            loop {
                beat.tick().await;
                let manager = manager.clone();
                // A message lost is followed by the next one in time.
                let _ = tokio::spawn(async move { manager.send("WATCHDOG=1\n").await }).await;
            }
        });
    }

    async fn send(&self, message: &str) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            socket.send(message.as_bytes()).await?;
        }
        Ok(())
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = std_unix::UnixDatagram::unbound()?;
    socket.connect_addr(&socket_address(address)?)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

#[cfg(target_os = "linux")]
fn socket_address(address: &OsStr) -> io::Result<std_unix::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => std_unix::SocketAddr::from_abstract_name(name),
        None => std_unix::SocketAddr::from_pathname(address),
    }
}

#[cfg(not(target_os = "linux"))]
fn named(address: &OsStr) -> io::Result<std_unix::SocketAddr> {
    std_unix::SocketAddr::from_pathname(address)
}

/// The time between two signs of life, if they are ours to give.
fn watchdog_period(
    microseconds: Option<&str>,
    whose: Option<&str>,
    process: u32,
) -> Option<Duration> {
    let ours = whose.is_none_or(|whose| whose.trim().parse() == Ok(process));
    let microseconds = microseconds?.trim().parse().ok()?;
    (ours && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager_at(address: &OsStr, watchdog: Option<Duration>) -> ServiceManager {
        ServiceManager {
            socket: Some(Arc::new(connect(address).unwrap())),
            watchdog_period: watchdog,
        }
    }

    async fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0_u8; 256];
        let read = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut bytes));
        let length = read.await.expect("told within 5 s").unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[tokio::test]
    async fn a_manager_hears_ready_signs_of_life_and_the_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = manager_at(path.as_os_str(), Some(Duration::from_millis(20)));
        manager.ready("all listeners open").await;
        assert_eq!(heard(&socket).await, "READY=1\nSTATUS=all listeners open\n");
        manager.start_watchdog();
        for _ in 0..3 {
            assert_eq!(heard(&socket).await, "WATCHDOG=1\n");
        }
        manager.stopping(Duration::from_secs(75)).await;
        let mut last = heard(&socket).await;
        while last == "WATCHDOG=1\n" {
            last = heard(&socket).await;
        }
        assert!(last.starts_with("STOPPING=1\n"), "{last}");
        assert!(last.contains("EXTEND_TIMEOUT_USEC=75000000\n"), "{last}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_abstract_socket_is_found_by_its_at_sign() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("calldex-test-{}", std::process::id());
        let address = std_unix::SocketAddr::from_abstract_name(&name).unwrap();
        let socket = std_unix::UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = UnixDatagram::from_std(socket).unwrap();
        manager_at(OsStr::new(&format!("@{name}")), None)
            .ready("here")
            .await;
        assert!(heard(&socket).await.starts_with("READY=1\n"));
    }

    #[tokio::test]
    async fn without_a_manager_nothing_is_told_and_nothing_fails() {
        let manager = ServiceManager {
            socket: None,
            watchdog_period: Some(Duration::from_millis(1)),
        };
        manager.start_watchdog();
        assert!(manager.send("READY=1\n").await.is_ok());
    }

    #[test]
    fn signs_of_life_are_given_only_by_who_is_asked() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog_period(Some("1000000"), None, 7), second);
        assert_eq!(watchdog_period(Some("1000000"), Some("7"), 7), second);
        assert_eq!(watchdog_period(Some("1000000"), Some("8"), 7), None);
        assert_eq!(watchdog_period(Some("0"), None, 7), None);
        assert_eq!(watchdog_period(Some("soon"), None, 7), None);
        assert_eq!(watchdog_period(None, None, 7), None);
    }
}
