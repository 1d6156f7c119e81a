//! Names and sentences compared: alike, the same, denied, said at all.

use calldex_names::{Language, denied};

/// Two names this alike are one name, heard differently (Jaro-Winkler, 0 to 1).
const ALIKE_MIN: f64 = 0.82;

/// Letters and digits only, lower case, accents as they are: two spellings of one word agree.
fn folded(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// A complaint that the name is wrong, at whatever time it comes.
#[derive(Clone, Copy)]
pub(super) struct Complaint<'t> {
    /// What follows it: the right name may.
    pub(super) rest: &'t str,
    /// "That's not my name": whose the next one is, it does not say. Otherwise it was a mistake about the
    /// caller's own ("you got my name wrong").
    pub(super) disowns: bool,
}

pub(super) fn complaint(text: &str, language: Language) -> Option<Complaint<'_>> {
    /// A complaint has at most so many words.
    const WORDS_MAX: usize = 4;
    let rest = calldex_names::complaint(text, language)?;
    let head = &text[..text.len() - rest.len()];
    let words: Vec<&str> = head.split_whitespace().collect();
    let words = &words[words.len().saturating_sub(WORDS_MAX)..];
    let last = words.join(" ");
    let disowns = words.iter().any(|word| denied(word, &last).is_some());
    Some(Complaint { rest, disowns })
}

/// Whether `text` is the name, perhaps behind a word or two ("it's Brock"), and nothing else.
pub(super) fn is_only(name: &str, text: &str) -> bool {
    /// Words before it.
    const BEFORE_MAX: usize = 2;
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let words = |text: &str| text.split_whitespace().count();
    let clauses = text.contains([',', ';', '.', '!', '?']);
    !clauses && folded(text).ends_with(&folded(name)) && words(text) <= words(name) + BEFORE_MAX
}

pub(super) fn same(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

pub(super) fn alike(one: &str, other: &str) -> bool {
    strsim::jaro_winkler(&folded(one), &folded(other)) >= ALIKE_MIN
}

/// Whether `name` was said in `transcript`: as words, or as letters joined ("J O N").
pub(super) fn occurs(name: &str, transcript: &str) -> bool {
    let wanted = folded(name);
    if wanted.chars().count() < 2 {
        return false;
    }
    let words: Vec<String> = transcript
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .map(folded)
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).any(|start| begins_with(&words[start..], &wanted))
}

/// Whether some first words, joined, are exactly `wanted`.
fn begins_with(words: &[String], wanted: &str) -> bool {
    let mut rest = wanted;
    for word in words {
        match rest.strip_prefix(word.as_str()) {
            Some("") => return true,
            Some(after) => rest = after,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_occurs_as_words_or_as_joined_letters_and_not_inside_a_word() {
        assert!(occurs("Misty", "well, misty I guess"));
        assert!(occurs("Jon", "that's J. O. N."));
        assert!(occurs("Mary Ann", "I'm mary ann"));
        assert!(!occurs("Art", "I want to start"));
        assert!(!occurs("Ash", "hello there"));
        assert!(!occurs("", "anything"));
    }

    #[test]
    fn a_name_is_turned_down_only_by_a_word_that_denies_it() {
        assert_eq!(
            denied("Mark", "Not Mark, Marc with a c."),
            Some("Marc with a c.")
        );
        assert_eq!(
            denied("Jon", "It's not Jon, it's John."),
            Some("it's John.")
        );
        assert_eq!(denied("Jon", "My name isn't Jon."), Some(""));
        for kept in [
            "I'm not sure, Jon said so.",
            "Not Jonathan, please.",
            "Jon. Not Misty.",
        ] {
            assert_eq!(denied("Jon", kept), None, "{kept}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_alike_and_other_names_are_not() {
        assert!(alike("Marc", "Mark") && alike("Anna", "Ana") && alike("Jon", "John"));
        assert!(!alike("Misty", "Brock") && !alike("Ana", "Peter"));
    }
}
