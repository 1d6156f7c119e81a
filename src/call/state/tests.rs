//! The call state machine: events in, actions out. The test gives the time.

mod caller_name;
mod end;
mod interruption;
mod language;
mod ownership;
mod people;
mod preemptive;
mod relocation;
mod reply;
mod resume;
mod speech;
mod tools;

use super::*;
use crate::agent::{Finish, FinishReason, ReplyFailure, ToolCall, ToolInvocation, Usage};
use crate::call::caller_name::NameSuggestion;
use crate::call::greeting::CallerLookup;
use crate::config::{Config, PhoneLines};
use calldex_storage::record::{CallWithTurns, Conversation};

const SID: &str = "CA00000000000000000000000000000001";
/// A new session by the TwiML of an action, whose greeting told the caller.
const RESUMED_BY_TWIML: CallEvent<'static> = CallEvent::Resumed {
    session_id: "VX2",
    twiml_greeting: Some("Sorry about that, I'm back."),
    already_counted: false,
    connection_lost: true,
};

/// One call under test, with what it has said and kept so far.
struct CallHarness {
    state: CallState,
    now: EventTime,
    /// Sentences and appended tokens, one string a `text` cycle.
    said: Vec<String>,
    cycle_open: bool,
    replies_requested: usize,
    replies_aborted: usize,
    writes: Vec<Write>,
    ends: Vec<Option<String>>,
    counts: Vec<CallMetric>,
    session_exits: Vec<ExitReason>,
    /// Operator's tools that run: id and arguments.
    running: Vec<(String, String)>,
    last_prompt: Option<Box<crate::agent::PromptContext>>,
    /// The system prompts of what was asked.
    prompts: Vec<String>,
}

fn lines() -> PhoneLines {
    PhoneLines::new(&Config::default())
}

fn number() -> PhoneNumber {
    PhoneNumber::parse("+14155550100").unwrap()
}

fn context(caller: Option<Caller>) -> CallContext {
    CallContext {
        call_sid: SID.into(),
        number: Some(number()),
        caller_kind: CallerKind::Number,
        caller: caller.map(Arc::new),
        number_trusted: true,
        language: "en-US".into(),
        called_number: "+15550100199".into(),
        line: Arc::clone(lines().for_number("")),
        limits: Arc::new(CallSection::default()),
        can_hand_off: true,
        instance: "one".into(),
        node_slot: 0,
        earlier_epoch: None,
    }
}

fn known(name: &str) -> Caller {
    let mut caller = Caller::new(number(), 1);
    caller.name = Some(name.into());
    caller.calls = 3;
    caller
}

impl CallHarness {
    fn new_caller() -> Self {
        Self::with(context(None), CallerLookup::New)
    }

    fn known_as(name: &str) -> Self {
        let caller = known(name);
        let context = context(Some(caller.clone()));
        Self::with(context, CallerLookup::Known(&caller))
    }

    fn with(context: CallContext, recalled: CallerLookup<'_>) -> Self {
        let greeting = Greeting::choose(&context.line, recalled, context.number_trusted);
        let now = EventTime {
            ms: 10_000,
            unix_ms: 1_800_000_000_000,
        };
        let mut actions = Vec::new();
        let state = CallState::new(context, "VX1", &greeting, now, &mut actions);
        let mut harness = Self {
            state,
            now,
            said: Vec::new(),
            cycle_open: false,
            replies_requested: 0,
            replies_aborted: 0,
            writes: Vec::new(),
            ends: Vec::new(),
            counts: Vec::new(),
            session_exits: Vec::new(),
            running: Vec::new(),
            last_prompt: None,
            prompts: Vec::new(),
        };
        harness.record_actions(actions, "");
        harness
    }

    fn feed(&mut self, event: CallEvent<'_>) -> &mut Self {
        let token = if let CallEvent::ReplyToken(token) = event {
            token
        } else {
            ""
        };
        let mut actions = Vec::new();
        self.state.on(event, self.now, &mut actions);
        self.record_actions(actions, token);
        self
    }

    fn record_actions(&mut self, actions: Vec<CallAction>, token: &str) {
        for action in actions {
            match action {
                CallAction::SendToken => self.append(token),
                CallAction::AppendText(text) => self.append(&text),
                CallAction::AppendTextInLanguage(text, language) => {
                    self.append(&format!("<{language}>{text}"))
                }
                CallAction::CloseReply => self.cycle_open = false,
                CallAction::Say(sentence) => {
                    assert!(
                        !self.cycle_open,
                        "a sentence inside an open cycle would be joined to it"
                    );
                    self.said.push(sentence.text);
                }
                CallAction::RequestReply(prompt) => {
                    self.replies_requested += 1;
                    self.prompts.push(format!(
                        "{}\n{}",
                        prompt.prompt_prefix, prompt.dynamic_prompt
                    ));
                    self.last_prompt = Some(prompt);
                }
                CallAction::AbortReply => self.replies_aborted += 1,
                CallAction::Record(write) => self.writes.push(write),
                CallAction::EndSession(handoff) => self.ends.push(handoff),
                CallAction::Count(count) => self.counts.push(count),
                CallAction::ExitSession(why) => self.session_exits.push(why),
                CallAction::SetLanguage {
                    tts_language: spoken,
                    transcription_language: heard,
                } => {
                    assert!(!self.cycle_open, "words of the old language are still open");
                    self.said.push(format!("[{spoken}/{heard}]"));
                }
                CallAction::StartTool { id, arguments, .. } => {
                    let arguments = serde_json::to_string(&arguments).unwrap();
                    self.running.push((id.to_string(), arguments));
                }
                CallAction::CancelTool(id) => self.running.retain(|(running, _)| id != *running),
                CallAction::VerifyName { .. }
                | CallAction::EndCall(..)
                | CallAction::DetachTool(_) => {}
            }
        }
    }

    fn append(&mut self, token: &str) {
        if !std::mem::replace(&mut self.cycle_open, true) {
            self.said.push(String::new());
        }
        self.said.last_mut().unwrap().push_str(token);
    }

    fn hears(&mut self, text: &str) -> &mut Self {
        self.feed(CallEvent::Prompt {
            text,
            language: "en",
            last: true,
        })
    }

    fn reply(&mut self, tokens: &[&str]) -> &mut Self {
        for token in tokens {
            self.feed(CallEvent::ReplyToken(token));
        }
        self.feed(CallEvent::ReplyCompleted(&Finish::default()))
    }

    fn advance(&mut self, ms: u64) -> &mut Self {
        self.now.ms += ms;
        self.now.unix_ms += i64::try_from(ms).unwrap();
        while self.state.deadline().is_some_and(|due| due <= self.now.ms) {
            let before = self.state.deadline();
            self.feed(CallEvent::DeadlineReached);
            assert_ne!(
                self.state.deadline(),
                before,
                "a deadline that does not move would spin"
            );
        }
        self
    }

    fn twilio_plays(&mut self, clauses: &[&str]) -> &mut Self {
        self.feed(CallEvent::AgentSpeaking(true));
        for clause in clauses {
            self.feed(CallEvent::TokensPlayed(clause));
        }
        self.feed(CallEvent::AgentSpeaking(false))
    }

    fn last_said(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }

    /// The turns as storage would hold them: the newest revision of each.
    fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::new();
        for write in &self.writes {
            match write {
                Write::TurnAppended { turn, .. } => turns.push(turn.clone()),
                Write::TurnAmended { turn, .. } => {
                    let kept = turns
                        .iter_mut()
                        .find(|kept| kept.key() == turn.key())
                        .expect("amends a turn");
                    assert!(turn.revision > kept.revision);
                    *kept = turn.clone();
                }
                _ => {}
            }
        }
        turns
    }

    fn writes_of_kind(&self, kind: &str) -> usize {
        self.writes
            .iter()
            .filter(|write| write.kind() == kind)
            .count()
    }
}

/// A call of a single node, as storage has it.
fn stored_call(turns: Vec<Turn>) -> CallWithTurns {
    CallWithTurns {
        conversation: Conversation {
            call_sid: SID.into(),
            number: Some(number()),
            line: None,
            caller_kind: Some(CallerKind::Number),
            identity: None,
            language: None,
            instance: None,
            session_id: None,
            epoch: 0,
            resumes: 0,
            started_at: 1,
            ended_at: None,
            outcome: None,
        },
        turns,
    }
}

#[test]
fn whatever_happens_every_cycle_is_closed_and_every_deadline_moves() {
    use proptest::prelude::*;
    let words = [
        "my name is Misty",
        "no",
        "what is Mew?",
        "don't call me Misty",
        "bye",
    ];
    let step = 0_u8..16;
    proptest!(|(steps in prop::collection::vec((step, 0_usize..5), 1..60))| {
        let mut harness = ownership::clustered_call();
        for (step, word) in steps {
            let taken = harness.session_exits.last() == Some(&ExitReason::TakenOver);
            let (writes, said) = (harness.writes.len(), harness.said.len());
            match step {
                0 => { harness.hears(words[word]); }
                1 => { harness.feed(CallEvent::ReplyToken("word ")); }
                2 => { harness.feed(CallEvent::ReplyCompleted(&Finish::default())); }
                3 => { harness.feed(CallEvent::ReplyFailed(ReplyFailure::Stalled)); }
                4 => { harness.cycle_open = false; harness.feed(CallEvent::Interrupted("word")); }
                5 => { harness.feed(CallEvent::DtmfKey('5')); }
                6 => { harness.advance(2_000); }
                7 => { harness.advance(400_000); }
                8 => { harness.feed(CallEvent::AgentSpeaking(word % 2 == 0)); }
                9 => { harness.feed(CallEvent::TokensPlayed("word")); }
                10 => { harness.cycle_open = false; harness.feed(CallEvent::SocketClosed); harness.feed(CallEvent::Resumed { session_id: "VX", twiml_greeting: None, already_counted: false, connection_lost: true }); }
                11 => { harness.feed(CallEvent::Drain); }
                12 => { harness.feed(CallEvent::NameVerified(NameSuggestion::OwnName("Misty"))); }
                13 => { let (from_ms, by_ms) = (harness.now.ms, harness.now.ms + 1_000); harness.feed(CallEvent::Relocate { from_ms, by_ms }); }
                14 => {
                    let own = harness.state.epoch();
                    let other = ownership::epoch((own >> 16) + 1, 9);
                    let (claimed, owner) = [(own, own), (own, other), (other, own), (other, other), (1, 1)][word];
                    harness.owner_is(claimed, owner);
                }
                _ => { harness.feed(CallEvent::CallerSpeaking(word % 2 == 0)); }
            }
            prop_assert!(!taken || (harness.writes.len(), harness.said.len()) == (writes, said), "another has the call");
        }
        // Sequence numbers within an epoch rise without a gap or a repeat.
        let turns = harness.turns();
        let mut seen = std::collections::HashSet::new();
        for turn in &turns {
            prop_assert!(seen.insert((turn.epoch, turn.seq)), "a turn was kept twice");
        }
    });
}
