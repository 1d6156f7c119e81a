//! Text folded for comparison: case, accents, width and apostrophes set aside.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, decompose_canonical};

/// Lower-cases, drops accents (and letters' strokes: ł, ø, đ) and every kind of apostrophe's
/// difference; keeps the marks of kana, Indic scripts and Thai, which tell words apart. Idempotent.
#[must_use]
pub fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len());
    fold_into(word, &mut folded);
    folded
}

/// [`fold`] into a buffer, which is not cleared before.
pub fn fold_into(word: &str, folded: &mut String) {
    if word.is_ascii() {
        folded.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        return;
    }
    if word.chars().all(is_plain_east_asian) {
        // Has neither case nor another form, and composes with nothing: only its sound marks come off.
        for c in word.chars() {
            decompose_canonical(c, |c| fold_char(c, folded));
        }
        return;
    }
    for c in word.nfkc().flat_map(char::to_lowercase).nfd() {
        fold_char(c, folded);
    }
}

/// Ideographs, kana, and the dot between foreign names: what a turn in Japanese or Chinese mostly is.
fn is_plain_east_asian(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fe}' | '\u{4e00}'..='\u{9fff}')
}

/// Voiced and semi-voiced sound marks: が is not か.
const KANA_MARKS: [char; 2] = ['\u{3099}', '\u{309a}'];

/// Scripts of India, Thai and Lao, whose marks are vowels.
fn is_indic(c: char) -> bool {
    ('\u{900}'..='\u{eff}').contains(&c)
}

fn fold_char(c: char, folded: &mut String) {
    match c {
        '’' | '‘' | 'ʼ' | '`' | '´' | '′' => folded.push('\''),
        'ł' => folded.push('l'),
        'ø' => folded.push('o'),
        'đ' | 'ð' => folded.push('d'),
        'ı' => folded.push('i'),
        'ς' => folded.push('σ'),
        'ß' => folded.push_str("ss"),
        'æ' => folded.push_str("ae"),
        'œ' => folded.push_str("oe"),
        'þ' => folded.push_str("th"),
        _ if KANA_MARKS.contains(&c) || is_indic(c) => folded.push(c),
        _ if canonical_combining_class(c) != 0 => {}
        _ => folded.push(c),
    }
}

/// Composed (NFC), one kind of apostrophe and space, no spaces around. Idempotent; borrows what
/// is so already.
#[must_use]
pub fn normalise(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if trimmed.is_ascii() {
        return Cow::Borrowed(trimmed);
    }
    let composed: String = trimmed
        .nfc()
        .map(|c| match c {
            '’' | '‘' | 'ʼ' | '′' | '＇' => '\'',
            c if c.is_whitespace() && c != '\n' => ' ',
            c => c,
        })
        .collect();
    Cow::Owned(composed.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_folded_quickly_is_folded_as_the_rest() {
        let slowly = |word: &str| {
            let mut folded = String::new();
            for c in word.nfkc().flat_map(char::to_lowercase).nfd() {
                fold_char(c, &mut folded);
            }
            folded
        };
        let plain = ('\u{3041}'..='\u{9fff}').filter(|c| is_plain_east_asian(*c));
        for c in plain {
            for word in [c.to_string(), format!("{c}か"), format!("が{c}")] {
                assert_eq!(fold(&word), slowly(&word), "{word}");
            }
        }
    }
}
