//! What model servers really do, as a table (`behaviours/*.toml`): one row a behaviour, with the bytes on the wire and
//! what the caller must hear. Rows are run a few at a time, each with a server and a calldex of its own, since calldex
//! remembers what a server refuses.
//!
//! `BEHAVIOUR=words` runs the rows whose name holds the words, those that are pending too.

mod behaviour;
pub(crate) mod server;
pub(crate) mod strict;

use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, WAIT_MAX};
use behaviour::{Behaviour, BehaviourTurn};
use server::BehaviourServer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Rows at a time.
const ROWS_AT_ONCE: usize = 4;
/// Rows in the table at least.
const ROWS_LEAST: usize = 60;
const ASH: &str = "+14155550103";
const QUESTION: &str = "What type is Onix?";
const APOLOGY: &str = "I'm sorry, I'm having trouble";
/// How long a voice has been heard when somebody speaks over it.
const HEARD: Duration = Duration::from_millis(1_500);
/// The model has been asked and is silent.
const STEP: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn callers_hear_what_servers_answer_in_whatever_form() {
    let wanted = std::env::var("BEHAVIOUR").ok();
    let all = behaviour::load_behaviours();
    assert!(all.len() >= ROWS_LEAST, "{} rows", all.len());
    let rows = all.into_iter().filter(|row| match &wanted {
        Some(words) => row.name().to_lowercase().contains(&words.to_lowercase()),
        None => row.pending.is_none(),
    });
    let places = Arc::new(Semaphore::new(ROWS_AT_ONCE));
    let mut running = JoinSet::new();
    let mut count = 0;
    for row in rows {
        let places = Arc::clone(&places);
        count += 1;
        running.spawn(async move {
            let _place = places.acquire().await.expect("places are never closed");
            let name = row.name();
            let pending = row.pending.clone();
            // A task of its own, so that a failed row fails alone.
            let outcome = tokio::spawn(async move { runs(&row).await }).await;
            let failure = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(what)) => Some(what),
                Err(panic) => Some(message(panic)),
            };
            (name, pending, failure)
        });
    }
    let mut failures = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (name, pending, failure) = ended.expect("a row's task ends");
        let note = pending.map(|why| format!(" (pending: {why})"));
        let note = note.unwrap_or_default();
        match failure {
            None => println!("ok      {name}{note}"),
            Some(what) => failures.push(format!("FAILED  {name}{note}\n        {what}")),
        }
    }
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {count} rows failed\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn message(panic: tokio::task::JoinError) -> String {
    match panic.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(words) => *words,
            Err(_) => "a panic".to_owned(),
        },
        Err(error) => error.to_string(),
    }
}

/// What is wrong, with the call's frames.
fn check(holds: bool, what: String, phone: &TestCaller) -> Result<(), String> {
    if holds {
        return Ok(());
    }
    Err(format!("{what}\n{}", phone.report()))
}

async fn runs(row: &Behaviour) -> Result<(), String> {
    let server = BehaviourServer::start(row).await;
    let test_server = start_server(row, &server).await;
    let phone = test_server.call(ASH).await;
    let greeted = phone.says("My name is Ash").await;
    let named = greeted.starts_with("Nice to meet you, Ash!");
    check(
        named,
        format!("the name was answered by {greeted:?}"),
        &phone,
    )?;
    let mut last = None;
    for turn in &row.turn {
        last = turn_of(turn, &server, &phone)
            .await
            .map_err(|what| format!("{what}\n{}", test_server.output()))?;
    }
    ends(row, &test_server, &phone, last.as_deref()).await?;
    let asked = server.requests();
    let refused: Vec<_> = asked.iter().filter_map(|one| one.refused.clone()).collect();
    let may_refuse = !row.refuses.is_empty() || row.context.is_some();
    let allowed = row.refusals.or((!may_refuse).then_some(0));
    let fits = allowed.is_none_or(|allowed| refused.len() == allowed);
    check(
        fits,
        format!(
            "{} requests were refused: {refused:?}\nlast: {}",
            refused.len(),
            asked.last().map_or("", |one| &one.text)
        ),
        &phone,
    )?;
    signals(row, &test_server).await
}

/// A calldex with this server behind it.
async fn start_server(row: &Behaviour, server: &BehaviourServer) -> TestServer {
    let base_url = server.base_url();
    let mut plan = TestServer::builder()
        .variable("OPENAI_BASE_URL", format!("{base_url}{}", row.query))
        .variable("OPENAI_API_KEY", "sk-table")
        .variable("OPENAI_MODEL", "table-model");
    for (path, value) in &row.settings {
        plan = plan.set(path, value);
    }
    if row.unhurried {
        plan = plan.with_product_waits();
    }
    plan.config(&row.config.replace("{base_url}", &base_url))
        .start()
        .await
}

/// One turn; what was heard in it.
async fn turn_of(
    turn: &BehaviourTurn,
    server: &BehaviourServer,
    phone: &TestCaller,
) -> Result<Option<String>, String> {
    let before = server.requests().len();
    server.will_answer(&turn.answer);
    let mut say = if turn.say.is_empty() {
        QUESTION
    } else {
        &turn.say
    }
    .to_owned();
    while say.len() < turn.say_bytes {
        say.push_str(" And tell me where it lives and what it eats.");
    }
    let heard = speaks(turn, &say, before, server, phone).await;
    let asked = server.requests();
    let apologised = heard.contains(APOLOGY);
    check(
        apologised == turn.apology || turn.ends || turn.any,
        format!("heard {heard:?}; asked {} times", asked.len() - before),
        phone,
    )?;
    if let Some(wanted) = &turn.heard {
        check(
            heard.trim() == wanted,
            format!("heard {heard:?}, not {wanted:?}"),
            phone,
        )?;
    }
    for part in &turn.contains {
        check(
            heard.contains(part),
            format!("no {part:?} in {heard:?}"),
            phone,
        )?;
    }
    for part in &turn.without {
        check(
            !heard.contains(part),
            format!("{part:?} in {heard:?}"),
            phone,
        )?;
    }
    if let Some(requests) = turn.requests {
        let made = asked.len() - before;
        check(
            made == requests,
            format!("{made} requests, not {requests}"),
            phone,
        )?;
    }
    let last = asked.last().map_or("", |one| one.text.as_str());
    for part in &turn.last_contains {
        check(
            last.contains(part),
            format!("no {part:?} in the request {last}"),
            phone,
        )?;
    }
    for part in &turn.last_without {
        check(
            !last.contains(part),
            format!("{part:?} in the request {last}"),
            phone,
        )?;
    }
    Ok(turn.heard.clone())
}

/// Says it in the turn's way; what is heard at last.
async fn speaks(
    turn: &BehaviourTurn,
    say: &str,
    before: usize,
    server: &BehaviourServer,
    phone: &TestCaller,
) -> String {
    phone.says_it(say).await;
    if !turn.goes_on.is_empty() {
        while server.requests().len() == before {
            tokio::time::sleep(STEP).await;
        }
        phone
            .say(calldex_simulator::twilio::Utterance::at_once(
                turn.goes_on.as_str(),
            ))
            .await
            .expect("the caller goes on");
    }
    if !turn.barge_in.is_empty() {
        phone
            .interrupt(
                calldex_simulator::twilio::Utterance::at_once(turn.barge_in.as_str()),
                HEARD,
            )
            .await
            .expect("the agent speaks");
    }
    if turn.cough {
        assert!(phone.more_than(0, WAIT_MAX).await, "nothing to interrupt");
        let frame = serde_json::json!({
            "type": "interrupt", "utteranceUntilInterrupt": "Onix", "durationUntilInterruptMs": 300,
        });
        phone.send_frame(frame).await.expect("a cough");
    }
    if turn.ends {
        let ended = phone.wait_ended().await;
        return format!("{} {}", phone.heard(), ended.said.join(" "));
    }
    let first = phone.hears().await.text;
    if !turn.cough {
        return first;
    }
    // The answer that was cut, and what is said when nobody speaks.
    let second = phone.hears().await.text;
    format!("{first} {second}")
}

/// Hangs up; what was heard is what was kept.
async fn ends(
    row: &Behaviour,
    test_server: &TestServer,
    phone: &TestCaller,
    last: Option<&str>,
) -> Result<(), String> {
    if !row.turn.last().is_some_and(|turn| turn.ends) {
        phone.hangs_up().await;
    }
    phone.assert_no_violations();
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let Some(last) = last else { return Ok(()) };
    let turns = test_server.database().turns(phone.call_sid());
    let kept = turns.iter().rev().find(|turn| turn.role == "assistant");
    let kept = kept.map(|turn| turn.content.trim().to_owned());
    check(
        kept.as_deref() == Some(last),
        format!("heard {last:?}, kept {kept:?}"),
        phone,
    )
}

/// What the operator is told.
async fn signals(row: &Behaviour, test_server: &TestServer) -> Result<(), String> {
    let apologies = test_server.metric("calldex_apologies_total", "").await;
    let apologised = row.turn.iter().any(|turn| turn.apology);
    if (apologies > 0.0) != apologised && !row.turn.iter().any(|turn| turn.ends || turn.any) {
        return Err(format!(
            "{apologies} apologies were counted\n{}",
            test_server.output()
        ));
    }
    for metric in &row.metrics {
        let value = test_server.metric(&metric.name, &metric.label).await;
        let fits = value >= metric.least && (metric.least > 0.0 || value == 0.0);
        if !fits {
            return Err(format!("{}{{{}}} is {value}", metric.name, metric.label));
        }
    }
    let log = test_server.output();
    match row.log.iter().find(|part| !log.contains(*part)) {
        Some(part) => Err(format!("no {part:?} in the log\n{log}")),
        None => Ok(()),
    }
}
