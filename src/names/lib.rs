//! Finds the caller's own name in one turn of speech.
//!
//! Pure and deterministic: no clock, file or network. [`extract`] reads a turn, [`parse_yes_no`] and
//! [`parse_confirmation`] read what follows "Was that Kay?"; [`score`] measures labelled turns.

mod bare_answer;
mod bare_answer_checks;
mod capitalization;
mod clauses;
mod confirmation;
mod conversation_phrases;
mod cue_candidates;
mod domain_words;
mod evidence;
mod extraction;
mod extractor;
mod foreign_introductions;
mod grammar;
mod language;
mod language_codes;
mod language_data;
mod language_words;
mod name_boundaries;
mod name_reader;
mod non_names;
mod places_and_brands;
mod refusal;
pub mod score;
mod spelling;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod vocabulary;
mod word_class;
mod wordlist;

pub use confirmation::{parse_confirmation, parse_yes_no};
pub use conversation_phrases::{
    says_goodbye, spoken_symbol, text_after_complaint, text_after_denied_name,
};
pub use extraction::{
    CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Confirmation, ExcludedWords, Extraction,
    ExtractionContext, Name, NameDecision, NameIntent, YesNo,
};
pub use language::{Language, Script};
pub use language_codes::is_language_code;
pub use non_names::is_plausible_name;

/// Finds the caller's name in what they said.
///
/// An explicit introduction in another of the known languages counts, too.
#[must_use]
pub fn extract(text: &str, context: &ExtractionContext<'_>) -> Extraction {
    let text = text::normalise(text);
    let (heard, cues) = extract_in_own_language(&text, context);
    if heard.has_explicit_cue
        || matches!(
            heard.intent,
            NameIntent::Forget | NameIntent::Refusal | NameIntent::OtherPerson
        )
    {
        return heard;
    }
    match foreign_introductions::extract_in_other_languages(&text, cues, context) {
        Some(introduced) => introduced,
        None if context.language == Language::Other => Extraction {
            has_more: !text.is_empty(),
            ..Extraction::default()
        },
        None => heard,
    }
}

/// The extraction by the rules of the turn's own language, and the languages whose cues the turn
/// contains.
fn extract_in_own_language(
    text: &str,
    context: &ExtractionContext<'_>,
) -> (Extraction, language::LanguageSet) {
    if context.language.is_clause_based() {
        let cues = foreign_introductions::languages_with_cue(&token::TokenizedTurn::tokenize(
            text,
            context,
            grammar::Grammar::of(Language::English).vocabulary(),
        ));
        return (clauses::extract_from_turn(text, context), cues);
    }
    let grammar = grammar::Grammar::of(context.language);
    let turn = token::TokenizedTurn::tokenize(text, context, grammar.vocabulary());
    (
        extractor::extract_from_turn(&turn, grammar, context),
        foreign_introductions::languages_with_cue(&turn),
    )
}

/// Reads the language files and compiles their rules, so that no call waits for it: some tens of
/// milliseconds, once; to be called away from the runtime's threads.
pub fn warm_up() {
    let excluded = ExcludedWords::default();
    for language in Language::ALL {
        let context = ExtractionContext {
            name_asked: true,
            language,
            excluded: &excluded,
        };
        std::hint::black_box(extract("hm", &context));
    }
}
