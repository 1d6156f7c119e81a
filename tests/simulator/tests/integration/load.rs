//! `calldex load` against the small application.

use crate::app::{TOKEN, TestApp, USUAL};
use calldex_simulator::load::{LoadOptions, LoadReport, run, run_until};
use std::{collections::HashSet, time::Duration};

fn options(app: &TestApp) -> LoadOptions {
    LoadOptions {
        base_url: app.base.clone(),
        auth_token: Some(TOKEN.into()),
        calls: 12,
        rate_per_s: 200.0,
        turns: 2,
        think: Duration::from_millis(5),
        speed: 100.0,
        reply_timeout: Duration::from_secs(5),
        ..LoadOptions::default()
    }
}

#[tokio::test]
async fn every_call_is_measured_and_none_fails() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    let report = run(
        LoadOptions {
            model_first_token: Some(Duration::ZERO),
            ..options(&app)
        },
        Vec::new(),
    )
    .await
    .unwrap();
    assert!(report.verdict.passed(), "{report:?}");
    assert_eq!(
        (report.calls_started, report.calls_completed, report.turns),
        (12, 12, 24)
    );
    assert_eq!((report.webhook.count, report.handshake.count), (12, 12));
    assert_eq!(
        (
            report.first_token.count,
            report.overhead.count,
            report.whole_turn.count
        ),
        (24, 24, 24)
    );
    assert!(report.tokens > 24 && report.token_gap.count > 0);
    assert!(report.to_table().contains("first token"));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["calls_completed"], 12);
    let callers: HashSet<String> = app
        .hooks("/twilio/voice")
        .iter()
        .filter_map(|hook| {
            hook.body
                .split('&')
                .find(|part| part.starts_with("From="))
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(callers.len(), 12, "each caller has a number of its own");
    assert_eq!(app.hooks("/over").len(), 12);
    assert_eq!(app.hooks("/twilio/status").len(), 12);
}

#[tokio::test]
async fn callers_interrupt_drop_and_hang_up() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    // One for each drop and one for each end, which has no use for it.
    for _ in 0..24 {
        app.on_action(&app.relay(USUAL));
    }
    let shares = LoadOptions {
        drop_share: 1.0,
        hang_up_share: 1.0,
        interruption_share: 1.0,
        rate_per_s: 1000.0,
        think: Duration::from_millis(40),
        speed: 50.0,
        ..options(&app)
    };
    let report = run(shares, Vec::new()).await.unwrap();
    assert_eq!(
        (report.drops, report.reconnects, report.hang_ups),
        (12, 12, 12),
        "{report:?}"
    );
    assert!(report.interruptions > 0);
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
}

#[tokio::test]
async fn without_playback_callers_interrupt_too() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    let report = run(
        LoadOptions {
            playback: false,
            interruption_share: 1.0,
            ..options(&app)
        },
        Vec::new(),
    )
    .await
    .unwrap();
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
    assert_eq!(report.calls_completed, 12);
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_fail_the_verdict() {
    let app = TestApp::start(USUAL).await;
    app.voice_status(503);
    let report = run(options(&app), Vec::new()).await.unwrap();
    assert_eq!(report.errors.get("webhook: 503"), Some(&12));
    assert!(!report.verdict.passed());
    assert!(report.to_table().contains("webhook: 503"));
}

#[tokio::test]
async fn a_steady_load_lasts_as_long_as_it_is_told() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    let steady = LoadOptions {
        calls: 3,
        duration: Some(Duration::from_millis(600)),
        rate_per_s: 500.0,
        turns: 1,
        progress: true,
        ..options(&app)
    };
    let mut progress = Vec::new();
    let report = run(steady, &mut progress).await.unwrap();
    assert!(
        report.calls_started > 3,
        "calls that end are replaced: {report:?}"
    );
    assert!(report.calls_at_once_max <= 3);
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
    assert!(String::from_utf8(progress).unwrap().contains("first token"));
}

#[tokio::test]
async fn nobody_listening_is_said_before_a_call_is_placed() {
    let app = TestApp::start(USUAL).await;
    let nobody = LoadOptions {
        base_url: "http://127.0.0.1:1".into(),
        ..options(&app)
    };
    assert!(run(nobody, Vec::new()).await.is_err());
}

#[tokio::test]
async fn callers_of_a_steady_load_hang_up_when_it_is_over() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    let steady = LoadOptions {
        calls: 3,
        duration: Some(Duration::from_millis(400)),
        rate_per_s: 500.0,
        turns: 1_000_000,
        warm_up: Duration::from_millis(200),
        ..options(&app)
    };
    let report = run(steady, Vec::new()).await.unwrap();
    assert_eq!(report.errors_total(), 0, "{:?}", report.errors);
    assert_eq!((report.calls_started, report.calls_completed), (3, 3));
    assert_eq!(
        report.webhook.count, 0,
        "all were placed while it warmed up"
    );
    assert!((1..report.turns).contains(&report.first_token.count));
}

#[tokio::test]
async fn a_load_that_is_broken_off_reports_what_it_has() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    let endless = LoadOptions {
        calls: 3,
        turns: 1_000_000,
        ..options(&app)
    };
    let stop = tokio::time::sleep(Duration::from_millis(400));
    let report = run_until(endless, Vec::new(), stop).await.unwrap();
    assert_eq!((report.calls_started, report.calls_completed), (3, 0));
    assert!(report.first_token.count > 0);
    let failures = &report.verdict.failures;
    assert!(
        failures.len() == 1 && failures[0].contains("3 calls asked for, 3 begun, 0 completed"),
        "{failures:?}"
    );
    assert!(report.to_table().contains("3 asked for"));
}

/// Scripts read these: a field may be added, none renamed.
#[test]
fn the_json_has_the_fields_that_scripts_read() {
    let json = serde_json::to_value(LoadReport::default()).unwrap();
    for field in [
        "seconds",
        "calls_wanted",
        "calls_started",
        "calls_completed",
        "calls_at_once_max",
        "turns",
        "tokens",
        "barge_ins",
        "hang_ups",
        "drops",
        "reconnects",
    ] {
        assert!(json[field].is_number(), "{field}");
    }
    for timed in [
        "webhook",
        "handshake",
        "first_token",
        "overhead",
        "token_gap",
        "whole_turn",
    ] {
        for rank in ["count", "p50_ms", "p90_ms", "p99_ms", "max_ms"] {
            assert!(json[timed][rank].is_number(), "{timed}.{rank}");
        }
    }
    assert!(json["errors"].is_object() && json["verdict"]["failures"].is_array());
}
