//! What there is to read: the catalog, the recording rules, and the little that Prometheus adds.

use crate::files::{Rule, rules};
use crate::promql::{ExpressionReads, Matcher, Selector, reads};
use calldex_observability::catalog::{self, MetricDescription, MetricKind};
use std::collections::{BTreeMap, BTreeSet};

/// Series that Prometheus makes itself, or that only its own tests read.
const FOREIGN: &[&str] = &["up", "ALERTS"];
/// Labels that the scrape adds.
const SCRAPE_LABELS: &[&str] = &["job", "instance"];
/// A label whose values are not the catalog's to list.
const OPEN_LABELS: &[&str] = &["version"];

/// The catalog and the recording rules.
pub struct KnownNames {
    metrics: BTreeMap<&'static str, &'static MetricDescription>,
    recorded: BTreeMap<String, String>,
}

impl KnownNames {
    pub fn new() -> Self {
        let metrics = catalog::all()
            .map(|metric| (metric.description().name, metric.description()))
            .collect();
        let recorded = rules("recording")
            .into_iter()
            .map(|Rule { record, expr, .. }| (record, expr))
            .collect();
        Self { metrics, recorded }
    }

    pub fn metric_names(&self) -> impl Iterator<Item = &'static str> {
        self.metrics.keys().copied()
    }

    pub fn recorded_names(&self) -> impl Iterator<Item = &str> {
        self.recorded.keys().map(String::as_str)
    }

    /// The metric whose series `name` is: histograms show as three, the others as themselves.
    fn metric(&self, name: &str) -> Option<&'static MetricDescription> {
        if let Some(metric) = self.metrics.get(name) {
            return (metric.kind != MetricKind::Histogram).then_some(metric);
        }
        let base = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| name.strip_suffix(suffix))?;
        self.metrics
            .get(base)
            .copied()
            .filter(|metric| metric.kind == MetricKind::Histogram)
    }

    /// Everything that is wrong with the names, labels and values in `expression`.
    pub fn faults(&self, expression: &str) -> Vec<String> {
        match reads(expression) {
            Err(fault) => vec![fault],
            Ok(read) => {
                let selectors = read
                    .selectors
                    .iter()
                    .flat_map(|selector| self.selector_faults(selector));
                selectors.chain(self.grouping_faults(&read)).collect()
            }
        }
    }

    fn selector_faults(&self, selector: &Selector) -> Vec<String> {
        let name = selector.metric.as_str();
        if FOREIGN.contains(&name) || self.recorded.contains_key(name) {
            return Vec::new();
        }
        match self.metric(name) {
            None => vec![format!("{name} is not in the catalog")],
            Some(metric) => selector
                .matchers
                .iter()
                .filter_map(|m| matcher_fault(name, metric, m))
                .collect(),
        }
    }

    fn grouping_faults(&self, read: &ExpressionReads) -> Vec<String> {
        let has = |label: &str| {
            read.selectors.iter().any(|selector| {
                let bucket = label == "le" && selector.metric.ends_with("_bucket");
                let metric = self.metric(&selector.metric);
                bucket || metric.is_some_and(|m| m.labels.iter().any(|known| known.name == label))
            })
        };
        let known =
            |label: &str| SCRAPE_LABELS.contains(&label) || label == "alertname" || has(label);
        let unknown = read.grouped_by.iter().filter(|label| !known(label));
        unknown
            .map(|label| format!("no series here has the label {label}"))
            .collect()
    }

    /// The catalog's metrics behind `expression`, through all recording rules.
    pub fn metrics_behind(&self, expression: &str) -> BTreeSet<&'static str> {
        let read = reads(expression).unwrap_or_else(|fault| panic!("{expression}: {fault}"));
        let behind = |selector: &Selector| match self.recorded.get(&selector.metric) {
            Some(expression) => self.metrics_behind(expression),
            None => self
                .metric(&selector.metric)
                .map(|metric| metric.name)
                .into_iter()
                .collect(),
        };
        read.selectors.iter().flat_map(behind).collect()
    }
}

fn matcher_fault(name: &str, metric: &MetricDescription, matcher: &Matcher) -> Option<String> {
    let Matcher { label, op, value } = matcher;
    let shown = format!("{name}{{{label}{op}{value:?}}}");
    if label == "le" && name.ends_with("_bucket") {
        return bound_fault(metric, value).map(|fault| format!("{shown}: {fault}"));
    }
    if SCRAPE_LABELS.contains(&label.as_str()) {
        return None;
    }
    let Some(known) = metric.labels.iter().find(|known| known.name == label) else {
        return Some(format!("{shown}: no such label"));
    };
    let listed = |value: &str| OPEN_LABELS.contains(&known.name) || known.values.contains(&value);
    let all_listed = if op.contains('~') {
        value.split('|').all(listed)
    } else {
        listed(value)
    };
    (!all_listed).then(|| format!("{shown}: no such value"))
}

/// A bound must be one of the metric's, and one that every version of Prometheus writes alike: whole
/// numbers gain a `.0` in Prometheus 3, very small ones an exponent.
fn bound_fault(metric: &MetricDescription, value: &str) -> Option<&'static str> {
    let bound: f64 = value.parse().ok()?;
    if !metric.buckets.contains(&bound) {
        return Some("no such bucket");
    }
    (bound.fract() == 0.0 || bound < 0.000_1).then_some("written differently by Prometheus 3")
}

#[test]
fn a_name_a_label_a_value_or_a_bucket_that_does_not_exist_is_found() {
    let known = KnownNames::new();
    for (wrong, why) in [
        (
            "rate(calldex_lookups[5m])",
            "calldex_lookups is not in the catalog",
        ),
        (
            "calldex_lookup_seconds",
            "calldex_lookup_seconds is not in the catalog",
        ),
        (
            "calldex_calls_live_sum",
            "calldex_calls_live_sum is not in the catalog",
        ),
        (
            "calldex:nothing:ratio_rate5m",
            "calldex:nothing:ratio_rate5m is not in the catalog",
        ),
        ("calldex_calls_live{tier=\"hot\"}", "no such label"),
        ("calldex_lookups_total{tier=\"tepid\"}", "no such value"),
        (
            "calldex_lookups_total{result=~\"known|lost\"}",
            "no such value",
        ),
        (
            "calldex_webhook_seconds_bucket{le=\"0.4\"}",
            "no such bucket",
        ),
        (
            "calldex_webhook_seconds_bucket{le=\"1\"}",
            "written differently",
        ),
        (
            "sum by (tier) (calldex_calls_live)",
            "no series here has the label tier",
        ),
    ] {
        let faults = known.faults(wrong);
        assert!(
            faults.len() == 1 && faults[0].contains(why),
            "{wrong}: {faults:?}"
        );
    }
    assert_eq!(
        known.faults("sum by (job, le) (calldex_webhook_seconds_bucket{le=\"0.5\",job=~\"$job\"})"),
        Vec::<String>::new()
    );
}
