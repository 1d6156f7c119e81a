//! The call as a machine: events in, actions out, no clock but the one given.

mod language;
mod ownership;
mod people;
mod relocation;
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

#[test]
fn a_name_alone_is_answered_at_once_without_the_model() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is Misty.");
    assert_eq!(
        harness.last_said(),
        "Nice to meet you, Misty! What Pokémon would you like to know about?"
    );
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("name_heard")
        ),
        (0, 1)
    );
}

#[test]
fn a_name_with_a_question_is_kept_and_the_question_answered() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is Misty. What type is Pikachu?");
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("name_heard")
        ),
        (1, 1)
    );
    assert!(harness.said.is_empty());
}

#[test]
fn a_name_in_two_finals_is_heard_as_one() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is").hears("Misty.");
    assert_eq!(harness.writes_of_kind("name_heard"), 1);
    assert!(harness.last_said().contains("Misty"));
}

#[test]
fn a_question_instead_of_a_name_is_answered_first_and_the_name_asked_for_after() {
    let mut harness = CallHarness::new_caller();
    harness
        .hears("What type is Pikachu?")
        .reply(&["Pikachu is", " electric."]);
    assert_eq!(
        harness.said,
        ["Pikachu is electric. By the way, may I have your name?"]
    );
    harness.hears("My name is Misty.");
    assert!(harness.last_said().contains("Misty"));
}

#[test]
fn a_known_caller_is_not_asked_and_a_correction_is_kept() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("No, it's Anna.");
    assert_eq!(harness.writes_of_kind("name_corrected"), 1);
    assert!(harness.last_said().contains("Anna"));
}

#[test]
fn tokens_pass_as_they_come_and_the_turn_is_kept_when_complete() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("What type is Pikachu?")
        .feed(CallEvent::ReplyToken("Pikachu"));
    assert_eq!(harness.said, ["Pikachu"]);
    harness.reply(&[" is electric."]);
    let turns = harness.turns();
    assert_eq!(turns.last().unwrap().content, "Pikachu is electric.");
    assert!(!harness.cycle_open && !turns.last().unwrap().interrupted);
}

#[test]
fn an_interruption_stops_the_reply_and_the_transcript_says_what_was_heard() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("Tell me about Charizard.");
    harness
        .feed(CallEvent::ReplyToken("Charizard is fire and flying."))
        .feed(CallEvent::ReplyToken(" It learns Fly"));
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::TokensPlayed("Charizard is fire"));
    harness.feed(CallEvent::Interrupted("Charizard is fire"));
    assert_eq!(harness.replies_aborted, 1);
    harness
        .feed(CallEvent::ReplyToken(" and Cut."))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    assert_eq!(
        harness.said,
        ["Charizard is fire and flying. It learns Fly"],
        "late tokens are dropped"
    );
    let turn = harness.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.interrupted),
        ("Charizard is fire", true)
    );
    harness.cycle_open = false;
    harness.hears("And Blastoise?").reply(&["Water."]);
    assert_eq!(harness.last_said(), "Water.");
}

#[test]
fn an_interruption_after_the_reply_amends_its_turn() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Charizard.")
        .reply(&["It is fire and flying.", " It is big."]);
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::TokensPlayed("It is fire and flying."));
    harness
        .feed(CallEvent::TokensPlayed("It is"))
        .feed(CallEvent::Interrupted("It is"));
    let turn = harness.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.revision),
        ("It is fire and flying. It is", 1)
    );
}

#[test]
fn an_interruption_that_nothing_follows_does_not_leave_dead_air() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Charizard.")
        .feed(CallEvent::ReplyToken("It is fire."))
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::Interrupted("It"));
    assert_eq!((harness.replies_requested, harness.replies_aborted), (1, 1));
    harness.cycle_open = false;
    harness.advance(1_900);
    assert_eq!(harness.replies_requested, 1);
    harness.advance(100);
    assert_eq!(harness.replies_requested, 2);
}

#[test]
fn two_finals_for_one_sentence_are_answered_together() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("I'd like to know").hears("about Snorlax.");
    assert_eq!((harness.replies_requested, harness.replies_aborted), (2, 1));
    harness.reply(&["Snorlax sleeps."]);
    let roles: Vec<&str> = harness
        .turns()
        .iter()
        .map(|turn| turn.role.as_str())
        .collect();
    assert_eq!(roles, ["assistant", "user", "user", "assistant"]);
}

#[test]
fn keys_are_collected_and_survive_the_interrupt_they_cause() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::DtmfKey('1'))
        .feed(CallEvent::TokensPlayed("Welcome"));
    harness
        .feed(CallEvent::Interrupted("Welcome"))
        .feed(CallEvent::AgentSpeaking(false));
    harness.advance(300).feed(CallEvent::DtmfKey('2'));
    assert_eq!(harness.replies_requested, 0);
    harness.advance(700);
    assert_eq!(harness.replies_requested, 1);
    assert_eq!(harness.turns().last().unwrap().content, "[pressed 1 2]");
    assert!(harness.counts.contains(&CallMetric::Interruption("dtmf")));
    assert_eq!(harness.turns()[0].content, "Welcome");
}

#[test]
fn a_slow_model_is_covered_by_varied_fillers_and_a_dead_one_apologised_for() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("Tell me about Mew.").advance(1_600);
    let first = harness.last_said().to_owned();
    assert_eq!(harness.said.len(), 1);
    harness.feed(CallEvent::ReplyFailed(ReplyFailure::FirstTokenTimeout));
    assert!(harness.last_said().contains("trouble"));
    harness.hears("Tell me about Mew.").advance(1_600);
    assert_ne!(harness.last_said(), first);
    let history = harness.state.transcript.model_history();
    assert!(
        history
            .iter()
            .all(|message| !message.content.contains("moment"))
    );
}

#[test]
fn a_reply_cut_in_the_middle_ends_in_an_apology_in_the_same_breath() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Mew.")
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::ReplyFailed(ReplyFailure::ConnectionLost));
    assert!(harness.last_said().starts_with("Mew is. I'm sorry"));
    assert!(!harness.cycle_open);
}

#[test]
fn a_reply_that_its_model_did_not_finish_is_apologised_for_where_half_a_sentence_stands() {
    let cases = [
        (FinishReason::Length, "Mew is", true),
        (FinishReason::Length, "Mew is a myth.", false),
        (FinishReason::ContentFilter, "Mew is a myth.", true),
        (FinishReason::Stop, "Mew is", false),
    ];
    for (ending, words, is_apologised_for) in cases {
        let mut harness = CallHarness::known_as("Ana");
        let finish = Finish {
            finish_reason: ending,
            ..Finish::default()
        };
        harness
            .hears("Tell me about Mew.")
            .feed(CallEvent::ReplyToken(words))
            .feed(CallEvent::ReplyCompleted(&finish));
        let said = harness.last_said();
        assert_eq!(said.contains("I'm sorry"), is_apologised_for, "{said}");
        assert!(said.starts_with(words) && !harness.cycle_open);
    }
}

#[test]
fn a_turn_is_kept_with_what_it_took_of_the_model() {
    let mut harness = CallHarness::known_as("Ana");
    let finish = Finish {
        model: "fast".into(),
        usage: Some(Usage {
            prompt_tokens: 900,
            completion_tokens: 12,
            ..Usage::default()
        }),
        cost_micros: Some(7),
        ..Finish::default()
    };
    harness
        .hears("Tell me about Mew.")
        .feed(CallEvent::ReplyToken("Mew is a myth."))
        .feed(CallEvent::ReplyCompleted(&finish));
    let turns = harness.turns();
    let usage = turns.last().unwrap().usage.as_deref().unwrap();
    assert_eq!(
        (
            usage.model.as_str(),
            usage.input,
            usage.output,
            usage.cost_micros
        ),
        ("fast", 900, 12, Some(7))
    );
}

#[test]
fn what_a_reply_took_that_only_called_tools_is_kept_with_the_first_of_them() {
    let mut harness = CallHarness::known_as("Ana");
    let finish = Finish {
        usage: Some(Usage {
            prompt_tokens: 900,
            ..Usage::default()
        }),
        ..Finish::default()
    };
    let call = |note: &str| ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::NotePreference { note: note.into() },
    };
    harness
        .hears("I like water types.")
        .feed(CallEvent::ToolCalled(&call("likes water")))
        .feed(CallEvent::ToolCalled(&call("likes blue")))
        .feed(CallEvent::ReplyCompleted(&finish));
    let turns = harness.turns();
    let tools: Vec<_> = turns
        .iter()
        .filter(|turn| turn.role == calldex_storage::record::TurnRole::Tool)
        .collect();
    let input = |at: usize| tools[at].usage.as_ref().map(|usage| usage.input);
    assert_eq!((tools.len(), input(0), input(1)), (2, Some(900), None));
}

#[test]
fn a_model_that_is_down_is_apologised_for_twice_in_other_words_and_then_somebody_else_has_the_call()
{
    for can_hand_over in [true, false] {
        let mut harness = CallHarness::known_as("Ana");
        harness.state.context.can_hand_off = can_hand_over;
        let mut said = Vec::new();
        for _ in 0..3 {
            harness
                .hears("Tell me about Mew.")
                .feed(CallEvent::ReplyFailed(ReplyFailure::Connect));
            said.push(harness.last_said().to_owned());
        }
        assert!(said[0] != said[1] && said[1] != said[2], "{said:?}");
        harness.advance(60_000);
        let [end] = &harness.ends[..] else {
            panic!("the call ends once, not {} times", harness.ends.len());
        };
        assert_eq!(end.is_some(), can_hand_over);
    }
}

#[test]
fn an_answer_between_begins_the_count_of_failures_anew() {
    let mut harness = CallHarness::known_as("Ana");
    for _ in 0..4 {
        harness
            .hears("Tell me about Mew.")
            .feed(CallEvent::ReplyFailed(ReplyFailure::Connect));
        assert!(harness.last_said().contains("having trouble"));
        harness
            .hears("And Onix?")
            .feed(CallEvent::ReplyToken("Onix is rock."))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
    }
}

#[test]
fn goodbye_is_heard_before_the_end_goes_out_and_speaking_calls_it_off() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::EndCall {
            farewell: Some("Bye, Ana!".into()),
        },
    };
    let mut harness = CallHarness::known_as("Ana");
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness
        .hears("Bye.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    assert_eq!((harness.last_said(), harness.ends.len()), ("Bye, Ana!", 0));
    harness.hears("Wait, one more.");
    harness.advance(60_000);
    assert_eq!(harness.ends.len(), 0);
    harness
        .reply(&["Yes?"])
        .twilio_plays(&["Bye, Ana!", "Yes?"]);
    harness
        .hears("No, bye.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()))
        .twilio_plays(&["Bye, Ana!"]);
    assert_eq!(harness.ends, [None]);
    assert_eq!(
        harness.state.outcome_of_sent_end(),
        Some(CallOutcome::Ended)
    );
}

#[test]
fn a_handoff_carries_its_reason_and_nobody_there_is_said() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::Handoff {
            reason: "asked".into(),
            summary: "none".into(),
        },
    };
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("A person, please.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()))
        .advance(60_000);
    let data: serde_json::Value =
        serde_json::from_str(harness.ends[0].as_deref().unwrap()).unwrap();
    assert_eq!(data["reasonCode"], "live-agent-handoff");

    let caller = known("Ana");
    let alone = CallContext {
        can_hand_off: false,
        ..context(Some(caller.clone()))
    };
    let mut harness = CallHarness::with(alone, CallerLookup::Known(&caller));
    harness
        .hears("A person, please.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()))
        .advance(9_000);
    assert!(harness.last_said().contains("nobody") && harness.ends.is_empty());
    assert_eq!(
        harness.replies_requested, 1,
        "the caller has been told; the model is not asked again"
    );
}

#[test]
fn tools_are_bounded_and_the_models_name_needs_the_callers_word() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::SetName {
            name: "Brock".into(),
        },
    };
    let mut harness = CallHarness::new_caller();
    harness.hears("hello there");
    for _ in 0..10 {
        harness
            .feed(CallEvent::ToolCalled(&call))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
    }
    assert_eq!(harness.writes_of_kind("name_heard"), 0);
    assert!(harness.replies_requested <= 3 && harness.last_said().contains("trouble"));
}

#[test]
fn silence_is_asked_about_twice_and_then_ends_the_call() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness.advance(9_900);
    assert!(harness.said.is_empty());
    harness.advance(100);
    assert_eq!(harness.said, ["Are you still there?"]);
    harness
        .advance(2_000)
        .twilio_plays(&["Are you still there?"]);
    harness.advance(9_900);
    assert_eq!(harness.said.len(), 1);
    harness.advance(100);
    assert!(harness.last_said().starts_with("Hello? I can't hear you."));
    harness.advance(3_000).twilio_plays(&[
        "Hello?",
        " I can't hear you.",
        " Is there anything else I can do for you?",
    ]);
    harness.advance(9_900);
    assert_eq!((harness.said.len(), harness.ends.len()), (2, 0));
    harness.advance(100);
    assert!(harness.last_said().ends_with("Goodbye!"));
    harness.advance(20_000);
    assert_eq!(harness.ends.len(), 1);
    assert_eq!(harness.state.outcome_of_sent_end(), Some(CallOutcome::Idle));
}

#[test]
fn a_lost_socket_resumes_with_one_sentence_and_the_open_question() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Mew.")
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::SocketClosed);
    harness.cycle_open = false;
    let resumed = CallEvent::Resumed {
        session_id: "VX2",
        twiml_greeting: None,
        already_counted: false,
        connection_lost: true,
    };
    harness.feed(resumed);
    assert_eq!(harness.last_said(), "Sorry about that, I'm back.");
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("call_resumed")
        ),
        (2, 1)
    );
    harness.hears("Tell me about Mew.");
    assert_eq!(
        harness.replies_requested, 2,
        "a replayed prompt is not answered twice"
    );
    harness.reply(&["Mew is rare."]);
    let last = harness.turns().pop().unwrap();
    assert_eq!((last.epoch, last.content.as_str()), (1, "Mew is rare."));
}

#[test]
fn a_call_from_storage_goes_on_where_it_was() {
    let mut before = CallHarness::known_as("Ana");
    before.hears("Tell me about Mew.");
    let live = stored_call(before.turns());
    let state = CallState::restored(context(Some(known("Ana"))), live, before.now);
    let mut harness = CallHarness {
        state,
        ..CallHarness::known_as("Ana")
    };
    harness.feed(RESUMED_BY_TWIML);
    assert_eq!(harness.replies_requested, 1);
    assert!(harness.said.is_empty(), "Twilio has said it already");
    assert_eq!(harness.state.transcript.model_history().len(), 2);
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
fn the_end_is_kept_once_and_settles_a_name_nobody_contradicted() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is Misty.");
    let mut actions = Vec::new();
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut actions);
    harness
        .state
        .finish(CallOutcome::Ended, harness.now, &mut actions);
    harness.record_actions(actions, "");
    assert_eq!(
        (
            harness.writes_of_kind("name_settled"),
            harness.writes_of_kind("call_ended")
        ),
        (1, 1)
    );
    harness.hears("hello?");
    assert_eq!(harness.replies_requested, 0);
}

#[test]
fn a_withheld_caller_is_talked_to_and_nothing_is_kept_of_their_name() {
    let withheld = CallContext {
        number: None,
        caller_kind: CallerKind::Withheld,
        ..context(None)
    };
    let mut harness = CallHarness::with(withheld, CallerLookup::NoNumber);
    harness.hears("My name is Misty.");
    assert!(harness.last_said().contains("Misty"));
    assert_eq!(harness.writes_of_kind("name_heard"), 0);
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

fn preemptive_call() -> CallHarness {
    let caller = known("Ana");
    let limits = CallSection {
        preemptive_generation: true,
        ..CallSection::default()
    };
    let context = CallContext {
        limits: Arc::new(limits),
        ..context(Some(caller.clone()))
    };
    CallHarness::with(context, CallerLookup::Known(&caller))
}

fn partial(text: &str) -> CallEvent<'_> {
    CallEvent::Prompt {
        text,
        language: "en",
        last: false,
    }
}

#[test]
fn a_preemptive_reply_is_withheld_until_the_final_prompt_agrees() {
    let mut harness = preemptive_call();
    harness
        .feed(partial("What type is"))
        .feed(partial("What type is Mew?"));
    assert_eq!(harness.replies_requested, 1);
    harness
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::ReplyToken(" psychic."));
    assert!(harness.said.is_empty());
    harness.hears("What type is Mew?");
    assert_eq!(
        (harness.replies_requested, harness.last_said()),
        (1, "Mew is psychic.")
    );
    harness.reply(&[" Rare, too."]);
    assert_eq!(harness.last_said(), "Mew is psychic. Rare, too.");
    let roles: Vec<&str> = harness
        .turns()
        .iter()
        .map(|turn| turn.role.as_str())
        .collect();
    assert_eq!(roles, ["assistant", "user", "assistant"]);
}

#[test]
fn a_preemptive_reply_is_dropped_when_the_final_prompt_differs_and_its_cost_is_bounded() {
    let mut harness = preemptive_call();
    harness
        .feed(partial("What type is Mew?"))
        .feed(CallEvent::ReplyToken("Mew"))
        .feed(partial("What type is Mewtwo?"));
    assert_eq!(
        (harness.replies_requested, harness.replies_aborted),
        (1, 1),
        "one early start a turn"
    );
    harness.hears("What type is Mewtwo?");
    assert_eq!(harness.replies_requested, 2);
    assert!(harness.said.is_empty());
    harness.reply(&["Psychic."]);
    assert_eq!(harness.said, ["Psychic."]);
    harness
        .feed(partial("And Ditto, what is that?"))
        .feed(CallEvent::ReplyToken("Normal."))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    harness.hears("And Ditto, what is that?");
    assert_eq!(
        (harness.last_said(), harness.cycle_open),
        ("Normal.", false)
    );
}

#[test]
fn a_second_person_on_a_known_number_is_no_correction() {
    let mut harness = CallHarness::known_as("Misty");
    harness.hears("No, this is Peter.");
    assert_eq!(
        (
            harness.writes_of_kind("person_added"),
            harness.writes_of_kind("name_corrected")
        ),
        (1, 0)
    );
    assert!(harness.last_said().contains("Peter"));
}

#[test]
fn a_refusal_that_is_also_a_goodbye_is_answered_as_one() {
    let mut harness = CallHarness::new_caller();
    harness.hears("No thanks, bye.");
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("name_declined")
        ),
        (1, 1)
    );
    assert!(harness.said.is_empty());
}

#[test]
fn a_provider_without_reports_leaves_the_words_as_they_were_said() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("What type is Mew?")
        .reply(&["Psychic."])
        .feed(CallEvent::SocketClosed);
    let said: Vec<String> = harness
        .turns()
        .iter()
        .map(|turn| turn.content.clone())
        .collect();
    assert_eq!(said[2], "Psychic.");
    assert!(said[0].starts_with("Welcome back"));
}

#[test]
fn a_hesitation_does_not_use_the_question_up() {
    let mut harness = CallHarness::new_caller();
    harness.hears("Um,").hears("Misty.");
    assert_eq!(
        harness.writes_of_kind("name_heard")
            + harness
                .state
                .name_dialogue
                .pending_confirmation()
                .map_or(0, |_| 1),
        1
    );
}

#[test]
fn several_people_on_one_number_are_put_right_and_forgotten_one_by_one() {
    let mut harness = CallHarness::known_as("Misty");
    harness.hears("No, this is Ana.").hears("No, it's Anna.");
    let kinds: Vec<&str> = harness
        .writes
        .iter()
        .map(Write::kind)
        .filter(|kind| kind.contains("person") || kind.contains("name"))
        .collect();
    assert_eq!(kinds, ["person_added", "person_renamed"]);
    harness.hears("Stop calling me Anna.");
    assert_eq!(
        (
            harness.writes_of_kind("person_forgotten"),
            harness.writes_of_kind("name_forgotten")
        ),
        (1, 0)
    );
}

#[test]
fn a_long_wait_gets_another_filler() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Mew.")
        .advance(1_600)
        .advance(6_000)
        .advance(6_000);
    assert!(harness.said.len() >= 3, "{:?}", harness.said);
    assert_ne!(harness.said[0], harness.said[1]);
}

#[test]
fn a_tool_that_was_spoken_about_leaves_nothing_open() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::NotePreference {
            note: "likes water".into(),
        },
    };
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("I like water types.")
        .feed(CallEvent::ReplyToken("Noted!"))
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    harness.feed(CallEvent::SocketClosed).feed(RESUMED_BY_TWIML);
    assert_eq!(harness.replies_requested, 1);
}
