//! Where a clause ends, how long it takes to say, and how far it was said at some moment.

/// What a clause takes beside its characters, in milliseconds (recorded calls: 0.35 s and 1 s per 23
/// characters).
const CLAUSE_OVERHEAD_MS: u64 = 350;
/// Characters said in a second.
const SPEECH_CHARS_PER_S: u64 = 23;

/// End a clause where white space or nothing follows.
const CLAUSE_END_MARKS: &[char] = &['.', ':', ';', '!', '?', '…'];
/// End a clause by themselves.
const CJK_CLAUSE_END_MARKS: &[char] = &['。', '！', '？', '：', '；'];
/// Belong to the clause that they close.
const CLOSING_MARKS: &[char] = &['"', '\'', '”', '’', ')', ']', '»'];

/// The end of the clause that begins at `from`, as a byte index; `None` if none ends in `text`.
pub(super) fn clause_end(text: &str, from: usize) -> Option<usize> {
    let mut ended = false;
    let mut any = false;
    for (at, character) in text[from..].char_indices() {
        if ended && any && character.is_whitespace() {
            return Some(from + at);
        }
        if CJK_CLAUSE_END_MARKS.contains(&character) && any {
            return Some(from + at + character.len_utf8());
        }
        any |= character.is_alphanumeric();
        ended =
            CLAUSE_END_MARKS.contains(&character) || (ended && CLOSING_MARKS.contains(&character));
    }
    (ended && any).then_some(text.len())
}

/// How long `text` takes to be said as one clause, in milliseconds; nothing takes no time.
pub(super) fn clause_ms(text: &str) -> u64 {
    match text.trim().chars().count() as u64 {
        0 => 0,
        characters => CLAUSE_OVERHEAD_MS + characters * 1_000 / SPEECH_CHARS_PER_S,
    }
}

/// The same for all clauses of `text`.
pub(super) fn speech_ms(text: &str) -> u64 {
    let mut from = 0;
    let mut sum = 0;
    while from < text.len() {
        let until = clause_end(text, from).unwrap_or(text.len());
        sum += clause_ms(&text[from..until]);
        from = until;
    }
    sum
}

/// How far `clause` was said `ms` milliseconds after it began, as a byte index: a word that was begun
/// counts, as it does in Twilio's own reports.
pub(super) fn spoken_bytes(clause: &str, ms: u64) -> usize {
    let whole = clause_ms(clause);
    if ms == 0 || whole == 0 {
        return 0;
    }
    let lead = clause.len() - clause.trim_start().len();
    let words = clause.trim();
    let characters = words.chars().count() as u64;
    let reached = (characters * ms.min(whole)).div_ceil(whole) as usize;
    let word_end = words
        .char_indices()
        .skip(reached.max(1) - 1)
        .find(|(_, character)| character.is_whitespace());
    lead + word_end.map_or(words.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_ends_at_its_punctuation() {
        let text = "I heard: 3.5 kilos. \"Go.\" はい。次";
        let mut from = 0;
        let mut clauses = Vec::new();
        while let Some(until) = clause_end(text, from) {
            clauses.push(&text[from..until]);
            from = until;
        }
        assert_eq!(clauses, ["I heard:", " 3.5 kilos.", " \"Go.\"", " はい。"]);
        assert_eq!(clause_end("not yet", 0), None);
    }

    #[test]
    fn the_recorded_times_of_clauses_are_met() {
        for (characters, from, to) in [
            (3, 430, 630),
            (13, 850, 1_150),
            (49, 2_400, 2_700),
            (99, 4_400, 4_900),
        ] {
            let lasts = clause_ms(&"x".repeat(characters));
            assert!((from..=to).contains(&lasts), "{characters}: {lasts}");
        }
        assert_eq!(speech_ms("Yes. No."), clause_ms("Yes.") + clause_ms("No."));
    }

    #[test]
    fn a_word_that_was_begun_counts() {
        let clause = " Sentence 2 of twelve:";
        let heard = |ms| clause[..spoken_bytes(clause, ms)].trim();
        assert_eq!(heard(0), "");
        assert_eq!(heard(15), "Sentence");
        assert_eq!(heard(684), "Sentence 2 of");
        assert_eq!(heard(9_000), "Sentence 2 of twelve:");
        let clause = "My very long and quite unbroken sentence that goes on.";
        assert_eq!(
            &clause[..spoken_bytes(clause, 1_900)],
            "My very long and quite unbroken sentence"
        );
    }
}
