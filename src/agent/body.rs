//! The form of an answer's body: events of a stream, one whole JSON text, or one JSON text a line.

use super::chunk::Chunk;
use super::failure::{Failure, Reason};
use super::intake::Intake;
use super::loose::Data;
use super::reply::Usage;
use serde::de::IgnoredAny;
use sseer::parser::{RawEventLine, parse_line};

/// Most bytes of an answer that comes whole, and of a line of one that comes by lines.
pub(super) const WHOLE_BYTES_MAX: usize = 512 * 1024;
/// The data that ends a stream.
const DONE: &[u8] = b"[DONE]";
/// May begin a stream and means nothing (WHATWG HTML, 9.2.5).
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Keep-alives of servers that name their events.
const KEEP_ALIVES: [&[u8]; 4] = [b"ping", b"keepalive", b"keep-alive", b"heartbeat"];

/// A body, as far as it has come. Its form is seen by its first bytes: the content type is often
/// another than what comes.
#[derive(Default)]
pub(super) struct Body {
    form: Form,
}

enum Form {
    /// Not seen yet: white space so far, or a part of a byte order mark.
    Unknown(Vec<u8>),
    /// Server-sent events.
    Events(Events),
    /// One JSON text over many lines, or one JSON text a line.
    Json(Json),
}

impl Default for Form {
    fn default() -> Self {
        Form::Unknown(Vec::new())
    }
}

impl Body {
    pub(super) fn read(&mut self, piece: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
        let Form::Unknown(beginning) = &mut self.form else {
            return self.form.read(piece, intake);
        };
        beginning.extend_from_slice(piece);
        let text = beginning
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(beginning)
            .trim_ascii_start();
        let form = match text.first() {
            None => return Ok(false),
            Some(_) if BYTE_ORDER_MARK.starts_with(text) => return Ok(false),
            Some(b'{' | b'[') => Form::Json(Json::default()),
            // A page for people.
            Some(b'<') => return Err(Failure::Protocol(Reason::Malformed)),
            Some(_) => Form::Events(Events::default()),
        };
        let text = text.to_owned();
        self.form = form;
        self.form.read(&text, intake)
    }

    /// The body is over: takes what waited for its end. `None` if that was nothing.
    pub(super) fn end(&mut self, intake: &mut Intake) -> Option<Result<bool, Failure>> {
        match std::mem::take(&mut self.form) {
            Form::Unknown(_) => None,
            Form::Events(events) => events.end(intake),
            Form::Json(json) => json.end(intake),
        }
    }
}

impl Form {
    fn read(&mut self, piece: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
        match self {
            Form::Unknown(_) => Ok(false),
            Form::Events(events) => events.read(piece, intake),
            Form::Json(json) => json.read(piece, intake),
        }
    }
}

/// A server that does not stream, whatever it was asked, or one that sends a JSON text a line.
#[derive(Default)]
struct Json {
    so_far: Vec<u8>,
    /// Whether the first line was a whole JSON text, once it has come.
    by_line: Option<bool>,
}

impl Json {
    fn read(&mut self, piece: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
        self.so_far.extend_from_slice(piece);
        if self.so_far.len() > WHOLE_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        let mut moved = false;
        while self.by_line != Some(false)
            && !intake.is_closed()
            && let Some(end) = self.so_far.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = self.so_far.drain(..=end).collect();
            let whole = || serde_json::from_slice::<IgnoredAny>(&line).is_ok();
            if *self.by_line.get_or_insert_with(whole) {
                moved |= take_text(&line, intake)?;
            } else {
                self.so_far.splice(..0, line);
            }
        }
        Ok(moved)
    }

    fn end(self, intake: &mut Intake) -> Option<Result<bool, Failure>> {
        let empty = self.so_far.trim_ascii().is_empty() || intake.is_closed();
        (!empty).then(|| take_text(&self.so_far, intake))
    }
}

/// Bytes that are no UTF-8 are replaced: a character that was cut costs no words.
fn take_text(text: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
    intake.take(&String::from_utf8_lossy(text))
}

/// Server-sent events, as far as they have come.
#[derive(Default)]
struct Events {
    /// The beginning of a line whose end has not come.
    tail: Vec<u8>,
    /// The data of an event whose end has not come.
    data: Vec<u8>,
    has_data: bool,
    /// The event's name: an error, a keep-alive, or any other.
    kind: Kind,
}

#[derive(Default, Clone, Copy)]
enum Kind {
    #[default]
    Chunk,
    Error,
    KeepAlive,
}

impl Events {
    fn read(&mut self, piece: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
        // Looked through once, however small the pieces of a line are.
        let ends_a_line = piece.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        if !ends_a_line && self.tail.last() != Some(&b'\r') {
            self.tail.extend_from_slice(piece);
            return Ok(false);
        }
        if self.tail.is_empty() {
            let (read, moved) = self.lines(piece, intake)?;
            self.tail.extend_from_slice(&piece[read..]);
            return Ok(moved);
        }
        let mut lines = std::mem::take(&mut self.tail);
        lines.extend_from_slice(piece);
        let (read, moved) = self.lines(&lines, intake)?;
        lines.drain(..read);
        self.tail = lines;
        Ok(moved)
    }

    /// The last event, where the server left out what ends it.
    fn end(mut self, intake: &mut Intake) -> Option<Result<bool, Failure>> {
        if intake.is_closed() || (self.tail.is_empty() && !self.has_data) {
            return None;
        }
        let rest = self.read(b"\n\n", intake);
        Some(rest)
    }

    /// Reads the whole lines of `bytes`: how many bytes that was, and whether it moved the answer
    /// on.
    fn lines(&mut self, bytes: &[u8], intake: &mut Intake) -> Result<(usize, bool), Failure> {
        let (mut rest, mut moved) = (bytes, false);
        while let Some((line, after)) = parse_line(rest) {
            rest = after;
            match line {
                RawEventLine::Empty => moved |= self.dispatch(intake)?,
                RawEventLine::Field {
                    field_name: b"data",
                    field_value,
                } => moved |= self.add(field_value.unwrap_or_default(), intake)?,
                RawEventLine::Field {
                    field_name: b"event",
                    field_value,
                } => self.kind = Kind::of(field_value.unwrap_or_default()),
                // Old llama.cpp.
                RawEventLine::Field {
                    field_name: b"error",
                    field_value: Some(error),
                } => moved |= intake.take_error(&String::from_utf8_lossy(error))?,
                RawEventLine::Field { .. } | RawEventLine::Comment => {}
            }
            if intake.is_closed() {
                // What comes after the end is nobody's.
                rest = &[];
            }
        }
        Ok((bytes.len() - rest.len(), moved))
    }

    /// A line of data. Some servers leave out the empty line between events.
    fn add(&mut self, data: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
        let begins = data.starts_with(b"{") || data.starts_with(DONE);
        let moved =
            self.has_data && begins && self.data.ends_with(b"}") && self.dispatch(intake)?;
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(data);
        Ok(moved)
    }

    /// An event is complete; without data it was none.
    fn dispatch(&mut self, intake: &mut Intake) -> Result<bool, Failure> {
        let kind = std::mem::take(&mut self.kind);
        if !std::mem::take(&mut self.has_data) {
            return Ok(false);
        }
        let moved = match (kind, std::str::from_utf8(&self.data)) {
            (Kind::KeepAlive, _) => Ok(false),
            (Kind::Error, _) => intake.take_error(&String::from_utf8_lossy(&self.data)),
            (Kind::Chunk, Ok(data)) => intake.take(data),
            (Kind::Chunk, Err(_)) => take_text(&self.data, intake),
        };
        self.data.clear();
        moved
    }
}

impl Kind {
    fn of(name: &[u8]) -> Kind {
        match name.trim_ascii() {
            b"error" => Kind::Error,
            name if KEEP_ALIVES.contains(&name) => Kind::KeepAlive,
            _ => Kind::Chunk,
        }
    }
}

/// The whole body of an answer, at most [`WHOLE_BYTES_MAX`].
///
/// # Errors
/// `Cut` where its connection broke, `TooLong`.
pub(super) async fn whole(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| Failure::Cut)? {
        whole.extend_from_slice(&piece);
        if whole.len() > WHOLE_BYTES_MAX {
            return Err(Failure::TooLong);
        }
    }
    Ok(whole)
}

/// The count of tokens in a whole answer, where there is one.
pub(super) fn usage_in(answer: &[u8]) -> Option<Usage> {
    let Data::Values(values) = Data::read(&String::from_utf8_lossy(answer)) else {
        return None;
    };
    values.first().and_then(|value| Chunk::loose(value).usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::intake::Reading;
    use crate::agent::{ReplyEvent, ToolSet};

    const TOKEN: &str = r#"{"choices":[{"delta":{"content":"Hé"}}]}"#;
    const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    const WHOLE: &str =
        r#"{"choices":[{"message":{"content":"Hé"},"finish_reason":"stop"}],"usage":null}"#;

    fn intake() -> Intake {
        Intake::new(Reading {
            provider: "primary",
            language: "en-US",
            round: 0,
            tools: &ToolSet::ALL,
            own_tools: &Default::default(),
            holds_thoughts: false,
        })
    }

    /// What comes of `body` in pieces of `piece_bytes`: the words, and how it ended.
    fn read(body: &[u8], piece_bytes: usize) -> (String, Result<(), Failure>) {
        let (mut form, mut intake) = (Body::default(), intake());
        let mut end = body
            .chunks(piece_bytes)
            .try_for_each(|piece| form.read(piece, &mut intake).map(drop));
        if end.is_ok() {
            end = form.end(&mut intake).unwrap_or(Ok(false)).map(drop);
        }
        if end.is_ok() {
            end = intake.end_of_body();
        }
        let said = std::iter::from_fn(|| intake.next()).filter_map(|event| match event {
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
        let (mut form, mut intake) = (Body::default(), intake());
        let moved = form.read(format!("{TOKEN}\n").as_bytes(), &mut intake);
        assert_eq!((moved, intake.has_next()), (Ok(true), true));
    }

    #[test]
    fn a_page_for_people_is_no_answer() {
        let malformed = Err(Failure::Protocol(Reason::Malformed));
        assert_eq!(
            read(b"<!DOCTYPE html><html>", 1_000),
            (String::new(), malformed)
        );
        let empty = Err(Failure::Protocol(Reason::Empty));
        assert_eq!(read(b"", 1_000), (String::new(), empty));
        let flood = [b"{\"a\":\"", &vec![b'x'; WHOLE_BYTES_MAX][..]].concat();
        assert_eq!(read(&flood, 1_000), (String::new(), Err(Failure::TooLong)));
    }

    #[test]
    fn an_error_in_the_stream_is_seen_by_its_name() {
        let failure = Err(Failure::Protocol(Reason::ErrorInStream));
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
        let failure = Err(Failure::Protocol(Reason::ErrorInStream));
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
            ("Hé".to_owned(), Err(Failure::Cut))
        );
    }
}
