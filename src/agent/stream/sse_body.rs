//! The body of a response, read into a [`StreamDecoder`] as it arrives.
//!
//! A piece of the body is processed and dropped before the next one is read: while any part of it is kept, the
//! connection cannot reuse its buffer, and allocates one for every token.

use super::body_decoder::BodyDecoder;
use super::stream_decoder::StreamDecoder;
use crate::agent::reply_failure::ReplyFailure;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Response;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Most bytes of one response with its framing; a reply of `max_tokens` is far smaller.
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

    /// Reads the next piece into `decoder`. `Some(true)` if it contained text, tool calls or the end of the reply; `None`
    /// at the end of the body.
    ///
    /// # Errors
    /// The failure of the connection or of `decoder`. Events before it in the same piece are valid and in `decoder`.
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

    /// Reads the body to its end, so that its connection can be used again. Returns whether the end was reached.
    pub(in crate::agent) async fn drain(mut self) -> bool {
        while let Some(piece) = self.pieces.next().await {
            if piece.is_err() {
                return false;
            }
        }
        true
    }
}

/// The body; it fails with `LimitExceeded` after `bytes_max`.
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
