//! Hears who is calling: finds the caller's own name in one turn of speech.
//!
//! Pure and deterministic: no clock, file or network. [`extract`] reads a turn, [`answer`] and
//! [`confirm`] read what follows "Was that Kay?"; [`score`] measures labelled turns.

mod bare;
mod engine;
mod evidence;
mod extraction;
mod grammar;
mod language;
mod lexicon;
mod reader;
pub mod score;
mod spelling;
mod text;
mod token;
mod wordlist;
mod written;

pub use extraction::{
    Answer, CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Confirmation, Context, Decision,
    Excluded, Extraction, Kind, Name,
};
pub use language::Language;

/// Finds the caller's name in what they said.
#[must_use]
pub fn extract(text: &str, context: &Context<'_>) -> Extraction {
    let text = text::normalise(text);
    let grammar = grammar::Grammar::of(context.language);
    let turn = token::Turn::read(&text, context.language, grammar);
    engine::read(&turn, grammar, context)
}

/// Reads the reply to "Was that Kay?".
#[must_use]
pub fn answer(text: &str, _language: Language) -> Answer<'_> {
    let folded = text::fold(text);
    match folded.trim_matches(|c: char| !c.is_alphabetic()) {
        "yes" => Answer::Yes,
        "no" => Answer::No,
        _ => Answer::Unclear,
    }
}

/// Reads the reply to "Was that Kay?" together with the name that was asked about.
#[must_use]
pub fn confirm(asked_about: &Name, text: &str, context: &Context<'_>) -> Confirmation {
    match answer(text, context.language) {
        Answer::Yes => Confirmation::Kept(asked_about.clone()),
        Answer::No => Confirmation::Denied,
        Answer::NoBut(rest) => Confirmation::Corrected(extract(rest, context)),
        Answer::Unclear => Confirmation::Unclear,
    }
}
