//! The thread "calldex-raft-log": whatever was ordered while one fsync ran goes into the next
//! transaction.

use super::LogError;
use super::book::{Book, PURGED_STEP, Page, ROW_BYTES, mark};
use super::copier::Copier;
use super::desk::{Desk, Order, Work};
use crate::replication::{NodeId, Reach};
use openraft::LogId;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Pages by which the write-ahead log has grown when it is copied into the database, beside this
/// thread: 4 MiB.
const LOG_PAGES_MIN: u64 = 1_000;
/// Pages from which this thread copies the last ones itself, so that the log begins anew: 16 MiB.
const LOG_PAGES_MAX: u64 = 4_096;
/// Pages that it must have grown by for that to be tried again, where a reader hinders it.
const LOG_PAGES_STEP: u64 = 256;
/// How often it is looked whether entries may go from disk.
const REST: Duration = Duration::from_millis(250);
/// How long an entry that follows a snapshot waits for that snapshot to be installed for good.
const GAP_MAX: Duration = Duration::from_secs(120);

/// See the module.
pub(super) struct Clerk {
    pub(super) book: Book,
    pub(super) desk: Arc<Desk>,
    pub(super) reach: Arc<Reach>,
    /// Bytes of entries on disk.
    pub(super) bytes: Arc<AtomicU64>,
    /// The index of the first entry on disk, and the one after the last.
    pub(super) rows: Range<u64>,
    pub(super) copier: Copier,
    /// Pages of the write-ahead log when it was last copied, beside and here.
    pub(super) copied_pages: (u64, u64),
    /// When it was last looked what else there is to do.
    pub(super) tidied_at: Instant,
}

/// What a transaction did.
#[derive(Default)]
struct Written {
    bytes: u64,
    removed: u64,
    /// The index after the last entry on disk.
    end: u64,
    /// The last entry left after each truncation, in their order.
    truncated: VecDeque<Option<LogId<NodeId>>>,
}

impl Clerk {
    /// Works until the log is closed or fails. After a failure nothing more is taken: what the disk
    /// holds has to be verified first.
    pub(super) fn run(mut self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.work()));
        let error = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => LogError::Disk("its thread panicked".to_owned()),
        };
        tracing::error!(%error, "the cluster's log failed; it has to be opened anew");
        self.desk.close(Some(error));
    }

    fn work(&mut self) -> Result<(), LogError> {
        let mut rest = REST;
        loop {
            match self.desk.take(rest) {
                Work::Orders(orders, committed) => self.carry_out(orders, committed)?,
                Work::Idle => rest = self.tidy()?,
                Work::Close(orders, committed) => {
                    self.carry_out(orders, committed)?;
                    return self.book.copy_log();
                }
            }
            self.copy_log_if_long()?;
            if self.tidied_at.elapsed() >= REST {
                // Entries that keep coming must not keep purged ones on disk.
                rest = self.tidy()?;
            }
        }
    }

    /// Carries `orders` out, then tells who waits: in one transaction, unless there are entries from
    /// before and from behind a snapshot among them. The latter wait for the snapshot, the former not.
    fn carry_out(
        &mut self,
        mut orders: Vec<Order>,
        committed: Option<LogId<NodeId>>,
    ) -> Result<(), LogError> {
        loop {
            let behind = orders.split_off(self.place_of_gap(&orders));
            if behind.is_empty() {
                return self.carry_out_together(orders, committed);
            }
            if let Err(error) = self.carry_out_together(orders, None) {
                behind.into_iter().for_each(|order| order.refuse(&error));
                return Err(error);
            }
            orders = behind;
        }
    }

    /// Where entries follow in `orders` that are not the next ones after those before.
    fn place_of_gap(&self, orders: &[Order]) -> usize {
        let mut end = self.rows.end;
        for (place, order) in orders.iter().enumerate() {
            match order {
                Order::Append { rows, .. } => {
                    let (first, last) = (rows.first(), rows.last());
                    if place > 0 && first.is_some_and(|(log_id, _)| log_id.index > end) {
                        return place;
                    }
                    end = last.map_or(end, |(log_id, _)| log_id.index + 1);
                }
                Order::Truncate(since, _) => end = end.min(*since),
                Order::Vote(..) | Order::Mark(..) => {}
            }
        }
        orders.len()
    }

    /// Carries `orders` out in one transaction, then tells who waits.
    fn carry_out_together(
        &mut self,
        orders: Vec<Order>,
        committed: Option<LogId<NodeId>>,
    ) -> Result<(), LogError> {
        let outcome = self
            .bridge_gap(&orders)
            .and_then(|()| self.write(&orders, committed));
        match outcome {
            Ok(written) => {
                self.note(&written);
                tell(orders, written.truncated);
                Ok(())
            }
            Err(error) => {
                // Closed before anybody learns of it: who is told may open the log anew at once.
                self.desk.close(Some(error.clone()));
                orders.into_iter().for_each(|order| order.refuse(&error));
                Err(error)
            }
        }
    }

    fn write(
        &mut self,
        orders: &[Order],
        committed: Option<LogId<NodeId>>,
    ) -> Result<Written, LogError> {
        let mut written = Written {
            end: self.rows.end,
            ..Written::default()
        };
        if orders.is_empty() && committed.is_none() {
            return Ok(written);
        }
        self.book.write(|page| {
            for order in orders {
                written.carry_out(page, order)?;
            }
            committed.map_or(Ok(()), |committed| page.mark(mark::COMMITTED, &committed))
        })?;
        Ok(written)
    }

    fn note(&mut self, written: &Written) {
        let start = self.rows.start.min(written.end);
        self.rows = start..written.end;
        self.bytes.fetch_add(written.bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(written.removed, Ordering::Relaxed);
        self.desk.note_written(written.bytes, written.end);
    }

    /// A snapshot may take the place of entries that were never here. The next entry then says that
    /// this instance has everything before it, so the snapshot must have been installed for good.
    fn bridge_gap(&mut self, orders: &[Order]) -> Result<(), LogError> {
        let Some(first) = orders.iter().find_map(first_index) else {
            return Ok(());
        };
        if first <= self.rows.end {
            return Ok(());
        }
        match self.desk.purged() {
            Some(upto) if upto.index + 1 == first => {
                self.wait_durable(upto)?;
                while self.purge_step(upto)? {}
                Ok(())
            }
            purged if self.rows.end == 0 && purged.is_none_or(|upto| upto.index >= first) => {
                // The first entry ever. (That it may be a purged one is openraft's suite's wish.)
                self.rows = first..first;
                Ok(())
            }
            _ => Err(LogError::Damaged(format!(
                "entries before {first} were skipped"
            ))),
        }
    }

    fn wait_durable(&self, upto: LogId<NodeId>) -> Result<(), LogError> {
        let end = Instant::now() + GAP_MAX;
        while !self.reach.wait_durable(upto.index, Instant::now() + REST) {
            if let Some(error) = self.desk.closed() {
                return Err(error);
            }
            if Instant::now() > end {
                let reason = "the snapshot before the next entry was not installed in time";
                return Err(LogError::Disk(reason.to_owned()));
            }
        }
        Ok(())
    }

    /// What is done when nothing is ordered. How long to rest until the next time.
    fn tidy(&mut self) -> Result<Duration, LogError> {
        self.tidied_at = Instant::now();
        let is_more = match self.desk.purging() {
            Some(upto) => self.purge_step(upto)?,
            None => self.book.shrink()?,
        };
        Ok(if is_more { Duration::ZERO } else { REST })
    }

    /// Removes the next entries up to `upto` of which the database is durable. Whether it can go on at
    /// once.
    fn purge_step(&mut self, upto: LogId<NodeId>) -> Result<bool, LogError> {
        let Some(durable) = self.reach.durable_index() else {
            return Ok(false);
        };
        let step = self.rows.start + PURGED_STEP - 1;
        let is_last = durable >= upto.index && (step >= upto.index || step + 1 >= self.rows.end);
        let gone = match is_last {
            true => upto,
            false => {
                // What is on disk of it, and nothing that an installed snapshot only stands for.
                let bound = upto.index.min(durable).min(step);
                let bound = bound.min(self.rows.end.saturating_sub(1));
                if self.rows.is_empty() || bound < self.rows.start {
                    return Ok(false);
                }
                let missing = || LogError::Damaged(format!("entry {bound} is missing"));
                self.book.log_id(bound)?.ok_or_else(missing)?
            }
        };
        let removed = self.book.purge(gone)?;
        self.bytes.fetch_sub(removed, Ordering::Relaxed);
        let start = self.rows.start.max(gone.index + 1);
        self.rows = start..self.rows.end.max(start);
        if is_last {
            self.desk.note_purged(upto);
        }
        Ok(!is_last)
    }

    /// Has the write-ahead log copied if it has grown, and finishes that here when it is long and few
    /// pages are left: only then does it begin anew.
    fn copy_log_if_long(&mut self) -> Result<(), LogError> {
        let now = self.book.log_pages();
        let (mut beside, mut here) = self.copied_pages;
        if now < beside.max(here) {
            // It was begun anew.
            (beside, here) = (0, 0);
        }
        if now - beside >= LOG_PAGES_MIN {
            self.copier.copy();
            beside = now;
        } else if now >= LOG_PAGES_MAX && now - here >= LOG_PAGES_STEP && !self.copier.is_busy() {
            self.book.copy_log()?;
            here = now;
        }
        self.copied_pages = (beside, here);
        Ok(())
    }
}

impl Written {
    fn carry_out(&mut self, page: &Page<'_>, order: &Order) -> Result<(), LogError> {
        match order {
            Order::Append { rows, .. } => {
                for (log_id, body) in rows {
                    page.entry(log_id.index, body)?;
                    self.bytes += ROW_BYTES + body.len() as u64;
                    self.end = log_id.index + 1;
                }
                Ok(())
            }
            Order::Vote(vote, _) => page.mark(mark::VOTE, vote),
            Order::Truncate(since, _) => {
                let (removed, last) = page.truncate(*since)?;
                self.removed += removed;
                self.end = self.end.min(*since);
                self.truncated.push_back(last);
                Ok(())
            }
            Order::Mark(name, body, _) => page.raw_mark(name, body),
        }
    }
}

fn first_index(order: &Order) -> Option<u64> {
    match order {
        Order::Append { rows, .. } => rows.first().map(|(log_id, _)| log_id.index),
        _ => None,
    }
}

/// Tells who waits that `orders` are on disk.
fn tell(orders: Vec<Order>, mut truncated: VecDeque<Option<LogId<NodeId>>>) {
    // Whoever does not wait any more need not know.
    for order in orders {
        match order {
            Order::Append { flushed, .. } => flushed.log_io_completed(Ok(())),
            Order::Vote(_, answer) | Order::Mark(_, _, Some(answer)) => {
                let _ = answer.send(Ok(()));
            }
            Order::Truncate(_, answer) => {
                let _ = answer.send(Ok(truncated.pop_front().flatten()));
            }
            Order::Mark(_, _, None) => {}
        }
    }
}
