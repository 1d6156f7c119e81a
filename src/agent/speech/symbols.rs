//! Characters that are no letters: which are silent, which are a pause, which are a word.

use calldex_names::{Language, spoken_symbol};

/// What an arrow or a bullet within a line becomes: the voice pauses.
pub(super) const ARROW_PAUSE: char = ',';

/// The filter's own words in one language; empty where the language has no file.
#[derive(Clone, Copy)]
pub(super) struct SignWords {
    /// `#25`
    pub number: &'static str,
    /// The keys `#` and `*` of a telephone.
    pub pound: &'static str,
    pub star: &'static str,
    /// `5~10`, and `~5`
    pub range: &'static str,
    pub about: &'static str,
    /// `x^2`
    pub power: &'static str,
    /// `C#`
    pub sharp: &'static str,
    female: &'static str,
    male: &'static str,
    /// ` < `, ` > `, ` <= ` and ` >= `
    pub less: &'static str,
    pub greater: &'static str,
    pub at_most: &'static str,
    pub at_least: &'static str,
}

impl SignWords {
    /// Of a language by its BCP 47 tag.
    pub(super) fn for_language(language: &str) -> SignWords {
        let language = Language::from_tag(language);
        let word = |sign: &str| spoken_symbol(sign, language).unwrap_or_default();
        SignWords {
            number: word("#"),
            pound: word("# key"),
            star: word("* key"),
            range: word("~"),
            about: word("≈"),
            power: word("^"),
            sharp: word("♯"),
            female: word("♀"),
            male: word("♂"),
            less: word("<"),
            greater: word(">"),
            at_most: word("≤"),
            at_least: word("≥"),
        }
    }

    /// Two species differ only by these signs, so they are said.
    pub(super) fn word_for(&self, c: char) -> Option<&'static str> {
        match c {
            '♀' => Some(self.female),
            '♂' => Some(self.male),
            _ => None,
        }
    }
}

/// Arrows and bullets within a line.
pub(super) fn is_pause(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{21FF}' | '\u{27F0}'..='\u{27FF}' | '\u{2900}'..='\u{297F}' | '•' | '‣' | '◦')
}

/// Joiners without a width: they change the sound of the letter before them in some scripts, and
/// are an accident in others.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// Whether a joiner behind `c` means something: Arabic, Syriac, the scripts of India and Mongolian.
pub(super) fn takes_joiners(c: char) -> bool {
    matches!(c, '\u{0600}'..='\u{08FF}' | '\u{0900}'..='\u{0DFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{18AF}')
}

/// Emoji, pictures, box drawing, marks of trade, and what joins or colours them. Letters of every
/// script, figures, currency, percent, degree, punctuation and mathematics stay.
pub(super) fn is_silent(c: char) -> bool {
    matches!(c,
        '\u{0000}'..='\u{0008}' | '\u{000B}' | '\u{000C}' | '\u{000E}'..='\u{001F}' | '\u{007F}'..='\u{009F}'
        | '©' | '®' | '™'
        | '\u{00AD}' | '\u{061C}' | '\u{180E}'
        | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        | '\u{20D0}'..='\u{20FF}'
        | '\u{2300}'..='\u{23FF}'
        | '\u{2400}'..='\u{245F}'
        | '\u{2500}'..='\u{27BF}'
        | '\u{2980}'..='\u{29FF}'
        | '\u{2B00}'..='\u{2BFF}'
        | '\u{E000}'..='\u{F8FF}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FFF9}'..='\u{FFFF}'
        | '\u{1F000}'..='\u{1FBFF}'
        | '\u{E0000}'..='\u{10FFFF}'
    )
}

/// Whether the voice pauses after `c` anyway.
pub(super) fn ends_a_phrase(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '!' | '?' | '…' | '。' | '、' | '！' | '？'
    )
}
