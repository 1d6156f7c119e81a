//! Dashboards, rules and runbooks against the catalog: no name that does not exist, no criterion
//! without metric, panel and alert, no alert without a runbook and a proof that it fires.

#[path = "observability/criteria.rs"]
mod criteria;
#[path = "observability/files.rs"]
mod files;
#[path = "observability/known.rs"]
mod known;
#[path = "observability/promql.rs"]
mod promql;

use criteria::{CRITERIA, Criterion};
use files::{Rule, dashboards, home, list, rule_cases, rule_test_files, rules, runbooks, runnable};
use known::KnownNames;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn alerts() -> Vec<Rule> {
    rules("alerts")
}

#[test]
fn rules_name_only_what_the_catalog_has() {
    let known = KnownNames::new();
    for Rule {
        record,
        alert,
        expr,
        ..
    } in rules("recording").iter().chain(&alerts())
    {
        assert_eq!(
            known.faults(expr),
            Vec::<String>::new(),
            "{record}{alert}: {expr}"
        );
        assert!(
            record.is_empty() != alert.is_empty(),
            "{record}{alert} is one of the two"
        );
    }
    for case in rule_cases() {
        let expressions = case.promql_expr_test.iter().map(|expected| &expected.expr);
        for expression in case
            .input_series
            .iter()
            .map(|input| &input.series)
            .chain(expressions)
        {
            assert_eq!(
                known.faults(expression),
                Vec::<String>::new(),
                "{expression}"
            );
        }
    }
}

#[test]
fn dashboards_name_only_what_the_catalog_has() {
    let known = KnownNames::new();
    for dashboard in dashboards() {
        for panel in &dashboard.panels {
            assert!(
                !panel.queries.is_empty(),
                "{}: {} has no query",
                dashboard.name,
                panel.title
            );
            for query in &panel.queries {
                let faults = known.faults(&runnable(query, "5m").replace("=~\".*\"", "!=\"\""));
                assert_eq!(
                    faults,
                    Vec::<String>::new(),
                    "{}: {}: {query}",
                    dashboard.name,
                    panel.title
                );
            }
        }
        for variable in &dashboard.variables {
            let series = variable
                .strip_prefix("label_values(")
                .and_then(|rest| rest.rsplit_once(','));
            let (series, _label) =
                series.unwrap_or_else(|| panic!("{variable} is no label_values"));
            assert_eq!(known.faults(series), Vec::<String>::new(), "{variable}");
        }
    }
}

#[test]
fn dashboards_can_be_imported_anywhere() {
    let mut uids = BTreeSet::new();
    for dashboard in dashboards() {
        let json = &dashboard.json;
        assert!(
            uids.insert(json["uid"].to_string()),
            "{}: uid twice",
            dashboard.name
        );
        let mut titles_and_ids = BTreeSet::new();
        for panel in list(&json["panels"])
            .iter()
            .filter(|panel| panel["type"] != "row")
        {
            assert!(
                titles_and_ids.insert(panel["id"].to_string()),
                "{}: id {} twice",
                dashboard.name,
                panel["id"]
            );
            let targets = list(&panel["targets"])
                .iter()
                .map(|target| &target["datasource"]["uid"]);
            for uid in targets.chain([&panel["datasource"]["uid"]]) {
                assert_eq!(
                    uid, "${datasource}",
                    "{}: {}",
                    dashboard.name, panel["title"]
                );
            }
            assert!(
                panel["description"].as_str().is_some_and(|d| !d.is_empty()),
                "{}",
                panel["title"]
            );
        }
        let datasource = list(&json["templating"]["list"])
            .iter()
            .find(|v| v["name"] == "datasource");
        assert_eq!(
            datasource.map(|v| &v["type"]),
            Some(&"datasource".into()),
            "{}",
            dashboard.name
        );
    }
}

#[test]
fn every_metric_of_the_catalog_is_described_and_shown_on_a_panel() {
    let known = KnownNames::new();
    let text = calldex_observability::install().render();
    let dashboards = dashboards();
    let queries = dashboards
        .iter()
        .flat_map(|d| &d.panels)
        .flat_map(|panel| &panel.queries);
    let shown: BTreeSet<_> = queries
        .flat_map(|query| known.metrics_behind(query))
        .collect();
    for name in known.metric_names() {
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} is not described"
        );
        assert!(shown.contains(name), "{name} is on no panel");
    }
}

#[test]
fn every_recording_rule_is_read_by_an_alert_or_a_panel() {
    let dashboards = dashboards();
    let queries = dashboards
        .iter()
        .flat_map(|d| &d.panels)
        .flat_map(|panel| panel.queries.clone());
    let expressions: Vec<String> = queries
        .chain(alerts().into_iter().map(|alert| alert.expr))
        .collect();
    let read: BTreeSet<String> = expressions
        .iter()
        .flat_map(|expression| promql::reads(expression).unwrap().selectors)
        .map(|selector| selector.metric)
        .collect();
    for name in KnownNames::new().recorded_names() {
        assert!(read.contains(name), "{name} is read by nothing");
    }
}

#[test]
fn every_criterion_of_the_prd_has_a_metric_a_panel_and_an_alert() {
    let known = KnownNames::new();
    let dashboards = dashboards();
    let alerts = alerts();
    for Criterion {
        asked,
        metric,
        dashboard,
        panel,
        alert,
    } in CRITERIA
    {
        assert!(
            known.metric_names().any(|name| name == *metric),
            "{asked}: no metric {metric}"
        );
        let shown = dashboards
            .iter()
            .filter(|d| d.name == *dashboard)
            .flat_map(|d| &d.panels);
        let shown: Vec<_> = shown
            .filter(|p| p.title == *panel)
            .flat_map(|p| &p.queries)
            .collect();
        let shows = shown
            .iter()
            .any(|query| known.metrics_behind(query).contains(metric));
        assert!(
            shows,
            "{asked}: no panel {panel:?} on {dashboard} shows {metric}"
        );
        let mut rules = alerts.iter().filter(|rule| rule.alert == *alert);
        let reads = rules.any(|rule| known.metrics_behind(&rule.expr).contains(metric));
        assert!(reads, "{asked}: no alert {alert} reads {metric}");
    }
}

#[test]
fn no_criterion_of_the_prd_is_left_out() {
    let path = home().join("../../shared/prd.md");
    let Ok(prd) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return;
    };
    let asked = |heading: &str| {
        let section = prd
            .split_once(heading)
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        let lines = section
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with("- "));
        lines
            .map(|line| {
                line.trim_start_matches(['-', ' ', '[', ']', '*'])
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let lines: Vec<String> = [asked("### Success Metrics"), asked("### Quality Metrics")].concat();
    assert!(lines.len() >= 10, "{lines:?}");
    for line in lines {
        let listed = CRITERIA
            .iter()
            .any(|criterion| line.starts_with(criterion.asked));
        assert!(listed, "{line} is in no criterion");
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let runbooks = runbooks();
    let mut names = BTreeSet::new();
    for Rule {
        alert,
        labels,
        annotations,
        ..
    } in alerts()
    {
        let wanted = format!("observability/runbooks/{alert}.md");
        assert_eq!(annotations.get("runbook_url"), Some(&wanted), "{alert}");
        assert!(
            annotations.contains_key("summary") && annotations.contains_key("description"),
            "{alert}"
        );
        assert!(
            matches!(labels["severity"].as_str(), "page" | "ticket"),
            "{alert}"
        );
        assert!(names.insert(alert.clone()), "{alert} twice");
    }
    assert_eq!(names, runbooks.into_keys().collect());
}

#[test]
fn runbooks_say_what_is_heard_looked_at_and_done_and_point_at_what_exists() {
    let known = KnownNames::new();
    let titles: BTreeMap<String, Vec<String>> = dashboards()
        .into_iter()
        .map(|d| (d.name, d.panels.into_iter().map(|p| p.title).collect()))
        .collect();
    let runbooks = runbooks();
    for (alert, text) in &runbooks {
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        let wanted = [
            &format!("# {alert}"),
            "## What the caller notices",
            "## What to look at",
            "## What to do",
        ];
        assert_eq!(headings, wanted, "{alert}");
        for series in text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.starts_with("calldex_"))
        {
            // A histogram may be named as a whole.
            let faults = known.faults(series);
            let whole = known.metric_names().any(|name| name == series);
            assert!(whole || faults.is_empty(), "{alert}: {series}: {faults:?}");
        }
        for cited in text.split("anel \"").skip(1) {
            let (title, rest) = cited
                .split_once("\" (")
                .unwrap_or_else(|| panic!("{alert}: {cited}"));
            let dashboard = rest.split(')').next().unwrap_or_default();
            let exists = titles
                .get(dashboard)
                .is_some_and(|titles| titles.iter().any(|known| known == title));
            assert!(exists, "{alert}: no panel {title:?} on {dashboard:?}");
        }
        for linked in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(".md)"))
        {
            assert!(
                runbooks.contains_key(linked.0),
                "{alert}: no runbook {}",
                linked.0
            );
        }
    }
}

#[test]
fn every_alert_is_seen_to_fire_in_a_test_of_the_rules() {
    let fired: BTreeSet<String> = rule_cases()
        .iter()
        .flat_map(|case| &case.promql_expr_test)
        .flat_map(|expected| &expected.exp_samples)
        .filter_map(|sample| {
            Some(
                sample
                    .labels
                    .strip_prefix("{alertname=\"")?
                    .strip_suffix("\"}")?
                    .to_owned(),
            )
        })
        .collect();
    let named: BTreeSet<String> = alerts().into_iter().map(|rule| rule.alert).collect();
    assert_eq!(named, fired);
}

/// Runs promtool, or says that it is not installed.
fn promtool(arguments: &[&str]) -> bool {
    match Command::new("promtool").args(arguments).output() {
        Err(_) => {
            println!("skipped: promtool missing (apt-get install prometheus)");
            false
        }
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(
                output.status.success(),
                "promtool {arguments:?}:\n{}",
                String::from_utf8_lossy(&said)
            );
            true
        }
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let path = |name: &str| {
        home()
            .join("rules")
            .join(name)
            .to_string_lossy()
            .into_owned()
    };
    if promtool(&[
        "check",
        "rules",
        &path("recording.yml"),
        &path("alerts.yml"),
    ]) {
        let tests: Vec<String> = rule_test_files()
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
        let arguments: Vec<&str> = ["test", "rules"]
            .into_iter()
            .chain(tests.iter().map(String::as_str))
            .collect();
        promtool(&arguments);
    }
}

#[test]
fn promtool_accepts_every_query_of_every_dashboard() {
    let dashboards = dashboards();
    let queries = dashboards
        .iter()
        .flat_map(|d| &d.panels)
        .flat_map(|panel| &panel.queries);
    // JSON is YAML: each query as a recording rule of its own.
    let rules: Vec<_> = queries
        .enumerate()
        .map(|(at, query)| serde_json::json!({"record": format!("query:{at}"), "expr": runnable(query, "5m")}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queries.yml");
    std::fs::write(
        &path,
        serde_json::json!({"groups": [{"name": "queries", "rules": rules}]}).to_string(),
    )
    .unwrap();
    promtool(&["check", "rules", &path.to_string_lossy()]);
}
