//! Hears who is calling: finds the caller's own name in one turn of speech.
//!
//! Pure and deterministic: no clock, file or network. [`extract`] reads a turn, [`answer`] and
//! [`confirm`] read what follows "Was that Kay?"; [`score`] measures labelled turns.

mod bare;
mod confirmation;
mod engine;
mod evidence;
mod extraction;
mod grammar;
mod japanese;
mod language;
mod lexicon;
mod reader;
pub mod score;
mod spelling;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod wordlist;
mod written;

pub use confirmation::{answer, confirm};
pub use extraction::{
    Answer, CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Confirmation, Context, Decision,
    Excluded, Extraction, Kind, Name,
};
pub use language::Language;

/// Finds the caller's name in what they said.
#[must_use]
pub fn extract(text: &str, context: &Context<'_>) -> Extraction {
    let text = text::normalise(text);
    if context.language == Language::Japanese {
        return japanese::read(&text, context);
    }
    let grammar = grammar::Grammar::of(context.language);
    let turn = token::Turn::read(&text, context.language, grammar);
    engine::read(&turn, grammar, context)
}
