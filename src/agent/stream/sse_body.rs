//! The body of an answer, read into an [`StreamDecoder`] as it comes.
//!
//! A piece of the body is read to its end and let go before the next is asked for: while any part
//! of it is held, the connection cannot read into the same buffer again, and allocates one for
//! every token.

use super::body_decoder::BodyDecoder;
use super::stream_decoder::StreamDecoder;
use crate::agent::reply_failure::ReplyFailure;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Most bytes of one answer with all its framing; a reply of `max_tokens` stays far below.
pub(super) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

type BodyPieces = Pin<Box<dyn Stream<Item = Result<Bytes, ReplyFailure>> + Send>>;

/// An answer that is coming in.
pub(in crate::agent) struct SseBody {
    pieces: BodyPieces,
    decoder: BodyDecoder,
}

impl SseBody {
    pub(in crate::agent) fn new(response: Response) -> Self {
        Self {
            pieces: bounded_stream(response, BODY_BYTES_MAX),
            decoder: BodyDecoder::default(),
        }
    }

    /// Reads the next piece into `intake`. `Some(true)` if it moved the answer on; `None` at the
    /// end of the body.
    ///
    /// # Errors
    /// What the connection or `intake` made of it. What came before in the same piece is in
    /// `intake` then and good.
    pub(in crate::agent) fn poll_piece(
        &mut self,
        decoder: &mut StreamDecoder,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<bool, ReplyFailure>>> {
        let piece = std::task::ready!(self.pieces.poll_next_unpin(cx));
        Poll::Ready(match piece {
            Some(Err(failure)) => Some(Err(failure)),
            Some(Ok(piece)) => Some(self.decoder.read(&piece, decoder)),
            None => self.decoder.end(decoder),
        })
    }

    /// Reads the body to its end, for its connection's sake. Whether it had one.
    pub(in crate::agent) async fn drain(mut self) -> bool {
        while let Some(piece) = self.pieces.next().await {
            if piece.is_err() {
                return false;
            }
        }
        true
    }
}

/// The body, cut off with `LimitExceeded` past `bytes_max`: no server makes us hold more.
fn bounded_stream(response: Response, bytes_max: usize) -> BodyPieces {
    let mut left = bytes_max;
    let pieces = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(|_| ReplyFailure::ConnectionLost)?;
        left = left
            .checked_sub(piece.len())
            .ok_or(ReplyFailure::LimitExceeded)?;
        Ok(piece)
    });
    Box::pin(pieces.fuse())
}
