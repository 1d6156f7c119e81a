//! JSON strings, written without a JSON tree, because every token of a reply is one.

/// Appends `text` as a JSON string with its quotes. Runs without anything to escape, which is
/// nearly every token, are copied whole.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let Some(escape) = JsonEscape::of(byte) else {
            continue;
        };
        out.push_str(&text[copied..at]);
        escape.write(out);
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// The escape of a byte that a JSON string cannot contain (RFC 8259, 7).
enum JsonEscape {
    Short(char),
    Code(u8),
}

impl JsonEscape {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'"' => Self::Short('"'),
            b'\\' => Self::Short('\\'),
            b'\n' => Self::Short('n'),
            b'\r' => Self::Short('r'),
            b'\t' => Self::Short('t'),
            0x08 => Self::Short('b'),
            0x0c => Self::Short('f'),
            0..0x20 => Self::Code(byte),
            _ => return None,
        })
    }

    fn write(&self, out: &mut String) {
        out.push('\\');
        match *self {
            Self::Short(letter) => out.push(letter),
            Self::Code(byte) => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write_string;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in "(?s).{0,60}|[\\x00-\\x7f]{0,60}") {
            let mut out = String::new();
            write_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }
    }
}
