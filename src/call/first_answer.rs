//! A turn as the first answer of a new caller, through the real call state: what becomes of it.
//! For `calldex names --first-answers`.

use super::greeting::{CallerLookup, Greeting};
use super::state::{CallAction, CallContext, CallEvent, CallState, EventTime};
use crate::config::{Config, PhoneLines};
use calldex_names::{ExcludedWords, ExtractionContext, Language, extract};
use calldex_storage::record::{CallerKind, PhoneNumber};
use calldex_storage::write::Write;
use std::sync::Arc;

/// The caller of every such call: a number that nobody has.
const CALLER_NUMBER: &str = "+15550100000";
/// When every such call begins, in Unix milliseconds: any time would do.
const STARTED_UNIX_MS: i64 = 1_800_000_000_000;

/// What became of a first answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstAnswer {
    /// The model was asked: whatever the turn held besides a name is answered.
    pub answered_by_model: bool,
    /// A language was asked for, and calldex switched to it or said which there are.
    pub language_offered: bool,
    /// What calldex said by itself.
    pub said: Option<String>,
    /// A name is kept for the number.
    pub named: bool,
    /// "Does not want to say" is kept for the number.
    pub declined: bool,
}

/// Calls of new callers, one for each turn, on the line that a configuration describes.
pub struct FirstAnswerSimulator {
    lines: PhoneLines,
    config: Config,
}

impl FirstAnswerSimulator {
    /// On the general line of a configuration.
    pub fn new(config: Config) -> Self {
        Self {
            lines: PhoneLines::new(&config),
            config,
        }
    }

    /// Greets a new caller, who answers with `text` in `language` (BCP-47).
    pub fn simulate(&self, text: &str, language: &str) -> FirstAnswer {
        let mut actions = Vec::new();
        let line = Arc::clone(self.lines.for_number(""));
        let greeting = Greeting::choose(&line, CallerLookup::New, true);
        let context = CallContext {
            call_sid: "CA00000000000000000000000000000000".into(),
            number: PhoneNumber::parse(CALLER_NUMBER),
            caller_kind: CallerKind::Number,
            caller: None,
            earlier_epoch: Default::default(),
            number_trusted: true,
            language: line.language.as_str().into(),
            limits: Arc::new(self.config.call.clone()),
            called_number: Default::default(),
            line,
            can_hand_off: false,
            instance: "names".into(),
            node_slot: 0,
        };
        let at = |ms: u64| EventTime {
            ms,
            unix_ms: STARTED_UNIX_MS + i64::try_from(ms).unwrap_or_default(),
        };
        let mut state = CallState::new(context, "VX0", &greeting, at(0), &mut actions);
        actions.clear();
        let prompt = CallEvent::Prompt {
            text,
            language,
            last: true,
        };
        state.on(prompt, at(5_000), &mut actions);
        let mut answer = FirstAnswer {
            language_offered: asks_for_language(text, language),
            ..FirstAnswer::default()
        };
        for action in actions {
            match action {
                CallAction::RequestReply(_) => answer.answered_by_model = true,
                CallAction::Say(sentence) => answer.said = Some(sentence.text),
                CallAction::Record(Write::NameDeclined(_)) => answer.declined = true,
                CallAction::Record(Write::NameHeard(_) | Write::NameConfirmed(_)) => {
                    answer.named = true;
                }
                _ => {}
            }
        }
        answer
    }
}

impl FirstAnswer {
    /// Whether what the turn held besides a name was answered.
    pub fn is_answered(&self) -> bool {
        self.answered_by_model || self.language_offered
    }
}

fn asks_for_language(text: &str, language: &str) -> bool {
    let context = ExtractionContext {
        name_asked: true,
        language: Language::from_tag(language),
        excluded: &ExcludedWords::default(),
    };
    extract(text, &context).requested_language.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_and_a_refusal_is_kept() {
        let calls = FirstAnswerSimulator::new(Config::default());
        let question = calls.simulate("What do you know about Snorlax?", "en");
        assert!(question.answered_by_model && !question.declined && !question.named);
        let refusal = calls.simulate("I'd rather not say.", "en");
        assert!(refusal.declined && !refusal.answered_by_model);
        let both = calls.simulate("I'd rather not say. What type is Pikachu?", "en");
        assert!(both.answered_by_model && !both.declined);
        let language = calls.simulate("Spanish please", "en");
        assert!(language.is_answered() && !language.answered_by_model && !language.named);
        let name = calls.simulate("It's Misty", "en");
        assert!(name.named && !name.answered_by_model && name.said.is_some());
    }
}
