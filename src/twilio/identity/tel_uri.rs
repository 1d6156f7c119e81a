//! Numbers as RFC 3966 writes them: `+1-415-555-0100`, `tel:+1(415)555.0100;ext=12`.

/// Characters parsed at most; a `tel:` URI with its parameters is shorter.
const TEL_CHARS_MAX: usize = 128;

/// `+` and the digits of a global number, visual separators (`-` `.` `(` `)`) and parameters
/// taken off. `None` for a local number (`7042;phone-context=…`): its context is no prefix
/// (RFC 3966, 5.1.5), so it identifies nobody outside its own exchange.
pub(super) fn global_number(text: &str) -> Option<String> {
    if text.len() > TEL_CHARS_MAX {
        return None;
    }
    let number = text.split(';').next().unwrap_or_default().trim_end();
    let after_plus = number.strip_prefix('+')?;
    let mut digits = String::with_capacity(number.len());
    digits.push('+');
    for character in after_plus.chars() {
        match character {
            '0'..='9' => digits.push(character),
            '-' | '.' | '(' | ')' => {}
            _ => return None,
        }
    }
    Some(digits)
}
