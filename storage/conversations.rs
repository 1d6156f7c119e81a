//! Conversations as they can be read: what is on disk with what is still waiting to be.

use crate::readers::{ReadError, Readers};
use crate::record::{CallSid, Conversation, LiveCall, Turn, UnfinishedCall};
use crate::sqlite::conversations::Kept;
use crate::sqlite::ledger::Places;
use crate::sqlite::messages::Messages;
use crate::sqlite::{conversations, turns};
use crate::write::Write;
use crate::writer::Pending;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a read of a conversation may take, milliseconds.
pub const READ_MS_MAX: u64 = 2_000;

/// Reads of conversations. Cheap to clone.
#[derive(Clone)]
pub struct Conversations {
    readers: Arc<Readers>,
    places: Places,
    pending: Arc<Pending>,
    deadline: Duration,
}

impl Conversations {
    pub(crate) fn new(
        readers: Arc<Readers>,
        places: Places,
        pending: Arc<Pending>,
        deadline: Duration,
    ) -> Self {
        Self {
            readers,
            places,
            pending,
            deadline,
        }
    }

    /// The call with its turns if it lives, written or accepted: `None` if it is unknown or over.
    pub async fn live(&self, call_sid: &str) -> Result<Option<LiveCall>, ReadError> {
        Ok(self.read(call_sid).await?.filter(LiveCall::is_live))
    }

    /// The call with its turns, living or over.
    pub async fn read(&self, call_sid: &str) -> Result<Option<LiveCall>, ReadError> {
        let call_sid = CallSid::new(call_sid);
        // Before the disk is asked: what is committed in between is then seen twice, never not at all.
        let waiting = self.pending.of_call(&call_sid);
        let places = self.places.clone();
        let sid = call_sid.clone();
        let question = move |connection: &Connection| read_call(connection, &places, &sid);
        let stored = self
            .readers
            .ask(self.deadline, |reader| reader.ask(question))
            .await?;
        Ok(waiting
            .iter()
            .fold(stored, |call, write| overlay(call, &call_sid, write)))
    }

    /// Calls without an end, oldest first: after a start, those that the last process left.
    pub async fn unfinished(&self) -> Result<Vec<UnfinishedCall>, ReadError> {
        self.readers
            .ask(self.deadline, |reader| reader.ask(read_unfinished))
            .await
    }
}

fn read_call(
    connection: &Connection,
    places: &Places,
    call_sid: &CallSid,
) -> rusqlite::Result<Option<LiveCall>> {
    // Before the snapshot begins, for the same reason as above.
    let ids = places.ids(call_sid);
    let snapshot = connection.unchecked_transaction()?;
    let Some(kept) = conversations::get(&snapshot, call_sid)? else {
        return Ok(None);
    };
    let mut messages = Messages::parse(kept.messages.as_deref());
    if kept.conversation.ended_at.is_none() {
        for id in ids {
            if let Some(turn) = turns::get(&snapshot, call_sid, id)? {
                messages.merge(&turn);
            }
        }
    }
    Ok(Some(LiveCall {
        conversation: kept.conversation,
        turns: messages.turns(),
    }))
}

fn read_unfinished(connection: &Connection) -> rusqlite::Result<Vec<UnfinishedCall>> {
    let snapshot = connection.unchecked_transaction()?;
    let last: HashMap<CallSid, (i64, usize)> = turns::last_by_call(&snapshot)?;
    let unfinished = conversations::unfinished(&snapshot)?
        .into_iter()
        .map(|kept| {
            let written = last.get(&kept.conversation.call_sid).copied();
            read_last_sign(kept, written)
        });
    Ok(unfinished.collect())
}

/// `written`: last time and number of the rows in `turns`; a call that came back has turns in its
/// messages too, and an end before, beyond which it lives: an end that is not later is that one.
fn read_last_sign(kept: Kept, written: Option<(i64, usize)>) -> UnfinishedCall {
    let started = kept.conversation.started_at.saturating_mul(1000);
    let earlier = Messages::parse(kept.messages.as_deref()).turns();
    let (at, turns) = written.unwrap_or((started, 0));
    let came_back = match kept.end_at_ms {
        0 => started,
        end_at_ms => end_at_ms.saturating_add(1),
    };
    let last = earlier.iter().map(|turn| turn.at).max();
    UnfinishedCall {
        last_at_ms: at.max(started).max(came_back).max(last.unwrap_or(started)),
        turns: turns + earlier.len(),
        conversation: kept.conversation,
    }
}

/// The call as it will be once `write`, accepted and not yet durable, is applied.
fn overlay(call: Option<LiveCall>, call_sid: &CallSid, write: &Write) -> Option<LiveCall> {
    let mut call = call.unwrap_or_else(|| LiveCall {
        conversation: unannounced(call_sid),
        turns: Vec::new(),
    });
    let row = &mut call.conversation;
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
            (row.ended_at, row.outcome) = (None, None);
        }
        Write::CallEnded(end) if row.ended_at.is_none() && end.may_end(row.epoch) => {
            row.ended_at = Some(end.at_ms.div_euclid(1000).max(row.started_at));
            row.outcome = Some(end.outcome);
        }
        Write::LanguageChosen { language, .. } => row.language = Some(language.clone()),
        Write::TurnAppended { turn, .. } | Write::TurnAmended { turn, .. } => {
            lay(&mut call.turns, turn)
        }
        _ => {}
    }
    Some(call)
}

fn unannounced(call_sid: &CallSid) -> Conversation {
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

fn lay(turns: &mut Vec<Turn>, turn: &Turn) {
    match turns.binary_search_by_key(&turn.key(), Turn::key) {
        Ok(at) if turns[at].revision < turn.revision => turns[at] = turn.clone(),
        Ok(_) => {}
        Err(at) => turns.insert(at, turn.clone()),
    }
}
