//! Redacts the error message of a server for the log: it may quote the request. Pure.

use crate::agent::message::MessageRole;
use crate::agent::prompt::prompt_context::PromptContext;

/// Longest message that is logged, in bytes.
const REASON_CHARS_MAX: usize = 240;
/// Words in a row that count as a quotation.
const QUOTE_WORDS_MIN: usize = 3;
/// Digits in a row that count as a person's number.
const DIGITS_MAX: usize = 6;
/// Replaces a message that quotes the conversation.
const REDACTED: &str = "(not shown: it quotes the conversation)";

/// `reason` on one line and bounded, without long numbers; replaced as a whole where it quotes the conversation or the
/// facts about the caller.
pub(super) fn redacted(reason: &str, prompt_context: &PromptContext) -> String {
    let words = words(reason);
    let said = prompt_context
        .history
        .iter()
        .filter(|message| message.role != MessageRole::System)
        .map(|message| message.content.as_str());
    let noted = prompt_context
        .caller
        .preferences
        .iter()
        .map(|note| note.as_str());
    let quotes = said.chain(noted).any(|text| quotes(&words, text));
    let names = prompt_context.caller.name.iter().any(|name| {
        let name = self::words(name);
        name.iter().any(|part| words.contains(part))
    });
    if quotes || names {
        return REDACTED.to_owned();
    }
    mask_digits_and_keys(reason)
}

/// Whether `words` contain `text`, or three words of it in a row.
fn quotes(words: &[String], text: &str) -> bool {
    let text = self::words(text);
    let length = QUOTE_WORDS_MIN.min(text.len());
    let is_telling = |quote: &[String]| quote.iter().map(String::len).sum::<usize>() > 8;
    length > 0
        && text
            .windows(length)
            .filter(|quote| is_telling(quote))
            .any(|quote| words.windows(length).any(|part| part == quote))
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn mask_digits_and_keys(reason: &str) -> String {
    let mut shown = String::with_capacity(reason.len().min(REASON_CHARS_MAX));
    let mut digits = 0;
    for c in reason.trim().chars().take(REASON_CHARS_MAX) {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        let c = if c.is_control() { ' ' } else { c };
        shown.push(if digits > DIGITS_MAX { '*' } else { c });
    }
    if shown.contains("sk-") || shown.contains("Bearer ") {
        return "(not shown: it has a key in it)".to_owned();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{CallerFacts, Message, Persona};
    use std::sync::Arc;

    fn prompt_context() -> PromptContext {
        let caller = CallerFacts {
            name: Some("Misty".into()),
            preferences: vec!["likes blue water types".into()],
            ..CallerFacts::default()
        };
        PromptContext::new(
            &Arc::new(Persona::default()),
            Arc::new(caller),
            vec![Message::caller("my card number is secret")],
        )
    }

    #[test]
    fn a_reason_is_shown_unless_it_quotes() {
        let shown = |reason: &str| redacted(reason, &prompt_context());
        for harmless in [
            "gemma:2b does not support tools",
            "Unrecognized request argument supplied: stream_options",
        ] {
            assert_eq!(shown(harmless), harmless);
        }
        for quoting in [
            "cannot parse 'my card number is'",
            "hello Misty!",
            "bad text: likes blue water types",
        ] {
            assert_eq!(shown(quoting), REDACTED, "{quoting}");
        }
        assert_eq!(shown("call +15550137294"), "call +155501*****");
        assert!(shown("Incorrect API key provided: sk-abc").contains("not shown"));
        assert_eq!(shown(&"x".repeat(999)).len(), REASON_CHARS_MAX);
    }
}
