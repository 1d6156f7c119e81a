//! A call that comes back: on this instance after a lost socket, or from storage after a lost
//! process (protocol 6.3, 6.4).

use super::{Action, CallState, Count, Now, Setting};
use crate::call::transcript::Transcript;
use calldex_storage::record::{LiveCall, TurnKind};
use calldex_storage::write::{CallResumed, Write};

/// Prompts that repeat what was already heard are recognised for this long after a reconnect.
const REPLAY_MS: u64 = 5_000;
/// For the model, where our words were lost with the line.
const LOST: &str = "The connection was lost for a moment while you were answering, and is back. The caller has \
                    been told. Go on from where you were, briefly.";

impl CallState {
    /// A call that another process began: its turns come from storage. [`super::Event::Resumed`]
    /// must follow.
    pub fn restored(setting: Setting, live: LiveCall, now: Now) -> Self {
        let name = setting
            .caller
            .as_ref()
            .and_then(|caller| caller.greeting_name().map(Into::into));
        let epoch = live.conversation.epoch;
        let resumes = live.conversation.resumes;
        let language = live.conversation.language.clone();
        let transcript = Transcript::restored(live.turns, epoch);
        let lasted_ms = now.unix_ms - live.conversation.started_at.saturating_mul(1_000);
        let mut state = Self::bare(setting, transcript, (name, Vec::new()), now);
        if let Some(language) = language {
            state.language = language;
        }
        state.resumes = resumes;
        state.started_ms = now
            .ms
            .saturating_sub(u64::try_from(lasted_ms).unwrap_or_default());
        state
    }

    /// How often this call has come back.
    pub fn resumes(&self) -> u32 {
        self.resumes
    }

    pub(super) fn on_resumed(
        &mut self,
        session_id: &str,
        greeted: Option<&str>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.on_closed(actions);
        self.resumes += 1;
        let epoch = self.transcript.epoch() + 1;
        let unanswered = self.transcript.is_unanswered();
        let cut_off = self.transcript.is_cut_off();
        self.transcript.enter(epoch);
        if greeted.is_none() {
            // Only Twilio's own reconnect repeats events; one by TwiML begins a new session.
            self.replay_until = now.ms + REPLAY_MS;
        }
        actions.push(Action::Record(Write::CallResumed(CallResumed {
            call_sid: self.setting.call_sid.clone(),
            session_id: session_id.into(),
            epoch,
            at_ms: now.unix_ms,
            instance: self.setting.instance.clone(),
        })));
        self.say_resumed(greeted, now, actions);
        if self.ending.is_some() {
            // The goodbye was said; the end is sent again.
            if let Some(ending) = &mut self.ending {
                ending.sent = false;
                ending.due = now.ms + 1;
            }
        } else if unanswered {
            self.ask(cut_off.then(|| LOST.to_owned()), false, now, actions);
        } else {
            self.wait_for_caller(now);
        }
        if !self.keys.is_empty() {
            self.keys_due = Some(now.ms + 1);
        }
    }

    /// The one short sentence; said by Twilio already where the TwiML's greeting held it.
    fn say_resumed(&mut self, greeted: Option<&str>, now: Now, actions: &mut Vec<Action>) {
        match greeted {
            Some(text) if !text.is_empty() => {
                let turn = self.transcript.say(text, TurnKind::Note, now.unix_ms);
                self.playback.say(turn.seq, text);
                self.record_turn(turn, actions);
            }
            _ => {
                let sentence = self.phrases().resumed.clone();
                self.say(&sentence, TurnKind::Note, now, actions);
            }
        }
    }
}
