//! Hears who is calling: finds the caller's own name in one turn of speech.
//!
//! Pure and deterministic: no clock, file or network. [`extract`] reads a turn, [`answer`] and
//! [`confirm`] read what follows "Was that Kay?"; [`score`] measures labelled turns.

mod bare;
mod checks;
mod clauses;
mod codes;
mod confirmation;
mod cue;
mod domain;
mod engine;
mod evidence;
mod extraction;
mod foreign;
mod grammar;
mod language;
mod languages;
mod phrases;
mod reach;
mod reader;
mod refusal;
pub mod score;
mod spelling;
#[cfg(test)]
mod tests;
mod text;
mod things;
mod token;
mod trust;
mod wordlist;
mod written;

pub use checks::is_nameable;
pub use codes::is_language_code;
pub use confirmation::{answer, confirm};
pub use extraction::{
    Answer, CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Confirmation, Context, Decision,
    Excluded, Extraction, Kind, Name,
};
pub use language::{Language, Script};
pub use phrases::{complaint, denied, says_goodbye, spoken_symbol};

/// Finds the caller's name in what they said.
///
/// An explicit introduction in another of the known languages counts, too.
#[must_use]
pub fn extract(text: &str, context: &Context<'_>) -> Extraction {
    let text = text::normalise(text);
    let (heard, cues) = read(&text, context);
    if heard.strong || matches!(heard.kind, Kind::Forget | Kind::Refusal | Kind::Other) {
        return heard;
    }
    match foreign::read(&text, cues, context) {
        Some(introduced) => introduced,
        None if context.language == Language::Other => Extraction {
            rest: !text.is_empty(),
            ..Extraction::default()
        },
        None => heard,
    }
}

/// What is heard by the turn's own language, and the languages whose cues stand in the turn.
fn read(text: &str, context: &Context<'_>) -> (Extraction, checks::Languages) {
    if context.language.is_read_by_clause() {
        let cues = foreign::cues_in(&token::Turn::read(
            text,
            context,
            grammar::Grammar::of(Language::English),
        ));
        return (clauses::read(text, context), cues);
    }
    let grammar = grammar::Grammar::of(context.language);
    let turn = token::Turn::read(text, context, grammar);
    (
        engine::read(&turn, grammar, context),
        foreign::cues_in(&turn),
    )
}

/// Reads the language files and compiles their rules, so that no call waits for it: some tens of
/// milliseconds, once; to be called away from the runtime's threads.
pub fn warm_up() {
    let excluded = Excluded::default();
    for language in Language::ALL {
        let context = Context {
            asked: true,
            language,
            excluded: &excluded,
        };
        std::hint::black_box(extract("hm", &context));
    }
}
