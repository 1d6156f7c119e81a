//! The handles behind the statics. Every series of a metric has its own slot, filled once when the
//! recorder is installed: after that an increment is one load and one atomic add, with no hashing and
//! no allocation; before that it does nothing.

use super::description::{Metric, MetricDescription, describe};
use metrics::{Key, Level, Metadata, Recorder};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The label value that takes what has no value of its own.
const OTHER_LABEL_VALUE: &str = "other";

/// A handle type of the `metrics` crate.
pub trait MetricHandle: Send + Sync + Sized + 'static {
    /// Asks `recorder` for the series `key`.
    fn register_in(recorder: &dyn Recorder, key: &Key) -> Self;
}

const METADATA: Metadata<'static> = Metadata::new("calldex", Level::INFO, None);

impl MetricHandle for metrics::Counter {
    fn register_in(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }
}

impl MetricHandle for metrics::Gauge {
    fn register_in(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_gauge(key, &METADATA)
    }
}

impl MetricHandle for metrics::Histogram {
    fn register_in(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }
}

/// One series of a labelled metric. May be kept: it comes alive when the recorder is installed.
pub struct Series<H: 'static>(Option<&'static OnceLock<H>>);

// Not derived: a series is copied by reference, whether or not its handle could be.
impl<H> Clone for Series<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Series<H> {}

impl<H> Series<H> {
    #[inline]
    fn get(self) -> Option<&'static H> {
        self.0.and_then(OnceLock::get)
    }
}

/// A metric without labels.
pub struct UnlabelledMetric<H: 'static> {
    description: MetricDescription,
    handle: OnceLock<H>,
}

/// A metric with one label of `N` values.
pub struct OneLabelMetric<H: 'static, const N: usize> {
    description: MetricDescription,
    handles: [OnceLock<H>; N],
}

/// A metric with two labels of `A` and `B` values.
pub struct TwoLabelMetric<H: 'static, const A: usize, const B: usize> {
    description: MetricDescription,
    handles: [[OnceLock<H>; B]; A],
}

/// A counter without labels.
pub type Counter = UnlabelledMetric<metrics::Counter>;
/// A counter with one label.
pub type Counter1<const N: usize> = OneLabelMetric<metrics::Counter, N>;
/// A counter with two labels.
pub type Counter2<const A: usize, const B: usize> = TwoLabelMetric<metrics::Counter, A, B>;
/// A gauge without labels.
pub type Gauge = UnlabelledMetric<metrics::Gauge>;
/// A gauge with one label.
pub type Gauge1<const N: usize> = OneLabelMetric<metrics::Gauge, N>;
/// A histogram without labels.
pub type Histogram = UnlabelledMetric<metrics::Histogram>;
/// A histogram with one label.
pub type Histogram1<const N: usize> = OneLabelMetric<metrics::Histogram, N>;
/// A histogram with two labels.
pub type Histogram2<const A: usize, const B: usize> = TwoLabelMetric<metrics::Histogram, A, B>;

impl<H: MetricHandle> UnlabelledMetric<H> {
    pub(super) const fn new(description: MetricDescription) -> Self {
        assert!(description.labels.is_empty());
        Self {
            description,
            handle: OnceLock::new(),
        }
    }
}

impl<H: MetricHandle, const N: usize> OneLabelMetric<H, N> {
    pub(super) const fn new(description: MetricDescription) -> Self {
        assert!(description.labels.len() == 1);
        Self {
            description,
            handles: [const { OnceLock::new() }; N],
        }
    }

    /// The series whose label is `value`. A value that the catalog does not list is a mistake
    /// (panics in debug builds), counted under `other` where that is listed, else not at all.
    #[inline]
    pub fn with(&'static self, value: &str) -> Series<H> {
        Series(label_value_index(&self.description, 0, value).map(|at| &self.handles[at]))
    }
}

impl<H: MetricHandle, const A: usize, const B: usize> TwoLabelMetric<H, A, B> {
    pub(super) const fn new(description: MetricDescription) -> Self {
        assert!(description.labels.len() == 2);
        Self {
            description,
            handles: [const { [const { OnceLock::new() }; B] }; A],
        }
    }

    /// The series of both values, in the order of the catalog; unlisted ones as in
    /// [`OneLabelMetric::with`].
    #[inline]
    pub fn with(&'static self, first: &str, second: &str) -> Series<H> {
        let row = label_value_index(&self.description, 0, first);
        let column = label_value_index(&self.description, 1, second);
        Series(
            row.zip(column)
                .map(|(row, column)| &self.handles[row][column]),
        )
    }
}

#[inline]
fn label_value_index(described: &MetricDescription, label: usize, value: &str) -> Option<usize> {
    let values = described.labels[label].values;
    let found = values.iter().position(|known| *known == value);
    debug_assert!(
        found.is_some(),
        "{} has no {}={value}",
        described.name,
        described.labels[label].name
    );
    found.or_else(|| values.iter().position(|known| *known == OTHER_LABEL_VALUE))
}

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn increment(&self, n: u64) {
        if let Some(counter) = self.handle.get() {
            counter.increment(n);
        }
    }
}

impl Gauge {
    /// Shows `value`.
    #[inline]
    pub fn set(&self, value: f64) {
        if let Some(gauge) = self.handle.get() {
            gauge.set(value);
        }
    }

    /// Adds `n`.
    #[inline]
    pub fn increment(&self, n: u32) {
        if let Some(gauge) = self.handle.get() {
            gauge.increment(n);
        }
    }

    /// Takes `n` away.
    #[inline]
    pub fn decrement(&self, n: u32) {
        if let Some(gauge) = self.handle.get() {
            gauge.decrement(n);
        }
    }
}

impl Histogram {
    /// Observes `value`, in the metric's base unit.
    #[inline]
    pub fn record(&self, value: f64) {
        if let Some(histogram) = self.handle.get() {
            histogram.record(value);
        }
    }
}

impl Series<metrics::Counter> {
    /// Adds `n`.
    #[inline]
    pub fn increment(self, n: u64) {
        if let Some(counter) = self.get() {
            counter.increment(n);
        }
    }
}

impl Series<metrics::Gauge> {
    /// Shows `value`.
    #[inline]
    pub fn set(self, value: f64) {
        if let Some(gauge) = self.get() {
            gauge.set(value);
        }
    }
}

impl Series<metrics::Histogram> {
    /// Observes `value`, in the metric's base unit.
    #[inline]
    pub fn record(self, value: f64) {
        if let Some(histogram) = self.get() {
            histogram.record(value);
        }
    }
}

impl<H: MetricHandle> Metric for UnlabelledMetric<H> {
    fn description(&self) -> &MetricDescription {
        &self.description
    }

    fn register(&self, recorder: &dyn Recorder) {
        describe(&self.description, recorder);
        self.handle.get_or_init(|| {
            H::register_in(recorder, &Key::from_static_name(self.description.name))
        });
    }
}

impl<H: MetricHandle, const N: usize> Metric for OneLabelMetric<H, N> {
    fn description(&self) -> &MetricDescription {
        &self.description
    }

    fn register(&self, recorder: &dyn Recorder) {
        describe(&self.description, recorder);
        let [label] = self.description.labels else {
            return;
        };
        for (slot, value) in self.handles.iter().zip(label.values) {
            let labels = vec![metrics::Label::from_static_parts(label.name, value)];
            slot.get_or_init(|| {
                H::register_in(recorder, &Key::from_parts(self.description.name, labels))
            });
        }
    }
}

impl<H: MetricHandle, const A: usize, const B: usize> Metric for TwoLabelMetric<H, A, B> {
    fn description(&self) -> &MetricDescription {
        &self.description
    }

    fn register(&self, recorder: &dyn Recorder) {
        describe(&self.description, recorder);
        let [first, second] = self.description.labels else {
            return;
        };
        for (row, row_value) in self.handles.iter().zip(first.values) {
            for (slot, value) in row.iter().zip(second.values) {
                let labels = vec![
                    metrics::Label::from_static_parts(first.name, row_value),
                    metrics::Label::from_static_parts(second.name, value),
                ];
                slot.get_or_init(|| {
                    H::register_in(recorder, &Key::from_parts(self.description.name, labels))
                });
            }
        }
    }
}

/// A counter of fractions of a second. Prometheus counters are floats, those of the `metrics` crate
/// are integers: this one renders itself.
pub struct SecondsCounter {
    description: MetricDescription,
    seconds: AtomicU64,
}

impl SecondsCounter {
    pub(super) const fn new(description: MetricDescription) -> Self {
        assert!(description.labels.is_empty());
        Self {
            description,
            seconds: AtomicU64::new(0),
        }
    }

    /// Shows `seconds`, counted elsewhere since the process began.
    pub fn set(&self, seconds: f64) {
        self.seconds.store(seconds.to_bits(), Ordering::Relaxed);
    }
}

impl Metric for SecondsCounter {
    fn description(&self) -> &MetricDescription {
        &self.description
    }

    fn register(&self, _recorder: &dyn Recorder) {}

    fn render(&self, text: &mut String) {
        let MetricDescription { name, help, .. } = self.description;
        let seconds = f64::from_bits(self.seconds.load(Ordering::Relaxed));
        text.push_str(&format!(
            "# HELP {name} {}\n# TYPE {name} counter\n{name} {seconds}\n\n",
            help.trim()
        ));
    }
}

#[cfg(test)]
#[path = "metric_types_tests.rs"]
mod tests;
