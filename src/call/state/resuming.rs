//! A call that comes back: on this instance after a lost socket, or from storage after a lost
//! process (protocol 6.3, 6.4).

use super::owning::{Claim, blind_epoch, is_released};
use super::{Action, CallState, Now, Setting};
use crate::call::greeting::Greeting;
use crate::call::transcript::Transcript;
use calldex_storage::record::{LiveCall, NameState, TurnKind};

/// Prompts that repeat what was already heard are recognised for this long after a reconnect.
const REPLAY_MS: u64 = 5_000;
/// For the model, where our words were lost with the line.
const LOST: &str = "The connection was lost for a moment while you were answering, and is back. The caller has \
                    been told. Go on from where you were, briefly.";

impl CallState {
    /// A call that another process began: its turns come from storage. [`super::Event::Resumed`]
    /// must follow.
    pub fn restored(mut setting: Setting, live: LiveCall, now: Now) -> Self {
        let started_ms = live.conversation.started_at.saturating_mul(1_000);
        let lasted_ms = u64::try_from(now.unix_ms - started_ms).unwrap_or_default();
        let resumes = live.conversation.resumes;
        if let Some(language) = live.conversation.language.clone() {
            setting.language = language;
        }
        let known = setting.caller.clone();
        let epoch = live.conversation.epoch;
        let released = is_released(&live.conversation);
        let transcript = Transcript::restored(live.turns, epoch);
        let mut greeting = Greeting::said("", false);
        if let Some(caller) = &known {
            greeting.know(caller);
        }
        let mut state = Self::bare(setting, transcript, greeting.naming(), now);
        state.claim = Claim::found(epoch);
        state.released = released;
        state.resumes = resumes;
        state.started_ms = now.ms.saturating_sub(lasted_ms);
        if known.is_some_and(|caller| {
            caller.name_state == NameState::Heard && caller.name_mark.at_ms >= started_ms
        }) {
            state.naming.heard_before();
        }
        if state.phrases().asks_for_name(state.transcript.last_said()) {
            state.naming.ask();
        }
        state
    }

    /// The same where storage cannot be read: nothing is known of what was said. Its epoch is one
    /// that no owner before can have had, so that nothing kept is taken for something else.
    pub fn unread(setting: Setting, now: Now) -> Self {
        let blind = blind_epoch(now, setting.slot);
        let mut state = Self::bare(setting, Transcript::default(), (None, Vec::new()), now);
        state.claim.blind = Some(blind);
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
        counted: bool,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        self.on_closed(actions);
        let counts = !std::mem::take(&mut self.released) && !counted;
        self.resumes += u32::from(counts);
        self.moving = None;
        let unanswered = self.transcript.is_unanswered();
        let cut_off = self.transcript.is_cut_off();
        self.claim_call(session_id, counts, now, actions);
        self.transcript.enter(self.claim.epoch);
        if greeted.is_none() {
            // Only Twilio's own reconnect repeats events; one by TwiML begins a new session.
            self.replay_until = now.ms + REPLAY_MS;
        }
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
