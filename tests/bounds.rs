//! The bounds that the documents name are those of the code: each constant is read where it stands, each default from
//! the configuration.

use calldex::cluster::ClusterSection;
use calldex::config::Config;
use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The value of `NAME: type = PRODUCT;` in a source file; of `Duration::from_secs(N)` the seconds.
fn constant(file: &str, name: &str) -> u64 {
    let text = read(file);
    let (_, rest) = text
        .split_once(&format!("const {name}: "))
        .unwrap_or_else(|| panic!("{file} has no constant {name}"));
    let (_, value) = rest.split_once('=').expect("a constant has a value");
    let (value, _) = value.split_once(';').expect("a constant ends");
    let value = value.replace("Duration::from_secs(", "").replace(")", "");
    let factor = |factor: &str| {
        let digits = factor.trim().replace('_', "");
        digits
            .parse::<u64>()
            .unwrap_or_else(|_| panic!("{file}: {name} is {value}"))
    };
    value.split('*').map(factor).product()
}

/// One line, however the document breaks it.
fn prose(file: &str) -> String {
    read(file).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(",")
}

fn bytes(value: u64) -> String {
    match value {
        _ if value.is_multiple_of(1 << 20) => format!("{} MiB", value >> 20),
        _ => format!("{} KiB", value >> 10),
    }
}

fn says(document: &str, phrases: &[String]) {
    let text = prose(document);
    let missing: Vec<&String> = phrases
        .iter()
        .filter(|phrase| !text.contains(phrase.as_str()))
        .collect();
    assert!(missing.is_empty(), "{document} does not say {missing:#?}");
}

#[test]
fn the_bounds_in_architecture_are_those_of_the_code() {
    let config = Config::default();
    let hot = config.storage.hot_callers_max as u64;
    assert_eq!(hot % 1_000_000, 0, "the document counts in millions");
    let commit = |name| constant("src/cluster/group_commit.rs", name);
    let rules = |name| constant("src/cluster/membership/rules.rs", name);
    says(
        "ARCHITECTURE.md",
        &[
            format!("{} live calls", thousands(config.call.live_max as u64)),
            format!("{} M callers in memory", hot / 1_000_000),
            format!(
                "{} of writes waiting",
                bytes(calldex_storage::QUEUE_BYTES_MAX as u64)
            ),
            format!(
                "{} of a form",
                bytes(constant("src/twilio/form.rs", "FORM_BYTES_MAX"))
            ),
            format!(
                "{} s for a `setup` frame",
                constant("src/webhook/relay_socket.rs", "SETUP_WAIT_MAX")
            ),
            format!(
                "{} members of which {} vote",
                rules("MEMBERS_MAX"),
                rules("VOTERS_MAX")
            ),
            format!(
                "{} of log for replicas",
                bytes(ClusterSection::default().log_bytes_max)
            ),
            format!(
                "{} writes or {} in an entry",
                commit("ENTRY_WRITES_MAX"),
                bytes(commit("ENTRY_BYTES_MAX"))
            ),
            format!(
                "{} of batches at the primary",
                bytes(constant("src/cluster/commit_queue.rs", "QUEUED_BYTES_MAX"))
            ),
        ],
    );
}

/// The bounds in storage's own document are held by its own test (storage/tests/bounds.rs).
#[test]
fn the_default_of_a_bound_of_storages_is_its_own() {
    let hot = Config::default().storage.hot_callers_max;
    assert_eq!(hot, calldex_storage::HOT_CALLERS_MAX);
}

#[test]
fn a_wrong_bound_is_found() {
    let wrong = std::panic::catch_unwind(|| says("ARCHITECTURE.md", &["7 M callers".to_owned()]));
    assert!(wrong.is_err());
    assert_eq!(thousands(1_234_567), "1,234,567");
    assert_eq!(bytes(64 << 10), "64 KiB");
}
