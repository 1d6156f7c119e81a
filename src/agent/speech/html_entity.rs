//! Character references of HTML (`&amp;`, `&#39;`): the character is said.

use super::{FilterState, SpeechFilter};
use compact_str::CompactString;

/// Longest reference without `&` and `;`; what is longer was none.
const NAME_BYTES_MAX: usize = 8;

const NAMED: [(&str, char); 69] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("shy", '\u{AD}'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("deg", '°'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("times", '×'),
    ("divide", '÷'),
    ("plusmn", '±'),
    ("frac12", '½'),
    ("frac14", '¼'),
    ("iquest", '¿'),
    ("iexcl", '¡'),
    ("middot", '·'),
    ("bull", '•'),
    ("rarr", '→'),
    ("le", '≤'),
    ("ge", '≥'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("atilde", 'ã'),
    ("auml", 'ä'),
    ("aring", 'å'),
    ("aelig", 'æ'),
    ("ccedil", 'ç'),
    ("egrave", 'è'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("euml", 'ë'),
    ("igrave", 'ì'),
    ("iacute", 'í'),
    ("icirc", 'î'),
    ("iuml", 'ï'),
    ("ntilde", 'ñ'),
    ("ograve", 'ò'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("otilde", 'õ'),
    ("ouml", 'ö'),
    ("oslash", 'ø'),
    ("ugrave", 'ù'),
    ("uacute", 'ú'),
    ("ucirc", 'û'),
    ("uuml", 'ü'),
    ("szlig", 'ß'),
    ("yacute", 'ý'),
    ("yuml", 'ÿ'),
];

impl SpeechFilter {
    /// After `&`.
    pub(super) fn entity(&mut self, c: char, out: &mut CompactString) {
        match c {
            ';' => {
                let held = std::mem::take(&mut self.pending);
                self.state = FilterState::Text;
                match decoded(&held) {
                    // A sign and no beginning of another reference.
                    Some('&') => self.emit('&', out),
                    Some(c) => self.step(c, out),
                    None => {
                        self.pending = held;
                        self.release_entity(out);
                        self.step(c, out);
                    }
                }
            }
            'a'..='z' | 'A'..='Z' | '0'..='9' | '#' if self.pending.len() < NAME_BYTES_MAX => {
                self.pending.push(c)
            }
            _ => {
                self.release_entity(out);
                self.step(c, out);
            }
        }
    }

    /// It was an ampersand, and what follows is text.
    pub(super) fn release_entity(&mut self, out: &mut CompactString) {
        let held = std::mem::take(&mut self.pending);
        self.state = FilterState::Text;
        self.line_start = false;
        self.emit('&', out);
        for c in held.chars() {
            self.step(c, out);
        }
    }
}

fn decoded(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        let named = |name: &str| NAMED.iter().find(|(known, _)| *known == name);
        if let Some((_, c)) = named(name) {
            return Some(*c);
        }
        // `&Eacute;`
        let (_, c) = named(&name.to_ascii_lowercase())?;
        return c.is_lowercase().then(|| c.to_uppercase().next()).flatten();
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?).map(|c| if c == '\u{A0}' { ' ' } else { c })
}
