//! Where synthesis cuts a text: at the end of a clause.

/// Ends a clause where white space follows.
const ENDS: &[char] = &['.', ':', ';', '!', '?', '…'];
/// Ends a clause by itself.
const WIDE_ENDS: &[char] = &['。', '！', '？', '：', '；'];
/// Belongs to the clause that it closes.
const CLOSERS: &[char] = &['"', '\'', '”', '’', ')', ']', '»'];

/// A comma before one of these words ends a clause too, and the space behind it is the clause's (recorded; which commas
/// do is a guess).
const JOINERS: &[&str] = &["and", "so"];

/// The length in bytes of the first complete clause, leading space included; `None`: none is complete.
/// "3.5" and a trailing "Hello." are not complete: what follows is not known.
pub(super) fn first_clause(text: &str) -> Option<usize> {
    let mut ended = false;
    for (at, character) in text.char_indices() {
        if WIDE_ENDS.contains(&character) {
            return Some(at + character.len_utf8());
        }
        if ended && character.is_whitespace() {
            return Some(at);
        }
        if character == ',' && joins(&text[at + 1..]) {
            return Some(at + 2);
        }
        ended = ENDS.contains(&character) || (ended && CLOSERS.contains(&character));
    }
    None
}

/// Whether a comma is followed by a whole word that joins clauses.
fn joins(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(' ') else {
        return false;
    };
    let Some(end) = rest.find(|character: char| !character.is_alphanumeric()) else {
        return false;
    };
    JOINERS.contains(&&rest[..end])
}

/// The text stops where a clause may end.
pub(super) fn may_end_here(text: &str) -> bool {
    text.trim_end_matches(CLOSERS).ends_with(ENDS)
}

/// What was heard of a clause after so many characters: whole words, trimmed; the word being said counts as heard.
pub(super) fn heard(clause: &str, characters: usize) -> String {
    let clause = clause.trim();
    for (counted, (at, character)) in clause.char_indices().enumerate() {
        if counted >= characters && at > 0 && character.is_whitespace() {
            return clause[..at].trim_end().to_owned();
        }
    }
    clause.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clauses(text: &str) -> Vec<&str> {
        let mut rest = text;
        let mut cut = Vec::new();
        while let Some(length) = first_clause(rest) {
            cut.push(&rest[..length]);
            rest = &rest[length..];
        }
        cut.push(rest);
        cut
    }

    #[test]
    fn clauses_keep_their_leading_space() {
        assert_eq!(
            clauses("I heard: four, seven. Right?"),
            ["I heard:", " four, seven.", " Right?"]
        );
        assert_eq!(
            clauses("He said \"Go.\" Then he went."),
            ["He said \"Go.\"", " Then he went."]
        );
    }

    #[test]
    fn a_comma_before_and_or_so_ends_a_clause_with_its_space() {
        assert_eq!(
            clauses("It takes about eight seconds, so that you can wait."),
            ["It takes about eight seconds, ", "so that you can wait."]
        );
        for whole in [
            "Thirty, every single number, no shortcuts.",
            "Stop stop stop, that is enough.",
            "One, android.",
        ] {
            assert_eq!(clauses(whole), [whole]);
        }
    }

    #[test]
    fn a_decimal_point_ends_nothing() {
        assert_eq!(
            clauses("It weighs 3.5 kilos. Heavy"),
            ["It weighs 3.5 kilos.", " Heavy"]
        );
    }

    #[test]
    fn wide_punctuation_needs_no_space() {
        assert_eq!(clauses("はい。次は"), ["はい。", "次は"]);
    }

    #[test]
    fn the_word_in_the_mouth_counts_as_heard() {
        assert_eq!(
            heard(" Later than that we charge half", 18),
            "Later than that we"
        );
        assert_eq!(heard("This call is long", 0), "This");
        assert_eq!(heard(" Sentence 2 of twelve:", 13), "Sentence 2 of");
        assert_eq!(heard("Über alles", 400), "Über alles");
    }
}
