//! Tables: bars become commas, the line under the head goes, the end of a row is a pause.

use super::{FilterState, SpeechFilter};
use compact_str::CompactString;

/// Most characters of a line that may turn out to be the rule under a table's head.
const RULE_CHARS_MAX: usize = 512;

impl SpeechFilter {
    /// A bar; at the start of a line it opens a row.
    pub(super) fn bar(&mut self, at_start: bool) {
        if at_start {
            self.in_table_row = true;
            self.pause_at_end = false;
        }
        self.pending.clear();
        self.state = FilterState::TableCell;
    }

    /// After a bar: white space, more bars and dashes wait for the first character of the cell.
    pub(super) fn cell(&mut self, c: char, out: &mut CompactString) {
        match c {
            '\n' => {
                self.end_row(out);
                self.text(c, out);
            }
            ' ' | '\t' | '\r' | '|' => {}
            '-' | ':' if self.pending.len() < RULE_CHARS_MAX => self.pending.push(c),
            _ => self.begin_cell(c, out),
        }
    }

    fn begin_cell(&mut self, c: char, out: &mut CompactString) {
        if self.pause_at_end || !self.in_table_row {
            self.emit(',', out);
            self.emit(' ', out);
        }
        self.pause_at_end = self.in_table_row;
        // A dash that turned out to be a sign: "| -5 |".
        self.emit_pending(out);
        self.text(c, out);
    }

    /// The row is over: nothing follows the last bar.
    pub(super) fn end_row(&mut self, out: &mut CompactString) {
        self.state = FilterState::Text;
        self.pending.clear();
        self.pause_at_end |= !self.in_table_row;
        self.end_line(out);
    }

    /// White space before a bar goes, so that the comma follows the word.
    pub(super) fn row_space(&mut self, c: char, out: &mut CompactString) {
        match c {
            ' ' | '\t' | '\r' => {}
            '|' => self.bar(false),
            '\n' => self.text(c, out),
            _ => {
                self.emit(' ', out);
                self.text(c, out);
            }
        }
    }
}
