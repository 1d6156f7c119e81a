//! `calldex health`: asks a running server how it is; for containers, scripts and people.
//!
//! By hand over TCP: an image without a shell or curl needs it, and one GET is all there is.

use super::serve::ServeArguments;
use super::{print_failure, runtime};
use clap::Args;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer is a few hundred bytes; what is longer is read no further.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;
/// Longest `--timeout-ms`: who waits longer for a probe has no use for its answer.
const TIMEOUT_MS_MAX: u64 = 60_000;

/// Options of `calldex health`.
#[derive(Args)]
#[command(
    after_help = "Prints what the server says of itself. Exit status: 0 it is ready (with --live: it answers),\n\
        1 it is not, or nobody answers, 2 wrong arguments."
)]
pub struct HealthArguments {
    /// Configuration file of the server that is asked; only the admin server's address is used
    #[arg(long, value_name = "FILE", env = "CALLDEX_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// The admin server; without it the configuration says where it is
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Asks whether the process lives (/healthz) instead of whether it takes calls (/readyz)
    #[arg(long)]
    live: bool,
    /// Longest wait for the whole answer
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX))]
    timeout_ms: u64,
}

impl HealthArguments {
    fn path(&self) -> &'static str {
        if self.live { "/healthz" } else { "/readyz" }
    }

    /// A flag is believed as it is: the server's secrets need not be readable for it.
    fn admin_address(&self) -> Result<SocketAddr, String> {
        if let Some(address) = self.admin {
            return Ok(connect_address(address));
        }
        let config = ServeArguments::load_config(self.config.as_ref())?;
        Ok(connect_address(config.admin.listen))
    }
}

/// The response.
struct HealthResponse {
    status: u16,
    body: String,
}

pub(super) fn run(arguments: &HealthArguments) -> ExitCode {
    let address = match arguments.admin_address() {
        Ok(address) => address,
        Err(error) => return print_failure(error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return print_failure(error),
    };
    let within = Duration::from_millis(arguments.timeout_ms);
    let asked = runtime.block_on(async { timeout(within, get(address, arguments.path())).await });
    match asked {
        Ok(Ok(answer)) => {
            println!("{}", answer.body.trim_end());
            ExitCode::from(u8::from(answer.status != 200))
        }
        Ok(Err(error)) => print_failure(format!("http://{address}{}: {error}", arguments.path())),
        Err(_) => print_failure(format!(
            "http://{address}{}: no answer within {} ms",
            arguments.path(),
            arguments.timeout_ms
        )),
    }
}

/// Where a server that listens on every address can be reached from this machine.
fn connect_address(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// One GET by HTTP/1.0, so that the answer ends with the connection and comes in one piece.
async fn get(address: SocketAddr, path: &str) -> io::Result<HealthResponse> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream
        .take(RESPONSE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .await?;
    parse_response(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::other("this is no HTTP: is another program listening there?"))
}

/// Status and body of `HTTP/1.1 200 OK\r\n…\r\n\r\nbody` (RFC 9112, section 4).
fn parse_response(answer: &str) -> Option<HealthResponse> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.split_ascii_whitespace();
    words
        .next()
        .filter(|version| version.starts_with("HTTP/1."))?;
    Some(HealthResponse {
        status: words.next()?.parse().ok()?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_address_on_every_address_is_asked_on_loopback() {
        assert_eq!(connect_address(at("0.0.0.0:8081")), at("127.0.0.1:8081"));
        assert_eq!(connect_address(at("[::]:8081")), at("[::1]:8081"));
        assert_eq!(connect_address(at("10.0.0.7:8081")), at("10.0.0.7:8081"));
    }

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer =
            parse_response("HTTP/1.0 503 Service Unavailable\r\nx: y\r\n\r\n{\"status\":1}")
                .unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, "{\"status\":1}")
        );
        for noise in [
            "",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 soon\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert!(parse_response(noise).is_none(), "{noise:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_read_up_to_the_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endless = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        };
        let (answer, ()) = tokio::join!(get(address, "/healthz"), endless);
        assert!(answer.unwrap().body.len() < RESPONSE_BYTES_MAX as usize);
    }

    #[tokio::test]
    async fn who_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(get(address, "/readyz").await.is_err());
    }
}
