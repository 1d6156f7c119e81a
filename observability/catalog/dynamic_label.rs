//! Counters by a name of the configuration: of a model, of a tool.

use super::description::{Metric, MetricDescription};
use metrics::Recorder;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most names of one metric; what is counted of a further one stands under `other`.
const LABEL_VALUES_MAX: usize = 64;
/// The label value that takes what is beyond the bound.
const OTHER_LABEL_VALUE: &str = "other";

/// A counter with two labels: a name that the configuration gives, and one of the catalog's values. It
/// renders itself. Counting takes a lock and a look-up: for what happens a few times a turn, not for every
/// token.
pub struct DynamicLabelCounter {
    description: MetricDescription,
    /// By name, one count for each value of the second label.
    counts: Mutex<BTreeMap<String, Vec<u64>>>,
}

impl DynamicLabelCounter {
    pub(super) const fn new(description: MetricDescription) -> Self {
        assert!(description.labels.len() == 2);
        Self {
            description,
            counts: Mutex::new(BTreeMap::new()),
        }
    }

    /// Shows `name` from now on, at zero: a first increment is a rise that an alert can see.
    pub fn init_series(&self, name: &str) {
        self.add(name, None, 0);
    }

    /// Adds `n` to the series of `name` and `value`. A value that the catalog does not list is a mistake
    /// (panics in debug builds) and is not counted.
    pub fn increment(&self, name: &str, value: &str, n: u64) {
        let values = self.description.labels[1].values;
        let at = values.iter().position(|known| *known == value);
        debug_assert!(at.is_some(), "{} has no {value}", self.description.name);
        if at.is_some() {
            self.add(name, at, n);
        }
    }

    fn add(&self, name: &str, at: Option<usize>, n: u64) {
        let values = self.description.labels[1].values.len();
        let mut counts = self.counts();
        let is_full = counts.len() >= LABEL_VALUES_MAX && !counts.contains_key(name);
        let name = if is_full { OTHER_LABEL_VALUE } else { name };
        let series = match counts.get_mut(name) {
            Some(series) => series,
            None => counts
                .entry(name.to_owned())
                .or_insert_with(|| vec![0; values]),
        };
        if let Some(count) = at.and_then(|at| series.get_mut(at)) {
            *count = count.saturating_add(n);
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u64>>> {
        // What is behind the lock is whole at any moment.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metric for DynamicLabelCounter {
    fn description(&self) -> &MetricDescription {
        &self.description
    }

    fn register(&self, _recorder: &dyn Recorder) {
        for name in self.description.labels[0].values {
            self.init_series(name);
        }
    }

    fn render(&self, text: &mut String) {
        let MetricDescription {
            name, help, labels, ..
        } = &self.description;
        let [first, second] = labels else {
            return;
        };
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} counter", help.trim());
        for (configured, counts) in self.counts().iter() {
            for (value, count) in second.values.iter().zip(counts) {
                let (first, second) = (first.name, second.name);
                let configured = escape_label_value(configured);
                let _ = writeln!(
                    text,
                    "{name}{{{first}=\"{configured}\",{second}=\"{value}\"}} {count}"
                );
            }
        }
        text.push('\n');
    }
}

/// A label's value in the exposition format.
fn escape_label_value(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{MetricKind, MetricLabel, MetricUnit};

    fn counter() -> DynamicLabelCounter {
        DynamicLabelCounter::new(MetricDescription {
            name: "calldex_test_total",
            kind: MetricKind::Counter,
            unit: MetricUnit::Count,
            labels: &[
                MetricLabel {
                    name: "model",
                    values: &["default"],
                },
                MetricLabel {
                    name: "direction",
                    values: &["input", "output"],
                },
            ],
            buckets: &[],
            help: " Tokens.",
        })
    }

    #[test]
    fn names_of_the_configuration_are_shown_from_zero_on() {
        let counter = counter();
        counter.init_series("fast");
        counter.increment("fast", "output", 3);
        counter.increment("a\"b", "input", 1);
        let mut text = String::new();
        counter.render(&mut text);
        assert!(
            text.starts_with(
                "# HELP calldex_test_total Tokens.\n# TYPE calldex_test_total counter\n"
            )
        );
        for line in [
            "calldex_test_total{model=\"fast\",direction=\"input\"} 0\n",
            "calldex_test_total{model=\"fast\",direction=\"output\"} 3\n",
            "calldex_test_total{model=\"a\\\"b\",direction=\"input\"} 1\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let counter = counter();
        for name in 0..LABEL_VALUES_MAX + 5 {
            counter.increment(&name.to_string(), "input", 1);
        }
        assert_eq!(counter.counts().len(), LABEL_VALUES_MAX + 1);
        assert_eq!(counter.counts()[OTHER_LABEL_VALUE], [5, 0]);
    }
}
