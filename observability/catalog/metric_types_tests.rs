//! What the handles count, and when.

use super::*;
use crate::catalog::{MetricKind, MetricLabel, MetricUnit};
use metrics_exporter_prometheus::PrometheusBuilder;

const fn described(labels: &'static [MetricLabel]) -> MetricDescription {
    MetricDescription {
        name: "calldex_test_total",
        kind: MetricKind::Counter,
        unit: MetricUnit::Count,
        labels,
        buckets: &[],
        help: "",
    }
}

#[test]
fn nothing_counted_before_the_recorder_is_kept_and_a_kept_series_comes_alive() {
    static METRIC: Counter1<2> = OneLabelMetric::new(described(&[MetricLabel {
        name: "tier",
        values: &["hot", "cold"],
    }]));
    let hot = METRIC.with("hot");
    hot.increment(5);
    let recorder = PrometheusBuilder::new().build_recorder();
    METRIC.register(&recorder);
    hot.increment(2);
    METRIC.with("hot").increment(1);
    let text = recorder.handle().render();
    assert!(
        text.contains("calldex_test_total{tier=\"hot\"} 3"),
        "{text}"
    );
    assert!(
        text.contains("calldex_test_total{tier=\"cold\"} 0"),
        "{text}"
    );
}

#[test]
fn a_pair_of_values_is_counted_in_its_own_series() {
    static METRIC: Counter2<2, 3> = TwoLabelMetric::new(described(&[
        MetricLabel {
            name: "webhook",
            values: &["voice", "status"],
        },
        MetricLabel {
            name: "result",
            values: &["ok", "failed", "forbidden"],
        },
    ]));
    let recorder = PrometheusBuilder::new().build_recorder();
    METRIC.register(&recorder);
    METRIC.with("status", "forbidden").increment(4);
    let text = recorder.handle().render();
    assert!(
        text.contains("{webhook=\"status\",result=\"forbidden\"} 4"),
        "{text}"
    );
    assert_eq!(
        text.lines().filter(|line| line.ends_with(" 0")).count(),
        5,
        "{text}"
    );
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "calldex_test_total has no tier=lukewarm")]
fn a_value_that_is_not_listed_is_a_mistake() {
    static METRIC: Counter1<1> = OneLabelMetric::new(described(&[MetricLabel {
        name: "tier",
        values: &["hot"],
    }]));
    METRIC.with("lukewarm").increment(1);
}

#[cfg(not(debug_assertions))]
#[test]
fn a_value_that_is_not_listed_counts_as_other_or_not_at_all() {
    static STRICT: Counter1<1> = OneLabelMetric::new(described(&[MetricLabel {
        name: "tier",
        values: &["hot"],
    }]));
    static LENIENT: Counter1<2> = OneLabelMetric::new(described(&[MetricLabel {
        name: "kind",
        values: &["io", "other"],
    }]));
    let recorder = PrometheusBuilder::new().build_recorder();
    STRICT.register(&recorder);
    LENIENT.register(&recorder);
    STRICT.with("lukewarm").increment(1);
    LENIENT.with("lukewarm").increment(1);
    let text = recorder.handle().render();
    assert!(
        text.contains("{tier=\"hot\"} 0") && text.contains("{kind=\"other\"} 1"),
        "{text}"
    );
}
