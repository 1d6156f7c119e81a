//! What `/metrics` shows.

use super::*;
use crate::catalog::{MetricKind, MetricLabel};
use std::collections::HashSet;

fn series(name: &str, labels: &[MetricLabel]) -> Vec<String> {
    match labels {
        [] => vec![name.to_owned()],
        [one] => one
            .values
            .iter()
            .map(|v| format!("{name}{{{}=\"{v}\"", one.name))
            .collect(),
        [one, two] => {
            let pairs = one
                .values
                .iter()
                .flat_map(|a| two.values.iter().map(move |b| (a, b)));
            pairs
                .map(|(a, b)| format!("{name}{{{}=\"{a}\",{}=\"{b}\"", one.name, two.name))
                .collect()
        }
        more => panic!("{name} has {} labels", more.len()),
    }
}

#[test]
fn every_series_is_shown_described_before_it_is_counted() {
    let text = install().render();
    for described in catalog::all().map(Metric::description) {
        let name = described.name;
        let kind = format!("{:?}", described.kind).to_lowercase();
        assert!(
            text.contains(&format!("# HELP {name} {}\n", described.help.trim())),
            "{name} has no help"
        );
        assert!(
            text.contains(&format!("# TYPE {name} {kind}\n")),
            "{name} is no {kind}"
        );
        let histogram = described.kind == MetricKind::Histogram;
        for series in series(
            &if histogram {
                format!("{name}_count")
            } else {
                name.to_owned()
            },
            described.labels,
        ) {
            assert!(
                text.lines().any(|line| line.starts_with(&series)),
                "{series} is not shown"
            );
        }
        for bound in described.buckets {
            let bucket = format!("le=\"{bound}\"");
            let shown =
                |line: &str| line.starts_with(&format!("{name}_bucket")) && line.contains(&bucket);
            assert!(text.lines().any(shown), "{name} has no bucket {bucket}");
        }
    }
}

#[test]
fn nothing_is_shown_that_the_catalog_does_not_have() {
    let names: HashSet<_> = catalog::all()
        .map(|metric| metric.description().name)
        .collect();
    for line in install()
        .render()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
    {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn installing_twice_gives_the_same_recorder() {
    assert!(std::ptr::eq(install(), install()));
}

#[test]
fn an_increment_is_seen_by_the_next_scrape() {
    let recorder = install();
    catalog::WARM_REBUILDS_TOTAL.with("changed").increment(3);
    assert_eq!(
        recorder.series_value("calldex_warm_rebuilds_total{reason=\"changed\"}"),
        Some(3.0)
    );
    catalog::NAME_EXTRACTION_SECONDS.record(0.000_02);
    recorder.drain_histograms();
    assert_eq!(
        recorder.series_value("calldex_name_extraction_seconds_bucket{le=\"0.000015\"}"),
        Some(0.0)
    );
    assert_eq!(
        recorder.series_value("calldex_name_extraction_seconds_bucket{le=\"0.000025\"}"),
        Some(1.0)
    );
    assert_eq!(recorder.series_value("calldex_no_such_thing"), None);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_shows_its_memory_its_files_and_its_disk() {
    let recorder = install();
    recorder.watch_disk(std::env::temp_dir());
    for (series, least) in [
        ("calldex_process_resident_bytes", 1e5),
        ("calldex_process_open_files", 3.0),
        ("calldex_process_open_files_max", 16.0),
        ("calldex_process_threads", 1.0),
        ("calldex_disk_free_bytes", 1.0),
        ("calldex_uptime_seconds", f64::MIN_POSITIVE),
    ] {
        let value = recorder.series_value(series).unwrap_or_default();
        assert!(value >= least, "{series} {value}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn cpu_time_is_counted_in_fractions_of_a_second_and_only_grows() {
    let recorder = install();
    let cpu = || {
        recorder
            .series_value("calldex_process_cpu_seconds_total")
            .unwrap_or_default()
    };
    let before = cpu();
    let mut spins = 0;
    while cpu() < before + 0.01 && spins < 1_000_000 {
        spins += 1;
    }
    let after = cpu();
    assert!(after >= before + 0.01, "{before} then {after}");
    assert!(after < before + 60.0, "{before} then {after}");
}
