//! A turn as the first answer of a new caller, through the real call state: what becomes of it.
//! For `calldex names --first-answers`.

use super::greeting::{Greeting, Recalled};
use super::state::{Action, CallState, Event, Now, Setting};
use crate::config::{Config, Lines};
use calldex_names::{Context, Excluded, Language, extract};
use calldex_storage::record::{CallerKind, PhoneNumber};
use calldex_storage::write::Write;
use std::sync::Arc;

/// The caller of every such call: a number that nobody has.
const NUMBER: &str = "+15550100000";
/// When every such call begins, in Unix milliseconds: any time would do.
const BEGUN_MS: i64 = 1_800_000_000_000;

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
pub struct FirstAnswers {
    lines: Lines,
    config: Config,
}

impl FirstAnswers {
    /// On the general line of a configuration.
    pub fn new(config: Config) -> Self {
        Self {
            lines: Lines::new(&config),
            config,
        }
    }

    /// Greets a new caller, who answers with `text` in `language` (BCP-47).
    pub fn hear(&self, text: &str, language: &str) -> FirstAnswer {
        let mut actions = Vec::new();
        let line = Arc::clone(self.lines.of(""));
        let greeting = Greeting::choose(&line, Recalled::New, true);
        let setting = Setting {
            call_sid: "CA00000000000000000000000000000000".into(),
            number: PhoneNumber::parse(NUMBER),
            caller_kind: CallerKind::Number,
            caller: None,
            earlier: Default::default(),
            vouched: true,
            language: line.language.as_str().into(),
            bounds: Arc::new(self.config.call.clone()),
            called: Default::default(),
            line,
            can_hand_over: false,
            instance: "names".into(),
            slot: 0,
        };
        let at = |ms: u64| Now {
            ms,
            unix_ms: BEGUN_MS + i64::try_from(ms).unwrap_or_default(),
        };
        let mut state = CallState::new(setting, "VX0", &greeting, at(0), &mut actions);
        actions.clear();
        let prompt = Event::Prompt {
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
                Action::Ask(_) => answer.answered_by_model = true,
                Action::Say(sentence) => answer.said = Some(sentence.text),
                Action::Record(Write::NameDeclined(_)) => answer.declined = true,
                Action::Record(Write::NameHeard(_) | Write::NameConfirmed(_)) => {
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
    let context = Context {
        asked: true,
        language: Language::from_tag(language),
        excluded: &Excluded::default(),
    };
    extract(text, &context).language_wanted.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_and_a_refusal_is_kept() {
        let calls = FirstAnswers::new(Config::default());
        let question = calls.hear("What do you know about Snorlax?", "en");
        assert!(question.answered_by_model && !question.declined && !question.named);
        let refusal = calls.hear("I'd rather not say.", "en");
        assert!(refusal.declined && !refusal.answered_by_model);
        let both = calls.hear("I'd rather not say. What type is Pikachu?", "en");
        assert!(both.answered_by_model && !both.declined);
        let language = calls.hear("Spanish please", "en");
        assert!(language.is_answered() && !language.answered_by_model && !language.named);
        let name = calls.hear("It's Misty", "en");
        assert!(name.named && !name.answered_by_model && name.said.is_some());
    }
}
