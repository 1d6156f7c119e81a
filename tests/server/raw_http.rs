//! HTTP and sockets by hand, for requests that no well-behaved client would send.

use crate::test_server::TOKEN;
use calldex_simulator::twilio::sign_url;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longest wait for an answer.
const ANSWER_MAX: Duration = crate::test_server::WAIT_MAX;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// An answer; status 0 where the connection was closed without one.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    pub body: String,
}

/// `GET path` with these header lines.
pub async fn get(address: SocketAddr, path: &str, headers: &[&str]) -> HttpResponse {
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    send(address, head.as_bytes()).await
}

/// A relay socket, signed as Twilio signs it over the URL that TwiML spells.
pub async fn open_websocket(address: SocketAddr, url: &str) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{address}/twilio/relay")
        .into_client_request()
        .expect("a local address");
    let headers = request.headers_mut();
    let signature = sign_url(TOKEN, url).parse().expect("base64");
    headers.insert("x-twilio-signature", signature);
    headers.insert("host", "phone.example.net".parse().expect("a host"));
    let stream = TcpStream::connect(address).await.expect("a door is open");
    let opened = timeout(ANSWER_MAX, client_async(request, stream)).await;
    let (socket, answer) = opened.expect("in time").expect("a socket");
    assert_eq!(answer.status().as_u16(), 101);
    socket
}

/// Sends these bytes and reads whatever comes back until the connection closes.
pub async fn send(address: SocketAddr, bytes: &[u8]) -> HttpResponse {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("a door is open");
        // A server that refuses early closes while we still write.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
        answer
    };
    let bytes = timeout(ANSWER_MAX, exchange)
        .await
        .expect("an answer in time");
    read(&String::from_utf8_lossy(&bytes))
}

fn read(text: &str) -> HttpResponse {
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let body = if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        unchunked(body)
    } else {
        body.to_owned()
    };
    HttpResponse { status, body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}
