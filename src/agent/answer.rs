//! The body of an answer as pieces of data: events of a stream, or one whole JSON text.

use super::failure::{Failure, Reason};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use sseer::EventStream;
use sseer::errors::EventStreamError;
use sseer::event::Event;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Most bytes of one answer with all its framing; a reply of `max_tokens` stays far below.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of an answer that comes whole.
pub(super) const WHOLE_BYTES_MAX: usize = 512 * 1024;

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// An answer that is coming in.
pub(super) enum Answer {
    /// Server-sent events.
    Streamed(Box<EventStream<Pieces>>),
    /// A server that does not stream, whatever it was asked.
    Whole { pieces: Pieces, so_far: Vec<u8> },
}

/// One piece of data.
pub(super) enum Data {
    Event(Event),
    Whole(String),
}

impl Data {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Data::Event(event) => &event.data,
            Data::Whole(text) => text,
        }
    }
}

impl Answer {
    pub(super) fn new(response: Response) -> Self {
        let whole = is_json(&response);
        let pieces = bounded(
            response,
            if whole {
                WHOLE_BYTES_MAX
            } else {
                ANSWER_BYTES_MAX
            },
        );
        match whole {
            true => Answer::Whole {
                pieces,
                so_far: Vec::new(),
            },
            false => Answer::Streamed(Box::new(EventStream::new(pieces))),
        }
    }

    /// The next piece of data, `None` at the end of the body.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Data, Failure>>> {
        match self {
            Answer::Streamed(events) => {
                let event = std::task::ready!(events.poll_next_unpin(cx));
                Poll::Ready(event.map(|event| event.map(Data::Event).map_err(failure)))
            }
            Answer::Whole { pieces, so_far } => poll_whole(pieces, so_far, cx),
        }
    }
}

fn poll_whole(
    pieces: &mut Pieces,
    so_far: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Data, Failure>>> {
    loop {
        match std::task::ready!(pieces.poll_next_unpin(cx)) {
            Some(Ok(piece)) => so_far.extend_from_slice(&piece),
            Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
            None if so_far.is_empty() => return Poll::Ready(None),
            None => {
                let text = String::from_utf8(std::mem::take(so_far));
                return Poll::Ready(Some(
                    text.map(Data::Whole)
                        .map_err(|_| Failure::Protocol(Reason::Malformed)),
                ));
            }
        }
    }
}

fn failure(error: EventStreamError<Failure>) -> Failure {
    match error {
        EventStreamError::Transport(failure) => failure,
        EventStreamError::Utf8Error(_) => Failure::Protocol(Reason::Malformed),
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
