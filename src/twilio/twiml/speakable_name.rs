//! Names in a form that can be spoken, without anything that the speech provider would read as an
//! instruction.

/// Characters of a name that are spoken at most.
pub const NAME_CHARS_MAX: usize = 64;

/// `name` for speech: tags (SSML passes through tokens and greetings, docs/protocol.md 5.2) and
/// control characters gone, `&` as "and", symbols and emoji as blanks, blanks collapsed. `None`
/// if nothing that can be spoken is left.
///
/// The XML writer escapes the text later.
pub fn speakable_name(name: &str) -> Option<String> {
    let plain = without_tags(name).replace('&', " and ");
    let said: String = plain
        .chars()
        .take(NAME_CHARS_MAX * 4)
        .map(spoken_char)
        .collect();
    let words: Vec<&str> = said
        .split_whitespace()
        .map(trim_word)
        .filter(|word| !word.is_empty())
        .collect();
    let cut: String = words.join(" ").chars().take(NAME_CHARS_MAX).collect();
    let spoken = cut.trim_end_matches([' ', '-', '\'']);
    spoken
        .contains(char::is_alphanumeric)
        .then(|| spoken.to_owned())
}

/// Without `<…>`; a lone bracket takes nothing with it.
fn without_tags(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        out.push(' ');
        let after = &rest[start + 1..];
        rest = after.find('>').map_or(after, |end| &after[end + 1..]);
    }
    out.push_str(rest);
    out
}

/// The character if it is part of names, a blank if not.
fn spoken_char(character: char) -> char {
    match character {
        '’' | '‘' | 'ʼ' => '\'',
        '-' | '\'' | '.' => character,
        other if other.is_alphanumeric() || is_mark(other) => other,
        _ => ' ',
    }
}

/// A word without punctuation that stands alone or in front; `O'Neil`, `Jr.` and `-` inside stay.
fn trim_word(word: &str) -> &str {
    word.trim_start_matches(['-', '\'', '.'])
        .trim_end_matches(['-', '\''])
}

/// Combining marks of the scripts that names are written in: they are no letters and must not be
/// torn off.
fn is_mark(character: char) -> bool {
    matches!(u32::from(character),
        0x0300..=0x036f | 0x0483..=0x0487 | 0x0591..=0x05c7 | 0x0610..=0x061a | 0x064b..=0x065f | 0x0670
        | 0x0900..=0x0963 | 0x0980..=0x0df3 | 0x0e31..=0x0e4e | 0x0eb1..=0x0ecd | 0x102b..=0x103e
        | 0x1dc0..=0x1dff | 0x3099..=0x309a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_said_and_its_markup_is_not() {
        for (name, said) in [
            ("Misty", "Misty"),
            ("A & B", "A and B"),
            ("Ana <break time=\"9s\"/> Lu", "Ana Lu"),
            ("D’Arcy  O'Neil-Smith Jr.", "D'Arcy O'Neil-Smith Jr."),
            ("Zoë\u{0}\u{202e} Nguyễn", "Zoë Nguyễn"),
            ("Zoe\u{308}", "Zoe\u{308}"),
            ("प्रिया", "प्रिया"),
            ("さくら", "さくら"),
            ("Ash 🔥 Ketchum", "Ash Ketchum"),
            ("5 < 6", "5 6"),
            ("-- Brock --", "Brock"),
        ] {
            assert_eq!(speakable_name(name).as_deref(), Some(said), "{name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_not_left_with_half_a_sign() {
        let name = format!("{}'{}", "a".repeat(NAME_CHARS_MAX - 1), "b".repeat(9));
        assert_eq!(speakable_name(&name), Some("a".repeat(NAME_CHARS_MAX - 1)));
    }

    #[test]
    fn a_name_of_which_nothing_is_left_is_none() {
        for name in ["", "  ", "<break/>", "🔥", "...", "<<>>"] {
            assert_eq!(speakable_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_holds_markup_or_controls(name in "(?s).{0,200}") {
            let Some(said) = speakable_name(&name) else { return Ok(()) };
            prop_assert!(said.chars().count() <= NAME_CHARS_MAX);
            prop_assert!(!said.contains(|c: char| c.is_control() || "<>&\"".contains(c)), "{}", said);
            prop_assert_eq!(speakable_name(&said), Some(said));
        }
    }
}
