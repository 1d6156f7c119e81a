//! The model behind the agent, well and ill: the caller always hears something, and the call goes
//! on (ARCHITECTURE.md G5).

use crate::fake_model::{FakeModel, conversation, prompt};
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, TestServerBuilder, WAIT_MAX};
use calldex_simulator::model::{Completion, WireLayout};
use std::time::Duration;

const ASH: &str = "+14155550103";
const APOLOGY: &str = "I'm sorry, I'm having trouble answering right now.";
/// Our own bound to the bridge in these tests, in milliseconds.
const FILLER_AFTER_MS: u64 = 250;

/// Bounds short enough for a test: a bridge after 250 ms, two tries of 500 ms each.
fn server_with_short_waits(model: &FakeModel) -> TestServerBuilder {
    TestServer::builder()
        .with_model(model)
        .set("call.filler_after_ms", FILLER_AFTER_MS)
        .set("model.default.first_token_ms_max", 500)
        .set("model.default.idle_ms_max", 500)
        .set("agent.reply_ms_max", 3_000)
        .set("agent.breaker_failures_max", 100)
}

/// Gives a name, so that the model is asked from here on.
async fn call_with_known_name(test_server: &TestServer) -> TestCaller {
    let phone = test_server.call(ASH).await;
    let reply = phone.says("My name is Ash").await;
    assert!(reply.starts_with("Nice to meet you, Ash!"), "{reply}");
    phone
}

/// After whatever happened, the next question is answered by the model as if nothing had.
async fn the_call_goes_on(model: &FakeModel, test_server: &TestServer, phone: &TestCaller) {
    model.next(Completion::says("Onix is a rock and ground type."));
    let reply = phone.says("What type is Onix?").await;
    assert_eq!(
        reply,
        "Onix is a rock and ground type.",
        "{}",
        phone.report()
    );
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
    assert_eq!(
        test_server
            .database()
            .agent_texts(phone.call_sid())
            .last()
            .unwrap(),
        "What type is Onix?"
    );
}

/// The answer to the first question is the apology, and the call goes on.
async fn apologises(model: &FakeModel, test_server: &TestServer) {
    let phone = call_with_known_name(test_server).await;
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with(APOLOGY), "{reply}");
    the_call_goes_on(model, test_server, &phone).await;
    assert!(test_server.metric("calldex_apologies_total", "").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_passed_on_as_they_arrive() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = call_with_known_name(&test_server).await;
    let pause = Duration::from_secs(5);
    let answer = "Gengar is a ghost type, and it hides in the dark.";
    model.next(Completion::says(answer).stall_after(3, pause));
    phone.says_it("What type is Gengar?").await;
    assert!(phone.more_than("Gengar".len(), WAIT_MAX).await);
    let so_far = phone.partial_reply().text;
    assert!(so_far.starts_with("Gengar is"), "{so_far}");
    assert_eq!(model.stats().open, 1, "the model is still speaking");
    let reply = phone.hears().await;
    assert_eq!(reply.text, answer);
    assert!(reply.tokens.len() >= 8, "{:?}", reply.tokens);
    let gaps: Vec<Duration> = reply
        .tokens
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    let longest = gaps.iter().max().unwrap();
    assert!(
        *longest >= pause / 2,
        "the model's pause is heard: {gaps:?}"
    );
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_the_persona_the_name_and_the_whole_conversation() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::says("Gengar is a ghost."));
    phone.says("What type is Gengar?").await;
    model.next(Completion::says("It comes from Haunter."));
    phone.says("And what does it evolve from?").await;
    let request = model.last_reply_request();
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(
        request.header("authorization"),
        Some("Bearer sk-test_server")
    );
    assert_eq!(request.model(), "server-model");
    let prompt = prompt(&request);
    assert!(prompt.contains("Pokédex Call Center"), "{prompt}");
    assert!(prompt.contains("\"Ash\""), "{prompt}");
    let nice = "Nice to meet you, Ash! What Pokémon would you like to know about?";
    let expected = [
        ("assistant", phone.first_greeting()),
        ("user", "My name is Ash".into()),
        ("assistant", nice.into()),
        ("user", "What type is Gengar?".into()),
        ("assistant", "Gengar is a ghost.".into()),
        ("user", "And what does it evolve from?".into()),
    ];
    let expected = expected.map(|(role, words)| (role.to_owned(), words));
    assert_eq!(conversation(&request), expected);
    let mut tools = request.tools();
    tools.sort();
    // No hand-over where there is nobody to take it, no other language where the line has one.
    let all = ["end_call", "note_preference", "set_name"];
    assert_eq!(tools, all);
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let mut kept = expected.to_vec();
    kept.push(("assistant".into(), "It comes from Haunter.".into()));
    assert_eq!(test_server.database().texts_by_role(phone.call_sid()), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_caller_is_known_to_the_model_from_the_first_turn() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = call_with_known_name(&test_server).await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let again = test_server.call(ASH).await;
    assert!(again.first_greeting().starts_with("Welcome back, Ash!"));
    again.says("What type is Gengar?").await;
    let prompt = prompt(&model.last_reply_request());
    assert!(prompt.contains("\"Ash\""), "{prompt}");
    assert!(prompt.contains("called before"), "{prompt}");
    again.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_starts_is_bridged_and_then_apologised_for() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.answer_with(|_| Completion::silence());
    phone.says_it("What type is Gengar?").await;
    let bridge = phone.hears_any_reply().await;
    assert!(bridge.preemptible, "a bridge may be cut short: {bridge:?}");
    assert_eq!(bridge.text, "One moment, please.");
    let waited = bridge.first_token.unwrap();
    assert!(
        waited >= Duration::from_millis(FILLER_AFTER_MS - 50),
        "{waited:?}"
    );
    let apology = phone.hears().await;
    assert!(apology.text.starts_with(APOLOGY), "{apology:?}");
    assert!(model.wait_idle().await, "silent requests are given up");
    model.answer_with(|request| Completion::says(&request.last_user()));
    the_call_goes_on(&model, &test_server, &phone).await;
    assert_eq!(test_server.metric("calldex_fillers_total", "").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_real_token_may_cut_the_bridge() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model)
        .set("model.default.first_token_ms_max", 3_000)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::says("Gengar is a ghost type.").first_token_ms(FILLER_AFTER_MS + 300));
    phone.says_it("What type is Gengar?").await;
    let bridge = phone.hears_any_reply().await;
    assert!(bridge.preemptible);
    assert_eq!(phone.hears().await.text, "Gengar is a ghost type.");
    the_call_goes_on(&model, &test_server, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_cut_in_the_middle_of_a_sentence_is_finished_by_an_apology() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    let answer = "Gengar is a ghost type and lives in the dark.";
    model.next(Completion::says(answer).gap_ms(10).cut_after(4));
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with("Gengar is a ghost"), "{reply}");
    assert!(reply.contains(APOLOGY), "{reply}");
    the_call_goes_on(&model, &test_server, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_falls_silent_in_the_middle_is_finished_by_an_apology() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    let answer = "Gengar is a ghost type and lives in the dark.";
    model.next(Completion::says(answer).stall_after(4, WAIT_MAX));
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with("Gengar is a ghost"), "{reply}");
    assert!(reply.contains(APOLOGY), "{reply}");
    the_call_goes_on(&model, &test_server, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_tried_once_more_before_the_caller_hears_of_it() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::status(500));
    model.next(Completion::says("Gengar is a ghost type."));
    let reply = phone.says("What type is Gengar?").await;
    assert_eq!(reply, "Gengar is a ghost type.");
    the_call_goes_on(&model, &test_server, &phone).await;
    assert_eq!(test_server.metric("calldex_apologies_total", "").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_errors_only_is_apologised_for() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    model.next(Completion::status(500));
    model.next(Completion::status(500));
    apologises(&model, &test_server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_limits_requests_is_apologised_for() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    model.next(Completion::status(429).retry_after("30"));
    apologises(&model, &test_server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_asks_for_a_short_wait_gets_it() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model)
        .set("model.default.first_token_ms_max", 3_000)
        .start()
        .await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::status(429).retry_after("1"));
    model.next(Completion::says("Gengar is a ghost type."));
    let reply = phone.says("What type is Gengar?").await;
    assert!(
        reply == "Gengar is a ghost type." || reply.starts_with(APOLOGY),
        "{reply}"
    );
    model.answer_with(|request| Completion::says(&request.last_user()));
    assert!(model.wait_idle().await);
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_answers_at_is_apologised_for() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.refuse().await;
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with(APOLOGY), "{reply}");
    model.accept_again().await.unwrap();
    the_call_goes_on(&model, &test_server, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_in_place_of_an_answer_is_apologised_for() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    for _ in 0..2 {
        model.next(Completion::status(200).body("<html>Bad Gateway</html>"));
    }
    apologises(&model, &test_server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_is_apologised_for() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    for _ in 0..2 {
        model.next(Completion::says(""));
    }
    apologises(&model, &test_server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_odd_pieces_is_understood() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    let wire = WireLayout {
        crlf: true,
        split_bytes: 3,
        junk: true,
    };
    model.next(Completion::says("Flabébé is a fairy type.").wire(wire));
    assert_eq!(
        phone.says("What type is Flabébé?").await,
        "Flabébé is a fairy type."
    );
    the_call_goes_on(&model, &test_server, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_writes_is_made_speakable() {
    let model = FakeModel::start().await;
    let test_server = server_with_short_waits(&model).start().await;
    let phone = call_with_known_name(&test_server).await;
    model.next(Completion::says(
        "**Gengar** is a `ghost` type 👻 & poison.",
    ));
    let reply = phone.says("What type is Gengar?").await;
    for symbol in ['*', '`', '👻'] {
        assert!(!reply.contains(symbol), "{reply}");
    }
    assert!(
        reply.contains("Gengar") && reply.contains("ghost"),
        "{reply}"
    );
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let words = test_server.database().texts_by_role(phone.call_sid());
    assert_eq!(
        words.last().unwrap().1,
        reply.trim(),
        "what was heard is kept"
    );
}
