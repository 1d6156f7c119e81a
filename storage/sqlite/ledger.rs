//! Which turns of live calls are written, and where: what makes each (call, epoch, seq) be there
//! once without a random index on disk.
//!
//! The ledger is derived from the database and from nothing else: read at open, moved on by
//! [`crate::write::apply`], thrown away with the connection when a commit fails. Readers share it to
//! find a call's rows; what they find there is a hint that they check against the row itself.

use super::messages::Messages;
use super::{conversations, tombstones, turns};
use crate::record::{CallSid, TurnKey};
use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use rusqlite::Connection;
use std::sync::Arc;

/// The rowid that stands for "not in `turns`, but in the conversation's messages already": SQLite
/// gives none below 1.
const IN_MESSAGES: i64 = 0;

/// Places of the live calls' turns.
#[derive(Clone, Default)]
pub struct Ledger {
    calls: Arc<DashMap<CallSid, Lines>>,
}

/// One live call's turns, sorted by key.
#[derive(Default)]
pub(crate) struct Lines(Vec<(TurnKey, i64)>);

impl Lines {
    /// Where the turn of `key` lies: nowhere, or at a rowid, or in the messages (`Some(None)`).
    pub(crate) fn find(&self, key: TurnKey) -> Option<Option<i64>> {
        let at = self.0.binary_search_by_key(&key, |line| line.0).ok()?;
        let id = self.0[at].1;
        Some((id != IN_MESSAGES).then_some(id))
    }

    /// Notes a turn.
    pub(crate) fn note(&mut self, key: TurnKey, id: i64) {
        match self.0.binary_search_by_key(&key, |line| line.0) {
            Ok(_) => debug_assert!(false, "a turn is written once"),
            Err(at) => self.0.insert(at, (key, id)),
        }
    }

    /// Rowids in the order of the turns.
    pub(crate) fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.0
            .iter()
            .map(|line| line.1)
            .filter(|id| *id != IN_MESSAGES)
    }
}

/// What a turn finds when it arrives.
pub(crate) enum Page<'a> {
    /// The call lives.
    Live(RefMut<'a, CallSid, Lines>),
    /// The conversation is closed: here are its messages.
    Closed(Messages),
    /// The call was erased.
    Erased,
}

impl Ledger {
    /// Reads the ledger from the database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let ledger = Self::default();
        ledger.reread(connection)?;
        Ok(ledger)
    }

    /// Reads it anew, for all who share it.
    pub(crate) fn reread(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.calls.clear();
        turns::for_each_key(connection, |call_sid, key, id| {
            let mut lines = self.calls.entry(CallSid::new(call_sid)).or_default();
            if lines.find(key).is_none() {
                lines.note(key, id);
            }
        })?;
        // A call that was closed and lives again has its earlier turns in its messages.
        for conversation in conversations::unfinished(connection)? {
            self.read_messages(connection, &conversation.call_sid)?;
        }
        Ok(())
    }

    fn read_messages(&self, connection: &Connection, call_sid: &CallSid) -> rusqlite::Result<()> {
        let kept = conversations::get(connection, call_sid)?;
        let messages = Messages::parse(kept.and_then(|kept| kept.messages).as_deref());
        let mut lines = self.calls.entry(call_sid.clone()).or_default();
        for key in messages.keys() {
            if lines.find(key).is_none() {
                lines.note(key, IN_MESSAGES);
            }
        }
        Ok(())
    }

    /// Opens the page of `call_sid` for a turn said at `at` (Unix seconds); a call never heard of
    /// gets its row.
    pub(crate) fn page(
        &self,
        connection: &Connection,
        call_sid: &CallSid,
        at: i64,
    ) -> rusqlite::Result<Page<'_>> {
        if let Some(lines) = self.calls.get_mut(call_sid) {
            return Ok(Page::Live(lines));
        }
        if tombstones::is_call_buried(connection, call_sid)? {
            return Ok(Page::Erased);
        }
        match conversations::get(connection, call_sid)? {
            Some(kept) if kept.conversation.ended_at.is_some() => {
                Ok(Page::Closed(Messages::parse(kept.messages.as_deref())))
            }
            Some(_) => {
                self.read_messages(connection, call_sid)?;
                Ok(Page::Live(self.calls.entry(call_sid.clone()).or_default()))
            }
            None => {
                conversations::begin_unannounced(connection, call_sid, at)?;
                Ok(Page::Live(self.calls.entry(call_sid.clone()).or_default()))
            }
        }
    }

    /// Takes the page of a call out: its turns have been or are being removed.
    pub(crate) fn tear_out(&self, call_sid: &CallSid) -> Lines {
        self.calls
            .remove(call_sid)
            .map(|(_, lines)| lines)
            .unwrap_or_default()
    }

    /// The rowids of a live call's turns as far as known: a hint, to be checked against the rows.
    pub(crate) fn ids(&self, call_sid: &CallSid) -> Vec<i64> {
        self.calls
            .get(call_sid)
            .map(|lines| lines.ids().collect())
            .unwrap_or_default()
    }
}
