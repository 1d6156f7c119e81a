//! Decodes the body of a response: server-sent events, one JSON text, or one JSON text per line.

use super::chunk::Chunk;
use super::lenient_chunk::EventData;
use super::stream_decoder::StreamDecoder;
use crate::agent::event::Usage;
use crate::agent::reply_failure::{ProtocolError, ReplyFailure};
use serde::de::IgnoredAny;
use sseer::parser::{RawEventLine, parse_line};

/// Most bytes of a response that is one JSON text, and of a line of one with a JSON text per line.
pub(super) const WHOLE_BYTES_MAX: usize = 512 * 1024;
/// The data that ends a stream.
const DONE: &[u8] = b"[DONE]";
/// The byte order mark; ignored at the start of a stream (WHATWG HTML, 9.2.5).
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Keep-alives of servers that name their events.
const KEEP_ALIVES: [&[u8]; 4] = [b"ping", b"keepalive", b"keep-alive", b"heartbeat"];

/// The state of decoding a body. Its format is recognised by its first bytes: the content type is often wrong.
#[derive(Default)]
pub(super) struct BodyDecoder {
    format: BodyFormat,
}

enum BodyFormat {
    /// Not recognised yet: only white space, or a part of a byte order mark.
    Unknown(Vec<u8>),
    /// Server-sent events.
    Sse(SseDecoder),
    /// One JSON text over many lines, or one JSON text per line.
    Json(JsonDecoder),
}

impl Default for BodyFormat {
    fn default() -> Self {
        BodyFormat::Unknown(Vec::new())
    }
}

impl BodyDecoder {
    pub(in crate::agent) fn read(
        &mut self,
        piece: &[u8],
        decoder: &mut StreamDecoder,
    ) -> Result<bool, ReplyFailure> {
        let BodyFormat::Unknown(beginning) = &mut self.format else {
            return self.format.read(piece, decoder);
        };
        beginning.extend_from_slice(piece);
        let text = beginning
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(beginning)
            .trim_ascii_start();
        let form = match text.first() {
            None => return Ok(false),
            Some(_) if BYTE_ORDER_MARK.starts_with(text) => return Ok(false),
            Some(b'{' | b'[') => BodyFormat::Json(JsonDecoder::default()),
            // An HTML page.
            Some(b'<') => return Err(ReplyFailure::Protocol(ProtocolError::Malformed)),
            Some(_) => BodyFormat::Sse(SseDecoder::default()),
        };
        let text = text.to_owned();
        self.format = form;
        self.format.read(&text, decoder)
    }

    /// The body has ended: decodes what was buffered. `None` if nothing was.
    pub(super) fn end(
        &mut self,
        decoder: &mut StreamDecoder,
    ) -> Option<Result<bool, ReplyFailure>> {
        match std::mem::take(&mut self.format) {
            BodyFormat::Unknown(_) => None,
            BodyFormat::Sse(events) => events.end(decoder),
            BodyFormat::Json(json) => json.end(decoder),
        }
    }
}

impl BodyFormat {
    fn read(&mut self, piece: &[u8], decoder: &mut StreamDecoder) -> Result<bool, ReplyFailure> {
        match self {
            BodyFormat::Unknown(_) => Ok(false),
            BodyFormat::Sse(events) => events.read(piece, decoder),
            BodyFormat::Json(json) => json.read(piece, decoder),
        }
    }
}

/// The state for a server that does not stream, or that sends one JSON text per line.
#[derive(Default)]
struct JsonDecoder {
    buffer: Vec<u8>,
    /// Whether the first line was a complete JSON text, once it has arrived.
    is_line_delimited: Option<bool>,
}

impl JsonDecoder {
    fn read(&mut self, piece: &[u8], decoder: &mut StreamDecoder) -> Result<bool, ReplyFailure> {
        self.buffer.extend_from_slice(piece);
        if self.buffer.len() > WHOLE_BYTES_MAX {
            return Err(ReplyFailure::LimitExceeded);
        }
        let mut moved = false;
        while self.is_line_delimited != Some(false)
            && !decoder.is_closed()
            && let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let whole = || serde_json::from_slice::<IgnoredAny>(&line).is_ok();
            if *self.is_line_delimited.get_or_insert_with(whole) {
                moved |= decode_text(&line, decoder)?;
            } else {
                self.buffer.splice(..0, line);
            }
        }
        Ok(moved)
    }

    fn end(self, decoder: &mut StreamDecoder) -> Option<Result<bool, ReplyFailure>> {
        let empty = self.buffer.trim_ascii().is_empty() || decoder.is_closed();
        (!empty).then(|| decode_text(&self.buffer, decoder))
    }
}

/// Invalid UTF-8 is replaced, so that a truncated character loses no other text.
fn decode_text(text: &[u8], decoder: &mut StreamDecoder) -> Result<bool, ReplyFailure> {
    decoder.take(&String::from_utf8_lossy(text))
}

/// The state of decoding server-sent events.
#[derive(Default)]
struct SseDecoder {
    /// The start of a line that is not complete.
    partial_line: Vec<u8>,
    /// The data of an event that is not complete.
    data: Vec<u8>,
    has_data: bool,
    /// The event's name: an error, a keep-alive, or any other.
    kind: SseEventKind,
}

#[derive(Default, Clone, Copy)]
enum SseEventKind {
    #[default]
    Chunk,
    Error,
    KeepAlive,
}

impl SseDecoder {
    fn read(&mut self, piece: &[u8], decoder: &mut StreamDecoder) -> Result<bool, ReplyFailure> {
        // Each byte is searched once, however small the pieces of a line are.
        let ends_a_line = piece.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        if !ends_a_line && self.partial_line.last() != Some(&b'\r') {
            self.partial_line.extend_from_slice(piece);
            return Ok(false);
        }
        if self.partial_line.is_empty() {
            let (read, moved) = self.read_lines(piece, decoder)?;
            self.partial_line.extend_from_slice(&piece[read..]);
            return Ok(moved);
        }
        let mut lines = std::mem::take(&mut self.partial_line);
        lines.extend_from_slice(piece);
        let (read, moved) = self.read_lines(&lines, decoder)?;
        lines.drain(..read);
        self.partial_line = lines;
        Ok(moved)
    }

    /// Completes the last event, where the server omitted its end.
    fn end(mut self, decoder: &mut StreamDecoder) -> Option<Result<bool, ReplyFailure>> {
        if decoder.is_closed() || (self.partial_line.is_empty() && !self.has_data) {
            return None;
        }
        let rest = self.read(b"\n\n", decoder);
        Some(rest)
    }

    /// Reads the complete lines of `bytes`. Returns the number of bytes read, and whether they contained text, tool
    /// calls or the end of the reply.
    fn read_lines(
        &mut self,
        bytes: &[u8],
        decoder: &mut StreamDecoder,
    ) -> Result<(usize, bool), ReplyFailure> {
        let (mut rest, mut moved) = (bytes, false);
        while let Some((line, after)) = parse_line(rest) {
            rest = after;
            match line {
                RawEventLine::Empty => moved |= self.dispatch(decoder)?,
                RawEventLine::Field {
                    field_name: b"data",
                    field_value,
                } => moved |= self.add_data(field_value.unwrap_or_default(), decoder)?,
                RawEventLine::Field {
                    field_name: b"event",
                    field_value,
                } => self.kind = SseEventKind::from_name(field_value.unwrap_or_default()),
                // Old llama.cpp.
                RawEventLine::Field {
                    field_name: b"error",
                    field_value: Some(error),
                } => moved |= decoder.take_error(&String::from_utf8_lossy(error))?,
                RawEventLine::Field { .. } | RawEventLine::Comment => {}
            }
            if decoder.is_closed() {
                // Data after the end is ignored.
                rest = &[];
            }
        }
        Ok((bytes.len() - rest.len(), moved))
    }

    /// Handles a line of data. Some servers omit the empty line between events.
    fn add_data(&mut self, data: &[u8], decoder: &mut StreamDecoder) -> Result<bool, ReplyFailure> {
        let begins = data.starts_with(b"{") || data.starts_with(DONE);
        let moved =
            self.has_data && begins && self.data.ends_with(b"}") && self.dispatch(decoder)?;
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(data);
        Ok(moved)
    }

    /// Handles a complete event; one without data is ignored.
    fn dispatch(&mut self, decoder: &mut StreamDecoder) -> Result<bool, ReplyFailure> {
        let kind = std::mem::take(&mut self.kind);
        if !std::mem::take(&mut self.has_data) {
            return Ok(false);
        }
        let moved = match (kind, std::str::from_utf8(&self.data)) {
            (SseEventKind::KeepAlive, _) => Ok(false),
            (SseEventKind::Error, _) => decoder.take_error(&String::from_utf8_lossy(&self.data)),
            (SseEventKind::Chunk, Ok(data)) => decoder.take(data),
            (SseEventKind::Chunk, Err(_)) => decode_text(&self.data, decoder),
        };
        self.data.clear();
        moved
    }
}

impl SseEventKind {
    fn from_name(name: &[u8]) -> SseEventKind {
        match name.trim_ascii() {
            b"error" => SseEventKind::Error,
            name if KEEP_ALIVES.contains(&name) => SseEventKind::KeepAlive,
            _ => SseEventKind::Chunk,
        }
    }
}

/// The whole body of a response, at most [`WHOLE_BYTES_MAX`].
///
/// # Errors
/// `ConnectionLost` where its connection broke, `LimitExceeded`.
pub(in crate::agent) async fn read_whole(
    mut response: reqwest::Response,
) -> Result<Vec<u8>, ReplyFailure> {
    let mut whole = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|_| ReplyFailure::ConnectionLost)?
    {
        whole.extend_from_slice(&piece);
        if whole.len() > WHOLE_BYTES_MAX {
            return Err(ReplyFailure::LimitExceeded);
        }
    }
    Ok(whole)
}

/// The token usage in a whole response, where there is one.
pub(in crate::agent) fn usage_of(answer: &[u8]) -> Option<Usage> {
    let EventData::Values(values) = EventData::parse(&String::from_utf8_lossy(answer)) else {
        return None;
    };
    values
        .first()
        .and_then(|value| Chunk::parse_lenient(value).usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::stream::stream_decoder::DecoderOptions;
    use crate::agent::{BuiltInTools, ReplyEvent};

    const TOKEN: &str = r#"{"choices":[{"delta":{"content":"Hé"}}]}"#;
    const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    const WHOLE: &str =
        r#"{"choices":[{"message":{"content":"Hé"},"finish_reason":"stop"}],"usage":null}"#;

    fn decoder() -> StreamDecoder {
        StreamDecoder::new(DecoderOptions {
            provider: "primary",
            language: "en-US",
            tool_step: 0,
            built_in_tools: &BuiltInTools::ALL,
            configured_tools: &Default::default(),
            expects_unopened_thinking: false,
        })
    }

    /// What comes of `body` in pieces of `piece_bytes`: the words, and how it ended.
    fn read(body: &[u8], piece_bytes: usize) -> (String, Result<(), ReplyFailure>) {
        let (mut form, mut decoder) = (BodyDecoder::default(), decoder());
        let mut end = body
            .chunks(piece_bytes)
            .try_for_each(|piece| form.read(piece, &mut decoder).map(drop));
        if end.is_ok() {
            end = form.end(&mut decoder).unwrap_or(Ok(false)).map(drop);
        }
        if end.is_ok() {
            end = decoder.end_of_body();
        }
        let said = std::iter::from_fn(|| decoder.next()).filter_map(|event| match event {
            ReplyEvent::Token(token) => Some(token),
            _ => None,
        });
        (said.collect(), end)
    }

    #[test]
    fn however_the_body_is_cut_the_events_are_the_same() {
        let (first, rest) = TOKEN.split_at(11);
        for end in ["\n", "\r\n", "\r"] {
            let body = [
                "\u{feff}: hello",
                "id: 1",
                "event: message",
                &format!("data: {TOKEN}"),
                "",
                "retry: 5",
                "",
                "data",
                "",
                &format!("data:{first}"),
                &format!("data: {rest}"),
                "",
                "data: [DONE]",
                "",
                "data: after the end",
                "",
                "",
            ]
            .join(end);
            for piece_bytes in 1..body.len() + 1 {
                let expected = ("HéHé".to_owned(), Ok(()));
                assert_eq!(
                    read(body.as_bytes(), piece_bytes),
                    expected,
                    "{end:?} {piece_bytes}"
                );
            }
        }
    }

    #[test]
    fn the_form_is_seen_by_its_first_bytes() {
        let pretty = serde_json::from_str::<serde_json::Value>(WHOLE).unwrap();
        let pretty = serde_json::to_string_pretty(&pretty).unwrap();
        for body in [
            format!("data: {TOKEN}\n\ndata: {STOP}\n\n"),
            // Without the empty line between events, and without the last line's end.
            format!("data: {TOKEN}\ndata: {STOP}\ndata: [DONE]"),
            format!("data:{TOKEN}\r\n\r\ndata:[DONE] \r\n"),
            format!("data: {TOKEN}\n\ndata: {STOP}"),
            format!("\n\n: keep-alive\n\ndata: {TOKEN}\n\ndata: \"[DONE]\"\n\n"),
            WHOLE.to_owned(),
            format!("\u{feff}\n{WHOLE}\n"),
            format!("[{WHOLE}]"),
            format!("{WHOLE}\n\ndata: [DONE]\n\n"),
            pretty.clone(),
            format!("{pretty}\n\n"),
            format!("{TOKEN}\n{STOP}\n"),
            format!("{TOKEN}\r\n\r\n{STOP}"),
            "{\"message\":{\"role\":\"assistant\",\"content\":\"Hé\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}\n".to_owned(),
        ] {
            for piece_bytes in [1, 7, 1_000] {
                let expected = ("Hé".to_owned(), Ok(()));
                assert_eq!(read(body.as_bytes(), piece_bytes), expected, "{body:?}");
            }
        }
    }

    #[test]
    fn a_line_of_json_is_taken_when_it_has_come() {
        let (mut form, mut decoder) = (BodyDecoder::default(), decoder());
        let moved = form.read(format!("{TOKEN}\n").as_bytes(), &mut decoder);
        assert_eq!((moved, decoder.has_next()), (Ok(true), true));
    }

    #[test]
    fn a_page_for_people_is_no_answer() {
        let malformed = Err(ReplyFailure::Protocol(ProtocolError::Malformed));
        assert_eq!(
            read(b"<!DOCTYPE html><html>", 1_000),
            (String::new(), malformed)
        );
        let empty = Err(ReplyFailure::Protocol(ProtocolError::Empty));
        assert_eq!(read(b"", 1_000), (String::new(), empty));
        let flood = [b"{\"a\":\"", &vec![b'x'; WHOLE_BYTES_MAX][..]].concat();
        assert_eq!(
            read(&flood, 1_000),
            (String::new(), Err(ReplyFailure::LimitExceeded))
        );
    }

    #[test]
    fn an_error_in_the_stream_is_seen_by_its_name() {
        let failure = Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream));
        for detail in [
            r#"{"detail":"CUDA out of memory"}"#,
            r#"{"message":"x"}"#,
            "out of memory",
        ] {
            let body = format!("data: {TOKEN}\n\nevent: error\ndata: {detail}\n\n");
            assert_eq!(
                read(body.as_bytes(), 9),
                ("Hé".to_owned(), failure),
                "{detail}"
            );
        }
        let body = format!("data: {TOKEN}\n\nerror: {{\"code\":500}}\n\n");
        assert_eq!(read(body.as_bytes(), 9), ("Hé".to_owned(), failure));
        let body = format!("event: ping\ndata: {{\"type\": \"x y\"}}\n\ndata: {WHOLE}\n\n");
        assert_eq!(read(body.as_bytes(), 9), ("Hé".to_owned(), Ok(())));
    }

    #[test]
    fn what_came_before_a_failure_in_the_same_piece_is_good() {
        let error = r#"{"error":{"message":"overloaded"}}"#;
        let body = format!("data: {TOKEN}\n\ndata: {error}\n\n");
        let failure = Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream));
        assert_eq!(read(body.as_bytes(), 1_000), ("Hé".to_owned(), failure));
    }

    #[test]
    fn bytes_that_are_no_text_cost_no_words_beside_them() {
        let cut = b"data: {\"choices\":[{\"delta\":{\"content\":\"H\xc3\"}}]}\n\n";
        let body = [cut, format!("data: {STOP}\n\n").as_bytes()].concat();
        assert_eq!(read(&body, 1_000), ("H".to_owned(), Ok(())));
    }

    #[test]
    fn a_stream_that_ends_inside_an_event_was_cut() {
        let body = format!("data: {TOKEN}\n\ndata: {}", &TOKEN[..20]);
        assert_eq!(
            read(body.as_bytes(), 1_000),
            ("Hé".to_owned(), Err(ReplyFailure::ConnectionLost))
        );
    }
}
