//! Figures and their table.

use serde::Serialize;
use std::io;
use std::time::Duration;

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What the numbers are: `us`, `ms`, `s`, `1/s`, `bytes`.
    pub unit: &'static str,
    /// Median, or the one value there is.
    pub p50: f64,
    /// 99th percentile, if there is more than one value.
    pub p99: Option<f64>,
    /// 99.9th percentile, likewise.
    pub p999: Option<f64>,
}

/// All figures so far, written out as they come.
pub(super) struct Report<'a> {
    out: &'a mut dyn io::Write,
    figures: Vec<Figure>,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn io::Write) -> Self {
        Self {
            out,
            figures: Vec::new(),
        }
    }

    /// The columns; a figure with one value has it in the first.
    pub(super) fn headings(&mut self) -> io::Result<()> {
        writeln!(
            self.out,
            "{:<52} {:>12} {:>10} {:>10} unit",
            "", "p50 or value", "p99", "p99.9"
        )
    }

    /// All figures.
    pub(super) fn into_figures(self) -> Vec<Figure> {
        self.figures
    }

    /// One value.
    pub(super) fn single(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        value: f64,
    ) -> io::Result<()> {
        self.add(Figure {
            what: what.into(),
            unit,
            p50: value,
            p99: None,
            p999: None,
        })
    }

    /// The percentiles of `times` in `unit` (`us` or `ms`).
    pub(super) fn spread(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        times: &mut [Duration],
    ) -> io::Result<()> {
        times.sort_unstable();
        let scale = if unit == "us" { 1e6 } else { 1e3 };
        let time = |share: f64| percentile(times, share).unwrap_or_default();
        let at = |share: f64| time(share).as_secs_f64() * scale;
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        self.add(Figure {
            what: what.into(),
            unit,
            p50,
            p99: Some(p99),
            p999: Some(p999),
        })
    }

    fn add(&mut self, figure: Figure) -> io::Result<()> {
        write!(self.out, "{:<52} {:>12.2}", figure.what, figure.p50)?;
        for value in [figure.p99, figure.p999] {
            match value {
                Some(value) => write!(self.out, " {value:>10.2}")?,
                None => write!(self.out, " {:>10}", "")?,
            }
        }
        writeln!(self.out, " {}", figure.unit)?;
        self.out.flush()?;
        self.figures.push(figure);
        Ok(())
    }
}

/// The value below which `share` (0 to 1) of the `sorted` ones lie; `None` where there is none.
pub fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}
