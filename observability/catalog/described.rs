//! What there is to know about a metric.

use metrics::Recorder;

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by bucket; shows as `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// The base unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things counted.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// A label and every value it may take.
#[derive(Debug)]
pub struct Label {
    /// The label's name.
    pub name: &'static str,
    /// All values that are counted.
    pub values: &'static [&'static str],
}

/// All there is to know about a metric.
#[derive(Debug)]
pub struct Described {
    /// The name in `/metrics`, starting with `calldex_`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The base unit.
    pub unit: Unit,
    /// Its labels: none, one or two.
    pub labels: &'static [Label],
    /// Upper bounds of the buckets; empty unless a histogram.
    pub buckets: &'static [f64],
    /// The help text (starts with a space: trim before showing).
    pub help: &'static str,
}

/// A metric of the catalog, whatever its kind.
pub trait Metric: Sync {
    /// Name, unit, labels, buckets, help.
    fn described(&self) -> &Described;
    /// Describes the metric to `recorder` and fills the slot of every series.
    fn register(&self, recorder: &dyn Recorder);
    /// Appends the series that the recorder cannot hold itself. Nothing for most metrics.
    fn render(&self, _text: &mut String) {}
}

/// Tells `recorder` the name, unit and help of a metric.
pub(super) fn describe(described: &Described, recorder: &dyn Recorder) {
    let unit = Some(match described.unit {
        Unit::Count => metrics::Unit::Count,
        Unit::Seconds => metrics::Unit::Seconds,
        Unit::Bytes => metrics::Unit::Bytes,
    });
    let help = described.help.trim().into();
    match described.kind {
        Kind::Counter => recorder.describe_counter(described.name.into(), unit, help),
        Kind::Gauge => recorder.describe_gauge(described.name.into(), unit, help),
        Kind::Histogram => recorder.describe_histogram(described.name.into(), unit, help),
    }
}
