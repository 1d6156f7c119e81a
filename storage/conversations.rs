//! Reads of conversations: what is on disk, with the pending writes applied.

use crate::pending_writes::PendingWrites;
use crate::reader_pool::{ReadError, ReaderPool};
use crate::record::{CallSid, CallWithTurns, Conversation, Turn, UnfinishedCall};
use crate::sqlite::conversations::ConversationRow;
use crate::sqlite::early_ends::EarlyEnd;
use crate::sqlite::live_turn_index::LiveTurnIndexReader;
use crate::sqlite::messages::ConversationMessages;
use crate::sqlite::{conversations, early_ends, turns};
use crate::write::Write;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a read of a conversation may take, milliseconds.
pub const READ_MS_MAX: u64 = 2_000;

/// Reads of conversations. Cheap to clone.
#[derive(Clone)]
pub struct Conversations {
    /// For reads of one call.
    readers: Arc<ReaderPool>,
    /// For reads of many.
    bulk_readers: Arc<ReaderPool>,
    turn_index: LiveTurnIndexReader,
    pending: Arc<PendingWrites>,
    deadline: Duration,
}

impl Conversations {
    pub(crate) fn new(
        readers: Arc<ReaderPool>,
        bulk_readers: Arc<ReaderPool>,
        turn_index: LiveTurnIndexReader,
        pending: Arc<PendingWrites>,
        deadline: Duration,
    ) -> Self {
        Self {
            readers,
            bulk_readers,
            turn_index,
            pending,
            deadline,
        }
    }

    /// The call with its turns if it is live, durable or pending: `None` if it is unknown or over.
    pub async fn live(&self, call_sid: &str) -> Result<Option<CallWithTurns>, ReadError> {
        Ok(self.read(call_sid).await?.filter(CallWithTurns::is_live))
    }

    /// The call with its turns, live or over.
    pub async fn read(&self, call_sid: &str) -> Result<Option<CallWithTurns>, ReadError> {
        let call_sid = CallSid::new(call_sid);
        // Before the disk is read: a write committed in between is then seen twice, but never missed.
        let waiting = self.pending.of_call(&call_sid);
        let turn_index = self.turn_index.clone();
        let sid = call_sid.clone();
        let question = move |connection: &Connection| read_call(connection, &turn_index, &sid);
        let stored = self
            .readers
            .query(self.deadline, |reader| reader.query(question))
            .await?;
        let known = waiting.iter().fold(stored, |known, write| {
            apply_pending_write(known, &call_sid, write)
        });
        Ok(known.call)
    }

    /// Calls without an end, oldest first: after a start, those that the last process left. Reads all
    /// turns of live calls, beside the reads of calls.
    pub async fn unfinished(&self) -> Result<Vec<UnfinishedCall>, ReadError> {
        self.bulk_readers
            .query(self.deadline, |reader| reader.query(read_unfinished))
            .await
    }
}

/// What is known of a call: its row and turns, and what the provider told of its end.
struct CallWithPending {
    call: Option<CallWithTurns>,
    /// Of a call without a row.
    early_end: Option<EarlyEnd>,
    /// Of one with a row: the latest of the call itself, Unix milliseconds; 0 if none.
    provider_end_at_ms: i64,
    /// Of one with a row: the latest epoch whose owner's end was seen; -1 if none.
    end_epoch: i64,
}

impl CallWithPending {
    fn empty() -> Self {
        Self {
            call: None,
            early_end: None,
            provider_end_at_ms: 0,
            end_epoch: -1,
        }
    }
}

fn read_call(
    connection: &Connection,
    turn_index: &LiveTurnIndexReader,
    call_sid: &CallSid,
) -> rusqlite::Result<CallWithPending> {
    // Before the snapshot begins, for the same reason as above.
    let ids = turn_index.row_ids(call_sid);
    let snapshot = connection.unchecked_transaction()?;
    let Some(stored) = conversations::get(&snapshot, call_sid)? else {
        return Ok(CallWithPending {
            early_end: early_ends::get(&snapshot, call_sid)?,
            ..CallWithPending::empty()
        });
    };
    let mut messages = ConversationMessages::parse(stored.messages.as_deref());
    if stored.conversation.ended_at.is_none() {
        for id in ids {
            if let Some(turn) = turns::get(&snapshot, call_sid, id)? {
                messages.merge(&turn);
            }
        }
    }
    Ok(CallWithPending {
        call: Some(CallWithTurns {
            conversation: stored.conversation,
            turns: messages.turns(),
        }),
        early_end: None,
        provider_end_at_ms: stored.provider_end_at_ms,
        end_epoch: stored.end_epoch,
    })
}

fn read_unfinished(connection: &Connection) -> rusqlite::Result<Vec<UnfinishedCall>> {
    let snapshot = connection.unchecked_transaction()?;
    let last: HashMap<CallSid, (i64, usize)> = turns::last_by_call(&snapshot)?;
    let unfinished = conversations::unfinished(&snapshot)?
        .into_iter()
        .map(|stored| {
            let written = last.get(&stored.conversation.call_sid).copied();
            to_unfinished_call(stored, written)
        });
    Ok(unfinished.collect())
}

/// `written`: last time and number of the rows in `turns`; a call that came back has turns in its
/// messages too, and an end before, beyond which it lives: an end that is not later is that one.
fn to_unfinished_call(stored: ConversationRow, written: Option<(i64, usize)>) -> UnfinishedCall {
    let started = stored.conversation.started_at.saturating_mul(1000);
    let earlier = ConversationMessages::parse(stored.messages.as_deref()).turns();
    let (at, turns) = written.unwrap_or((started, 0));
    let came_back = match stored.end_at_ms {
        0 => started,
        end_at_ms => end_at_ms.saturating_add(1),
    };
    let last = earlier.iter().map(|turn| turn.at).max();
    UnfinishedCall {
        last_activity_ms: at.max(started).max(came_back).max(last.unwrap_or(started)),
        turns: turns + earlier.len(),
        conversation: stored.conversation,
    }
}

/// What will be known once `write`, accepted and not yet durable, is applied.
fn apply_pending_write(
    mut known: CallWithPending,
    call_sid: &CallSid,
    write: &Write,
) -> CallWithPending {
    if let (None, Write::CallEnded(end)) = (&known.call, write)
        && end.epoch.is_none()
    {
        let told = EarlyEnd::of(end);
        known.early_end.get_or_insert(told.clone()).merge(&told);
        return known;
    }
    let call = known.call.get_or_insert_with(|| CallWithTurns {
        conversation: conversation_without_start(call_sid),
        turns: Vec::new(),
    });
    let row = &mut call.conversation;
    if let Some(early) = known.early_end.take() {
        row.ended_at = Some(early.at_ms.div_euclid(1000));
        row.outcome = Some(early.outcome);
        known.provider_end_at_ms = early.provider_end_at_ms;
    }
    match write {
        Write::CallStarted(start) if row.caller_kind.is_none() => {
            row.number = start.number.clone();
            row.line = Some(start.line.clone());
            row.caller_kind = Some(start.caller_kind);
            row.identity = start.identity.clone();
            row.language = row.language.take().or_else(|| start.language.clone());
            row.instance = row.instance.take().or_else(|| Some(start.instance.clone()));
            row.started_at = row.started_at.min(start.at_ms.div_euclid(1000));
        }
        Write::CallResumed(resume) if resume.wins(row.epoch) => {
            row.epoch = resume.epoch;
            row.resumes += u32::from(resume.returned);
            row.session_id = Some(resume.session_id.clone());
            row.instance = Some(resume.instance.clone());
            if resume.reopens(known.provider_end_at_ms, known.end_epoch) {
                (row.ended_at, row.outcome) = (None, None);
            }
        }
        Write::CallEnded(end) if end.may_end(row.epoch) => {
            known.provider_end_at_ms = known.provider_end_at_ms.max(end.final_at_ms());
            known.end_epoch = known.end_epoch.max(end.epoch.map_or(-1, i64::from));
            if row.ended_at.is_none() {
                row.ended_at = Some(end.at_ms.div_euclid(1000).max(row.started_at));
                row.outcome = Some(end.outcome);
            }
        }
        Write::LanguageChosen { language, .. } => row.language = Some(language.clone()),
        Write::TurnAppended { turn, .. } | Write::TurnAmended { turn, .. } => {
            merge_turn(&mut call.turns, turn)
        }
        _ => {}
    }
    known
}

fn conversation_without_start(call_sid: &CallSid) -> Conversation {
    Conversation {
        call_sid: call_sid.clone(),
        number: None,
        line: None,
        caller_kind: None,
        identity: None,
        language: None,
        instance: None,
        session_id: None,
        epoch: 0,
        resumes: 0,
        started_at: i64::MAX,
        ended_at: None,
        outcome: None,
    }
}

fn merge_turn(turns: &mut Vec<Turn>, turn: &Turn) {
    match turns.binary_search_by_key(&turn.key(), Turn::key) {
        Ok(at) if turns[at].revision < turn.revision => turns[at] = turn.clone(),
        Ok(_) => {}
        Err(at) => turns.insert(at, turn.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader_pool::{BULK_READERS, BULK_READS_QUEUED_MAX, ReaderPoolKind};
    use crate::sqlite::connection::create_writer;
    use crate::sqlite::migrations::migrate;
    use std::sync::mpsc;

    #[tokio::test]
    async fn calls_are_read_while_people_wait_for_their_lists() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("calls.db");
        migrate(&mut create_writer(&path).unwrap()).unwrap();
        let calls = Arc::new(ReaderPool::start(ReaderPoolKind::Calls, &path).unwrap());
        let people = Arc::new(ReaderPool::start(ReaderPoolKind::Bulk, &path).unwrap());
        let conversations = Conversations::new(
            Arc::clone(&calls),
            Arc::clone(&people),
            LiveTurnIndexReader::default(),
            Arc::default(),
            Duration::from_secs(60),
        );
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let mut asked = 0;
        // Each thread has taken one, and the queue is full behind them.
        while asked < BULK_READERS + BULK_READS_QUEUED_MAX {
            let held = Arc::clone(&held);
            // Whoever waits first holds the lock, the others wait for that.
            let wait = move |_: &mut crate::reader_pool::DatabaseReader| {
                let _ = held.lock().unwrap().recv();
            };
            match people.submit(wait) {
                Ok(()) => asked += 1,
                Err(error) => {
                    assert_eq!(error, ReadError::Busy);
                    std::thread::yield_now();
                }
            }
        }
        let unfinished = conversations.unfinished().await;
        assert_eq!(unfinished.unwrap_err(), ReadError::Busy);
        assert_eq!(conversations.read("CA1").await.unwrap(), None);
        drop(release);
    }
}
