//! Kinds of characters: kana, kanji, Hangul, Thai marks, what divides a name's parts.

/// Hangul syllables begin here; every 28th ends in a vowel.
const HANGUL_FIRST: u32 = 0xac00;
const HANGUL_FINALS: u32 = 28;

/// Whether a Hangul syllable ends in a consonant.
pub(super) fn ends_in_consonant(c: char) -> bool {
    ('\u{ac00}'..='\u{d7a3}').contains(&c)
        && !(c as u32 - HANGUL_FIRST).is_multiple_of(HANGUL_FINALS)
}

pub(super) fn is_katakana(said: &str) -> bool {
    said.chars().count() >= 2
        && said
            .chars()
            .all(|c| is_katakana_letter(c) || is_separator(c))
}

pub(super) fn is_katakana_letter(c: char) -> bool {
    ('\u{30a1}'..='\u{30ff}').contains(&c)
}

pub(super) fn is_kanji(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c) || c == '々'
}

/// Vowel and tone marks, which stand in the block of the letters.
pub(super) fn is_thai_mark(c: char) -> bool {
    ('\u{e30}'..='\u{e4e}').contains(&c)
}

pub(super) fn is_separator(c: char) -> bool {
    matches!(c, '・' | '·' | ' ' | '　' | '＝' | '=')
}
