//! HTTP/1.1 read by hand: requests on one connection, one after another.

use serde_json::Value;
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longest request head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest request body.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Headers looked at.
const HEADERS_MAX: usize = 100;

/// One connection of a client.
pub(crate) struct HttpConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a client asked, before it is known what for.
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpRequest {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl HttpConnection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next request; `None` when the client has gone.
    pub(crate) async fn request(&mut self) -> io::Result<Option<HttpRequest>> {
        let Some(head_end) = self.read_past(b"\r\n\r\n", HEAD_BYTES_MAX).await? else {
            return Ok(None);
        };
        let head: Vec<u8> = self.buffer.drain(..head_end).collect();
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (
            first.next().unwrap_or_default().to_owned(),
            first.next().unwrap_or_default().to_owned(),
        );
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .take(HEADERS_MAX)
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut asked = HttpRequest {
            method,
            path,
            headers,
            body: Vec::new(),
        };
        let expected = asked.header("expect");
        if expected.is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let encoding = asked.header("transfer-encoding");
        asked.body = if encoding.is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
        {
            self.chunked_body().await?
        } else {
            let length: usize = asked
                .header("content-length")
                .and_then(|value| value.parse().ok())
                .unwrap_or(0);
            self.exactly(length).await?
        };
        Ok(Some(asked))
    }

    /// Writes bytes; fails when the client has gone.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Returns when the client has closed its side. Bytes of a following request are kept.
    pub(crate) async fn wait_closed(&mut self) {
        let mut more = [0; 1024];
        while self.buffer.len() < HEAD_BYTES_MAX {
            match self.stream.read(&mut more).await {
                Ok(0) | Err(_) => return,
                Ok(count) => self.buffer.extend_from_slice(&more[..count]),
            }
        }
        std::future::pending().await
    }

    async fn fill(&mut self) -> io::Result<bool> {
        let mut more = [0; 16 * 1024];
        let count = self.stream.read(&mut more).await?;
        self.buffer.extend_from_slice(&more[..count]);
        Ok(count > 0)
    }

    /// Reads until the mark is there; where it ends. `None`: the client closed before anything came.
    async fn read_past(&mut self, mark: &[u8], limit: usize) -> io::Result<Option<usize>> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(mark.len())
                .position(|window| window == mark)
            {
                return Ok(Some(at + mark.len()));
            }
            if self.buffer.len() > limit {
                return Err(io::Error::other("the request is too long"));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > BODY_BYTES_MAX {
            return Err(io::Error::other("the body is too long"));
        }
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn chunked_body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self
                .read_past(b"\r\n", HEAD_BYTES_MAX)
                .await?
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            let line: Vec<u8> = self.buffer.drain(..end).collect();
            let line = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(io::Error::other)?;
            let mut chunk = self.exactly(size.saturating_add(2)).await?;
            chunk.truncate(size);
            if size == 0 {
                return Ok(body);
            }
            body.append(&mut chunk);
            if body.len() > BODY_BYTES_MAX {
                return Err(io::Error::other("the body is too long"));
            }
        }
    }
}
