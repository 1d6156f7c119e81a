//! Dashboards, rules, their tests and runbooks, as they lie in `observability/`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder `observability/` of this repository.
pub fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("observability")
}

/// A dashboard: `name` is its file without `.json`.
pub struct Dashboard {
    pub name: String,
    pub panels: Vec<Panel>,
    /// Queries of its template variables, `label_values(series, label)`.
    pub variables: Vec<String>,
    pub json: serde_json::Value,
}

pub struct Panel {
    pub title: String,
    pub queries: Vec<String>,
}

/// A query of a dashboard with Grafana's variables filled in, as Prometheus takes it.
pub fn runnable(query: &str, range: &str) -> String {
    query
        .replace("$__rate_interval", range)
        .replace("$__range", range)
        .replace("$job", ".*")
        .replace("$instance", ".*")
}

/// All dashboards, by name.
pub fn dashboards() -> Vec<Dashboard> {
    files("dashboards", "json")
        .iter()
        .map(|path| dashboard(path))
        .collect()
}

fn dashboard(path: &Path) -> Dashboard {
    let json: serde_json::Value =
        serde_json::from_str(&read(path)).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let panels = list(&json["panels"])
        .iter()
        .filter(|panel| panel["type"] != "row")
        .map(panel)
        .collect();
    let variables = list(&json["templating"]["list"]).iter();
    let variables = variables
        .filter_map(|v| Some(v["query"]["query"].as_str()?.to_owned()))
        .collect();
    Dashboard {
        name: stem(path),
        panels,
        variables,
        json,
    }
}

fn panel(json: &serde_json::Value) -> Panel {
    let queries = list(&json["targets"])
        .iter()
        .map(|target| text(&target["expr"]))
        .collect();
    Panel {
        title: text(&json["title"]),
        queries,
    }
}

/// The items of a JSON list; none where there is no list.
pub fn list(json: &serde_json::Value) -> &[serde_json::Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &serde_json::Value) -> String {
    json.as_str()
        .unwrap_or_else(|| panic!("no text: {json}"))
        .to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Rule>,
}

/// A recording rule (`record`) or an alert.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub record: String,
    #[serde(default)]
    pub alert: String,
    pub expr: String,
    #[serde(default, rename = "for")]
    _for: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Rules of a file in `rules/`, by its name without `.yml`.
pub fn rules(name: &str) -> Vec<Rule> {
    let file: RuleFile = yaml(&home().join("rules").join(format!("{name}.yml")));
    file.groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

/// A file of `promtool test rules`.
#[derive(Deserialize)]
pub struct RuleTest {
    pub tests: Vec<RuleTestCase>,
}

#[derive(Deserialize)]
pub struct RuleTestCase {
    pub input_series: Vec<RuleTestSeries>,
    pub promql_expr_test: Vec<ExpectedAlert>,
}

#[derive(Deserialize)]
pub struct RuleTestSeries {
    pub series: String,
}

#[derive(Deserialize)]
pub struct ExpectedAlert {
    pub expr: String,
    pub exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
pub struct Sample {
    pub labels: String,
}

/// Paths of the tests of the rules.
pub fn rule_test_files() -> Vec<PathBuf> {
    files("rules/tests", "yml")
}

/// All cases of all tests of the rules.
pub fn rule_cases() -> Vec<RuleTestCase> {
    rule_test_files()
        .iter()
        .flat_map(|path| yaml::<RuleTest>(path).tests)
        .collect()
}

/// All runbooks: the alert each is for, and its text.
pub fn runbooks() -> BTreeMap<String, String> {
    files("runbooks", "md")
        .iter()
        .map(|path| (stem(path), read(path)))
        .collect()
}

fn yaml<T: DeserializeOwned>(path: &Path) -> T {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|e| panic!("{path:?}: {e}"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{path:?}: {e}"))
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = home().join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    assert!(!paths.is_empty(), "no .{extension} in {folder:?}");
    paths
}
