//! Every metric the server has, once: name, unit, labels with every value they may take, buckets and
//! help. Code counts through the statics; recorder, dashboards, rules and runbooks are held against
//! [`all`] by tests.
//!
//! `catalog::CALLS_LIVE.increment(1)`, `catalog::LOOKUP_SECONDS.with("hot").record(seconds)`,
//! `catalog::LOOKUPS_TOTAL.with("hot", "known").increment(1)`.

mod buckets;
mod calls;
mod cluster;
mod description;
mod dynamic_label;
mod metric_types;
mod model;
mod names;
mod process;
mod storage;
mod tools;
mod twilio;

pub use calls::*;
pub use cluster::*;
pub use description::{Metric, MetricDescription, MetricKind, MetricLabel, MetricUnit};
pub use dynamic_label::DynamicLabelCounter;
pub use metric_types::{
    Counter, Counter1, Counter2, Gauge, Gauge1, Histogram, Histogram1, Histogram2, SecondsCounter,
    Series,
};
pub use model::*;
pub use names::*;
pub use process::*;
pub use storage::*;
pub use tools::*;
pub use twilio::*;

/// Every metric of every module, in the order of the modules.
pub fn all() -> impl Iterator<Item = &'static dyn Metric> {
    [
        calls::ALL,
        twilio::ALL,
        names::ALL,
        model::ALL,
        tools::ALL,
        storage::ALL,
        cluster::ALL,
        process::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Declares a module's metrics as statics, and the list `ALL` of them. The doc comment is the help
/// text that `/metrics` shows.
macro_rules! catalog {
    ($(
        $(#[doc = $help:literal])+
        $id:ident: $kind:ident $unit:ident $name:literal
            $({ $($label:ident: [$($value:expr),+ $(,)?]),+ })?
            $(by $buckets:ident)?;
    )+) => {
        $(
            $(#[doc = $help])+
            pub static $id: $crate::catalog::metric_type!($kind $($([$($value),+])+)?) =
                <$crate::catalog::metric_type!($kind $($([$($value),+])+)?)>::new(
                    $crate::catalog::MetricDescription {
                        name: $name,
                        kind: $crate::catalog::metric_kind!($kind),
                        unit: $crate::catalog::MetricUnit::$unit,
                        labels: &[$($($crate::catalog::MetricLabel {
                            name: stringify!($label),
                            values: &[$($value),+],
                        }),+)?],
                        buckets: $crate::catalog::buckets_or_none!($($buckets)?),
                        help: concat!($($help),+),
                    },
                );
        )+
        pub(super) static ALL: &[&dyn $crate::catalog::Metric] = &[$(&$id),+];
    };
}

macro_rules! metric_type {
    (seconds_counter) => { $crate::catalog::metric_types::SecondsCounter };
    (dynamic_label_counter $($values:tt)*) => { $crate::catalog::dynamic_label::DynamicLabelCounter };
    ($kind:ident) => {
        $crate::catalog::metric_types::UnlabelledMetric<$crate::catalog::metric_handle!($kind)>
    };
    ($kind:ident [$($value:expr),+]) => {
        $crate::catalog::metric_types::OneLabelMetric<$crate::catalog::metric_handle!($kind), { [$($value),+].len() }>
    };
    ($kind:ident [$($first:expr),+] [$($second:expr),+]) => {
        $crate::catalog::metric_types::TwoLabelMetric<
            $crate::catalog::metric_handle!($kind),
            { [$($first),+].len() },
            { [$($second),+].len() },
        >
    };
}

macro_rules! metric_handle {
    (counter) => {
        metrics::Counter
    };
    (gauge) => {
        metrics::Gauge
    };
    (histogram) => {
        metrics::Histogram
    };
}

macro_rules! metric_kind {
    (counter) => {
        $crate::catalog::MetricKind::Counter
    };
    (seconds_counter) => {
        $crate::catalog::MetricKind::Counter
    };
    (dynamic_label_counter) => {
        $crate::catalog::MetricKind::Counter
    };
    (gauge) => {
        $crate::catalog::MetricKind::Gauge
    };
    (histogram) => {
        $crate::catalog::MetricKind::Histogram
    };
}

macro_rules! buckets_or_none {
    () => {
        &[]
    };
    ($buckets:ident) => {
        $crate::catalog::buckets::$buckets
    };
}

use {buckets_or_none, catalog, metric_handle, metric_kind, metric_type};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_have_prefix_unit_and_kind() {
        let mut seen = HashSet::new();
        for MetricDescription {
            name,
            kind,
            unit,
            labels,
            buckets,
            help,
        } in all().map(Metric::description)
        {
            assert!(seen.insert(*name), "{name} twice");
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(
                name.starts_with("calldex_") && name.chars().all(plain),
                "{name}"
            );
            assert_eq!(
                name.ends_with("_total"),
                *kind == MetricKind::Counter,
                "{name}"
            );
            let base = name.trim_end_matches("_total");
            assert_eq!(
                base.ends_with("_seconds"),
                *unit == MetricUnit::Seconds,
                "{name}"
            );
            assert_eq!(
                base.ends_with("_bytes"),
                *unit == MetricUnit::Bytes,
                "{name}"
            );
            assert_eq!(
                !buckets.is_empty(),
                *kind == MetricKind::Histogram,
                "{name}"
            );
            assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
            assert!(help.trim().ends_with('.'), "{name}");
            assert!(labels.len() <= 2, "{name}");
        }
    }

    #[test]
    fn labels_are_few_and_their_values_differ() {
        for described in all().map(Metric::description) {
            let series: usize = described
                .labels
                .iter()
                .map(|label| label.values.len())
                .product();
            assert!(series <= 32, "{} has {series} series", described.name);
            for label in described.labels {
                let values: HashSet<_> = label.values.iter().collect();
                assert_eq!(
                    values.len(),
                    label.values.len(),
                    "{} {}",
                    described.name,
                    label.name
                );
            }
        }
    }
}
