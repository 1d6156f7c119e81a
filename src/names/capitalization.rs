//! A heard name as it should be written and spoken: "misty" is Misty, "o'brien" O'Brien.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use super::evidence::Evidence;
use super::extraction::Name;
use super::language::Language;
use super::token::{Pause, TokenizedTurn, is_apostrophe, is_hyphen};
use super::word_class::WordClass;

/// Longest name handed out, in characters; a longer one is cut (nobody is called so).
pub const NAME_CHARS_MAX: usize = 80;

/// The name of the words `words`: its first word, and the whole where there is more.
pub fn name_of(turn: &TokenizedTurn<'_>, words: Range<usize>) -> Name {
    let full = full_of(turn, words.clone());
    let first_words = leading_particles(turn, &words);
    let first = if first_words > 0 && first_words < words.len() {
        full.clone()
    } else {
        written_word(turn, words.start, true)
    };
    let first = truncated(first);
    Name {
        full: (words.len() > 1).then(|| truncated(full)),
        title: title_of(turn, &words),
        first,
    }
}

/// The title right before a surname that stands alone, as it was written.
fn title_of(turn: &TokenizedTurn<'_>, words: &Range<usize>) -> Option<String> {
    let before = words.start.checked_sub(1)?;
    let alone = words.len() == 1 || leading_particles(turn, words) > 0;
    let given = turn.tokens[words.start].evidence == Evidence::Name
        && turn.tokens[words.start].entry.surname_rank() < 2;
    let titled = turn.tokens[before].has_class(WordClass::ADDRESS)
        && turn.pause_before(words.start) == Pause::None;
    if !alone || given || !titled {
        return None;
    }
    let at = turn.tokens[before].span.clone();
    let stop = if turn.text[at.end..].starts_with('.') {
        "."
    } else {
        ""
    };
    Some(format!(
        "{}{stop}",
        capitalised(&turn.text[at], turn.language)
    ))
}

/// A surname that begins with particles ("van Dyke") is one name.
fn leading_particles(turn: &TokenizedTurn<'_>, words: &Range<usize>) -> usize {
    let given = turn.tokens[words.start].entry.is_first_name();
    if given {
        return 0;
    }
    turn.tokens[words.clone()]
        .iter()
        .take_while(|token| token.has_class(WordClass::PARTICLE))
        .count()
}

fn full_of(turn: &TokenizedTurn<'_>, words: Range<usize>) -> String {
    let mut full = String::new();
    let mut joined = false;
    for at in words.clone() {
        if at > words.start && !joined {
            full.push(' ');
        }
        let last = at + 1 == words.end;
        joined = turn.folded(at) == "o" && at > words.start && !last;
        if joined {
            full.push_str("O'");
            continue;
        }
        full.push_str(&written_word(turn, at, at == words.start || last));
    }
    full
}

/// One word of a name. Own capitals are kept where there are some; `outer`: no particle.
fn written_word(turn: &TokenizedTurn<'_>, at: usize, outer: bool) -> String {
    let token = &turn.tokens[at];
    let word = &turn.text[token.span.clone()];
    if !outer && token.has_class(WordClass::PARTICLE) {
        return if has_own_capitals(word) {
            word.nfc().collect()
        } else {
            word.to_lowercase()
        };
    }
    capitalised(word, turn.language)
}

fn has_own_capitals(word: &str) -> bool {
    word.chars().any(char::is_lowercase) && word.chars().next().is_some_and(char::is_uppercase)
}

/// Capitals as a name has them: kept if the word has its own, else set at the start of each part.
#[must_use]
pub fn capitalised(word: &str, language: Language) -> String {
    let word: String = word
        .nfc()
        .map(|c| if is_apostrophe(c) { '\'' } else { c })
        .collect();
    if has_own_capitals(&word) && !has_low_part(&word) {
        return word;
    }
    if is_initials(&word) {
        return word;
    }
    let mut out = String::with_capacity(word.len());
    let mut opens = true;
    for c in word.chars() {
        if opens {
            out.push(upper(c));
        } else {
            out.extend(c.to_lowercase());
        }
        opens = is_hyphen(c) || (c == '\'' && out.chars().count() <= 2);
    }
    with_inner_capitals(out, language)
}

/// "JR", "TJ", "AJ", written so.
fn is_initials(word: &str) -> bool {
    let spoken = word.chars().any(|c| "AEIOUY".contains(c)) && !word.ends_with('J');
    word.len() == 2 && word.chars().all(|c| c.is_ascii_uppercase()) && !spoken
}

/// "Jean-luc", "O'brien": a part after a hyphen or apostrophe that misses its capital.
fn has_low_part(word: &str) -> bool {
    let mut before = None;
    word.chars().enumerate().any(|(index, c)| {
        let low =
            c.is_lowercase() && before.is_some_and(|b| is_hyphen(b) || (b == '\'' && index == 2));
        before = Some(c);
        low
    })
}

/// "McDonald" and the Dutch "IJsbrand".
fn with_inner_capitals(word: String, language: Language) -> String {
    if let Some(rest) = word.strip_prefix("Mc")
        && rest.chars().count() >= 3
    {
        return format!("Mc{}", upper_first(rest));
    }
    match word.strip_prefix("Ij") {
        Some(rest) if language == Language::Dutch => format!("IJ{rest}"),
        _ => word,
    }
}

/// The capital of a letter; a letter whose capital is two (a ligature), or another
/// letter's as well, stays.
fn upper(c: char) -> char {
    let mut capitals = c.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) if capital.to_lowercase().eq([c]) || c.is_uppercase() => capital,
        _ => c,
    }
}

fn upper_first(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(upper).into_iter().chain(chars).collect()
}

fn truncated(name: String) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((at, _)) => name[..at].to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_capitals() {
        for (heard, spoken) in [
            ("misty", "Misty"),
            ("MCDONALD", "McDonald"),
            ("McDonald", "McDonald"),
            ("o'brien", "O'Brien"),
            ("O’brien", "O'Brien"),
            ("jean-luc", "Jean-Luc"),
            ("Jean-luc", "Jean-Luc"),
            ("DeShawn", "DeShawn"),
            ("d'angelo", "D'Angelo"),
            ("łukasz", "Łukasz"),
            ("élodie", "Élodie"),
            ("mack", "Mack"),
        ] {
            assert_eq!(capitalised(heard, Language::English), spoken);
        }
        assert_eq!(capitalised("ijsbrand", Language::Dutch), "IJsbrand");
    }
}
