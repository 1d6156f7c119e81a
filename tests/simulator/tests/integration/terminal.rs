//! `calldex call` against the small application.

use crate::app::{FROM, TO, TOKEN, TestApp, USUAL};
use calldex_simulator::terminal::{CallOptions, CallSummary, TerminalError, run};
use std::{io::Write, path::PathBuf, time::Duration};

fn options(app: &TestApp) -> CallOptions {
    CallOptions {
        base_url: app.base.clone(),
        auth_token: Some(TOKEN.into()),
        from: FROM.into(),
        to: TO.into(),
        speed: 40.0,
        reply_timeout: Duration::from_secs(5),
        ..CallOptions::default()
    }
}

async fn typed(options: CallOptions, input: &str) -> (Result<CallSummary, TerminalError>, String) {
    let mut output = Vec::new();
    let summary = run(options, input.as_bytes(), &mut output).await;
    (summary, String::from_utf8(output).expect("text"))
}

/// A script in a file that goes when the test ends.
struct Script(PathBuf);

impl Script {
    fn new(name: &str, text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("calldex-script-{}-{name}", std::process::id()));
        std::fs::File::create(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("a file");
        Self(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn typed_lines_are_said_and_replies_are_shown() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    let (summary, output) = typed(
        options(&app),
        "My name is Misty\n\nTell me more\n/bye\nnever said\n",
    )
    .await;
    let summary = summary.unwrap();
    assert_eq!(
        (summary.turns, summary.replies, summary.ending.as_str()),
        (2, 2, "you hung up")
    );
    assert!(summary.violations.is_empty(), "{summary:?}");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(
        lines[1..6],
        [
            "agent: Hello, who is calling?",
            "caller: My name is Misty",
            "agent: You said: My name is Misty. All right?",
            "caller: Tell me more",
            "agent: You said: Tell me more. All right?"
        ]
    );
    assert!(output.contains(&summary.call_sid));
    assert!(!output.contains('\x1b'), "plain when piped");
}

#[tokio::test]
async fn a_script_presses_interrupts_and_drops() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    app.on_action(&app.relay("welcomeGreeting=\"Sorry, I am back.\""));
    let script = Script::new(
        "all",
        "# a call\nA question to which the answer is long enough to be cut off in its middle by a caller\n!wait 100\n!press 1\n!drop\nAre you there\n!hangup\n",
    );
    let (summary, output) = typed(
        CallOptions {
            script: Some(script.0.clone()),
            ..options(&app)
        },
        "",
    )
    .await;
    let summary = summary.unwrap();
    assert_eq!(summary.ending, "you hung up");
    for part in [
        "caller: [1]",
        "reconnected",
        "agent: Sorry, I am back.",
        "agent: You said: Are you there. All right?",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[tokio::test]
async fn a_barge_in_shows_what_was_heard() {
    let mut app = TestApp::start(USUAL).await;
    app.answer_all();
    // The greeting is what is interrupted.
    app.voice(&app.relay(&USUAL.replace(
        "Hello, who is calling?",
        "Hello, this is a greeting that goes on and on until somebody says something to it",
    )));
    let (summary, output) = typed(
        CallOptions {
            speed: 10.0,
            ..options(&app)
        },
        "!barge Stop it\n",
    )
    .await;
    assert_eq!(summary.unwrap().turns, 1);
    assert!(
        output.contains("interrupted after \"Hello, this"),
        "{output}"
    );
    assert!(
        output.contains("agent: You said: Stop it. All right?"),
        "{output}"
    );
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let app = TestApp::start(USUAL).await;
    let nobody = CallOptions {
        base_url: "http://127.0.0.1:1".into(),
        ..options(&app)
    };
    let (error, _) = typed(nobody, "").await;
    assert!(error.unwrap_err().to_string().contains("calldex serve"));
    app.voice_status(403);
    assert!(matches!(
        typed(options(&app), "").await.0,
        Err(TerminalError::Refused)
    ));
    app.voice_status(500);
    let (error, _) = typed(options(&app), "").await;
    assert!(error.unwrap_err().to_string().contains("busy"));
    let script = Script::new("bad", "hello\n!dance\n");
    let (error, _) = typed(
        CallOptions {
            script: Some(script.0.clone()),
            ..options(&app)
        },
        "",
    )
    .await;
    assert!(matches!(
        error,
        Err(TerminalError::Directive { line: 2, .. })
    ));
    let (error, _) = typed(
        CallOptions {
            script: Some("/nowhere/at/all".into()),
            ..options(&app)
        },
        "",
    )
    .await;
    assert!(matches!(error, Err(TerminalError::Script { .. })));
}

#[tokio::test]
async fn a_call_that_twiml_ends_is_told() {
    let app = TestApp::start(USUAL).await;
    app.voice("<Response><Say>Please call again later.</Say><Hangup/></Response>");
    let (summary, output) = typed(options(&app), "Hello?\n").await;
    assert_eq!(
        summary.unwrap().ending,
        "the call was ended at the other end"
    );
    assert!(
        output.contains("agent: Please call again later."),
        "{output}"
    );
}
