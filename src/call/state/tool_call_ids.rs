//! Our own ids of the tool calls.

use compact_str::CompactString;

/// So many calls a second can be told apart over the lives of a call's processes: ids are counted from
/// the second in which this process took the call up.
const TOOL_CALLS_PER_S_MAX: u64 = 64;
/// Digits of a call's id after `call`.
const TOOL_CALL_ID_DIGITS: usize = 5;

/// The counter of the tool calls' own ids: `call00001` and so on. Servers differ in what they take as
/// an id (Mistral exactly 9 letters and digits, OpenAI at most 40 characters), and models repeat theirs.
pub(super) struct ToolCallIds {
    next: u64,
}

impl ToolCallIds {
    /// For a call that began so long ago. What a process before this one counted lies below.
    pub(super) fn starting_after(lasted_ms: u64) -> Self {
        Self {
            next: lasted_ms / 1_000 * TOOL_CALLS_PER_S_MAX,
        }
    }

    pub(super) fn next(&mut self) -> CompactString {
        self.next += 1;
        let mut digits = [b'0'; TOOL_CALL_ID_DIGITS];
        let mut rest = self.next;
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
        }
        let digits = std::str::from_utf8(&digits).unwrap_or_default();
        compact_str::format_compact!("call{digits}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_nine_letters_and_digits_and_never_come_twice() {
        let mut ids = ToolCallIds::starting_after(0);
        assert_eq!(
            (ids.next(), ids.next()),
            ("call00001".into(), "call00002".into())
        );
        // Half a minute later, in another process.
        let mut later = ToolCallIds::starting_after(30_000);
        let mut seen = std::collections::HashSet::new();
        for id in (0..2_000)
            .map(|_| later.next())
            .chain((0..1_900).map(|_| ids.next()))
        {
            assert!(
                id.len() == 9 && id.bytes().all(|c| c.is_ascii_alphanumeric()),
                "{id}"
            );
            assert!(seen.insert(id));
        }
    }
}
