//! The agent without a model: a small script that says that it is one. Deterministic: the same prompt context gets the
//! same reply.

mod phrases;
mod species;

#[cfg(test)]
mod tests;

use super::event::{Finish, FinishReason, ReplyEvent};
use super::message::MessageRole;
use crate::agent::prompt::prompt_context::PromptContext;
use crate::agent::tools::invocation::{BuiltInTool, ToolCall, ToolInvocation};
use calldex_names::{ExcludedWords, Language};
use phrases::{CallerIntent, ScriptPhrases};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Most words of the caller that are read.
const WORDS_MAX: usize = 200;

/// The reply of the script.
#[derive(Default)]
struct ScriptedAnswer {
    text: String,
    tool: Option<ToolInvocation>,
}

/// A reply of the script, streamed word by word.
pub(super) struct ScriptedReply {
    events: VecDeque<ReplyEvent>,
    word_pause: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The reply to `prompt_context`, with `word_pause` between its words.
pub(super) fn scripted_reply(
    prompt_context: &PromptContext,
    word_pause: Duration,
) -> ScriptedReply {
    let ScriptedAnswer { text: words, tool } = scripted_answer(prompt_context);
    let mut events: VecDeque<_> = words
        .split_inclusive(' ')
        .map(|word| ReplyEvent::Token(word.into()))
        .collect();
    let tokens = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let ending = if tool.is_some() {
        FinishReason::ToolCalls
    } else {
        FinishReason::Stop
    };
    // A reply has at most one call; the history contains the calls of earlier ones.
    let id = format!("offline_{}", prompt_context.history.len());
    events.extend(tool.map(|tool| {
        ReplyEvent::Tool(ToolCall {
            id,
            invocation: tool,
        })
    }));
    events.push_back(ReplyEvent::Done(Finish {
        text_pieces: tokens,
        finish_reason: ending,
        ..Finish::default()
    }));
    ScriptedReply {
        events,
        word_pause,
        pause: None,
    }
}

impl ScriptedReply {
    /// The next event; the pause is between words, not before the first.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<ReplyEvent>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
        }
        let event = self.events.pop_front();
        let more_words = matches!(self.events.front(), Some(ReplyEvent::Token(_)));
        let pause =
            (more_words && !self.word_pause.is_zero()).then(|| Instant::now() + self.word_pause);
        self.pause = pause.map(|until| Box::pin(sleep_until(until)));
        Poll::Ready(event)
    }
}

/// The reply to the last text of the caller. Empty after a tool result: the text came with the call.
fn scripted_answer(prompt_context: &PromptContext) -> ScriptedAnswer {
    let Some(last) = prompt_context
        .history
        .last()
        .filter(|last| last.role.is_caller())
    else {
        return if prompt_context.tool_step == 0 {
            greeting(prompt_context)
        } else {
            ScriptedAnswer::default()
        };
    };
    let phrases = ScriptPhrases::for_language(&prompt_context.language);
    let heard = words_of(&last.content);
    let name = prompt_context.caller.name.as_deref();
    match phrases.intent(&heard) {
        Some(CallerIntent::Goodbye)
            if prompt_context.built_in_tools.contains(BuiltInTool::EndCall) =>
        {
            let farewell = phrases.farewell.replace("{name}", &comma_and_name(name));
            ScriptedAnswer {
                text: String::new(),
                tool: Some(ToolInvocation::EndCall {
                    farewell: Some(farewell),
                }),
            }
        }
        Some(CallerIntent::Handoff)
            if prompt_context.built_in_tools.contains(BuiltInTool::Handoff) =>
        {
            let reason = "the caller asked for a person".to_owned();
            let summary =
                "The offline agent answered; it understands little more than this wish.".to_owned();
            ScriptedAnswer {
                text: phrases.connecting.into(),
                tool: Some(ToolInvocation::Handoff { reason, summary }),
            }
        }
        Some(CallerIntent::Handoff) => ScriptedAnswer {
            text: phrases.no_person_available.into(),
            tool: None,
        },
        _ if let Some(code) = requested_language(prompt_context, &last.content) => ScriptedAnswer {
            text: String::new(),
            tool: Some(ToolInvocation::SwitchLanguage { code }),
        },
        wish => ScriptedAnswer {
            text: with_notice(
                prompt_context,
                phrases,
                answer_text(prompt_context, phrases, &heard, wish.as_ref()),
            ),
            tool: None,
        },
    }
}

/// The other language of the line that the caller asks for, and asks for nothing else ("English, please").
fn requested_language(prompt_context: &PromptContext, said: &str) -> Option<String> {
    let context = calldex_names::ExtractionContext {
        name_asked: true,
        language: Language::from_tag(&prompt_context.language),
        excluded: &ExcludedWords::default(),
    };
    let wanted = calldex_names::extract(said, &context).requested_language?;
    let primary = |tag: &str| Language::from_tag(tag);
    let is_other = primary(&prompt_context.language) != Language::from_tag(wanted);
    let mut codes = prompt_context.line_languages.iter();
    let code = codes.find(|code| primary(code) == Language::from_tag(wanted))?;
    (is_other
        && prompt_context
            .built_in_tools
            .contains(BuiltInTool::SwitchLanguage))
    .then(|| code.to_string())
}

/// Whether nothing was said yet.
fn greeting(prompt_context: &PromptContext) -> ScriptedAnswer {
    let phrases = ScriptPhrases::for_language(&prompt_context.language);
    let hello = phrases.hello.replace(
        "{name}",
        &comma_and_name(prompt_context.caller.name.as_deref()),
    );
    ScriptedAnswer {
        text: with_notice(prompt_context, phrases, hello),
        tool: None,
    }
}

fn answer_text(
    prompt_context: &PromptContext,
    phrases: &ScriptPhrases,
    heard: &[String],
    wish: Option<&CallerIntent>,
) -> String {
    let name = prompt_context.caller.name.as_deref();
    let told = name.filter(|name| contains(heard, name));
    let asked_about = species::named_in(heard).map(|known| phrases.types_of(known));
    if let Some(name) = told.filter(|name| is_first_use(prompt_context, name)) {
        let met = match phrases.nice_to_meet_you {
            Some(own) => own.replace("{name}", name),
            None => prompt_context
                .persona
                .fill_placeholders(&prompt_context.persona.nice_to_meet_you, Some(name)),
        };
        let Some(types) = asked_about else {
            return met;
        };
        // Only the greeting of it: what they would like to know has been said.
        let greeting = met.split_inclusive(['!', '.']).next().unwrap_or_default();
        return format!("{greeting} {types}");
    }
    if let Some(types) = asked_about {
        return types;
    }
    if told.is_some() || wish == Some(&CallerIntent::Greeting) {
        return phrases.hello.replace("{name}", &comma_and_name(name));
    }
    phrases.no_model.to_owned()
}

/// `words`, after saying once in a call who is speaking. A notice that the caller cut short is not
/// in the history, and is said again.
fn with_notice(prompt_context: &PromptContext, phrases: &ScriptPhrases, words: String) -> String {
    let said = |message: &str| message.contains(phrases.notice.trim());
    let agent = prompt_context
        .history
        .iter()
        .filter(|message| message.role == MessageRole::Agent);
    if agent.into_iter().any(|message| said(&message.content)) {
        return words;
    }
    format!("{}{words}", phrases.notice)
}

/// Whether the agent has not said `name` in this call yet.
fn is_first_use(prompt_context: &PromptContext, name: &str) -> bool {
    let mut agent = prompt_context
        .history
        .iter()
        .filter(|message| message.role == MessageRole::Agent);
    !agent.any(|message| contains(&words_of(&message.content), name))
}

fn contains(words: &[String], name: &str) -> bool {
    let name = words_of(name);
    !name.is_empty() && words.windows(name.len()).any(|window| window == name)
}

fn comma_and_name(name: Option<&str>) -> String {
    name.map(|name| format!(", {name}")).unwrap_or_default()
}

/// Lower-case words without punctuation and without the commonest accents.
fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’' && c != '-');
    let folded = words.map(|word| {
        word.chars()
            .flat_map(char::to_lowercase)
            .filter_map(without_accent)
            .collect::<String>()
    });
    folded
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .collect()
}

fn without_accent(c: char) -> Option<char> {
    match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'ą' => Some('a'),
        'é' | 'è' | 'ê' | 'ë' | 'ę' => Some('e'),
        'ć' => Some('c'),
        'ł' => Some('l'),
        'ś' => Some('s'),
        'ź' | 'ż' => Some('z'),
        'í' | 'ì' | 'î' | 'ï' => Some('i'),
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => Some('o'),
        'ú' | 'ù' | 'û' | 'ü' => Some('u'),
        'ñ' | 'ń' => Some('n'),
        '\'' | '’' | '-' => None,
        c => Some(c),
    }
}
