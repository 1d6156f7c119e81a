//! Writes about calls: start, turns, take-over, end.

use super::rules::seconds;
use super::{CallEnded, CallResumed, Stamp, Takeover};
use crate::record::{CallSid, Turn};
use crate::sqlite::conversations::EndSeen;
use crate::sqlite::early_ends::EarlyEnd;
use crate::sqlite::ledger::{Ledger, Page};
use crate::sqlite::messages::Messages;
use crate::sqlite::{conversations, early_ends, tombstones, turns};
use rusqlite::Connection;

/// Appends `turn` unless its key is there; a turn that comes after its conversation was closed goes
/// into the messages.
pub(super) fn append(
    connection: &Connection,
    ledger: &Ledger,
    call_sid: &CallSid,
    turn: &Turn,
) -> rusqlite::Result<()> {
    match ledger.page(connection, call_sid, seconds(turn.at))? {
        Page::Live(mut lines) => {
            if lines.find(turn.key()).is_none() {
                let id = turns::append(connection, call_sid, turn)?;
                lines.note(turn.key(), id);
            }
            Ok(())
        }
        Page::Closed(messages) => merge_late(connection, call_sid, messages, turn),
        Page::Erased => Ok(()),
    }
}

/// Replaces the turn of the same key if this one's revision is higher.
pub(super) fn amend(
    connection: &Connection,
    ledger: &Ledger,
    call_sid: &CallSid,
    turn: &Turn,
) -> rusqlite::Result<()> {
    let page = ledger.page(connection, call_sid, seconds(turn.at))?;
    let Page::Live(lines) = page else {
        drop(page);
        return append(connection, ledger, call_sid, turn);
    };
    let found = lines.find(turn.key());
    drop(lines);
    match found {
        Some(Some(id)) => turns::amend(connection, id, turn),
        Some(None) => {
            let kept = conversations::get(connection, call_sid)?;
            let messages = Messages::parse(kept.and_then(|kept| kept.messages).as_deref());
            merge_late(connection, call_sid, messages, turn)
        }
        None => append(connection, ledger, call_sid, turn),
    }
}

fn merge_late(
    connection: &Connection,
    call_sid: &CallSid,
    mut messages: Messages,
    turn: &Turn,
) -> rusqlite::Result<()> {
    if messages.merge(turn) {
        conversations::put_messages(connection, call_sid, &messages.to_column())?;
    }
    Ok(())
}

/// Writes a claim of a call, if it wins. One that loses leaves no trace.
pub(super) fn resume(
    connection: &Connection,
    ledger: &Ledger,
    claim: &CallResumed,
) -> rusqlite::Result<Takeover> {
    let call_sid = &claim.call_sid;
    if tombstones::is_call_buried(connection, call_sid)? {
        return Ok(Takeover::of(claim, None));
    }
    let owner = conversations::owner(connection, call_sid)?;
    if !claim.wins(owner.as_ref().map_or(0, |owner| owner.epoch)) {
        return Ok(Takeover::of(claim, owner));
    }
    drop(ledger.page(connection, call_sid, seconds(claim.at_ms))?);
    conversations::resume(connection, claim)?;
    Ok(Takeover::of(
        claim,
        conversations::owner(connection, call_sid)?,
    ))
}

/// Writes the language that was chosen in a call.
pub(super) fn choose_language(
    connection: &Connection,
    ledger: &Ledger,
    stamp: &Stamp,
    language: &str,
) -> rusqlite::Result<()> {
    // A call never heard of gets its row; an erased one has none.
    drop(ledger.page(connection, &stamp.call_sid, seconds(stamp.at_ms))?);
    conversations::put_language(connection, &stamp.call_sid, language, stamp.at_ms)
}

/// Closes the conversation: its turns become its messages, in this one transaction. A second end,
/// or one by an owner that has been replaced, changes nothing. An end by the provider of a call that is
/// not known is kept for the case that the call comes later: how many older such ends went for it.
pub(super) fn end(
    connection: &Connection,
    ledger: &Ledger,
    end: &CallEnded,
) -> rusqlite::Result<usize> {
    if end.epoch.is_none() && !is_known(connection, ledger, &end.call_sid)? {
        if tombstones::is_call_buried(connection, &end.call_sid)? {
            return Ok(0);
        }
        return early_ends::put(connection, &end.call_sid, &EarlyEnd::of(end));
    }
    close(connection, ledger, end)?;
    Ok(0)
}

fn is_known(
    connection: &Connection,
    ledger: &Ledger,
    call_sid: &CallSid,
) -> rusqlite::Result<bool> {
    Ok(ledger.has(call_sid) || conversations::owner(connection, call_sid)?.is_some())
}

fn close(connection: &Connection, ledger: &Ledger, end: &CallEnded) -> rusqlite::Result<()> {
    let call_sid = &end.call_sid;
    if matches!(
        ledger.page(connection, call_sid, seconds(end.at_ms))?,
        Page::Erased
    ) {
        return Ok(());
    }
    let Some(kept) = conversations::get(connection, call_sid)? else {
        return Ok(());
    };
    let row = &kept.conversation;
    if !end.may_end(row.epoch) {
        return Ok(());
    }
    let note = || {
        let seen = EndSeen {
            at_ms: end.at_ms,
            provider_end_at_ms: end.final_at_ms(),
            epoch: end.epoch,
        };
        conversations::note_end(connection, call_sid, &seen)
    };
    if row.ended_at.is_some() {
        // It changes nothing now. One that a take-over does not make void would end the call if it
        // came again after the call has come back.
        let outlives_a_return = end.epoch.is_none_or(|epoch| epoch > row.epoch);
        return if outlives_a_return { note() } else { Ok(()) };
    }
    // One that was seen must not end the call a second time after it has come back. An owner ends once.
    // The provider's ends of the call itself are noted apart, by clocks that need not agree with the
    // owners'; its ends of a session are told apart by their time alone.
    let seen_before = match end.epoch {
        Some(epoch) => i64::from(epoch) <= kept.end_epoch,
        None if end.is_final() => end.at_ms <= kept.provider_end_at_ms,
        None => end.at_ms <= kept.end_at_ms,
    };
    if seen_before {
        return Ok(());
    }
    note()?;
    let mut messages = Messages::parse(kept.messages.as_deref());
    for id in ledger.tear_out(call_sid).ids() {
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
    ledger: &Ledger,
    call_sid: &CallSid,
    at_ms: i64,
) -> rusqlite::Result<()> {
    for id in ledger.tear_out(call_sid).ids() {
        turns::remove(connection, id)?;
    }
    conversations::remove(connection, call_sid)?;
    tombstones::bury_call(connection, call_sid, at_ms)
}
