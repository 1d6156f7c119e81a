//! Bounds of texts.

/// At most `bytes_max` bytes of `text`, cut between characters.
pub(super) fn truncated(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
