//! What an operator sees while calls come in: a real Prometheus scrapes a real server under load, and
//! every panel of every dashboard has something to show.

#[path = "server/database.rs"]
#[allow(
    dead_code,
    reason = "the vocabulary of tests/server, of which this test uses a part"
)]
mod database;
#[path = "server/fake_model.rs"]
#[allow(
    dead_code,
    reason = "the vocabulary of tests/server, of which this test uses a part"
)]
mod fake_model;
#[path = "observability/files.rs"]
#[allow(
    dead_code,
    reason = "the files of tests/observability, of which this test uses a part"
)]
mod files;
#[path = "live/prometheus.rs"]
mod prometheus;
#[path = "server/raw_http.rs"]
#[allow(
    dead_code,
    reason = "the vocabulary of tests/server, of which this test uses a part"
)]
mod raw_http;
#[path = "server/test_caller.rs"]
#[allow(
    dead_code,
    reason = "the vocabulary of tests/server, of which this test uses a part"
)]
mod test_caller;
#[path = "server/test_server.rs"]
#[allow(
    dead_code,
    reason = "the vocabulary of tests/server, of which this test uses a part"
)]
mod test_server;
#[path = "server/tool_server.rs"]
#[allow(
    dead_code,
    reason = "the vocabulary of tests/server, of which this test uses a part"
)]
mod tool_server;

use calldex_simulator::load::{self, LoadOptions};
use calldex_simulator::model::{Completion, ModelApiRequest};
use fake_model::FakeModel;
use prometheus::Prometheus;
use std::time::{Duration, Instant};
use test_server::{PUBLIC_URL, TOKEN, TestServer};
use tool_server::{ToolResponse, ToolServer};

/// Whoever withholds their number calls from here (docs/protocol.md 2.5).
const WITHHELD: &str = "+266696687";
/// Longest wait for the last panel and rule after the load.
const SETTLE_MAX: Duration = Duration::from_secs(600);
/// What makes the model fail, however often it is asked.
const BAD_QUESTION: &str = "What does the missing number evolve into?";

/// What makes the model call the operator's tool.
const TOOL_QUESTION: &str = "Is my order 4711 there?";

/// A model that fails at one question, looks one up and is slow at none.
fn thought(request: &ModelApiRequest) -> Completion {
    let has_result = request.messages().iter().any(|(role, _)| role == "tool");
    if request.last_user() == BAD_QUESTION {
        Completion::status(503)
    } else if request.last_user() == TOOL_QUESTION && !has_result {
        Completion::calls("order_status", "{}")
    } else {
        Completion::words(12).first_token_ms(30).gap_ms(4)
    }
}

fn callers(test_server: &TestServer, lines: &[&str]) -> LoadOptions {
    LoadOptions {
        base_url: format!("http://{}", test_server.listen),
        public_url: Some(PUBLIC_URL.into()),
        auth_token: Some(TOKEN.into()),
        calls: 12,
        rate_per_s: 12.0,
        turns: lines.len(),
        think: Duration::from_millis(60),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        interruption_share: 0.3,
        speed: test_caller::SPEED,
        errors_max: None,
        ..LoadOptions::default()
    }
}

/// New callers who give their names, the same callers again, failures of the model, a withheld one.
async fn calls(test_server: &TestServer) {
    let first = ["My name is Misty.", "Which type beats fire?"];
    let report = load::run(callers(test_server, &first), Vec::new())
        .await
        .unwrap();
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
    let again = [
        "Which type beats water?",
        BAD_QUESTION,
        "And grass, please?",
    ];
    let report = load::run(callers(test_server, &again), Vec::new())
        .await
        .unwrap();
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
    assert!(report.interruptions > 0, "{report:?}");
    let withheld = test_server.call(WITHHELD).await;
    withheld.says("Which type beats rock?").await;
    withheld.says(TOOL_QUESTION).await;
    withheld.hangs_up().await;
}

/// Queries of panels and variables that have no number to show: dashboard, panel, query.
async fn silent(prometheus: &Prometheus) -> Vec<String> {
    let mut silent = Vec::new();
    for dashboard in files::dashboards() {
        for panel in &dashboard.panels {
            for query in &panel.queries {
                let asked = files::runnable(query, "1m");
                let values = prometheus.values(&asked).await;
                if values.iter().all(|value| value.is_nan()) {
                    silent.push(format!("{}: {}: {asked}", dashboard.name, panel.title));
                }
            }
        }
        for variable in &dashboard.variables {
            let series = files::runnable(variable, "1m");
            let series = series.trim_start_matches("label_values(").rsplit_once(',');
            let (series, _label) = series.expect("a variable is label_values(series, label)");
            if prometheus.values(series).await.is_empty() {
                silent.push(format!("{}: variable: {series}", dashboard.name));
            }
        }
    }
    silent
}

async fn ailing(prometheus: &Prometheus) -> Vec<String> {
    let rules = prometheus.rules().await;
    let known = files::rules("recording").len() + files::rules("alerts").len();
    if rules.len() != known {
        return vec![format!("{} of {known} rules are loaded", rules.len())];
    }
    let ailing = rules.into_iter().filter(|(_, health)| health != "ok");
    ailing
        .map(|(name, health)| format!("{name}: {health}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_has_something_to_show_while_calls_come_in() {
    if !prometheus::is_installed() {
        return;
    }
    let model = FakeModel::start().await;
    model.answer_with(thought);
    // The only member of its cluster, so that what several instances show is there too.
    let orders =
        ToolServer::start(|_| ToolResponse::json(&serde_json::json!({ "state": "sent" }))).await;
    let tool = format!(
        "[[tool]]\nname = \"order_status\"\ndescription = \"Where an order is.\"\nurl = \"{}\"\n\
         allow_private = true\n",
        orders.url("/orders")
    );
    let test_server = TestServer::builder()
        .with_model(&model)
        .config(&tool)
        .set("cluster.listen", "127.0.0.1:0")
        .set("cluster.secret", "a-secret-of-at-least-32-characters")
        .start()
        .await;
    let prometheus = Prometheus::start(test_server.admin, &files::home().join("rules"));
    // Rates need a look before the first call.
    let deadline = Instant::now() + SETTLE_MAX;
    while prometheus.values("calldex_build_info").await.is_empty() {
        assert!(Instant::now() < deadline, "nothing is scraped");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        prometheus.values("calldex_no_such_metric").await.is_empty(),
        "what is not there shows nothing"
    );
    calls(&test_server).await;
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        let missing = [silent(&prometheus).await, ailing(&prometheus).await].concat();
        if missing.is_empty() {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "after {SETTLE_MAX:?}:\n{}",
            missing.join("\n")
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // One that failed and one that was answered: the model's panels told of both.
    assert!(test_server.metric("calldex_apologies_total", "").await > 0.0);
    assert!(
        test_server
            .metric("calldex_greetings_total", "by_name")
            .await
            > 0.0
    );
    assert!(
        test_server
            .metric("calldex_greetings_total", "withheld")
            .await
            > 0.0
    );
}
