//! A lean OpenAI-compatible model for measurements: one thread, answers laid out once, every delay
//! counted from the request, and its own lateness kept so that nobody takes it for the server's.
//!
//! `model --host 127.0.0.1 --port 9009 --ttft-ms 200 --gap-ms 20 --tokens 30`; with `--tells 1` each answer begins with how much the
//! model was told, for `calldex load --history`; `GET /_mock/stats` tells what it did.
//! For scripted failures there is [`calldex_simulator::model`].

use calldex_simulator::model::told;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// Longest request head and body together; a longer one closes the connection.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Lateness is kept for so many first tokens; later ones are not looked at.
const LATE_KEPT_MAX: usize = 2_000_000;
const WORDS: &str = "Water types are strong against fire, ground and rock, and many of them are easy to find near any river or lake.";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
/// The answer where no stream is wanted: an opinion about a name.
const NO_NAME: &str = r#"{"id":"chatcmpl-lean","object":"chat.completion","created":1780000000,"model":"lean","choices":[{"index":0,"message":{"role":"assistant","content":"{\"name\":null,\"kind\":\"none\",\"quote\":\"\"}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// How it speaks.
struct Pace {
    host: IpAddr,
    port: u16,
    first_token: Duration,
    gap: Duration,
    tokens: usize,
    /// Each answer begins with how much was told.
    tells: bool,
}

#[derive(Default)]
struct Counts {
    connections: u64,
    requests: u64,
    streams: u64,
    tokens: u64,
    late_us: Vec<u32>,
}

/// What every connection uses.
struct Model {
    pace: Pace,
    opening: Vec<u8>,
    pieces: Vec<Vec<u8>>,
    closing: Vec<u8>,
    counts: RefCell<Counts>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pace = pace(std::env::args().skip(1))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(tokio::task::LocalSet::new().run_until(listen(pace)))
}

fn pace(mut arguments: impl Iterator<Item = String>) -> Result<Pace, String> {
    let mut pace = Pace {
        host: Ipv4Addr::LOCALHOST.into(),
        port: 9009,
        first_token: Duration::from_millis(200),
        gap: Duration::from_millis(20),
        tokens: 30,
        tells: false,
    };
    while let Some(flag) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        if flag == "--host" {
            let host = value.parse();
            pace.host = host.map_err(|_| format!("--host: no IP address: {value}"))?;
            continue;
        }
        let value = value.parse::<u32>();
        let value = value.map_err(|_| format!("{flag}: a whole number must follow"))?;
        let ms = Duration::from_millis(value.into());
        match flag.as_str() {
            "--port" => pace.port = value.try_into().map_err(|_| format!("no port: {value}"))?,
            "--ttft-ms" => pace.first_token = ms,
            "--gap-ms" => pace.gap = ms,
            "--tokens" => pace.tokens = value as usize,
            "--tells" => pace.tells = value > 0,
            _ => {
                return Err(format!(
                    "{flag}: --host, --port, --ttft-ms, --gap-ms, --tokens or --tells"
                ));
            }
        }
    }
    Ok(pace)
}

async fn listen(pace: Pace) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind((pace.host, pace.port)).await?;
    println!("model at http://{}/v1", listener.local_addr()?);
    let words: Vec<&str> = WORDS.split_inclusive(' ').collect();
    let word = |at: usize| words[at % words.len()];
    let role = delta(r#"{"role":"assistant","content":""}"#.into(), "null");
    let end = delta("{}".into(), r#""stop""#);
    let model = Rc::new(Model {
        opening: [HEAD.as_bytes(), &role].concat(),
        pieces: (0..pace.tokens)
            .map(|at| delta(format!(r#"{{"content":"{}"}}"#, word(at)), "null"))
            .collect(),
        closing: [end, chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat(),
        counts: RefCell::default(),
        pace,
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        model.counts.borrow_mut().connections += 1;
        let model = Rc::clone(&model);
        // A client that leaves loses its connection and nothing else.
        tokio::task::spawn_local(async move { model.serve(stream).await.ok() });
    }
}

fn delta(delta: String, finish: &str) -> Vec<u8> {
    let data = format!(
        r#"{{"id":"chatcmpl-lean","object":"chat.completion.chunk","created":1780000000,"model":"lean","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    );
    chunk(&format!("data: {data}\n\n"))
}

fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

impl Model {
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut asked = Vec::new();
        while let Some(length) = request(&mut stream, &mut asked).await? {
            let streamed = asked[..length].windows(13).any(|w| w == b"\"stream\":true");
            let stats = asked.starts_with(b"GET ");
            let count = |text: &[u8]| {
                asked[..length]
                    .windows(text.len())
                    .filter(|w| *w == text)
                    .count()
            };
            // Not the line in brackets that stands before a greeting.
            let turns = count(b"\"role\":\"user\"")
                - count(b"\"role\":\"user\",\"content\":\"[The call begins.]\"");
            asked.drain(..length);
            if stats {
                let stats = self.counts.borrow_mut().stats();
                stream.write_all(&whole(&stats)).await?;
                continue;
            }
            self.counts.borrow_mut().requests += 1;
            if streamed {
                self.speak(&mut stream, turns).await?;
            } else {
                stream.write_all(&whole(NO_NAME)).await?;
            }
        }
        Ok(())
    }

    async fn speak(&self, stream: &mut TcpStream, turns: usize) -> std::io::Result<()> {
        let first = Instant::now() + self.pace.first_token;
        self.counts.borrow_mut().streams += 1;
        stream.write_all(&self.opening).await?;
        if self.pace.tells {
            sleep_until(first).await;
            let content = format!(r#"{{"content":"{} "}}"#, told(turns));
            stream.write_all(&delta(content, "null")).await?;
        }
        for (at, piece) in (0u32..).zip(&self.pieces) {
            sleep_until(first + self.pace.gap * at).await;
            stream.write_all(piece).await?;
            let mut counts = self.counts.borrow_mut();
            counts.tokens += 1;
            if at == 0 && counts.late_us.len() < LATE_KEPT_MAX {
                counts.late_us.push(first.elapsed().as_micros() as u32);
            }
        }
        stream.write_all(&self.closing).await
    }
}

impl Counts {
    fn stats(&mut self) -> String {
        self.late_us.sort_unstable();
        let late_ms = |per_cent: usize| {
            let at =
                (self.late_us.len() * per_cent / 100).min(self.late_us.len().saturating_sub(1));
            f64::from(self.late_us.get(at).copied().unwrap_or(0)) / 1000.0
        };
        format!(
            r#"{{"connections":{},"requests":{},"streams":{},"tokens":{},"first_token_late_p50_ms":{},"first_token_late_p99_ms":{}}}"#,
            self.connections,
            self.requests,
            self.streams,
            self.tokens,
            late_ms(50),
            late_ms(99)
        )
    }
}

fn whole(json: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    )
    .into_bytes()
}

/// Reads up to the end of one request and says where that is; `None`: the client has gone.
async fn request(stream: &mut TcpStream, asked: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(length) = whole_request(asked) {
            return Ok(Some(length));
        }
        if asked.len() > REQUEST_BYTES_MAX || stream.read_buf(asked).await? == 0 {
            return Ok(None);
        }
    }
}

fn whole_request(asked: &[u8]) -> Option<usize> {
    let head = asked.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&asked[..head]).ok()?;
    let body = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    (asked.len() >= head + body).then_some(head + body)
}
