//! Where the counts go: one recorder a process, read by `/metrics`.
//!
//! The recorder is not set as the global one of the `metrics` crate: what `/metrics` shows is the
//! catalog and nothing else, whatever a dependency counts.

use crate::catalog::{self, Metric};
use crate::process::ProcessMetrics;
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// How often [`Recorder::drain_histograms`] is to be called: samples of histograms are kept one by one
/// (16 bytes each) until it has run.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<Recorder> = OnceLock::new();

/// The recorder of this process.
pub struct Recorder {
    handle: PrometheusHandle,
    process: ProcessMetrics,
}

/// Installs the recorder, the first time; gives the same one ever after. From then on every metric
/// of the catalog is shown, with each value of each label, at zero until it is counted: a first
/// increment is a rise that an alert can see.
pub fn install() -> &'static Recorder {
    INSTALLED.get_or_init(|| {
        let recorder = build_recorder(catalog::all());
        catalog::all().for_each(|metric| metric.register(&recorder));
        catalog::BUILD_INFO.with(env!("CARGO_PKG_VERSION")).set(1.0);
        Recorder {
            handle: recorder.handle(),
            process: ProcessMetrics::new(),
        }
    })
}

fn build_recorder(metrics: impl Iterator<Item = &'static dyn Metric>) -> PrometheusRecorder {
    let described = metrics
        .map(Metric::description)
        .filter(|described| !described.buckets.is_empty());
    described
        .fold(PrometheusBuilder::new(), |builder, described| {
            let matcher = Matcher::Full(described.name.to_owned());
            builder
                .set_buckets_for_metric(matcher, described.buckets)
                .expect("only an empty list of buckets is refused, and those are left out")
        })
        .build_recorder()
}

impl Recorder {
    /// The text of `/metrics` (Prometheus exposition format 0.0.4). Reads `/proc` and asks the file
    /// system for its free space: call it where blocking is allowed.
    pub fn render(&self) -> String {
        self.process.refresh();
        let mut text = self.handle.render();
        catalog::all().for_each(|metric| metric.render(&mut text));
        text
    }

    /// Moves the samples of histograms into their buckets. Without it, or a scrape, memory grows with
    /// every sample; call it every [`UPKEEP_INTERVAL`].
    pub fn drain_histograms(&self) {
        self.handle.run_upkeep();
    }

    /// Shows the free space of the file system that holds `data_dir`. The first folder stays.
    pub fn watch_disk(&self, data_dir: impl Into<PathBuf>) {
        self.process.watch_disk(data_dir.into());
    }

    /// The value that `/metrics` shows for a series, named as there: `calldex_calls_live` or
    /// `calldex_lookups_total{tier="hot",result="known"}`. For tests and the console.
    pub fn series_value(&self, series: &str) -> Option<f64> {
        let text = self.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line?.parse().ok()
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
