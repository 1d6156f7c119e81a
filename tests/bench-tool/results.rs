//! What was measured on one instance alone and on several, side by side.

use crate::storage::percentile;
use serde::Serialize;
use std::io;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BenchSide {
    /// One instance alone.
    SingleNode,
    /// Several.
    Cluster,
}

/// What becomes of all values of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregation {
    /// The one in the middle: one value a round.
    Median,
    /// The one in the middle and the 99th percentile: many values.
    MedianAndP99,
}

/// One printed figure.
#[derive(Debug, Serialize)]
pub(super) struct ComparedFigure {
    /// What.
    pub(super) what: String,
    /// Of the numbers; a ratio has none.
    pub(super) unit: &'static str,
    /// On one instance alone.
    #[serde(rename = "alone")]
    pub(super) single_node: Option<f64>,
    /// On several.
    #[serde(rename = "several")]
    pub(super) cluster: Option<f64>,
    /// Several divided by alone.
    pub(super) ratio: Option<f64>,
}

struct FigureRow {
    what: String,
    unit: &'static str,
    aggregation: Aggregation,
    single_node: Vec<f64>,
    cluster: Vec<f64>,
}

/// All values of all rounds. What is new stands after what was noted before it.
#[derive(Default)]
pub(super) struct BenchResults {
    rows: Vec<FigureRow>,
    /// Where the next new line goes.
    next: usize,
}

impl BenchResults {
    /// Notes `values`.
    pub(super) fn record(
        &mut self,
        side: BenchSide,
        sum: Aggregation,
        what: &str,
        unit: &'static str,
        values: impl IntoIterator<Item = f64>,
    ) {
        let known = self.rows.iter().position(|line| line.what == what);
        let at = known.unwrap_or_else(|| {
            let line = FigureRow {
                what: what.to_owned(),
                unit,
                aggregation: sum,
                single_node: Vec::new(),
                cluster: Vec::new(),
            };
            self.rows.insert(self.next, line);
            self.next
        });
        self.next = at + 1;
        let line = &mut self.rows[at];
        match side {
            BenchSide::SingleNode => line.single_node.extend(values),
            BenchSide::Cluster => line.cluster.extend(values),
        }
    }

    /// The figures, in order.
    pub(super) fn figures(mut self) -> Vec<ComparedFigure> {
        self.rows.iter_mut().flat_map(FigureRow::figures).collect()
    }
}

impl FigureRow {
    fn figures(&mut self) -> Vec<ComparedFigure> {
        self.single_node.sort_by(f64::total_cmp);
        self.cluster.sort_by(f64::total_cmp);
        match self.aggregation {
            Aggregation::Median => vec![self.figure("", 0.5)],
            Aggregation::MedianAndP99 => {
                vec![self.figure(", p50", 0.5), self.figure(", p99", 0.99)]
            }
        }
    }

    fn figure(&self, suffix: &str, share: f64) -> ComparedFigure {
        let (alone, several) = (
            percentile(&self.single_node, share),
            percentile(&self.cluster, share),
        );
        let ratio = alone
            .zip(several)
            .filter(|(alone, _)| *alone > 0.0)
            .map(|(alone, several)| several / alone);
        ComparedFigure {
            what: format!("{}{suffix}", self.what),
            unit: self.unit,
            single_node: alone,
            cluster: several,
            ratio,
        }
    }
}

/// Prints `figures` as a table.
pub(super) fn print(
    figures: &[ComparedFigure],
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
            cell(figure.single_node),
            cell(figure.cluster),
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
        let mut results = BenchResults::default();
        results.record(
            BenchSide::SingleNode,
            Aggregation::Median,
            "turns",
            "1/s",
            [30.0, 10.0, 20.0],
        );
        results.record(
            BenchSide::Cluster,
            Aggregation::Median,
            "turns",
            "1/s",
            [5.0],
        );
        let times = (0..=100).map(f64::from);
        results.record(
            BenchSide::Cluster,
            Aggregation::MedianAndP99,
            "names",
            "ms",
            times,
        );
        let figures = results.figures();
        assert_eq!(
            figures
                .iter()
                .map(|figure| (figure.single_node, figure.cluster, figure.ratio))
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
