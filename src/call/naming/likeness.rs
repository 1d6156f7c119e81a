//! Names and sentences compared: alike, the same, denied, said at all.

/// Words right before a name that turn it down.
const DENIALS: [&str; 8] = ["not", "isn't", "isnt", "nicht", "pas", "não", "nie", "niet"];
/// Two names this alike are one name, heard differently (Jaro-Winkler, 0 to 1).
const ALIKE_MIN: f64 = 0.82;

/// How callers say that we have their name wrong; what they say next is the right one.
const COMPLAINTS: [&str; 5] = [
    "my name wrong",
    "not my name",
    "the wrong name",
    "mispronounced my name",
    "misspelled my name",
];

/// How callers take their leave.
const FAREWELLS: [&str; 11] = [
    "bye",
    "goodbye",
    "bye-bye",
    "adiós",
    "adios",
    "tschüss",
    "ciao",
    "arrivederci",
    "tchau",
    "doei",
    "さようなら",
];

/// Letters and digits only, lower case, accents as they are: two spellings of one word agree.
fn folded(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// What follows the known name where the caller turns it down: "Marc with a c" of "not Mark, Marc
/// with a c".
pub(super) fn denied<'t>(known: &str, text: &'t str) -> Option<&'t str> {
    let (mut before, mut rest) = ("", text.trim_start());
    while !rest.is_empty() {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if same(word, known) && DENIALS.contains(&before.to_lowercase().as_str()) {
            return Some(after.trim());
        }
        (before, rest) = (word, after.trim_start());
    }
    None
}

/// What follows a complaint about the name, at whatever time it comes.
pub(super) fn complaint(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    COMPLAINTS.iter().find_map(|complaint| {
        let at = lower.find(complaint)?;
        Some(&text[at + complaint.len()..])
    })
}

pub(super) fn says_goodbye(text: &str) -> bool {
    let lower = text.to_lowercase();
    let word = |word: &str| FAREWELLS.contains(&word.trim_matches(|c: char| !c.is_alphanumeric()));
    lower.split_whitespace().any(word)
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
    use super::super::Naming;
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

    #[test]
    fn a_suggestion_of_the_model_needs_the_callers_own_word() {
        let mut naming = Naming::new(None, Vec::new(), false, 2);
        assert!(naming.suggest("Misty", "what type is Pikachu").is_none());
        assert!(naming.suggest("Misty", "they call me misty").is_some());
        assert!(naming.suggest("Brock", "my friend brock").is_none());
    }
}
