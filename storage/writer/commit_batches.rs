//! Commits batches of writes in one transaction, which is retried until the disk takes it. A write that
//! cannot be applied is rejected: it is stored in `set_aside` within the same transaction. Every instance
//! that applies the same batches to the same database rejects the same writes.

use super::batch_committer::BatchCommitter;
use crate::disk::CommitError;
use crate::fault_injection::DiskOperation;
use crate::record::{Position, StateDigest};
use crate::sqlite::live_turn_index::LiveTurnIndex;
use crate::sqlite::meta;
use crate::sqlite::rejected_writes::{self, RejectedWrite};
use crate::write::{AppliedWrites, Write, apply_at};
use calldex_observability::catalog;
use rusqlite::Transaction;

/// The outcome of a rejected write, in the digest chain.
const REJECTED: u64 = u64::MAX;

/// Writes that are applied at one position.
pub(crate) struct WriteBatch<'a> {
    pub(crate) writes: Vec<&'a Write>,
    /// The entry of the cluster's log that has them; `None` for the next position of a single node.
    pub(crate) entry: Option<LogEntryContext<'a>>,
}

/// What an entry of the cluster's log has beside its writes.
pub(crate) struct LogEntryContext<'a> {
    /// Its index in the log: the position at which it is applied.
    pub(crate) index: u64,
    /// Its batches that could not be decoded.
    pub(crate) unreadable: &'a [Vec<u8>],
    /// What stands for its place in the log and all of its bytes.
    pub(crate) content_digest: StateDigest,
}

/// How far the cluster's log is applied once the batches are: of the last entry among them. The JSON is
/// that of `replication`.
pub(crate) struct AppliedLogMark {
    pub(crate) index: u64,
    pub(crate) last_log_id: String,
    /// The last membership among the entries, if there is one.
    pub(crate) membership: Option<String>,
}

/// The result of committing batches.
pub(crate) struct CommittedBatches {
    pub(crate) applied: AppliedWrites,
    /// The rejected writes: index of the batch, and index in the batch.
    pub(crate) rejected: Vec<(usize, usize)>,
}

/// Applies `batches` in one transaction, notes `log_mark` in it, and commits it. After an error that no
/// write has caused, `retry` is called with it, waits, and returns whether to try again. Blocks.
///
/// # Errors
/// The last error, once `retry` has returned false. Nothing was committed then.
pub(crate) fn commit_batches(
    committer: &mut BatchCommitter,
    operation: Option<DiskOperation>,
    batches: &[WriteBatch<'_>],
    log_mark: Option<&AppliedLogMark>,
    retry: &mut dyn FnMut(&CommitError) -> bool,
) -> Result<CommittedBatches, CommitError> {
    let mut rejected_writes = RejectedWrites::default();
    loop {
        let mut evicted = 0;
        let outcome = committer.transact(operation, |transaction, turn_index| {
            let mut all = AppliedWrites::default();
            evicted = 0;
            let mut digest = meta::read(transaction)?.digest;
            for (number, batch) in batches.iter().enumerate() {
                let mut applied = rejected_writes.apply(transaction, turn_index, number, batch)?;
                evicted += rejected_writes.store(transaction, number, batch, applied.position)?;
                let outcomes = std::mem::take(&mut applied.outcomes);
                merge(&mut all, applied);
                if batch.entry.is_some()
                    && batch
                        .writes
                        .iter()
                        .any(|write| raises_format_version(write))
                {
                    // Every instance applies it at this entry: a chain begins here where there is none.
                    digest = Some(StateDigest::START);
                }
                if let (Some(before), Some(entry)) = (digest, &batch.entry) {
                    let link = before.next(entry.content_digest.as_bytes(), &outcomes);
                    all.digests.push((entry.index, link));
                    digest = Some(link);
                }
            }
            if let Some((_, link)) = all.digests.last() {
                meta::put_digest(transaction, Some(link))?;
            }
            if let Some(mark) = log_mark {
                let (index, membership) = (mark.index, mark.membership.as_deref());
                meta::advance_applied_log(transaction, index, &mark.last_log_id, membership)?;
            }
            Ok(all)
        });
        match outcome {
            Ok(applied) => {
                record_metrics(&rejected_writes, batches, evicted);
                let refused = rejected_writes
                    .writes
                    .into_iter()
                    .map(|(at, _)| at)
                    .collect();
                return Ok(CommittedBatches {
                    applied,
                    rejected: refused,
                });
            }
            Err(error) if error.is_caused_by_write() && rejected_writes.reject(batches, &error) => {
            }
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn raises_format_version(write: &Write) -> bool {
    matches!(write, Write::FormatVersionRaised { .. })
}

fn merge(all: &mut AppliedWrites, applied: AppliedWrites) {
    all.position = applied.position;
    all.rev = applied.rev;
    all.callers.extend(applied.callers);
    all.claim_results.extend(applied.claim_results);
    all.outcomes.extend(applied.outcomes);
    all.format_version = applied.format_version.or(all.format_version);
    all.early_ends_evicted += applied.early_ends_evicted;
}

/// Counts the rejected writes of a transaction, and the older ones that were deleted for them.
fn record_metrics(rejected_writes: &RejectedWrites, batches: &[WriteBatch<'_>], evicted: usize) {
    let entries = batches.iter().filter_map(|batch| batch.entry.as_ref());
    let unreadable: usize = entries.map(|entry| entry.unreadable.len()).sum();
    let kept = (rejected_writes.writes.len() + unreadable) as u64;
    let counter = &catalog::WRITES_REJECTED_TOTAL;
    counter.with("kept").increment(kept);
    counter.with("evicted").increment(evicted as u64);
    if evicted > 0 {
        tracing::error!(
            rows = evicted,
            "too many rejected writes are kept: the oldest of them are deleted"
        );
    }
}

/// The rejected writes, found one after the other: the first that fails after those before it were
/// applied, then the next. The result depends on the database before and on the writes alone.
#[derive(Default)]
struct RejectedWrites {
    /// By batch and place in it, with the reason.
    writes: Vec<((usize, usize), &'static str)>,
    /// Whether the writes are applied one by one, to find the one at fault.
    one_by_one: bool,
    /// The one being applied.
    current: Option<(usize, usize)>,
}

impl RejectedWrites {
    fn contains(&self, at: (usize, usize)) -> bool {
        self.writes.iter().any(|(refused, _)| *refused == at)
    }

    fn apply(
        &mut self,
        transaction: &Transaction<'_>,
        turn_index: &LiveTurnIndex,
        number: usize,
        batch: &WriteBatch<'_>,
    ) -> Result<AppliedWrites, CommitError> {
        let position = match &batch.entry {
            Some(entry) => entry.index,
            None => meta::read(transaction)?.position + 1,
        };
        if !self.one_by_one {
            return apply_at(transaction, turn_index, &batch.writes, position)
                .map_err(CommitError::of_apply);
        }
        let apply = |writes: &[&Write]| {
            apply_at(transaction, turn_index, writes, position).map_err(CommitError::of_apply)
        };
        let mut all = apply(&[])?;
        for (place, write) in batch.writes.iter().enumerate() {
            if !self.contains((number, place)) {
                self.current = Some((number, place));
                merge(&mut all, apply(&[write])?);
            } else {
                all.outcomes.push(REJECTED);
            }
        }
        // No write causes an error from here on.
        self.current = None;
        Ok(all)
    }

    /// Stores the rejected writes of a batch in `set_aside`. Returns how many older ones were deleted for them.
    fn store(
        &self,
        transaction: &Transaction<'_>,
        number: usize,
        batch: &WriteBatch<'_>,
        position: Position,
    ) -> rusqlite::Result<usize> {
        let put = |kind, at_ms, reason, body: &[u8]| {
            let refused = RejectedWrite {
                at_ms,
                position: Some(position),
                kind,
                reason,
                body,
            };
            rejected_writes::put(transaction, &refused)
        };
        let mut evicted = 0;
        for ((_, place), reason) in self.writes.iter().filter(|((of, _), _)| *of == number) {
            let write = batch.writes[*place];
            let body = serde_json::to_vec(write).expect("writes hold nothing that JSON cannot say");
            let at_ms = write.stamp().map_or(0, |stamp| stamp.at_ms);
            evicted += put(write.kind(), at_ms, reason, &body)?;
        }
        for bytes in batch.entry.iter().flat_map(|entry| entry.unreadable) {
            evicted += put("batch", 0, "not a batch of writes", bytes)?;
        }
        Ok(evicted)
    }

    /// `error` was caused by a write: it is searched for, or rejected from now on. Returns whether one was
    /// found or is searched for.
    fn reject(&mut self, batches: &[WriteBatch<'_>], error: &CommitError) -> bool {
        catalog::WRITE_FAILURES_TOTAL
            .with(error.kind())
            .increment(1);
        if !self.one_by_one {
            self.one_by_one = true;
            return true;
        }
        let Some((number, place)) = self.current.take() else {
            return false;
        };
        let (kind, reason) = (
            batches[number].writes[place].kind(),
            error.rejection_reason(),
        );
        tracing::error!(kind, reason, "a write is rejected: it cannot be applied");
        self.writes.push(((number, place), reason));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault_injection::FaultInjector;
    use crate::record::{Turn, TurnRole};

    fn turn(call_sid: &str, seq: u32) -> Write {
        Write::TurnAppended {
            call_sid: call_sid.into(),
            turn: Turn::new(TurnRole::Caller, "hello", 5, 0, seq),
        }
    }

    /// A database that refuses turns of one call.
    fn refusing(dir: &tempfile::TempDir) -> BatchCommitter {
        let path = dir.path().join("calls.db");
        let (committer, _) = BatchCommitter::open(path.clone(), FaultInjector::default()).unwrap();
        let trigger = "CREATE TRIGGER no BEFORE INSERT ON turns WHEN NEW.call_sid = 'CA-bad'
                       BEGIN SELECT RAISE(ABORT, 'no'); END";
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.execute_batch(trigger).unwrap();
        committer
    }

    fn entry(index: u64, unreadable: &[Vec<u8>]) -> Option<LogEntryContext<'_>> {
        Some(LogEntryContext {
            index,
            unreadable,
            content_digest: StateDigest::START.next(b"", &[index]),
        })
    }

    fn mark(index: u64) -> AppliedLogMark {
        AppliedLogMark {
            index,
            last_log_id: index.to_string(),
            membership: None,
        }
    }

    fn rows(dir: &tempfile::TempDir, query: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(dir.path().join("calls.db")).unwrap();
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn writes_at_fault_are_set_aside_each_at_its_entry_and_the_rest_is_applied() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut committer = refusing(&dir);
        let good: Vec<Write> = (0..4).map(|seq| turn("CA1", seq)).collect();
        let bad = [turn("CA-bad", 0), turn("CA-bad", 1)];
        let junk = [b"junk".to_vec()];
        let batches = [
            WriteBatch {
                writes: vec![&good[0], &bad[0], &good[1]],
                entry: entry(4, &[]),
            },
            WriteBatch {
                writes: vec![&good[2], &good[3], &bad[1]],
                entry: entry(5, &junk),
            },
        ];
        let done = commit_batches(
            &mut committer,
            None,
            &batches,
            Some(&mark(5)),
            &mut |error| panic!("{error}"),
        )
        .unwrap();
        assert_eq!(done.rejected, [(0, 1), (1, 2)]);
        assert_eq!(done.applied.position, 5);
        let turns = "SELECT call_sid || seq FROM turns ORDER BY id";
        assert_eq!(rows(&dir, turns), ["CA10", "CA11", "CA12", "CA13"]);
        let aside = "SELECT position || kind || length(body) FROM set_aside ORDER BY id";
        let length = serde_json::to_vec(&bad[0]).unwrap().len();
        assert_eq!(
            rows(&dir, aside),
            [
                format!("4turn_appended{length}"),
                format!("5turn_appended{length}"),
                "5batch4".to_owned()
            ]
        );
    }

    /// The digests after two entries, which are applied together or one after the other; and whether the
    /// second write of the first was refused.
    fn digests(refuses: bool, together: bool, changed_by_hand: bool) -> Vec<(u64, StateDigest)> {
        let dir = tempfile::TempDir::new().unwrap();
        let mut committer = refusing(&dir);
        let connection = rusqlite::Connection::open(dir.path().join("calls.db")).unwrap();
        meta::assign_cluster(&connection, "cluster").unwrap();
        if !refuses {
            connection.execute_batch("DROP TRIGGER no").unwrap();
        }
        let named = Write::NameHeard(crate::write::StampedName {
            number: crate::record::PhoneNumber::parse("+14155550100").unwrap(),
            name: "Misty".into(),
            stamp: crate::write::DecisionStamp {
                call_sid: "CA1".into(),
                step: 0,
                at_ms: 5,
            },
        });
        let (good, bad) = (turn("CA1", 0), turn("CA-bad", 0));
        let first = || WriteBatch {
            writes: vec![&good, &bad, &named],
            entry: entry(4, &[]),
        };
        let second = || WriteBatch {
            writes: vec![&good, &named],
            entry: entry(5, &[]),
        };
        let mut persist = |batches: &[WriteBatch<'_>]| {
            let last = batches.last().and_then(|batch| batch.entry.as_ref());
            let mark = last.map(|entry| mark(entry.index));
            commit_batches(&mut committer, None, batches, mark.as_ref(), &mut |_| false).unwrap()
        };
        if together {
            return persist(&[first(), second()]).applied.digests;
        }
        let mut digests = persist(&[first()]).applied.digests;
        if changed_by_hand {
            connection.execute_batch("DELETE FROM callers").unwrap();
        }
        digests.extend(persist(&[second()]).applied.digests);
        let kept = meta::read(&connection).unwrap().digest;
        assert_eq!(kept, digests.last().map(|(_, digest)| *digest));
        digests
    }

    #[test]
    fn the_digest_tells_what_was_applied_and_what_came_of_it_and_not_in_which_transactions() {
        let apart = digests(true, false, false);
        assert_eq!(apart.len(), 2);
        assert_eq!(apart, digests(true, true, false));
        let all_applied = digests(false, false, false);
        assert_ne!(
            apart[0].1, all_applied[0].1,
            "one write was refused here only"
        );
        assert_ne!(apart[1].1, all_applied[1].1, "which shows from then on");
        let changed = digests(true, false, true);
        assert_eq!(changed[0], apart[0]);
        assert_ne!(changed[1].1, apart[1].1, "a row was deleted by hand");
    }

    #[test]
    fn what_no_write_is_to_blame_for_is_tried_for_as_long_as_it_is_wanted() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut committer = refusing(&dir);
        let trigger = "CREATE TRIGGER never BEFORE UPDATE ON meta
                       BEGIN SELECT RAISE(ABORT, 'no'); END";
        let connection = rusqlite::Connection::open(dir.path().join("calls.db")).unwrap();
        connection.execute_batch(trigger).unwrap();
        let good = turn("CA1", 0);
        let batches = [WriteBatch {
            writes: vec![&good],
            entry: None,
        }];
        let mut attempts = 0;
        let given_up = commit_batches(&mut committer, None, &batches, None, &mut |_| {
            attempts += 1;
            if attempts == 3 {
                connection.execute_batch("DROP TRIGGER never").unwrap();
            }
            attempts < 5
        });
        assert_eq!(attempts, 3);
        assert!(given_up.unwrap().rejected.is_empty());
        assert_eq!(rows(&dir, "SELECT call_sid FROM turns"), ["CA1"]);
    }
}
