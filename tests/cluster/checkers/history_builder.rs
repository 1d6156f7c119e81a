//! Histories and books made by hand, for the checkers' own tests.

use crate::database_contents::{DatabaseContents, StoredCallRow, StoredCaller, StoredTurn};
use crate::events::{ClaimReport, InstanceEvent, NameOrder, SubmittedWrite};
use crate::generated_text;
use crate::history::History;

/// A history that is told write by write.
#[derive(Default)]
pub struct HistoryBuilder {
    pub history: History,
    next: u64,
}

impl HistoryBuilder {
    /// Submitted, and no more is known.
    pub fn submitted(&mut self, life: u64, deed: SubmittedWrite) -> u64 {
        self.next += 1;
        let event = InstanceEvent::Submitted {
            id: self.next,
            deed,
            at_us: self.next,
        };
        self.history.note(life, &event);
        self.next
    }

    /// Submitted and acknowledged.
    pub fn acknowledged(&mut self, life: u64, deed: SubmittedWrite, position: u64) {
        let id = self.submitted(life, deed);
        let at_us = id + 1;
        let event = InstanceEvent::Acknowledged {
            id,
            position,
            at_us,
        };
        self.history.note(life, &event);
    }

    /// Submitted and denied.
    pub fn denied(&mut self, life: u64, deed: SubmittedWrite) {
        let id = self.submitted(life, deed);
        let reason = "full".to_owned();
        self.history
            .note(life, &InstanceEvent::Denied { id, reason });
    }

    /// Heard from the feed.
    pub fn ruled(&mut self, life: u64, ruling: ClaimReport) {
        self.history.note(life, &InstanceEvent::Ruled(ruling));
    }
}

pub fn turn(call: &str, epoch: u32, seq: u32, revision: u32) -> SubmittedWrite {
    SubmittedWrite::Turn {
        call: call.to_owned(),
        epoch,
        seq,
        revision,
    }
}

pub fn began(call: &str, number: Option<&str>) -> SubmittedWrite {
    SubmittedWrite::Began {
        call: call.to_owned(),
        number: number.map(str::to_owned),
    }
}

pub fn named(number: &str, at_ms: i64) -> SubmittedWrite {
    SubmittedWrite::Named {
        number: number.to_owned(),
        mark: NameOrder { at_ms, step: 0 },
    }
}

pub fn claimed(call: &str, expected: u32, epoch: u32) -> SubmittedWrite {
    SubmittedWrite::Claimed {
        call: call.to_owned(),
        expected,
        epoch,
    }
}

/// A claim that won.
pub fn won(call: &str, epoch: u32, owner: &str) -> ClaimReport {
    ClaimReport {
        call: call.to_owned(),
        epoch,
        owner: owner.to_owned(),
        applied: true,
        claimed_epoch: epoch,
        claimed_by: owner.to_owned(),
    }
}

/// A claim that lost against who is the owner in `epoch`.
pub fn lost(
    call: &str,
    epoch: u32,
    owner: &str,
    claimed_epoch: u32,
    claimed_by: &str,
) -> ClaimReport {
    ClaimReport {
        call: call.to_owned(),
        epoch,
        owner: owner.to_owned(),
        applied: false,
        claimed_epoch,
        claimed_by: claimed_by.to_owned(),
    }
}

/// A row as it should be.
pub fn row(call: &str, epoch: u32, seq: u32, revision: u32, at: i64) -> StoredTurn {
    StoredTurn {
        content: generated_text::of_turn(call, epoch, seq, revision),
        epoch,
        seq,
        revision,
        row: Some(at),
    }
}

/// Books with one call.
pub fn books(call: &str, turns: Vec<StoredTurn>) -> DatabaseContents {
    let mut books = DatabaseContents::default();
    let kept = StoredCallRow {
        has_begun: true,
        turns,
        ..StoredCallRow::default()
    };
    books.calls.insert(call.to_owned(), kept);
    books
}

/// Books with one caller.
pub fn directory(number: &str, name: Option<String>) -> DatabaseContents {
    let mut books = DatabaseContents::default();
    let kept = StoredCaller { name, calls: 0 };
    books.callers.insert(number.to_owned(), kept);
    books
}
