//! Every metric the house has, once: name, unit, labels with every value they may take, buckets and
//! help. Code counts through the statics; recorder, dashboards, rules and runbooks are held against
//! [`all`] by tests.
//!
//! `catalog::CALLS_LIVE.increment(1)`, `catalog::LOOKUP_SECONDS.with("hot").record(seconds)`,
//! `catalog::LOOKUPS_TOTAL.with("hot", "known").increment(1)`.

mod buckets;
mod calls;
mod cluster;
mod described;
mod doors;
mod handle;
mod model;
mod named;
mod names;
mod process;
mod storage;
mod tools;

pub use calls::*;
pub use cluster::*;
pub use described::{Described, Kind, Label, Metric, Unit};
pub use doors::*;
pub use handle::{
    Counter, Counter1, Counter2, Gauge, Gauge1, Histogram, Histogram1, Histogram2, SecondsCounter,
    Series,
};
pub use model::*;
pub use named::NamedCounter;
pub use names::*;
pub use process::*;
pub use storage::*;
pub use tools::*;

/// Every metric of every room, in the order of the rooms.
pub fn all() -> impl Iterator<Item = &'static dyn Metric> {
    [
        calls::ALL,
        doors::ALL,
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

/// Declares a room's metrics as statics, and the list `ALL` of them. The doc comment is the help
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
            pub static $id: $crate::catalog::handle_type!($kind $($([$($value),+])+)?) =
                <$crate::catalog::handle_type!($kind $($([$($value),+])+)?)>::new(
                    $crate::catalog::Described {
                        name: $name,
                        kind: $crate::catalog::kind!($kind),
                        unit: $crate::catalog::Unit::$unit,
                        labels: &[$($($crate::catalog::Label {
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

macro_rules! handle_type {
    (seconds_counter) => { $crate::catalog::handle::SecondsCounter };
    (named_counter $($values:tt)*) => { $crate::catalog::named::NamedCounter };
    ($kind:ident) => {
        $crate::catalog::handle::One<$crate::catalog::inner!($kind)>
    };
    ($kind:ident [$($value:expr),+]) => {
        $crate::catalog::handle::PerLabel<$crate::catalog::inner!($kind), { [$($value),+].len() }>
    };
    ($kind:ident [$($first:expr),+] [$($second:expr),+]) => {
        $crate::catalog::handle::PerPair<
            $crate::catalog::inner!($kind),
            { [$($first),+].len() },
            { [$($second),+].len() },
        >
    };
}

macro_rules! inner {
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

macro_rules! kind {
    (counter) => {
        $crate::catalog::Kind::Counter
    };
    (seconds_counter) => {
        $crate::catalog::Kind::Counter
    };
    (named_counter) => {
        $crate::catalog::Kind::Counter
    };
    (gauge) => {
        $crate::catalog::Kind::Gauge
    };
    (histogram) => {
        $crate::catalog::Kind::Histogram
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

use {buckets_or_none, catalog, handle_type, inner, kind};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_say_the_house_the_unit_and_the_kind() {
        let mut seen = HashSet::new();
        for Described {
            name,
            kind,
            unit,
            labels,
            buckets,
            help,
        } in all().map(Metric::described)
        {
            assert!(seen.insert(*name), "{name} twice");
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(
                name.starts_with("calldex_") && name.chars().all(plain),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let base = name.trim_end_matches("_total");
            assert_eq!(base.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
            assert_eq!(base.ends_with("_bytes"), *unit == Unit::Bytes, "{name}");
            assert_eq!(!buckets.is_empty(), *kind == Kind::Histogram, "{name}");
            assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
            assert!(help.trim().ends_with('.'), "{name}");
            assert!(labels.len() <= 2, "{name}");
        }
    }

    #[test]
    fn labels_are_few_and_their_values_differ() {
        for described in all().map(Metric::described) {
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
