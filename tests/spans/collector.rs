//! A collector that reads as much of OTLP as a span needs (opentelemetry-proto, trace/v1).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A collector on this machine.
pub struct Collector {
    pub base_url: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// One span, as it was sent.
#[derive(Debug, Default)]
pub struct Span {
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub name: String,
    pub began_ns: u64,
    pub ended_ns: u64,
    pub attributes: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub failed: bool,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || take(socket.unwrap(), &taken));
            }
        });
        Self { base_url, bodies }
    }

    pub fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap();
        let scopes = bodies
            .iter()
            .flat_map(|body| messages(body, &[1, 2, 2]))
            .map(|bytes| span(&bytes));
        scopes.collect()
    }

    /// An attribute of the resource that the spans come from.
    pub fn resource(&self, name: &str) -> Option<String> {
        let bodies = self.bodies.lock().unwrap();
        let mut pairs = bodies
            .iter()
            .flat_map(|body| messages(body, &[1, 1, 1]))
            .map(|bytes| pair(&bytes));
        pairs.find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether `word` occurs anywhere in what was sent.
    pub fn contains(&self, word: &str) -> bool {
        let bodies = self.bodies.lock().unwrap();
        assert!(!bodies.is_empty());
        bodies.iter().any(|body| {
            body.windows(word.len())
                .any(|bytes| bytes == word.as_bytes())
        })
    }
}

/// Requests of one connection, to its end.
fn take(mut socket: TcpStream, bodies: &Mutex<Vec<Vec<u8>>>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let end = at + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if bytes.len() >= end {
                assert!(head.starts_with("post /v1/traces "), "{head}");
                assert!(
                    head.contains("content-type: application/x-protobuf"),
                    "{head}"
                );
                bodies.lock().unwrap().push(bytes[at + 4..end].to_vec());
                bytes.drain(..end);
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
                continue;
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, field) in fields(bytes) {
        match (number, field) {
            (1, Field::Bytes(id)) => span.trace = id,
            (2, Field::Bytes(id)) => span.id = id,
            (4, Field::Bytes(id)) => span.parent = id,
            (5, Field::Bytes(name)) => span.name = text(name),
            (7, Field::Number(time)) => span.began_ns = time,
            (8, Field::Number(time)) => span.ended_ns = time,
            (9, Field::Bytes(bytes)) => span.attributes.extend([pair(&bytes)]),
            (11, Field::Bytes(event)) => {
                span.events
                    .extend(messages(&event, &[2]).into_iter().map(text));
            }
            // Status: code 2 is an error.
            (15, Field::Bytes(status)) => {
                span.failed = fields(&status).contains(&(3, Field::Number(2)));
            }
            _ => {}
        }
    }
    span
}

/// `KeyValue`; the value as it reads.
fn pair(bytes: &[u8]) -> (String, String) {
    let (mut key, mut value) = (String::new(), String::new());
    for (number, field) in fields(bytes) {
        match (number, field) {
            (1, Field::Bytes(bytes)) => key = text(bytes),
            (2, Field::Bytes(any)) => {
                value = match fields(&any).pop() {
                    Some((1, Field::Bytes(bytes))) => text(bytes),
                    Some((2 | 3, Field::Number(number))) => number.to_string(),
                    Some((4, Field::Number(bits))) => f64::from_bits(bits).to_string(),
                    other => panic!("{other:?}"),
                }
            }
            _ => {}
        }
    }
    (key, value)
}

#[derive(Debug, PartialEq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The messages at the end of a path of field numbers.
fn messages(bytes: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else {
        return vec![bytes.to_vec()];
    };
    let below = fields(bytes).into_iter().filter_map(|field| match field {
        (number, Field::Bytes(bytes)) if number == *first => Some(bytes),
        _ => None,
    });
    below.flat_map(|bytes| messages(&bytes, rest)).collect()
}

/// The fields of a protobuf message (protobuf.dev, "Encoding").
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(cut(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes) as usize;
                Field::Bytes(cut(&mut bytes, length).to_vec())
            }
            5 => Field::Number(u32::from_le_bytes(cut(&mut bytes, 4).try_into().unwrap()).into()),
            kind => panic!("wire type {kind}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = cut(bytes, 1)[0];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    value
}

fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, rest) = bytes.split_at(length);
    *bytes = rest;
    head
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
