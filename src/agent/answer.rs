//! The body of an answer, read into an [`Intake`]: events of a stream, or one whole JSON text.
//!
//! A piece of the body is read to its end and let go before the next is asked for: while any part
//! of it is held, the connection cannot read into the same buffer again, and allocates one for
//! every token.

use super::failure::{Failure, Reason};
use super::intake::Intake;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use sseer::parser::{RawEventLine, parse_line};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Most bytes of one answer with all its framing; a reply of `max_tokens` stays far below.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of an answer that comes whole.
pub(super) const WHOLE_BYTES_MAX: usize = 512 * 1024;
/// May begin a stream and means nothing (WHATWG HTML, 9.2.5).
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// An answer that is coming in.
pub(super) struct Answer {
    pieces: Pieces,
    form: Form,
}

enum Form {
    /// Server-sent events.
    Streamed(Events),
    /// A server that does not stream, whatever it was asked: what has come so far.
    Whole(Vec<u8>),
}

impl Answer {
    pub(super) fn new(response: Response) -> Self {
        let (form, bytes_max) = match is_json(&response) {
            true => (Form::Whole(Vec::new()), WHOLE_BYTES_MAX),
            false => (Form::Streamed(Events::default()), ANSWER_BYTES_MAX),
        };
        Self {
            pieces: bounded(response, bytes_max),
            form,
        }
    }

    /// Reads the next piece into `intake`. `Some(true)` if it moved the answer on; `None` at the
    /// end of the body.
    ///
    /// # Errors
    /// What the connection or `intake` made of it. What came before in the same piece is in
    /// `intake` then and good.
    pub(super) fn poll_piece(
        &mut self,
        intake: &mut Intake,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<bool, Failure>>> {
        let piece = std::task::ready!(self.pieces.poll_next_unpin(cx));
        Poll::Ready(match (piece, &mut self.form) {
            (Some(Err(failure)), _) => Some(Err(failure)),
            (Some(Ok(piece)), Form::Streamed(events)) => Some(events.read(&piece, intake)),
            (Some(Ok(piece)), Form::Whole(so_far)) => {
                so_far.extend_from_slice(&piece);
                Some(Ok(false))
            }
            (None, Form::Whole(so_far)) if !so_far.is_empty() => {
                Some(take_whole(&std::mem::take(so_far), intake))
            }
            (None, _) => None,
        })
    }

    /// Reads the body to its end, for its connection's sake. Whether it had one.
    pub(super) async fn drain(mut self) -> bool {
        while let Some(piece) = self.pieces.next().await {
            if piece.is_err() {
                return false;
            }
        }
        true
    }
}

fn take_whole(text: &[u8], intake: &mut Intake) -> Result<bool, Failure> {
    let text = std::str::from_utf8(text).map_err(|_| Failure::Protocol(Reason::Malformed))?;
    intake.take(text)
}

/// Server-sent events, as far as they have come.
#[derive(Default)]
struct Events {
    /// The beginning of a line whose end has not come.
    tail: Vec<u8>,
    /// The data of an event whose end has not come.
    data: Vec<u8>,
    has_data: bool,
    begun: bool,
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

    /// Reads the whole lines of `bytes`: how many bytes that was, and whether it moved the answer
    /// on.
    fn lines(&mut self, bytes: &[u8], intake: &mut Intake) -> Result<(usize, bool), Failure> {
        let (mut rest, mut moved) = (bytes, false);
        if !std::mem::replace(&mut self.begun, true) {
            rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
        }
        while let Some((line, after)) = parse_line(rest) {
            rest = after;
            match line {
                RawEventLine::Empty => moved |= self.dispatch(intake)?,
                RawEventLine::Field {
                    field_name: b"data",
                    field_value,
                } => self.add(field_value.unwrap_or_default()),
                RawEventLine::Field { .. } | RawEventLine::Comment => {}
            }
            if intake.is_closed() {
                // What comes after the end is nobody's.
                rest = &[];
            }
        }
        Ok((bytes.len() - rest.len(), moved))
    }

    fn add(&mut self, data: &[u8]) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(data);
    }

    /// An event is complete; without data it was none.
    fn dispatch(&mut self, intake: &mut Intake) -> Result<bool, Failure> {
        if !std::mem::take(&mut self.has_data) {
            return Ok(false);
        }
        let moved = match std::str::from_utf8(&self.data) {
            Ok(data) => intake.take(data),
            Err(_) => Err(Failure::Protocol(Reason::Malformed)),
        };
        self.data.clear();
        moved
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("application/json")
    })
}

/// The body, cut off with `TooLong` past `bytes_max`: no server makes us hold more.
fn bounded(response: Response, bytes_max: usize) -> Pieces {
    let mut left = bytes_max;
    let pieces = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(|_| Failure::Cut)?;
        left = left.checked_sub(piece.len()).ok_or(Failure::TooLong)?;
        Ok(piece)
    });
    Box::pin(pieces.fuse())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::ReplyEvent;

    const TOKEN: &str = r#"{"choices":[{"delta":{"content":"Hé"}}]}"#;

    /// What comes of `body` in pieces of `piece_bytes`: the words, and how it ended.
    fn read(body: &[u8], piece_bytes: usize) -> (String, Result<(), Failure>) {
        let (mut events, mut intake) = (Events::default(), Intake::new("en-US", 0));
        let mut pieces = body.chunks(piece_bytes);
        let end = pieces.try_for_each(|piece| events.read(piece, &mut intake).map(drop));
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
    fn what_came_before_a_failure_in_the_same_piece_is_good() {
        let error = r#"{"error":{"message":"overloaded"}}"#;
        let body = format!("data: {TOKEN}\n\ndata: {error}\n\n");
        let failure = Err(Failure::Protocol(Reason::ErrorInStream));
        assert_eq!(read(body.as_bytes(), 1_000), ("Hé".to_owned(), failure));
        let broken = [format!("data: {TOKEN}\n\ndata: ").as_bytes(), b"\xff\n\n"].concat();
        let failure = Err(Failure::Protocol(Reason::Malformed));
        assert_eq!(read(&broken, 1_000), ("Hé".to_owned(), failure));
    }

    #[test]
    fn an_event_without_its_empty_line_has_not_come() {
        let body = format!("data: {TOKEN}\n");
        assert_eq!(read(body.as_bytes(), 1_000), (String::new(), Ok(())));
    }
}
