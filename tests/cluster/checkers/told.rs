//! Histories and books made by hand, for the checkers' own tests.

use crate::books::{Books, CallRow, CallerRow, TurnRow};
use crate::events::{Deed, Event, Mark, Ruling};
use crate::history::History;
use crate::words;

/// A history that is told write by write.
#[derive(Default)]
pub struct Told {
    pub history: History,
    next: u64,
}

impl Told {
    /// Submitted, and no more is known.
    pub fn submitted(&mut self, life: u64, deed: Deed) -> u64 {
        self.next += 1;
        let event = Event::Submitted {
            id: self.next,
            deed,
            at_us: self.next,
        };
        self.history.note(life, &event);
        self.next
    }

    /// Submitted and acknowledged.
    pub fn acknowledged(&mut self, life: u64, deed: Deed, position: u64) {
        let id = self.submitted(life, deed);
        let at_us = id + 1;
        let event = Event::Acknowledged {
            id,
            position,
            at_us,
        };
        self.history.note(life, &event);
    }

    /// Submitted and denied.
    pub fn denied(&mut self, life: u64, deed: Deed) {
        let id = self.submitted(life, deed);
        let reason = "full".to_owned();
        self.history.note(life, &Event::Denied { id, reason });
    }

    /// Heard from the feed.
    pub fn ruled(&mut self, life: u64, ruling: Ruling) {
        self.history.note(life, &Event::Ruled(ruling));
    }
}

pub fn turn(call: &str, epoch: u32, seq: u32, revision: u32) -> Deed {
    Deed::Turn {
        call: call.to_owned(),
        epoch,
        seq,
        revision,
    }
}

pub fn began(call: &str, number: Option<&str>) -> Deed {
    Deed::Began {
        call: call.to_owned(),
        number: number.map(str::to_owned),
    }
}

pub fn named(number: &str, at_ms: i64) -> Deed {
    Deed::Named {
        number: number.to_owned(),
        mark: Mark { at_ms, step: 0 },
    }
}

pub fn claimed(call: &str, expected: u32, epoch: u32) -> Deed {
    Deed::Claimed {
        call: call.to_owned(),
        expected,
        epoch,
    }
}

/// A claim that won.
pub fn won(call: &str, epoch: u32, owner: &str) -> Ruling {
    Ruling {
        call: call.to_owned(),
        epoch,
        owner: owner.to_owned(),
        applied: true,
        claimed_epoch: epoch,
        claimed_by: owner.to_owned(),
    }
}

/// A claim that lost against who is the owner in `epoch`.
pub fn lost(call: &str, epoch: u32, owner: &str, claimed_epoch: u32, claimed_by: &str) -> Ruling {
    Ruling {
        call: call.to_owned(),
        epoch,
        owner: owner.to_owned(),
        applied: false,
        claimed_epoch,
        claimed_by: claimed_by.to_owned(),
    }
}

/// A row as it should be.
pub fn row(call: &str, epoch: u32, seq: u32, revision: u32, at: i64) -> TurnRow {
    TurnRow {
        content: words::of_turn(call, epoch, seq, revision),
        epoch,
        seq,
        revision,
        row: Some(at),
    }
}

/// Books with one call.
pub fn books(call: &str, turns: Vec<TurnRow>) -> Books {
    let mut books = Books::default();
    let kept = CallRow {
        has_begun: true,
        turns,
        ..CallRow::default()
    };
    books.calls.insert(call.to_owned(), kept);
    books
}

/// Books with one caller.
pub fn directory(number: &str, name: Option<String>) -> Books {
    let mut books = Books::default();
    let kept = CallerRow { name, calls: 0 };
    books.callers.insert(number.to_owned(), kept);
    books
}
