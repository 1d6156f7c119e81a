//! What was measured on one instance alone and on several, side by side.

use calldex_storage::bench::percentile;
use serde::Serialize;
use std::io;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// One instance alone.
    Alone,
    /// Several.
    Several,
}

/// What becomes of all values of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// The one in the middle: one value a round.
    Median,
    /// The one in the middle and the 99th percentile: many values.
    Spread,
}

/// One printed figure.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    /// What.
    pub(super) what: String,
    /// Of the numbers; a ratio has none.
    pub(super) unit: &'static str,
    /// On one instance alone.
    pub(super) alone: Option<f64>,
    /// On several.
    pub(super) several: Option<f64>,
    /// Several divided by alone.
    pub(super) ratio: Option<f64>,
}

struct Line {
    what: String,
    unit: &'static str,
    sum: Sum,
    alone: Vec<f64>,
    several: Vec<f64>,
}

/// All values of all rounds. What is new stands after what was noted before it.
#[derive(Default)]
pub(super) struct Tally {
    lines: Vec<Line>,
    /// Where the next new line goes.
    next: usize,
}

impl Tally {
    /// Notes `values`.
    pub(super) fn note(
        &mut self,
        side: Side,
        sum: Sum,
        what: &str,
        unit: &'static str,
        values: impl IntoIterator<Item = f64>,
    ) {
        let known = self.lines.iter().position(|line| line.what == what);
        let at = known.unwrap_or_else(|| {
            let line = Line {
                what: what.to_owned(),
                unit,
                sum,
                alone: Vec::new(),
                several: Vec::new(),
            };
            self.lines.insert(self.next, line);
            self.next
        });
        self.next = at + 1;
        let line = &mut self.lines[at];
        match side {
            Side::Alone => line.alone.extend(values),
            Side::Several => line.several.extend(values),
        }
    }

    /// The figures, in order.
    pub(super) fn figures(mut self) -> Vec<Figure> {
        self.lines.iter_mut().flat_map(Line::figures).collect()
    }
}

impl Line {
    fn figures(&mut self) -> Vec<Figure> {
        self.alone.sort_by(f64::total_cmp);
        self.several.sort_by(f64::total_cmp);
        match self.sum {
            Sum::Median => vec![self.figure("", 0.5)],
            Sum::Spread => vec![self.figure(", p50", 0.5), self.figure(", p99", 0.99)],
        }
    }

    fn figure(&self, suffix: &str, share: f64) -> Figure {
        let (alone, several) = (
            percentile(&self.alone, share),
            percentile(&self.several, share),
        );
        let ratio = alone
            .zip(several)
            .filter(|(alone, _)| *alone > 0.0)
            .map(|(alone, several)| several / alone);
        Figure {
            what: format!("{}{suffix}", self.what),
            unit: self.unit,
            alone,
            several,
            ratio,
        }
    }
}

/// Prints `figures` as a table.
pub(super) fn print(
    figures: &[Figure],
    instances: usize,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let several = format!("{instances} together");
    writeln!(
        out,
        "{:<60} {:>11} {several:>11} {:>7}",
        "", "one alone", "ratio"
    )?;
    let cell = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    for figure in figures {
        writeln!(
            out,
            "{:<60} {:>11} {:>11} {:>7} {}",
            figure.what,
            cell(figure.alone),
            cell(figure.several),
            cell(figure.ratio),
            figure.unit
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_stand_in_one_line_with_their_ratio() {
        let mut tally = Tally::default();
        tally.note(Side::Alone, Sum::Median, "turns", "1/s", [30.0, 10.0, 20.0]);
        tally.note(Side::Several, Sum::Median, "turns", "1/s", [5.0]);
        let times = (0..=100).map(f64::from);
        tally.note(Side::Several, Sum::Spread, "names", "ms", times);
        let figures = tally.figures();
        assert_eq!(
            figures
                .iter()
                .map(|figure| (figure.alone, figure.several, figure.ratio))
                .collect::<Vec<_>>(),
            [
                (Some(20.0), Some(5.0), Some(0.25)),
                (None, Some(50.0), None),
                (None, Some(99.0), None),
            ]
        );
        let mut out = Vec::new();
        print(&figures, 3, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("3 together") && text.contains("names, p99"),
            "{text}"
        );
    }
}
