//! Names and sentences compared: alike, the same, denied, said at all.

use calldex_names::{Language, text_after_denied_name};

/// Two names this alike are one name, heard differently (Jaro-Winkler, 0 to 1).
const SIMILARITY_MIN: f64 = 0.82;

/// Letters and digits only, lower case, accents as they are: two spellings of one word agree.
fn normalized(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// A complaint that the name is wrong, at whatever time it comes.
#[derive(Clone, Copy)]
pub(super) struct WrongNameComplaint<'t> {
    /// What follows it: the right name may.
    pub(super) rest: &'t str,
    /// "That's not my name": whose the next one is, it does not say. Otherwise it was a mistake about the
    /// caller's own ("you got my name wrong").
    pub(super) denies_own_name: bool,
}

pub(super) fn wrong_name_complaint(
    text: &str,
    language: Language,
) -> Option<WrongNameComplaint<'_>> {
    /// A complaint has at most so many words.
    const WORDS_MAX: usize = 4;
    let rest = calldex_names::text_after_complaint(text, language)?;
    let head = &text[..text.len() - rest.len()];
    let words: Vec<&str> = head.split_whitespace().collect();
    let words = &words[words.len().saturating_sub(WORDS_MAX)..];
    let last = words.join(" ");
    let denies_own_name = words
        .iter()
        .any(|word| text_after_denied_name(word, &last).is_some());
    Some(WrongNameComplaint {
        rest,
        denies_own_name,
    })
}

/// Whether `text` is the name, perhaps behind a word or two ("it's Brock"), and nothing else.
pub(super) fn is_only_name(name: &str, text: &str) -> bool {
    /// Words before it.
    const BEFORE_MAX: usize = 2;
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    let words = |text: &str| text.split_whitespace().count();
    let clauses = text.contains([',', ';', '.', '!', '?']);
    !clauses
        && normalized(text).ends_with(&normalized(name))
        && words(text) <= words(name) + BEFORE_MAX
}

pub(super) fn is_same_name(one: &str, other: &str) -> bool {
    normalized(one) == normalized(other)
}

pub(super) fn is_similar_name(one: &str, other: &str) -> bool {
    strsim::jaro_winkler(&normalized(one), &normalized(other)) >= SIMILARITY_MIN
}

/// Whether `name` was said in `transcript`: as words, or as letters joined ("J O N").
pub(super) fn was_said(name: &str, transcript: &str) -> bool {
    let wanted = normalized(name);
    if wanted.chars().count() < 2 {
        return false;
    }
    let words: Vec<String> = transcript
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .map(normalized)
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).any(|start| words_join_to(&words[start..], &wanted))
}

/// Whether some first words, joined, are exactly `wanted`.
fn words_join_to(words: &[String], wanted: &str) -> bool {
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
        assert!(was_said("Misty", "well, misty I guess"));
        assert!(was_said("Jon", "that's J. O. N."));
        assert!(was_said("Mary Ann", "I'm mary ann"));
        assert!(!was_said("Art", "I want to start"));
        assert!(!was_said("Ash", "hello there"));
        assert!(!was_said("", "anything"));
    }

    #[test]
    fn a_name_is_turned_down_only_by_a_word_that_denies_it() {
        assert_eq!(
            text_after_denied_name("Mark", "Not Mark, Marc with a c."),
            Some("Marc with a c.")
        );
        assert_eq!(
            text_after_denied_name("Jon", "It's not Jon, it's John."),
            Some("it's John.")
        );
        assert_eq!(
            text_after_denied_name("Jon", "My name isn't Jon."),
            Some("")
        );
        for kept in [
            "I'm not sure, Jon said so.",
            "Not Jonathan, please.",
            "Jon. Not Misty.",
        ] {
            assert_eq!(text_after_denied_name("Jon", kept), None, "{kept}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_alike_and_other_names_are_not() {
        assert!(
            is_similar_name("Marc", "Mark")
                && is_similar_name("Anna", "Ana")
                && is_similar_name("Jon", "John")
        );
        assert!(!is_similar_name("Misty", "Brock") && !is_similar_name("Ana", "Peter"));
    }
}
