//! The body of an answer, read into an [`Intake`] as it comes.
//!
//! A piece of the body is read to its end and let go before the next is asked for: while any part
//! of it is held, the connection cannot read into the same buffer again, and allocates one for
//! every token.

use super::body::Body;
use super::failure::Failure;
use super::intake::Intake;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Most bytes of one answer with all its framing; a reply of `max_tokens` stays far below.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// An answer that is coming in.
pub(super) struct Answer {
    pieces: Pieces,
    body: Body,
}

impl Answer {
    pub(super) fn new(response: Response) -> Self {
        Self {
            pieces: bounded(response, ANSWER_BYTES_MAX),
            body: Body::default(),
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
        Poll::Ready(match piece {
            Some(Err(failure)) => Some(Err(failure)),
            Some(Ok(piece)) => Some(self.body.read(&piece, intake)),
            None => self.body.end(intake),
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
