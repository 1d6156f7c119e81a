//! The call as a machine: events in, actions out, no clock but the one given.

mod language;
mod moving;
mod ownership;
mod people;
mod speech;
mod tools;

use super::*;
use crate::agent::{Ending, Failure, Finish, Tool, ToolCall, Usage};
use crate::call::greeting::Recalled;
use crate::call::naming::NameVerdict;
use crate::config::{Config, Lines};
use calldex_storage::record::{Conversation, LiveCall};

const SID: &str = "CA00000000000000000000000000000001";
/// A new session by the TwiML of an action, whose greeting told the caller.
const BACK: Event<'static> = Event::Resumed {
    session_id: "VX2",
    greeted: Some("Sorry about that, I'm back."),
    counted: false,
    lost: true,
};

/// One call under test, with what it has said and kept so far.
struct Desk {
    state: CallState,
    now: Now,
    /// Sentences and appended tokens, one string a `text` cycle.
    said: Vec<String>,
    open: bool,
    asked: usize,
    aborted: usize,
    writes: Vec<Write>,
    ends: Vec<Option<String>>,
    counts: Vec<Count>,
    leaves: Vec<Parting>,
    /// Operator's tools that run: id and arguments.
    running: Vec<(String, String)>,
    brief: Option<Box<crate::agent::Brief>>,
    /// The system prompts of what was asked.
    prompts: Vec<String>,
}

fn lines() -> Lines {
    Lines::new(&Config::default())
}

fn number() -> PhoneNumber {
    PhoneNumber::parse("+14155550100").unwrap()
}

fn setting(caller: Option<Caller>) -> Setting {
    Setting {
        call_sid: SID.into(),
        number: Some(number()),
        caller_kind: CallerKind::Number,
        caller: caller.map(Arc::new),
        vouched: true,
        language: "en-US".into(),
        called: "+15550100199".into(),
        line: Arc::clone(lines().of("")),
        bounds: Arc::new(CallSection::default()),
        can_hand_over: true,
        instance: "one".into(),
        slot: 0,
        earlier: None,
    }
}

fn known(name: &str) -> Caller {
    let mut caller = Caller::new(number(), 1);
    caller.name = Some(name.into());
    caller.calls = 3;
    caller
}

impl Desk {
    fn new_caller() -> Self {
        Self::with(setting(None), Recalled::New)
    }

    fn known_as(name: &str) -> Self {
        let caller = known(name);
        let setting = setting(Some(caller.clone()));
        Self::with(setting, Recalled::Known(&caller))
    }

    fn with(setting: Setting, recalled: Recalled<'_>) -> Self {
        let greeting = Greeting::choose(&setting.line, recalled, setting.vouched);
        let now = Now {
            ms: 10_000,
            unix_ms: 1_800_000_000_000,
        };
        let mut actions = Vec::new();
        let state = CallState::new(setting, "VX1", &greeting, now, &mut actions);
        let mut desk = Self {
            state,
            now,
            said: Vec::new(),
            open: false,
            asked: 0,
            aborted: 0,
            writes: Vec::new(),
            ends: Vec::new(),
            counts: Vec::new(),
            leaves: Vec::new(),
            running: Vec::new(),
            brief: None,
            prompts: Vec::new(),
        };
        desk.note(actions, "");
        desk
    }

    fn on(&mut self, event: Event<'_>) -> &mut Self {
        let token = if let Event::Token(token) = event {
            token
        } else {
            ""
        };
        let mut actions = Vec::new();
        self.state.on(event, self.now, &mut actions);
        self.note(actions, token);
        self
    }

    fn note(&mut self, actions: Vec<Action>, token: &str) {
        for action in actions {
            match action {
                Action::PassToken => self.append(token),
                Action::Append(text) => self.append(&text),
                Action::AppendIn(text, language) => self.append(&format!("<{language}>{text}")),
                Action::CloseReply => self.open = false,
                Action::Say(sentence) => {
                    assert!(
                        !self.open,
                        "a sentence inside an open cycle would be joined to it"
                    );
                    self.said.push(sentence.text);
                }
                Action::Ask(brief) => {
                    self.asked += 1;
                    self.prompts
                        .push(format!("{}\n{}", brief.system, brief.about));
                    self.brief = Some(brief);
                }
                Action::Abort => self.aborted += 1,
                Action::Record(write) => self.writes.push(write),
                Action::End(handoff) => self.ends.push(handoff),
                Action::Count(count) => self.counts.push(count),
                Action::Leave(why) => self.leaves.push(why),
                Action::SetLanguage { spoken, heard } => {
                    assert!(!self.open, "words of the old language are still open");
                    self.said.push(format!("[{spoken}/{heard}]"));
                }
                Action::CallTool { id, arguments, .. } => {
                    let arguments = serde_json::to_string(&arguments).unwrap();
                    self.running.push((id.to_string(), arguments));
                }
                Action::CancelTool(id) => self.running.retain(|(running, _)| id != *running),
                Action::JudgeName { .. } | Action::Over(..) | Action::KeepLate(_) => {}
            }
        }
    }

    fn append(&mut self, token: &str) {
        if !std::mem::replace(&mut self.open, true) {
            self.said.push(String::new());
        }
        self.said.last_mut().unwrap().push_str(token);
    }

    fn hears(&mut self, text: &str) -> &mut Self {
        self.on(Event::Prompt {
            text,
            language: "en",
            last: true,
        })
    }

    fn reply(&mut self, tokens: &[&str]) -> &mut Self {
        for token in tokens {
            self.on(Event::Token(token));
        }
        self.on(Event::Replied(&Finish::default()))
    }

    fn later(&mut self, ms: u64) -> &mut Self {
        self.now.ms += ms;
        self.now.unix_ms += i64::try_from(ms).unwrap();
        while self.state.deadline().is_some_and(|due| due <= self.now.ms) {
            let before = self.state.deadline();
            self.on(Event::Tick);
            assert_ne!(
                self.state.deadline(),
                before,
                "a deadline that does not move would spin"
            );
        }
        self
    }

    fn played(&mut self, clauses: &[&str]) -> &mut Self {
        self.on(Event::AgentSpeaking(true));
        for clause in clauses {
            self.on(Event::Played(clause));
        }
        self.on(Event::AgentSpeaking(false))
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

    fn wrote(&self, kind: &str) -> usize {
        self.writes
            .iter()
            .filter(|write| write.kind() == kind)
            .count()
    }
}

#[test]
fn a_name_alone_is_answered_at_once_without_the_model() {
    let mut desk = Desk::new_caller();
    desk.hears("My name is Misty.");
    assert_eq!(
        desk.last_said(),
        "Nice to meet you, Misty! What Pokémon would you like to know about?"
    );
    assert_eq!((desk.asked, desk.wrote("name_heard")), (0, 1));
}

#[test]
fn a_name_with_a_question_is_kept_and_the_question_answered() {
    let mut desk = Desk::new_caller();
    desk.hears("My name is Misty. What type is Pikachu?");
    assert_eq!((desk.asked, desk.wrote("name_heard")), (1, 1));
    assert!(desk.said.is_empty());
}

#[test]
fn a_name_in_two_finals_is_heard_as_one() {
    let mut desk = Desk::new_caller();
    desk.hears("My name is").hears("Misty.");
    assert_eq!(desk.wrote("name_heard"), 1);
    assert!(desk.last_said().contains("Misty"));
}

#[test]
fn a_question_instead_of_a_name_is_answered_first_and_the_name_asked_for_after() {
    let mut desk = Desk::new_caller();
    desk.hears("What type is Pikachu?")
        .reply(&["Pikachu is", " electric."]);
    assert_eq!(
        desk.said,
        ["Pikachu is electric. By the way, may I have your name?"]
    );
    desk.hears("My name is Misty.");
    assert!(desk.last_said().contains("Misty"));
}

#[test]
fn a_known_caller_is_not_asked_and_a_correction_is_kept() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("No, it's Anna.");
    assert_eq!(desk.wrote("name_corrected"), 1);
    assert!(desk.last_said().contains("Anna"));
}

#[test]
fn tokens_pass_as_they_come_and_the_turn_is_kept_when_complete() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("What type is Pikachu?")
        .on(Event::Token("Pikachu"));
    assert_eq!(desk.said, ["Pikachu"]);
    desk.reply(&[" is electric."]);
    let turns = desk.turns();
    assert_eq!(turns.last().unwrap().content, "Pikachu is electric.");
    assert!(!desk.open && !turns.last().unwrap().interrupted);
}

#[test]
fn a_barge_in_stops_the_reply_and_the_transcript_says_what_was_heard() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Charizard.");
    desk.on(Event::Token("Charizard is fire and flying."))
        .on(Event::Token(" It learns Fly"));
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Played("Charizard is fire"));
    desk.on(Event::Interrupted("Charizard is fire"));
    assert_eq!(desk.aborted, 1);
    desk.on(Event::Token(" and Cut."))
        .on(Event::Replied(&Finish::default()));
    assert_eq!(
        desk.said,
        ["Charizard is fire and flying. It learns Fly"],
        "late tokens are dropped"
    );
    let turn = desk.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.interrupted),
        ("Charizard is fire", true)
    );
    desk.open = false;
    desk.hears("And Blastoise?").reply(&["Water."]);
    assert_eq!(desk.last_said(), "Water.");
}

#[test]
fn a_barge_in_after_the_reply_amends_its_turn() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Charizard.")
        .reply(&["It is fire and flying.", " It is big."]);
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Played("It is fire and flying."));
    desk.on(Event::Played("It is"))
        .on(Event::Interrupted("It is"));
    let turn = desk.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.revision),
        ("It is fire and flying. It is", 1)
    );
}

#[test]
fn an_interruption_that_nothing_follows_does_not_leave_dead_air() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Charizard.")
        .on(Event::Token("It is fire."))
        .on(Event::AgentSpeaking(true))
        .on(Event::Interrupted("It"));
    assert_eq!((desk.asked, desk.aborted), (1, 1));
    desk.open = false;
    desk.later(1_900);
    assert_eq!(desk.asked, 1);
    desk.later(100);
    assert_eq!(desk.asked, 2);
}

#[test]
fn two_finals_for_one_sentence_are_answered_together() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("I'd like to know").hears("about Snorlax.");
    assert_eq!((desk.asked, desk.aborted), (2, 1));
    desk.reply(&["Snorlax sleeps."]);
    let roles: Vec<&str> = desk.turns().iter().map(|turn| turn.role.as_str()).collect();
    assert_eq!(roles, ["assistant", "user", "user", "assistant"]);
}

#[test]
fn keys_are_collected_and_survive_the_interrupt_they_cause() {
    let mut desk = Desk::known_as("Ana");
    desk.on(Event::AgentSpeaking(true))
        .on(Event::Keyed('1'))
        .on(Event::Played("Welcome"));
    desk.on(Event::Interrupted("Welcome"))
        .on(Event::AgentSpeaking(false));
    desk.later(300).on(Event::Keyed('2'));
    assert_eq!(desk.asked, 0);
    desk.later(700);
    assert_eq!(desk.asked, 1);
    assert_eq!(desk.turns().last().unwrap().content, "[pressed 1 2]");
    assert!(desk.counts.contains(&Count::BargeIn("dtmf")));
    assert_eq!(desk.turns()[0].content, "Welcome");
}

#[test]
fn a_slow_model_is_bridged_by_varied_sentences_and_a_dead_one_apologised_for() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Mew.").later(1_600);
    let first = desk.last_said().to_owned();
    assert_eq!(desk.said.len(), 1);
    desk.on(Event::ReplyFailed(Failure::FirstTokenTimeout));
    assert!(desk.last_said().contains("trouble"));
    desk.hears("Tell me about Mew.").later(1_600);
    assert_ne!(desk.last_said(), first);
    let history = desk.state.transcript.history();
    assert!(
        history
            .iter()
            .all(|message| !message.content.contains("moment"))
    );
}

#[test]
fn a_reply_cut_in_the_middle_ends_in_an_apology_in_the_same_breath() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Mew.")
        .on(Event::Token("Mew is"))
        .on(Event::ReplyFailed(Failure::Cut));
    assert!(desk.last_said().starts_with("Mew is. I'm sorry"));
    assert!(!desk.open);
}

#[test]
fn a_reply_that_its_model_did_not_finish_is_apologised_for_where_half_a_sentence_stands() {
    let cases = [
        (Ending::Length, "Mew is", true),
        (Ending::Length, "Mew is a myth.", false),
        (Ending::Filtered, "Mew is a myth.", true),
        (Ending::Said, "Mew is", false),
    ];
    for (ending, words, is_apologised_for) in cases {
        let mut desk = Desk::known_as("Ana");
        let finish = Finish {
            ending,
            ..Finish::default()
        };
        desk.hears("Tell me about Mew.")
            .on(Event::Token(words))
            .on(Event::Replied(&finish));
        let said = desk.last_said();
        assert_eq!(said.contains("I'm sorry"), is_apologised_for, "{said}");
        assert!(said.starts_with(words) && !desk.open);
    }
}

#[test]
fn a_turn_is_kept_with_what_it_took_of_the_model() {
    let mut desk = Desk::known_as("Ana");
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
    desk.hears("Tell me about Mew.")
        .on(Event::Token("Mew is a myth."))
        .on(Event::Replied(&finish));
    let turns = desk.turns();
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
    let mut desk = Desk::known_as("Ana");
    let finish = Finish {
        usage: Some(Usage {
            prompt_tokens: 900,
            ..Usage::default()
        }),
        ..Finish::default()
    };
    let call = |note: &str| ToolCall {
        id: "1".into(),
        tool: Tool::NotePreference { note: note.into() },
    };
    desk.hears("I like water types.")
        .on(Event::Tool(&call("likes water")))
        .on(Event::Tool(&call("likes blue")))
        .on(Event::Replied(&finish));
    let turns = desk.turns();
    let tools: Vec<_> = turns
        .iter()
        .filter(|turn| turn.role == calldex_storage::record::Role::Tool)
        .collect();
    let input = |at: usize| tools[at].usage.as_ref().map(|usage| usage.input);
    assert_eq!((tools.len(), input(0), input(1)), (2, Some(900), None));
}

#[test]
fn a_model_that_is_down_is_apologised_for_twice_in_other_words_and_then_somebody_else_has_the_call()
{
    for can_hand_over in [true, false] {
        let mut desk = Desk::known_as("Ana");
        desk.state.setting.can_hand_over = can_hand_over;
        let mut said = Vec::new();
        for _ in 0..3 {
            desk.hears("Tell me about Mew.")
                .on(Event::ReplyFailed(Failure::Connect));
            said.push(desk.last_said().to_owned());
        }
        assert!(said[0] != said[1] && said[1] != said[2], "{said:?}");
        desk.later(60_000);
        let [end] = &desk.ends[..] else {
            panic!("the call ends once, not {} times", desk.ends.len());
        };
        assert_eq!(end.is_some(), can_hand_over);
    }
}

#[test]
fn an_answer_between_begins_the_count_of_failures_anew() {
    let mut desk = Desk::known_as("Ana");
    for _ in 0..4 {
        desk.hears("Tell me about Mew.")
            .on(Event::ReplyFailed(Failure::Connect));
        assert!(desk.last_said().contains("having trouble"));
        desk.hears("And Onix?")
            .on(Event::Token("Onix is rock."))
            .on(Event::Replied(&Finish::default()));
    }
}

#[test]
fn goodbye_is_heard_before_the_end_goes_out_and_speaking_calls_it_off() {
    let call = ToolCall {
        id: "1".into(),
        tool: Tool::EndCall {
            farewell: Some("Bye, Ana!".into()),
        },
    };
    let mut desk = Desk::known_as("Ana");
    desk.played(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    desk.hears("Bye.")
        .on(Event::Tool(&call))
        .on(Event::Replied(&Finish::default()));
    assert_eq!((desk.last_said(), desk.ends.len()), ("Bye, Ana!", 0));
    desk.hears("Wait, one more.");
    desk.later(60_000);
    assert_eq!(desk.ends.len(), 0);
    desk.reply(&["Yes?"]).played(&["Bye, Ana!", "Yes?"]);
    desk.hears("No, bye.")
        .on(Event::Tool(&call))
        .on(Event::Replied(&Finish::default()))
        .played(&["Bye, Ana!"]);
    assert_eq!(desk.ends, [None]);
    assert_eq!(desk.state.outcome_so_far(), Some(Outcome::Ended));
}

#[test]
fn a_hand_over_carries_its_reason_and_nobody_there_is_said() {
    let call = ToolCall {
        id: "1".into(),
        tool: Tool::HandOver {
            reason: "asked".into(),
            summary: "none".into(),
        },
    };
    let mut desk = Desk::known_as("Ana");
    desk.hears("A person, please.")
        .on(Event::Tool(&call))
        .on(Event::Replied(&Finish::default()))
        .later(60_000);
    let data: serde_json::Value = serde_json::from_str(desk.ends[0].as_deref().unwrap()).unwrap();
    assert_eq!(data["reasonCode"], "live-agent-handoff");

    let caller = known("Ana");
    let alone = Setting {
        can_hand_over: false,
        ..setting(Some(caller.clone()))
    };
    let mut desk = Desk::with(alone, Recalled::Known(&caller));
    desk.hears("A person, please.")
        .on(Event::Tool(&call))
        .on(Event::Replied(&Finish::default()))
        .later(9_000);
    assert!(desk.last_said().contains("nobody") && desk.ends.is_empty());
    assert_eq!(
        desk.asked, 1,
        "the caller has been told; the model is not asked again"
    );
}

#[test]
fn tools_are_bounded_and_the_models_name_needs_the_callers_word() {
    let call = ToolCall {
        id: "1".into(),
        tool: Tool::SetName {
            name: "Brock".into(),
        },
    };
    let mut desk = Desk::new_caller();
    desk.hears("hello there");
    for _ in 0..10 {
        desk.on(Event::Tool(&call))
            .on(Event::Replied(&Finish::default()));
    }
    assert_eq!(desk.wrote("name_heard"), 0);
    assert!(desk.asked <= 3 && desk.last_said().contains("trouble"));
}

#[test]
fn silence_is_asked_about_twice_and_then_ends_the_call() {
    let mut desk = Desk::known_as("Ana");
    desk.played(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    desk.later(9_900);
    assert!(desk.said.is_empty());
    desk.later(100);
    assert_eq!(desk.said, ["Are you still there?"]);
    desk.later(2_000).played(&["Are you still there?"]);
    desk.later(9_900);
    assert_eq!(desk.said.len(), 1);
    desk.later(100);
    assert!(desk.last_said().starts_with("Hello? I can't hear you."));
    desk.later(3_000).played(&[
        "Hello?",
        " I can't hear you.",
        " Is there anything else I can do for you?",
    ]);
    desk.later(9_900);
    assert_eq!((desk.said.len(), desk.ends.len()), (2, 0));
    desk.later(100);
    assert!(desk.last_said().ends_with("Goodbye!"));
    desk.later(20_000);
    assert_eq!(desk.ends.len(), 1);
    assert_eq!(desk.state.outcome_so_far(), Some(Outcome::Idle));
}

#[test]
fn a_lost_socket_resumes_with_one_sentence_and_the_open_question() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Mew.")
        .on(Event::Token("Mew is"))
        .on(Event::Closed);
    desk.open = false;
    let resumed = Event::Resumed {
        session_id: "VX2",
        greeted: None,
        counted: false,
        lost: true,
    };
    desk.on(resumed);
    assert_eq!(desk.last_said(), "Sorry about that, I'm back.");
    assert_eq!((desk.asked, desk.wrote("call_resumed")), (2, 1));
    desk.hears("Tell me about Mew.");
    assert_eq!(desk.asked, 2, "a replayed prompt is not answered twice");
    desk.reply(&["Mew is rare."]);
    let last = desk.turns().pop().unwrap();
    assert_eq!((last.epoch, last.content.as_str()), (1, "Mew is rare."));
}

#[test]
fn a_call_from_storage_goes_on_where_it_was() {
    let mut before = Desk::known_as("Ana");
    before.hears("Tell me about Mew.");
    let live = kept(before.turns());
    let state = CallState::restored(setting(Some(known("Ana"))), live, before.now);
    let mut desk = Desk {
        state,
        ..Desk::known_as("Ana")
    };
    desk.on(BACK);
    assert_eq!(desk.asked, 1);
    assert!(desk.said.is_empty(), "Twilio has said it already");
    assert_eq!(desk.state.transcript.history().len(), 2);
}

/// A call of an instance alone, as storage has it.
fn kept(turns: Vec<Turn>) -> LiveCall {
    LiveCall {
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
    let mut desk = Desk::new_caller();
    desk.hears("My name is Misty.");
    let mut actions = Vec::new();
    desk.state.finish(Outcome::HungUp, desk.now, &mut actions);
    desk.state.finish(Outcome::Ended, desk.now, &mut actions);
    desk.note(actions, "");
    assert_eq!(
        (desk.wrote("name_settled"), desk.wrote("call_ended")),
        (1, 1)
    );
    desk.hears("hello?");
    assert_eq!(desk.asked, 0);
}

#[test]
fn a_withheld_caller_is_talked_to_and_nothing_is_kept_of_their_name() {
    let withheld = Setting {
        number: None,
        caller_kind: CallerKind::Withheld,
        ..setting(None)
    };
    let mut desk = Desk::with(withheld, Recalled::NoNumber);
    desk.hears("My name is Misty.");
    assert!(desk.last_said().contains("Misty"));
    assert_eq!(desk.wrote("name_heard"), 0);
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
        let mut desk = ownership::one_of_several();
        for (step, word) in steps {
            let taken = desk.leaves.last() == Some(&Parting::Taken);
            let (writes, said) = (desk.writes.len(), desk.said.len());
            match step {
                0 => { desk.hears(words[word]); }
                1 => { desk.on(Event::Token("word ")); }
                2 => { desk.on(Event::Replied(&Finish::default())); }
                3 => { desk.on(Event::ReplyFailed(Failure::Stalled)); }
                4 => { desk.open = false; desk.on(Event::Interrupted("word")); }
                5 => { desk.on(Event::Keyed('5')); }
                6 => { desk.later(2_000); }
                7 => { desk.later(400_000); }
                8 => { desk.on(Event::AgentSpeaking(word % 2 == 0)); }
                9 => { desk.on(Event::Played("word")); }
                10 => { desk.open = false; desk.on(Event::Closed); desk.on(Event::Resumed { session_id: "VX", greeted: None, counted: false, lost: true }); }
                11 => { desk.on(Event::Drain); }
                12 => { desk.on(Event::NameJudged(NameVerdict::Own("Misty"))); }
                13 => { let (from_ms, by_ms) = (desk.now.ms, desk.now.ms + 1_000); desk.on(Event::Move { from_ms, by_ms }); }
                14 => {
                    let own = desk.state.epoch();
                    let other = ownership::epoch((own >> 16) + 1, 9);
                    let (claimed, owner) = [(own, own), (own, other), (other, own), (other, other), (1, 1)][word];
                    desk.told(claimed, owner);
                }
                _ => { desk.on(Event::CallerSpeaking(word % 2 == 0)); }
            }
            prop_assert!(!taken || (desk.writes.len(), desk.said.len()) == (writes, said), "another has the call");
        }
        // Sequence numbers within an epoch rise without a gap or a repeat.
        let turns = desk.turns();
        let mut seen = std::collections::HashSet::new();
        for turn in &turns {
            prop_assert!(seen.insert((turn.epoch, turn.seq)), "a turn was kept twice");
        }
    });
}

fn eager_desk() -> Desk {
    let caller = known("Ana");
    let bounds = CallSection {
        eager_start: true,
        ..CallSection::default()
    };
    let setting = Setting {
        bounds: Arc::new(bounds),
        ..setting(Some(caller.clone()))
    };
    Desk::with(setting, Recalled::Known(&caller))
}

fn partial(text: &str) -> Event<'_> {
    Event::Prompt {
        text,
        language: "en",
        last: false,
    }
}

#[test]
fn an_eager_answer_is_held_back_until_the_final_prompt_agrees() {
    let mut desk = eager_desk();
    desk.on(partial("What type is"))
        .on(partial("What type is Mew?"));
    assert_eq!(desk.asked, 1);
    desk.on(Event::Token("Mew is"))
        .on(Event::Token(" psychic."));
    assert!(desk.said.is_empty());
    desk.hears("What type is Mew?");
    assert_eq!((desk.asked, desk.last_said()), (1, "Mew is psychic."));
    desk.reply(&[" Rare, too."]);
    assert_eq!(desk.last_said(), "Mew is psychic. Rare, too.");
    let roles: Vec<&str> = desk.turns().iter().map(|turn| turn.role.as_str()).collect();
    assert_eq!(roles, ["assistant", "user", "assistant"]);
}

#[test]
fn an_eager_answer_is_given_up_when_the_final_prompt_differs_and_its_cost_is_bounded() {
    let mut desk = eager_desk();
    desk.on(partial("What type is Mew?"))
        .on(Event::Token("Mew"))
        .on(partial("What type is Mewtwo?"));
    assert_eq!((desk.asked, desk.aborted), (1, 1), "one early start a turn");
    desk.hears("What type is Mewtwo?");
    assert_eq!(desk.asked, 2);
    assert!(desk.said.is_empty());
    desk.reply(&["Psychic."]);
    assert_eq!(desk.said, ["Psychic."]);
    desk.on(partial("And Ditto, what is that?"))
        .on(Event::Token("Normal."))
        .on(Event::Replied(&Finish::default()));
    desk.hears("And Ditto, what is that?");
    assert_eq!((desk.last_said(), desk.open), ("Normal.", false));
}

#[test]
fn a_second_person_on_a_known_number_is_no_correction() {
    let mut desk = Desk::known_as("Misty");
    desk.hears("No, this is Peter.");
    assert_eq!(
        (desk.wrote("person_added"), desk.wrote("name_corrected")),
        (1, 0)
    );
    assert!(desk.last_said().contains("Peter"));
}

#[test]
fn a_refusal_that_is_also_a_goodbye_is_answered_as_one() {
    let mut desk = Desk::new_caller();
    desk.hears("No thanks, bye.");
    assert_eq!((desk.asked, desk.wrote("name_declined")), (1, 1));
    assert!(desk.said.is_empty());
}

#[test]
fn a_provider_without_reports_leaves_the_words_as_they_were_said() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("What type is Mew?")
        .reply(&["Psychic."])
        .on(Event::Closed);
    let said: Vec<String> = desk
        .turns()
        .iter()
        .map(|turn| turn.content.clone())
        .collect();
    assert_eq!(said[2], "Psychic.");
    assert!(said[0].starts_with("Welcome back"));
}

#[test]
fn a_hesitation_does_not_use_the_question_up() {
    let mut desk = Desk::new_caller();
    desk.hears("Um,").hears("Misty.");
    assert_eq!(
        desk.wrote("name_heard") + desk.state.naming.pending().map_or(0, |_| 1),
        1
    );
}

#[test]
fn several_people_on_one_number_are_put_right_and_forgotten_one_by_one() {
    let mut desk = Desk::known_as("Misty");
    desk.hears("No, this is Ana.").hears("No, it's Anna.");
    let kinds: Vec<&str> = desk
        .writes
        .iter()
        .map(Write::kind)
        .filter(|kind| kind.contains("person") || kind.contains("name"))
        .collect();
    assert_eq!(kinds, ["person_added", "person_renamed"]);
    desk.hears("Stop calling me Anna.");
    assert_eq!(
        (desk.wrote("person_forgotten"), desk.wrote("name_forgotten")),
        (1, 0)
    );
}

#[test]
fn a_long_wait_is_bridged_again() {
    let mut desk = Desk::known_as("Ana");
    desk.hears("Tell me about Mew.")
        .later(1_600)
        .later(6_000)
        .later(6_000);
    assert!(desk.said.len() >= 3, "{:?}", desk.said);
    assert_ne!(desk.said[0], desk.said[1]);
}

#[test]
fn a_tool_that_was_spoken_about_leaves_nothing_open() {
    let call = ToolCall {
        id: "1".into(),
        tool: Tool::NotePreference {
            note: "likes water".into(),
        },
    };
    let mut desk = Desk::known_as("Ana");
    desk.hears("I like water types.")
        .on(Event::Token("Noted!"))
        .on(Event::Tool(&call))
        .on(Event::Replied(&Finish::default()));
    desk.on(Event::Closed).on(BACK);
    assert_eq!(desk.asked, 1);
}
