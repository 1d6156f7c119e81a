//! The result of a tool as bounded text for the model.

use crate::call::tool_runner::ToolText;
use serde_json::Value;

/// A JSON response is read up to this multiple of the bound of its text: it is shorter without white space.
const RAW_TO_TEXT_FACTOR: usize = 4;

/// Most bytes of a response that are read, where its text is bounded by `bytes_max`.
pub fn read_bytes_max(bytes_max: usize) -> usize {
    bytes_max * RAW_TO_TEXT_FACTOR
}

/// `body` as text: JSON without white space, other text unchanged. `is_cut`: the body was longer.
pub fn result_text(body: &[u8], is_json: bool, is_cut: bool, bytes_max: usize) -> ToolText {
    let json = (is_json && !is_cut)
        .then(|| serde_json::from_slice::<Value>(body).ok())
        .flatten();
    match json {
        // A JSON string is sent without its quotes.
        Some(Value::String(text)) => truncated(&text, false, bytes_max),
        Some(json) => truncated(&json.to_string(), false, bytes_max),
        None => truncated(&String::from_utf8_lossy(body), is_cut, bytes_max),
    }
}

/// At most `bytes_max` bytes of `text`, cut between characters, without control characters.
pub fn truncated(text: &str, is_cut: bool, bytes_max: usize) -> ToolText {
    let kept = &text[..text.floor_char_boundary(bytes_max)];
    let is_said = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    ToolText {
        text: kept.chars().filter(is_said).collect(),
        is_truncated: is_cut || kept.len() < text.len(),
    }
}

/// Whether a content type is JSON; `None` where it is neither JSON nor text.
pub fn is_json(content_type: Option<&str>) -> Option<bool> {
    let kind = content_type.unwrap_or("text/plain");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    if kind == "application/json" || kind.ends_with("+json") {
        return Some(true);
    }
    let is_text = kind.is_empty() || kind.starts_with("text/") || kind == "application/xml";
    is_text.then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compacted_cut_at_a_character_and_told_to_be_cut() {
        let text = |body: &str, bytes_max| result_text(body.as_bytes(), true, false, bytes_max);
        assert_eq!(text("{ \"a\" :\n 1 }", 100).text, "{\"a\":1}");
        assert_eq!(text("\"sent\"", 100).text, "sent");
        assert_eq!(text("{ no json", 100).text, "{ no json");
        let cut = text("ééééé", 5);
        assert_eq!((cut.text.as_str(), cut.is_truncated), ("éé", true));
        assert!(result_text(b"[1,", true, true, 100).is_truncated);
        assert_eq!(
            result_text(&[0xff, 0x00, b'a'], false, false, 9).text,
            "\u{fffd}a"
        );
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        assert_eq!(
            is_json(Some("application/problem+json; charset=utf-8")),
            Some(true)
        );
        assert_eq!(is_json(Some("Text/HTML")), Some(false));
        assert_eq!(is_json(None), Some(false));
        assert_eq!(is_json(Some("image/png")), None);
    }
}
