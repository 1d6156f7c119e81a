//! How the writes of this instance are proposed to the primary. The cluster implements it.

use crate::record::Position;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// A proposal on its way.
pub type ProposeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Position, ProposeError>> + Send + 'a>>;

/// Bytes of a proposal, at most, unless one write alone is longer: what a primary must take.
pub const PROPOSAL_BYTES_MAX: usize = 1024 * 1024;

/// Gives batches of writes to the primary, wherever that is. Storage calls it from a thread of its
/// own, on the runtime that it was given, one batch at a time and in order; it drops the future once
/// this instance has applied the batch itself, and after [`crate::PROPOSE_MS_MAX`] at the latest.
pub trait Proposer: Send + Sync + 'static {
    /// Proposes `batch`, as [`crate::write::encode_batch`] made it, which holds so many `writes`. The
    /// position is that of the entry which carries it, on disk on a majority and applied at the
    /// primary. A batch may be proposed again after any error.
    fn propose(&self, batch: Bytes, writes: usize) -> ProposeFuture<'_>;
}

/// Why a batch was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// There is none that a majority follows, or it cannot be reached, or it cannot read the batch's
    /// form yet (it is of an older version): the batch was surely not taken, and is proposed again later.
    #[error("there is no primary to take the writes")]
    NoPrimary,
    /// No answer in time, a connection that broke, or another primary meanwhile: the batch may still
    /// be committed. It is proposed again.
    #[error("the primary did not answer in time")]
    TimedOut,
    /// Too large, or not a batch of writes: it will never be taken. Its writes are proposed in
    /// smaller batches, and one that is refused alone is rejected.
    #[error("the primary refused the writes")]
    Rejected,
}
