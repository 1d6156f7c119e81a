//! What recorded calls showed, as scripts of our own with their timing: the stored turns are what was
//! audible. The scripts are in `tests/fixtures/recorded`; each says which fact it is about.

pub mod relay_client;

use crate::fake_model::{FakeModel, is_asked};
use crate::test_server::{TestServer, WAIT_MAX};
use calldex_simulator::model::Completion;
use relay_client::RelayClient;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From a lost socket to Twilio's request for the action.
const LOST_SOCKET: Duration = Duration::from_millis(1_190);

fn scripts() -> Vec<(String, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recorded");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the scripts are there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(file).expect("a script is readable");
        let lines = text.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
        });
        (name.clone().into_owned(), lines.collect())
    };
    files.iter().map(read).collect()
}

/// What the model says to each thing that a script's caller says.
fn answers(scripts: &[(String, Vec<Value>)]) -> Vec<(String, Completion)> {
    let mut answers = Vec::new();
    for (_, lines) in scripts {
        for line in lines.iter().filter(|line| line["answer"].is_string()) {
            let tokens = line["tokens"].as_array().expect("tokens").iter();
            let tokens: Vec<String> = tokens
                .map(|token| token.as_str().expect("a token").to_owned())
                .collect();
            let mut said = Completion::deltas(tokens.clone());
            if let Some(gap_ms) = line["gap_ms"].as_u64() {
                said = said.gap_ms(gap_ms);
            }
            if let Some(first_ms) = line["first_ms"].as_u64() {
                said = said.first_token_ms(first_ms);
            }
            if line["unfinished"] == true {
                said = said.stall_after(tokens.len(), WAIT_MAX);
            }
            let asked = line["answer"].as_str().expect("words").to_owned();
            answers.push((asked, said));
        }
    }
    answers
}

/// How often a script is played while this machine keeps no time.
const PLAYS_MAX: usize = 20;
/// Scripts are numbered below it.
const SCRIPTS_MAX: usize = 100;
/// A thread that is woken later than this means that what an estimate makes of the time says nothing.
const LATE: Duration = Duration::from_millis(20);

/// Plays one script until what is stored is what it expects. The scripts are about time: where it is
/// not, and this machine did not keep time meanwhile, the script is played again.
async fn hold(test_server: &TestServer, name: &str, number: usize, lines: &[Value]) {
    for turn in 1.. {
        let lateness = SchedulingDelay::watch();
        let (kept, wanted) =
            play(test_server, name, number + (turn - 1) * SCRIPTS_MAX, lines).await;
        let late = lateness.longest();
        if kept == wanted {
            return;
        }
        if late < LATE || turn == PLAYS_MAX {
            assert_eq!(
                kept, wanted,
                "{name}, played {turn} times, woken {late:?} late"
            );
        }
        println!("{name}: woken {late:?} late, so it is played again");
    }
}

/// How late this process is woken while it lives.
struct SchedulingDelay {
    longest_us: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl SchedulingDelay {
    fn watch() -> Self {
        let longest_us = Arc::new(AtomicU64::new(0));
        let noted = Arc::clone(&longest_us);
        let task = tokio::spawn(async move {
            loop {
                let due = tokio::time::Instant::now() + Duration::from_millis(5);
                tokio::time::sleep_until(due).await;
                noted.fetch_max(due.elapsed().as_micros() as u64, Ordering::Relaxed);
            }
        });
        Self { longest_us, task }
    }

    fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.load(Ordering::Relaxed))
    }
}

impl Drop for SchedulingDelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Plays one script at its own pace. What is stored, and what is expected.
async fn play(
    test_server: &TestServer,
    name: &str,
    number: usize,
    lines: &[Value],
) -> (Vec<Value>, Vec<Value>) {
    let sid = format!("CA{:032x}", 0x7ec0_0000 + number);
    let from = format!("+1415556{number:04}");
    let mut wire = match lines.iter().any(|line| line["outbound"] == true) {
        true => RelayClient::open_outbound(test_server, &sid, &from).await,
        false => RelayClient::open(test_server, &sid, &from).await,
    };
    for line in lines {
        if let Some(ms) = line["after"].as_u64() {
            wire.listen(Duration::from_millis(ms)).await;
        }
        if let Some(words) = line["wait"].as_str() {
            wire.wait_for(words).await;
        }
        if let Some(words) = line["wait_open"].as_str() {
            wire.wait_for_open(words).await;
        }
        for frame in line["in"].as_array().into_iter().flatten() {
            let mut frame = frame.clone();
            if frame["value"] == "{greeting}" {
                frame["value"] = wire.greeting.as_str().into();
            }
            wire.send(&frame).await;
        }
        if let Some(expected) = line["cycles"].as_array() {
            let expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
            assert_eq!(wire.cycles, expected, "{name}");
        }
        if let Some(code) = line["close"].as_u64() {
            let (answer, _) = wire.close(Some(code as u16)).await;
            assert_eq!(
                answer,
                Some(Some(code as u16)),
                "{name}: the close frame is answered"
            );
        }
        if line["lost"] == true {
            wire.reconnect(test_server, LOST_SOCKET).await;
        }
        if let Some(ms) = line["returns"].as_u64() {
            wire.reconnect(test_server, Duration::from_millis(ms)).await;
        }
        if let Some(ms) = line["action"].as_u64() {
            wire.listen(Duration::from_millis(ms)).await;
            wire.is_ended_by_action(test_server).await;
        }
        if line["ends"] == true {
            wire.listen(Duration::from_millis(200)).await;
            assert!(wire.ended, "{name}: the call is to be ended by the server");
        }
    }
    if !lines.iter().any(|line| line["alone"] == true) {
        wire.is_over(test_server).await;
    }
    test_server.wait_conversation_closed(&sid).await;
    let row = test_server.database().conversation(&sid).expect("a row");
    assert_eq!(row.phone_number.as_deref(), Some(from.as_str()), "{name}");
    let stored = row.messages;
    let expected = lines.iter().find_map(|line| line["stored"].as_array());
    let expected = expected.unwrap_or_else(|| panic!("{name}: expects nothing"));
    let kept: Vec<Value> = stored.iter().map(shown).collect();
    let mut wanted = expected.clone();
    for turn in &mut wanted {
        if turn[1] == "{greeting}" {
            turn[1] = wire.greeting.as_str().into();
        }
    }
    (kept, wanted)
}

/// A stored turn as the scripts have it: role, words, and `cut` or `estimated` where it is so.
fn shown(turn: &Value) -> Value {
    let mut shown = vec![turn["role"].clone(), turn["content"].clone()];
    for (flag, word) in [("interrupted", "cut"), ("estimated", "estimated")] {
        if turn[flag] == true {
            shown.push(word.into());
        }
    }
    Value::Array(shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_turns_are_what_was_audible() {
    let scripts = scripts();
    let model = FakeModel::start().await;
    let answers = answers(&scripts);
    model.answer_with(move |request| {
        let found = answers.iter().find(|(words, _)| is_asked(request, words));
        found.map_or_else(Completion::silence, |(_, said)| said.clone())
    });
    let test_server = TestServer::builder()
        .with_model(&model)
        .set("call.name_asks_max", 0)
        .set("call.verify_names", false)
        // As it was when they were recorded.
        .set("call.filler_after_ms", 1_500)
        .config("[phrases.en]\ngreet_new = \"Hello, this is the recorded line. What can I do for you?\"\nfillers = [\"One moment, please.\"]\n")
        .start()
        .await;
    let test_server = Arc::new(test_server);
    assert!(scripts.len() < SCRIPTS_MAX);
    let mut calls = tokio::task::JoinSet::new();
    for (number, (name, lines)) in scripts.into_iter().enumerate() {
        let test_server = Arc::clone(&test_server);
        calls.spawn(async move { hold(&test_server, &name, number, &lines).await });
    }
    while let Some(played) = calls.join_next().await {
        if let Err(failed) = played {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
}
