//! Which turns of live calls are written, and where: what makes each (call, epoch, seq) be there
//! once without a random index on disk.
//!
//! The ledger is derived from the database and from nothing else: read at open, moved on by
//! [`crate::write::apply`], thrown away with the connection when a commit fails. Readers share it
//! ([`Places`]) to find a call's rows; what they find there is a hint that they check against the row
//! itself. It may be too much, never too little: a page torn out stays to be seen until its batch is
//! committed, and a ledger read anew takes the old one's place in one step.

use super::messages::Messages;
use super::{conversations, tombstones, turns};
use crate::record::{CallSid, TurnKey};
use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use rusqlite::Connection;
use std::sync::{Arc, PoisonError, RwLock};

/// The rowid that stands for "not in `turns`, but in the conversation's messages already": SQLite
/// gives none below 1.
const IN_MESSAGES: i64 = 0;

/// Places of the live calls' turns, for the one who writes.
pub struct Ledger {
    book: Arc<Book>,
    places: Places,
}

impl Default for Ledger {
    fn default() -> Self {
        let book = Arc::new(Book::default());
        let places = Places(Arc::new(RwLock::new(Arc::clone(&book))));
        Self { book, places }
    }
}

/// What is in it, all from one reading of the database.
#[derive(Default)]
struct Book {
    calls: DashMap<CallSid, Lines>,
    /// Rowids of the pages that the batch at work has torn out: readers do not see its commit yet.
    torn_out: DashMap<CallSid, Vec<i64>>,
}

/// The ledger as readers see it. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<RwLock<Arc<Book>>>);

impl Places {
    /// The rowids of a live call's turns as far as known: a hint, to be checked against the rows.
    pub(crate) fn ids(&self, call_sid: &CallSid) -> Vec<i64> {
        let book = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let mut ids: Vec<i64> = book
            .calls
            .get(call_sid)
            .map(|lines| lines.ids().collect())
            .unwrap_or_default();
        // After the page itself: one torn out in between was noted here before.
        if let Some(torn_out) = book.torn_out.get(call_sid) {
            ids.extend(torn_out.iter());
        }
        ids
    }
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

impl Book {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let book = Self::default();
        turns::for_each_key(connection, |call_sid, key, id| {
            let mut lines = book.calls.entry(CallSid::new(call_sid)).or_default();
            if lines.find(key).is_none() {
                lines.note(key, id);
            }
        })?;
        // A call that was closed and lives again has its earlier turns in its messages.
        for kept in conversations::unfinished(connection)? {
            book.note_messages(&kept);
        }
        Ok(book)
    }

    fn note_messages(&self, kept: &conversations::Kept) {
        let call_sid = kept.conversation.call_sid.clone();
        let mut lines = self.calls.entry(call_sid).or_default();
        for key in Messages::parse(kept.messages.as_deref()).keys() {
            if lines.find(key).is_none() {
                lines.note(key, IN_MESSAGES);
            }
        }
    }
}

impl Ledger {
    /// Reads the ledger from the database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut ledger = Self::default();
        ledger.reread(connection)?;
        Ok(ledger)
    }

    /// Reads it anew, for all who share it: they see the old one until the new one is whole.
    pub(crate) fn reread(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let book = Arc::new(Book::read(connection)?);
        *self
            .places
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&book);
        self.book = book;
        Ok(())
    }

    /// The ledger as readers see it.
    pub(crate) fn places(&self) -> Places {
        self.places.clone()
    }

    /// The batch is committed: what it tore out is gone from the database.
    pub(crate) fn committed(&self) {
        self.book.torn_out.clear();
    }

    /// Whether `call_sid` is a live call with a row.
    pub(crate) fn has(&self, call_sid: &CallSid) -> bool {
        self.book.calls.contains_key(call_sid)
    }

    /// Opens the page of `call_sid` for a turn said at `at` (Unix seconds); a call never heard of
    /// gets its row.
    pub(crate) fn page(
        &self,
        connection: &Connection,
        call_sid: &CallSid,
        at: i64,
    ) -> rusqlite::Result<Page<'_>> {
        if let Some(lines) = self.book.calls.get_mut(call_sid) {
            return Ok(Page::Live(lines));
        }
        if tombstones::is_call_buried(connection, call_sid)? {
            return Ok(Page::Erased);
        }
        match conversations::get(connection, call_sid)? {
            Some(kept) if kept.conversation.ended_at.is_some() => {
                Ok(Page::Closed(Messages::parse(kept.messages.as_deref())))
            }
            Some(kept) => {
                self.book.note_messages(&kept);
                Ok(Page::Live(
                    self.book.calls.entry(call_sid.clone()).or_default(),
                ))
            }
            None => {
                if conversations::begin_unannounced(connection, call_sid, at)? {
                    return Ok(Page::Closed(Messages::parse(None)));
                }
                Ok(Page::Live(
                    self.book.calls.entry(call_sid.clone()).or_default(),
                ))
            }
        }
    }

    /// Takes the page of a call out: its turns are being removed. Readers still see their places
    /// until [`Ledger::committed`].
    pub(crate) fn tear_out(&self, call_sid: &CallSid) -> Lines {
        let places = self.book.calls.get(call_sid);
        let ids: Vec<i64> = places.iter().flat_map(|lines| lines.ids()).collect();
        drop(places);
        self.book
            .torn_out
            .entry(call_sid.clone())
            .or_default()
            .extend(ids);
        self.book
            .calls
            .remove(call_sid)
            .map(|(_, lines)| lines)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Role, Turn};
    use crate::sqlite::migrations::migrate;

    #[test]
    fn readers_keep_their_places_while_the_ledger_cannot_be_read_anew() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let call_sid = CallSid::new("CA1");
        conversations::begin_unannounced(&connection, &call_sid, 1).unwrap();
        let turn = Turn::new(Role::Caller, "hello", 1, 0, 0);
        let id = turns::append(&connection, &call_sid, &turn).unwrap();
        let mut ledger = Ledger::read(&connection).unwrap();
        let places = ledger.places();
        assert_eq!(places.ids(&call_sid), [id]);
        let empty = Connection::open_in_memory().unwrap();
        assert!(ledger.reread(&empty).is_err());
        assert_eq!(places.ids(&call_sid), [id]);
        drop(ledger.tear_out(&call_sid));
        assert_eq!(places.ids(&call_sid), [id], "torn out before the commit");
        ledger.committed();
        assert!(places.ids(&call_sid).is_empty());
        ledger.reread(&connection).unwrap();
        assert_eq!(places.ids(&call_sid), [id], "the readers see the new one");
    }
}
