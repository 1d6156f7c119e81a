//! What there is to know about a metric.

use metrics::Recorder;

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by bucket; shows as `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// The base unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricUnit {
    /// Things counted.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// A label and every value it may take.
#[derive(Debug)]
pub struct MetricLabel {
    /// The label's name.
    pub name: &'static str,
    /// All values that are counted.
    pub values: &'static [&'static str],
}

/// All there is to know about a metric.
#[derive(Debug)]
pub struct MetricDescription {
    /// The name in `/metrics`, starting with `calldex_`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// The base unit.
    pub unit: MetricUnit,
    /// Its labels: none, one or two.
    pub labels: &'static [MetricLabel],
    /// Upper bounds of the buckets; empty unless a histogram.
    pub buckets: &'static [f64],
    /// The help text (starts with a space: trim before showing).
    pub help: &'static str,
}

/// A metric of the catalog, whatever its kind.
pub trait Metric: Sync {
    /// Name, unit, labels, buckets, help.
    fn description(&self) -> &MetricDescription;
    /// Describes the metric to `recorder` and fills the slot of every series.
    fn register(&self, recorder: &dyn Recorder);
    /// Appends the series that the recorder cannot hold itself. Nothing for most metrics.
    fn render(&self, _text: &mut String) {}
}

/// Tells `recorder` the name, unit and help of a metric.
pub(super) fn describe(described: &MetricDescription, recorder: &dyn Recorder) {
    let unit = Some(match described.unit {
        MetricUnit::Count => metrics::Unit::Count,
        MetricUnit::Seconds => metrics::Unit::Seconds,
        MetricUnit::Bytes => metrics::Unit::Bytes,
    });
    let help = described.help.trim().into();
    match described.kind {
        MetricKind::Counter => recorder.describe_counter(described.name.into(), unit, help),
        MetricKind::Gauge => recorder.describe_gauge(described.name.into(), unit, help),
        MetricKind::Histogram => recorder.describe_histogram(described.name.into(), unit, help),
    }
}
