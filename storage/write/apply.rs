//! Applies writes to the database: one deterministic function, in one transaction.

use super::caller_rules::{apply_to_caller, seconds};
use super::{ClaimResult, Write, calls};
use crate::record::{Caller, PhoneNumber, StateDigest};
use crate::sqlite::live_turn_index::LiveTurnIndex;
use crate::sqlite::meta::DatabaseMeta;
use crate::sqlite::{callers, conversations, meta, migrations, rejected_writes, tombstones};
use rusqlite::Transaction;
use std::collections::HashMap;
use std::sync::Arc;

/// The result of applying a batch.
#[derive(Debug, Default)]
pub struct AppliedWrites {
    /// The database's position after it (TXID).
    pub position: u64,
    /// The end of the change feed after it.
    pub rev: u64,
    /// The callers it changed, as they are now; `None` is one that is gone.
    pub callers: Vec<(PhoneNumber, Option<Arc<Caller>>)>,
    /// The results of its claims of calls, in their order.
    pub claim_results: Vec<ClaimResult>,
    /// The format version in use after it, if it raised it.
    pub format_version: Option<u32>,
    /// What each of its writes did, in their order, as numbers that are the same wherever the same
    /// database applies the same write.
    pub outcomes: Vec<u64>,
    /// The digests after the entries of a cluster's log that it was, each with its position; none where no
    /// chain has begun.
    pub digests: Vec<(u64, StateDigest)>,
    /// Ends of unknown calls that were deleted at the bound.
    pub early_ends_evicted: usize,
}

/// Applies `writes` in their order within `transaction`. Writes that were applied before change
/// nothing but the position, which counts batches. `turn_index` must be that of this database.
///
/// # Errors
/// The batch could not be applied: the transaction must be rolled back and `turn_index` read anew, as
/// after any roll-back.
pub fn apply(
    transaction: &Transaction<'_>,
    turn_index: &LiveTurnIndex,
    writes: &[&Write],
) -> rusqlite::Result<AppliedWrites> {
    let before = meta::read(transaction)?;
    let position = before.position + 1;
    apply_after(before, transaction, turn_index, writes, position)
}

/// As [`apply`], at a position that the caller gives: the index of an entry in a log.
///
/// # Errors
/// As [`apply`].
pub fn apply_at(
    transaction: &Transaction<'_>,
    turn_index: &LiveTurnIndex,
    writes: &[&Write],
    position: u64,
) -> rusqlite::Result<AppliedWrites> {
    let before = meta::read(transaction)?;
    apply_after(before, transaction, turn_index, writes, position)
}

fn apply_after(
    before: DatabaseMeta,
    transaction: &Transaction<'_>,
    turn_index: &LiveTurnIndex,
    writes: &[&Write],
    position: u64,
) -> rusqlite::Result<AppliedWrites> {
    let mut batch = WriteApplier {
        transaction,
        turn_index,
        lineage: before.lineage,
        rev: before.rev,
        changed: HashMap::new(),
        claim_results: Vec::new(),
        format_version: None,
        early_ends_evicted: 0,
    };
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        batch.apply(write)?;
        outcomes.push(batch.outcome(write));
    }
    let rev = batch.rev;
    meta::advance(transaction, position, rev)?;
    Ok(AppliedWrites {
        position,
        rev,
        callers: batch.changed.into_iter().collect(),
        claim_results: batch.claim_results,
        format_version: batch.format_version,
        outcomes,
        digests: Vec::new(),
        early_ends_evicted: batch.early_ends_evicted,
    })
}

struct WriteApplier<'a> {
    transaction: &'a Transaction<'a>,
    turn_index: &'a LiveTurnIndex,
    lineage: String,
    rev: u64,
    changed: HashMap<PhoneNumber, Option<Arc<Caller>>>,
    claim_results: Vec<ClaimResult>,
    format_version: Option<u32>,
    early_ends_evicted: usize,
}

impl WriteApplier<'_> {
    /// What the write that was applied last did: the owner of the call that it claimed, or how far the
    /// change feed has come.
    fn outcome(&self, write: &Write) -> u64 {
        match (write, self.claim_results.last()) {
            (Write::CallResumed(_), Some(claim_result)) => u64::from(claim_result.epoch),
            _ => self.rev,
        }
    }

    fn apply(&mut self, write: &Write) -> rusqlite::Result<()> {
        let (transaction, turn_index) = (self.transaction, self.turn_index);
        match write {
            Write::CallStarted(start) => return self.start_call(write, start),
            Write::CallResumed(resume) => {
                let claim_result = calls::apply_claim(transaction, turn_index, resume)?;
                self.claim_results.push(claim_result);
            }
            Write::CallEnded(end) => {
                self.early_ends_evicted += calls::end(transaction, turn_index, end)?;
                return Ok(());
            }
            Write::TurnAppended { call_sid, turn } => {
                return calls::append(transaction, turn_index, call_sid, turn);
            }
            Write::TurnAmended { call_sid, turn } => {
                return calls::amend(transaction, turn_index, call_sid, turn);
            }
            Write::CallerErased { number, at_ms } => return self.erase_caller(number, *at_ms),
            Write::FormatVersionRaised { to } => {
                let is_news = migrations::raise_format_version(transaction, *to)?;
                self.format_version = is_news.then_some(*to).or(self.format_version);
            }
            #[cfg(feature = "next-version")]
            Write::CallNoted { call_sid, note } => {
                return conversations::put_note(transaction, call_sid, note);
            }
            Write::LanguageChosen {
                language, stamp, ..
            } => {
                calls::choose_language(transaction, turn_index, stamp, language)?;
            }
            _ => {}
        }
        match write.number() {
            Some(number) => self.change_caller(number, write),
            None => Ok(()),
        }
    }

    fn start_call(&mut self, write: &Write, start: &super::CallStarted) -> rusqlite::Result<()> {
        if tombstones::is_call_erased(self.transaction, &start.call_sid)? {
            return Ok(());
        }
        if self.is_erased(start.number.as_ref(), start.at_ms)? {
            // A call from before the erasure that was not known then.
            return calls::erase(
                self.transaction,
                self.turn_index,
                &start.call_sid,
                start.at_ms,
            );
        }
        let news = conversations::insert_start(self.transaction, start, seconds(start.at_ms))?;
        match &start.number {
            Some(number) if news => self.change_caller(number, write),
            _ => Ok(()),
        }
    }

    fn is_erased(&self, number: Option<&PhoneNumber>, at_ms: i64) -> rusqlite::Result<bool> {
        let Some(number) = number else {
            return Ok(false);
        };
        let buried = tombstones::number_erased_at(self.transaction, &self.lineage, number)?;
        Ok(buried.is_some_and(|buried| at_ms <= buried))
    }

    fn change_caller(&mut self, number: &PhoneNumber, write: &Write) -> rusqlite::Result<()> {
        if let Some(stamp) = write.stamp() {
            let erased_call = tombstones::is_call_erased(self.transaction, &stamp.call_sid)?;
            if erased_call || self.is_erased(Some(number), stamp.at_ms)? {
                return Ok(());
            }
        }
        let before = self.caller(number)?;
        let Some(mut after) = apply_to_caller(before.as_deref().cloned(), write) else {
            return Ok(());
        };
        if before.as_deref() == Some(&after) {
            return Ok(());
        }
        self.rev += 1;
        after.rev = self.rev;
        let people_before = before
            .as_ref()
            .map(|caller| &caller.people[..])
            .unwrap_or_default();
        callers::put(self.transaction, &after, *people_before != *after.people)?;
        self.changed.insert(number.clone(), Some(Arc::new(after)));
        Ok(())
    }

    fn caller(&self, number: &PhoneNumber) -> rusqlite::Result<Option<Arc<Caller>>> {
        match self.changed.get(number) {
            Some(caller) => Ok(caller.clone()),
            None => Ok(callers::get(self.transaction, number)?.map(Arc::new)),
        }
    }

    fn erase_caller(&mut self, number: &PhoneNumber, at_ms: i64) -> rusqlite::Result<()> {
        if self.is_erased(Some(number), at_ms)? {
            return Ok(());
        }
        // Everything known is erased whatever its time: calls get tombstones of their own. The number's has
        // the time of the erasure and no later one, or later calls would be erased too.
        let calls = conversations::call_sids_of(self.transaction, number)?;
        for call_sid in &calls {
            calls::erase(self.transaction, self.turn_index, call_sid, at_ms)?;
        }
        rejected_writes::erase(self.transaction, number, &calls)?;
        callers::remove(self.transaction, number)?;
        tombstones::mark_number_erased(self.transaction, &self.lineage, number, at_ms)?;
        self.rev += 1;
        meta::record_erasure(self.transaction, self.rev)?;
        self.changed.insert(number.clone(), None);
        Ok(())
    }
}
