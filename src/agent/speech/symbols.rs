//! Characters that are no letters: which are silent, which are a pause, which are a word.

/// What an arrow or a bullet within a line becomes: the voice pauses.
pub(super) const ARROW_PAUSE: char = ',';

/// The filter's own words in one language.
pub(super) struct Words {
    /// `#25`
    pub number: &'static str,
    female: &'static str,
    male: &'static str,
    /// ` < ` and ` > `
    pub less: &'static str,
    pub greater: &'static str,
}

const NONE: Words = Words {
    number: "",
    female: "",
    male: "",
    less: "",
    greater: "",
};
const ENGLISH: Words = Words {
    number: "number",
    female: "female",
    male: "male",
    less: "less than",
    greater: "greater than",
};
const SPANISH: Words = Words {
    number: "número",
    female: "hembra",
    male: "macho",
    less: "menor que",
    greater: "mayor que",
};
const FRENCH: Words = Words {
    number: "numéro",
    female: "femelle",
    male: "mâle",
    less: "inférieur à",
    greater: "supérieur à",
};
const GERMAN: Words = Words {
    number: "Nummer",
    female: "weiblich",
    male: "männlich",
    less: "kleiner als",
    greater: "größer als",
};

impl Words {
    pub(super) fn of(language: &str) -> &'static Words {
        match language
            .get(..2)
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "en" => &ENGLISH,
            "es" => &SPANISH,
            "fr" => &FRENCH,
            "de" => &GERMAN,
            _ => &NONE,
        }
    }

    /// Two species differ only by these signs, so they are said.
    pub(super) fn of_symbol(&self, c: char) -> Option<&'static str> {
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

/// Emoji, pictures, box drawing, marks of trade, and what joins or colours them. Letters of every
/// script, figures, currency, percent, degree, punctuation and mathematics stay.
pub(super) fn is_silent(c: char) -> bool {
    matches!(c,
        '\u{0000}'..='\u{0008}' | '\u{000B}' | '\u{000C}' | '\u{000E}'..='\u{001F}' | '\u{007F}'..='\u{009F}'
        | '©' | '®' | '™'
        | '\u{200B}' | '\u{2060}' | '\u{FEFF}'
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
