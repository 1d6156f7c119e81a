//! Writes about calls: start, turns, claim, end.

use super::caller_rules::seconds;
use super::{ClaimResult, DecisionStamp};
use crate::record::{CallEnded, CallResumed, CallSid, Turn};
use crate::sqlite::conversations::ObservedEnd;
use crate::sqlite::early_ends::EarlyEnd;
use crate::sqlite::live_turn_index::{LiveTurnIndex, TurnTarget};
use crate::sqlite::messages::ConversationMessages;
use crate::sqlite::{conversations, early_ends, tombstones, turns};
use rusqlite::Connection;

/// Appends `turn` unless its key is there; a turn that comes after its conversation was closed goes
/// into the messages.
pub(super) fn append(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    call_sid: &CallSid,
    turn: &Turn,
) -> rusqlite::Result<()> {
    match turn_index.target_of(connection, call_sid, seconds(turn.at))? {
        TurnTarget::Live(mut row_ids) => {
            if row_ids.find(turn.key()).is_none() {
                let id = turns::append(connection, call_sid, turn)?;
                row_ids.insert(turn.key(), id);
            }
            Ok(())
        }
        TurnTarget::Closed(messages) => merge_late(connection, call_sid, messages, turn),
        TurnTarget::Erased => Ok(()),
    }
}

/// Replaces the turn of the same key if this one's revision is higher.
pub(super) fn amend(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    call_sid: &CallSid,
    turn: &Turn,
) -> rusqlite::Result<()> {
    let target = turn_index.target_of(connection, call_sid, seconds(turn.at))?;
    let TurnTarget::Live(row_ids) = target else {
        drop(target);
        return append(connection, turn_index, call_sid, turn);
    };
    let found = row_ids.find(turn.key());
    drop(row_ids);
    match found {
        Some(Some(id)) => turns::amend(connection, id, turn),
        Some(None) => {
            let stored = conversations::get(connection, call_sid)?;
            let messages =
                ConversationMessages::parse(stored.and_then(|stored| stored.messages).as_deref());
            merge_late(connection, call_sid, messages, turn)
        }
        None => append(connection, turn_index, call_sid, turn),
    }
}

fn merge_late(
    connection: &Connection,
    call_sid: &CallSid,
    mut messages: ConversationMessages,
    turn: &Turn,
) -> rusqlite::Result<()> {
    if messages.merge(turn) {
        conversations::put_messages(connection, call_sid, &messages.to_column())?;
    }
    Ok(())
}

/// Writes a claim of a call, if it wins. One that loses changes nothing.
pub(super) fn apply_claim(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    claim: &CallResumed,
) -> rusqlite::Result<ClaimResult> {
    let call_sid = &claim.call_sid;
    if tombstones::is_call_erased(connection, call_sid)? {
        return Ok(ClaimResult::of_claim(claim, None));
    }
    let owner = conversations::owner(connection, call_sid)?;
    if !claim.wins(owner.as_ref().map_or(0, |owner| owner.epoch)) {
        return Ok(ClaimResult::of_claim(claim, owner));
    }
    drop(turn_index.target_of(connection, call_sid, seconds(claim.at_ms))?);
    conversations::apply_claim(connection, claim)?;
    Ok(ClaimResult::of_claim(
        claim,
        conversations::owner(connection, call_sid)?,
    ))
}

/// Writes the language that was chosen in a call.
pub(super) fn choose_language(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    stamp: &DecisionStamp,
    language: &str,
) -> rusqlite::Result<()> {
    // An unknown call gets its row; an erased one has none.
    drop(turn_index.target_of(connection, &stamp.call_sid, seconds(stamp.at_ms))?);
    conversations::put_language(connection, &stamp.call_sid, language, stamp.at_ms)
}

/// Closes the conversation: its turns become its messages, in this one transaction. A second end,
/// or one by an owner that has been replaced, changes nothing. An end by the provider of an unknown
/// call is kept for the case that the call comes later. Returns how many older such ends were deleted for it.
pub(super) fn end(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    end: &CallEnded,
) -> rusqlite::Result<usize> {
    if end.epoch.is_none() && !is_known(connection, turn_index, &end.call_sid)? {
        if tombstones::is_call_erased(connection, &end.call_sid)? {
            return Ok(0);
        }
        return early_ends::put(connection, &end.call_sid, &EarlyEnd::of(end));
    }
    close(connection, turn_index, end)?;
    Ok(0)
}

fn is_known(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    call_sid: &CallSid,
) -> rusqlite::Result<bool> {
    Ok(turn_index.contains(call_sid) || conversations::owner(connection, call_sid)?.is_some())
}

fn close(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    end: &CallEnded,
) -> rusqlite::Result<()> {
    let call_sid = &end.call_sid;
    if matches!(
        turn_index.target_of(connection, call_sid, seconds(end.at_ms))?,
        TurnTarget::Erased
    ) {
        return Ok(());
    }
    let Some(stored) = conversations::get(connection, call_sid)? else {
        return Ok(());
    };
    let row = &stored.conversation;
    if !end.may_end(row.epoch) {
        return Ok(());
    }
    let note = || {
        let seen = ObservedEnd {
            at_ms: end.at_ms,
            provider_end_at_ms: end.final_at_ms(),
            epoch: end.epoch,
        };
        conversations::record_end(connection, call_sid, &seen)
    };
    if row.ended_at.is_some() {
        // It changes nothing now. One that a claim does not make void would end the call if it
        // came again after the call has come back.
        let outlives_a_return = end.epoch.is_none_or(|epoch| epoch > row.epoch);
        return if outlives_a_return { note() } else { Ok(()) };
    }
    // One that was seen must not end the call a second time after it has come back. An owner ends once.
    // The provider's ends of the call itself are noted apart, by clocks that need not agree with the
    // owners'; its ends of a session are told apart by their time alone.
    let seen_before = match end.epoch {
        Some(epoch) => i64::from(epoch) <= stored.end_epoch,
        None if end.is_final() => end.at_ms <= stored.provider_end_at_ms,
        None => end.at_ms <= stored.end_at_ms,
    };
    if seen_before {
        return Ok(());
    }
    note()?;
    let mut messages = ConversationMessages::parse(stored.messages.as_deref());
    for id in turn_index.remove_call(call_sid).ids() {
        if let Some(turn) = turns::get(connection, call_sid, id)? {
            messages.merge(&turn);
            turns::remove(connection, id)?;
        }
    }
    let column = messages.to_column();
    let at = seconds(end.at_ms);
    conversations::end(connection, call_sid, &column, at, end.outcome)
}

/// Removes everything about a call and marks it as erased.
pub(super) fn erase(
    connection: &Connection,
    turn_index: &LiveTurnIndex,
    call_sid: &CallSid,
    at_ms: i64,
) -> rusqlite::Result<()> {
    for id in turn_index.remove_call(call_sid).ids() {
        turns::remove(connection, id)?;
    }
    conversations::remove(connection, call_sid)?;
    tombstones::mark_call_erased(connection, call_sid, at_ms)
}
