//! The agent without a model: a small script that says plainly what it is. Deterministic: the same
//! brief gets the same words.

mod phrases;
mod species;

#[cfg(test)]
mod tests;

use super::brief::Brief;
use super::message::Speaker;
use super::reply::{Ending, Finish, ReplyEvent};
use super::tools::{Tool, ToolCall, ToolKind};
use calldex_names::{Excluded, Language};
use phrases::{Phrases, Wish};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Most words of the caller that are looked at.
const WORDS_MAX: usize = 200;

/// What the script answers.
#[derive(Default)]
struct Line {
    words: String,
    tool: Option<Tool>,
}

/// A line of the script, said word by word.
pub(super) struct Recital {
    events: VecDeque<ReplyEvent>,
    word_pause: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The answer to `brief`, with `word_pause` between its words.
pub(super) fn recite(brief: &Brief, word_pause: Duration) -> Recital {
    let Line { words, tool } = line(brief);
    let mut events: VecDeque<_> = words
        .split_inclusive(' ')
        .map(|word| ReplyEvent::Token(word.into()))
        .collect();
    let tokens = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let ending = if tool.is_some() {
        Ending::Tools
    } else {
        Ending::Said
    };
    // One call a reply, and the history holds the calls of earlier ones.
    let id = format!("offline_{}", brief.history.len());
    events.extend(tool.map(|tool| ReplyEvent::Tool(ToolCall { id, tool })));
    events.push_back(ReplyEvent::Done(Finish {
        tokens,
        ending,
        ..Finish::default()
    }));
    Recital {
        events,
        word_pause,
        pause: None,
    }
}

impl Recital {
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

/// What the script says to the last words of the caller. Says nothing after a tool: the words came
/// with the call.
fn line(brief: &Brief) -> Line {
    let Some(last) = brief.history.last().filter(|last| last.speaker.is_caller()) else {
        return if brief.round == 0 {
            opening(brief)
        } else {
            Line::default()
        };
    };
    let phrases = Phrases::of(&brief.language);
    let heard = words_of(&last.content);
    let name = brief.caller.name.as_deref();
    match phrases.wish(&heard) {
        Some(Wish::Goodbye) if brief.tools.has(ToolKind::EndCall) => {
            let farewell = phrases.farewell.replace("{name}", &comma(name));
            Line {
                words: String::new(),
                tool: Some(Tool::EndCall {
                    farewell: Some(farewell),
                }),
            }
        }
        Some(Wish::Person) if brief.tools.has(ToolKind::HandOver) => {
            let reason = "the caller asked for a person".to_owned();
            let summary =
                "The offline agent answered; it understands little more than this wish.".to_owned();
            Line {
                words: phrases.connecting.into(),
                tool: Some(Tool::HandOver { reason, summary }),
            }
        }
        Some(Wish::Person) => Line {
            words: phrases.nobody.into(),
            tool: None,
        },
        _ if let Some(code) = wanted_language(brief, &last.content) => Line {
            words: String::new(),
            tool: Some(Tool::SwitchLanguage { code }),
        },
        wish => Line {
            words: noticed(
                brief,
                phrases,
                answer(brief, phrases, &heard, wish.as_ref()),
            ),
            tool: None,
        },
    }
}

/// The other language of the line that the caller asks for, and asks for nothing else ("English, please").
fn wanted_language(brief: &Brief, said: &str) -> Option<String> {
    let context = calldex_names::Context {
        asked: true,
        language: Language::from_tag(&brief.language),
        excluded: &Excluded::default(),
    };
    let wanted = calldex_names::extract(said, &context).language_wanted?;
    let primary = |tag: &str| Language::from_tag(tag);
    let is_other = primary(&brief.language) != Language::from_tag(wanted);
    let mut codes = brief.languages.iter();
    let code = codes.find(|code| primary(code) == Language::from_tag(wanted))?;
    (is_other && brief.tools.has(ToolKind::SwitchLanguage)).then(|| code.to_string())
}

/// Nothing was said yet.
fn opening(brief: &Brief) -> Line {
    let phrases = Phrases::of(&brief.language);
    let hello = phrases
        .hello
        .replace("{name}", &comma(brief.caller.name.as_deref()));
    Line {
        words: noticed(brief, phrases, hello),
        tool: None,
    }
}

fn answer(brief: &Brief, phrases: &Phrases, heard: &[String], wish: Option<&Wish>) -> String {
    let name = brief.caller.name.as_deref();
    let told = name.filter(|name| contains(heard, name));
    let asked_about = species::named_in(heard).map(|known| phrases.types_of(known));
    if let Some(name) = told.filter(|name| is_news(brief, name)) {
        let met = match phrases.nice_to_meet_you {
            Some(own) => own.replace("{name}", name),
            None => brief
                .persona
                .filled(&brief.persona.nice_to_meet_you, Some(name)),
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
    if told.is_some() || wish == Some(&Wish::Greeting) {
        return phrases.hello.replace("{name}", &comma(name));
    }
    phrases.no_model.to_owned()
}

/// `words`, after saying once in a call who is speaking. A notice that the caller cut short is not
/// in the history, and is said again.
fn noticed(brief: &Brief, phrases: &Phrases, words: String) -> String {
    let said = |message: &str| message.contains(phrases.notice.trim());
    let agent = brief
        .history
        .iter()
        .filter(|message| message.speaker == Speaker::Agent);
    if agent.into_iter().any(|message| said(&message.content)) {
        return words;
    }
    format!("{}{words}", phrases.notice)
}

/// Whether the agent has not used `name` in this call yet.
fn is_news(brief: &Brief, name: &str) -> bool {
    let mut agent = brief
        .history
        .iter()
        .filter(|message| message.speaker == Speaker::Agent);
    !agent.any(|message| contains(&words_of(&message.content), name))
}

fn contains(words: &[String], name: &str) -> bool {
    let name = words_of(name);
    !name.is_empty() && words.windows(name.len()).any(|window| window == name)
}

fn comma(name: Option<&str>) -> String {
    name.map(|name| format!(", {name}")).unwrap_or_default()
}

/// Lower-case words without punctuation and without the commonest accents.
fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’' && c != '-');
    let folded = words.map(|word| {
        word.chars()
            .flat_map(char::to_lowercase)
            .filter_map(folded)
            .collect::<String>()
    });
    folded
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .collect()
}

fn folded(c: char) -> Option<char> {
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
