//! Where reported words stand in a text.

/// The end of `played` in `text` if it stands right at `from`: compared by letters and digits
/// only, since clauses keep or lose white space (docs/protocol.md 4.4).
pub(super) fn match_at(text: &str, from: usize, played: &str) -> Option<usize> {
    let mut rest = text[from..].char_indices();
    let mut end = from;
    let mut any = false;
    for wanted in played.chars().filter(|c| c.is_alphanumeric()) {
        let (at, found) = rest.find(|(_, c)| c.is_alphanumeric())?;
        if !found.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
        any = true;
        end = from + at + found.len_utf8();
    }
    if !any {
        return None;
    }
    // A clause ends after its punctuation, a cut fragment without.
    if played.trim_end().ends_with(|c: char| !c.is_alphanumeric()) {
        let tail = &text[end..];
        end += tail
            .char_indices()
            .find(|(_, c)| c.is_alphanumeric() || c.is_whitespace())
            .map_or(tail.len(), |(at, _)| at);
    }
    Some(end)
}

/// Whether a word ends at `end`. Scripts without spaces have no such places.
pub(super) fn is_word_end(text: &str, end: usize) -> bool {
    let spaceless = |c: char| c >= '\u{2e80}';
    let before = text[..end].chars().next_back();
    let after = text[end..].chars().next();
    after.is_none_or(|c| !c.is_alphanumeric()) || before.is_some_and(spaceless)
}

/// The end of the first place at or after `from` where `played` stands.
pub(super) fn find_first_match(text: &str, from: usize, played: &str) -> Option<usize> {
    match_at(text, from, played)
        .or_else(|| word_starts(text, from).find_map(|start| match_at(text, start, played)))
}

/// The end of the last place at or after `from` where `played` stands; the one right at `from` is
/// preferred, being the clause in play.
pub(super) fn find_last_match(text: &str, from: usize, played: &str) -> Option<usize> {
    match_at(text, from, played).or_else(|| {
        word_starts(text, from)
            .filter_map(|start| match_at(text, start, played))
            .last()
    })
}

/// Where words begin at or after `from`.
fn word_starts(text: &str, from: usize) -> impl Iterator<Item = usize> {
    let mut inside = false;
    text[from..].char_indices().filter_map(move |(at, c)| {
        let begins = c.is_alphanumeric() && !inside;
        inside = c.is_alphanumeric();
        begins.then_some(from + at)
    })
}
