//! Maps the turns of live calls, by (call, epoch, seq), to their rowids: each turn is stored once, without
//! an index on disk.
//!
//! It is derived from the database alone: built at opening, updated by [`crate::write::apply`], and rebuilt
//! with the connection after a failed commit. Readers share it ([`LiveTurnIndexReader`]) to find the rows
//! of a call, and check each row, since a rowid may be out of date. They may see too many rowids, never too
//! few: the rowids of a removed call stay visible until its batch is committed, and a rebuilt index
//! replaces the old one in one step.

use super::messages::ConversationMessages;
use super::{conversations, tombstones, turns};
use crate::record::{CallSid, TurnKey};
use dashmap::DashMap;
use dashmap::mapref::one::RefMut;
use rusqlite::Connection;
use std::sync::{Arc, PoisonError, RwLock};

/// The rowid that stands for "not in `turns`, but in the conversation's messages already": SQLite
/// gives none below 1.
const IN_MESSAGES: i64 = 0;

/// The index as the writing thread uses it.
pub struct LiveTurnIndex {
    indexed: Arc<IndexedCalls>,
    reader: LiveTurnIndexReader,
}

impl Default for LiveTurnIndex {
    fn default() -> Self {
        let indexed = Arc::new(IndexedCalls::default());
        let reader = LiveTurnIndexReader(Arc::new(RwLock::new(Arc::clone(&indexed))));
        Self { indexed, reader }
    }
}

/// Its contents, from one reading of the database.
#[derive(Default)]
struct IndexedCalls {
    calls: DashMap<CallSid, TurnRowIds>,
    /// Rowids that the current batch has removed: its commit is not visible to readers yet.
    removed_uncommitted: DashMap<CallSid, Vec<i64>>,
}

/// The index as readers see it. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LiveTurnIndexReader(Arc<RwLock<Arc<IndexedCalls>>>);

impl LiveTurnIndexReader {
    /// The rowids of a live call's turns as far as known: a hint, to be checked against the rows.
    pub(crate) fn row_ids(&self, call_sid: &CallSid) -> Vec<i64> {
        let indexed = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let mut ids: Vec<i64> = indexed
            .calls
            .get(call_sid)
            .map(|row_ids| row_ids.ids().collect())
            .unwrap_or_default();
        // After the call itself: one that was removed in between was noted here before.
        if let Some(torn_out) = indexed.removed_uncommitted.get(call_sid) {
            ids.extend(torn_out.iter());
        }
        ids
    }
}

/// One live call's turns, sorted by key.
#[derive(Default)]
pub(crate) struct TurnRowIds(Vec<(TurnKey, i64)>);

impl TurnRowIds {
    /// Where the turn of `key` is: not known, at a rowid, or in the messages (`Some(None)`).
    pub(crate) fn find(&self, key: TurnKey) -> Option<Option<i64>> {
        let at = self.0.binary_search_by_key(&key, |line| line.0).ok()?;
        let id = self.0[at].1;
        Some((id != IN_MESSAGES).then_some(id))
    }

    /// Notes a turn.
    pub(crate) fn insert(&mut self, key: TurnKey, id: i64) {
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

/// The state of the call of a turn that arrives.
pub(crate) enum TurnTarget<'a> {
    /// The call is live.
    Live(RefMut<'a, CallSid, TurnRowIds>),
    /// The conversation is closed: here are its messages.
    Closed(ConversationMessages),
    /// The call was erased.
    Erased,
}

impl IndexedCalls {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let indexed = Self::default();
        turns::for_each_key(connection, |call_sid, key, id| {
            let mut row_ids = indexed.calls.entry(CallSid::new(call_sid)).or_default();
            if row_ids.find(key).is_none() {
                row_ids.insert(key, id);
            }
        })?;
        // A call that was closed and reopened has its earlier turns in its messages.
        for stored in conversations::unfinished(connection)? {
            indexed.index_messages(&stored);
        }
        Ok(indexed)
    }

    fn index_messages(&self, stored: &conversations::ConversationRow) {
        let call_sid = stored.conversation.call_sid.clone();
        let mut row_ids = self.calls.entry(call_sid).or_default();
        for key in ConversationMessages::parse(stored.messages.as_deref()).keys() {
            if row_ids.find(key).is_none() {
                row_ids.insert(key, IN_MESSAGES);
            }
        }
    }
}

impl LiveTurnIndex {
    /// Reads the live-turn index from the database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut turn_index = Self::default();
        turn_index.reload(connection)?;
        Ok(turn_index)
    }

    /// Rebuilds it for all who share it: they see the old one until the new one is complete.
    pub(crate) fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let indexed = Arc::new(IndexedCalls::read(connection)?);
        *self
            .reader
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&indexed);
        self.indexed = indexed;
        Ok(())
    }

    /// The index as readers see it.
    pub(crate) fn reader(&self) -> LiveTurnIndexReader {
        self.reader.clone()
    }

    /// The batch is committed: what it removed is gone from the database.
    pub(crate) fn note_commit(&self) {
        self.indexed.removed_uncommitted.clear();
    }

    /// Whether `call_sid` is a live call with a row.
    pub(crate) fn contains(&self, call_sid: &CallSid) -> bool {
        self.indexed.calls.contains_key(call_sid)
    }

    /// The state of `call_sid` for a turn said at `at` (Unix seconds); an unknown call gets its row.
    pub(crate) fn target_of(
        &self,
        connection: &Connection,
        call_sid: &CallSid,
        at: i64,
    ) -> rusqlite::Result<TurnTarget<'_>> {
        if let Some(row_ids) = self.indexed.calls.get_mut(call_sid) {
            return Ok(TurnTarget::Live(row_ids));
        }
        if tombstones::is_call_erased(connection, call_sid)? {
            return Ok(TurnTarget::Erased);
        }
        match conversations::get(connection, call_sid)? {
            Some(stored) if stored.conversation.ended_at.is_some() => Ok(TurnTarget::Closed(
                ConversationMessages::parse(stored.messages.as_deref()),
            )),
            Some(stored) => {
                self.indexed.index_messages(&stored);
                Ok(TurnTarget::Live(
                    self.indexed.calls.entry(call_sid.clone()).or_default(),
                ))
            }
            None => {
                if conversations::insert_without_start(connection, call_sid, at)? {
                    return Ok(TurnTarget::Closed(ConversationMessages::parse(None)));
                }
                Ok(TurnTarget::Live(
                    self.indexed.calls.entry(call_sid.clone()).or_default(),
                ))
            }
        }
    }

    /// Removes a call, whose turns are being removed. Readers still see their rowids until
    /// [`LiveTurnIndex::note_commit`].
    pub(crate) fn remove_call(&self, call_sid: &CallSid) -> TurnRowIds {
        let row_ids = self.indexed.calls.get(call_sid);
        let ids: Vec<i64> = row_ids.iter().flat_map(|row_ids| row_ids.ids()).collect();
        drop(row_ids);
        self.indexed
            .removed_uncommitted
            .entry(call_sid.clone())
            .or_default()
            .extend(ids);
        self.indexed
            .calls
            .remove(call_sid)
            .map(|(_, row_ids)| row_ids)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Turn, TurnRole};
    use crate::sqlite::migrations::migrate;

    #[test]
    fn readers_keep_their_places_while_the_ledger_cannot_be_read_anew() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let call_sid = CallSid::new("CA1");
        conversations::insert_without_start(&connection, &call_sid, 1).unwrap();
        let turn = Turn::new(TurnRole::Caller, "hello", 1, 0, 0);
        let id = turns::append(&connection, &call_sid, &turn).unwrap();
        let mut turn_index = LiveTurnIndex::read(&connection).unwrap();
        let reader = turn_index.reader();
        assert_eq!(reader.row_ids(&call_sid), [id]);
        let empty = Connection::open_in_memory().unwrap();
        assert!(turn_index.reload(&empty).is_err());
        assert_eq!(reader.row_ids(&call_sid), [id]);
        drop(turn_index.remove_call(&call_sid));
        assert_eq!(
            reader.row_ids(&call_sid),
            [id],
            "torn out before the commit"
        );
        turn_index.note_commit();
        assert!(reader.row_ids(&call_sid).is_empty());
        turn_index.reload(&connection).unwrap();
        assert_eq!(
            reader.row_ids(&call_sid),
            [id],
            "the readers see the new one"
        );
    }
}
