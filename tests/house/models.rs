//! The model behind the agent, well and ill: the caller always hears something, and the call goes
//! on (design G5).

use crate::house::{House, PATIENCE, Plan};
use crate::mind::{Mind, conversation, prompt};
use crate::phone::Phone;
use calldex_simulator::model::{Completion, Wire};
use std::time::Duration;

const ASH: &str = "+14155550103";
const APOLOGY: &str = "I'm sorry, I'm having trouble answering right now.";
/// Our own bound to the bridge in these tests, in milliseconds.
const BRIDGE_MS: u64 = 250;

/// Bounds short enough for a test: a bridge after 250 ms, two tries of 500 ms each.
fn impatient(mind: &Mind) -> Plan {
    House::plan()
        .with_model(mind)
        .set("call.bridge_ms", BRIDGE_MS)
        .set("model.default.first_token_ms_max", 500)
        .set("model.default.idle_ms_max", 500)
        .set("agent.turn_ms_max", 3_000)
        .set("agent.breaker_failures_max", 100)
}

/// Gives a name, so that the model is asked from here on.
async fn is_past_the_name(house: &House) -> Phone {
    let phone = house.call(ASH).await;
    let reply = phone.says("My name is Ash").await;
    assert!(reply.starts_with("Nice to meet you, Ash!"), "{reply}");
    phone
}

/// After whatever happened, the next question is answered by the model as if nothing had.
async fn the_call_goes_on(mind: &Mind, house: &House, phone: &Phone) {
    mind.next(Completion::says("Onix is a rock and ground type."));
    let reply = phone.says("What type is Onix?").await;
    assert_eq!(
        reply,
        "Onix is a rock and ground type.",
        "{}",
        phone.story()
    );
    phone.hangs_up().await;
    let row = house.closed(phone.call_sid()).await;
    assert_eq!(row.outcome.as_deref(), Some("hung_up"));
    assert_eq!(
        house.rows().said(phone.call_sid()).last().unwrap(),
        "What type is Onix?"
    );
}

/// The answer to the first question is the apology, and the call goes on.
async fn apologises(mind: &Mind, house: &House) {
    let phone = is_past_the_name(house).await;
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with(APOLOGY), "{reply}");
    the_call_goes_on(mind, house, &phone).await;
    assert!(house.metric("calldex_apologies_total", "").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_passed_on_as_they_arrive() {
    let mind = Mind::awake().await;
    let house = House::with_model(&mind).await;
    let phone = is_past_the_name(&house).await;
    let pause = Duration::from_secs(5);
    let answer = "Gengar is a ghost type, and it hides in the dark.";
    mind.next(Completion::says(answer).stall_after(3, pause));
    phone.says_it("What type is Gengar?").await;
    assert!(phone.more_than("Gengar".len(), PATIENCE).await);
    let so_far = phone.peek().text;
    assert!(so_far.starts_with("Gengar is"), "{so_far}");
    assert_eq!(mind.stats().open, 1, "the model is still speaking");
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
    let mind = Mind::awake().await;
    let house = House::with_model(&mind).await;
    let phone = is_past_the_name(&house).await;
    mind.next(Completion::says("Gengar is a ghost."));
    phone.says("What type is Gengar?").await;
    mind.next(Completion::says("It comes from Haunter."));
    phone.says("And what does it evolve from?").await;
    let request = mind.last_question();
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), Some("Bearer sk-house"));
    assert_eq!(request.model(), "house-model");
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
    house.closed(phone.call_sid()).await;
    let mut kept = expected.to_vec();
    kept.push(("assistant".into(), "It comes from Haunter.".into()));
    assert_eq!(house.rows().words(phone.call_sid()), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_caller_is_known_to_the_model_from_the_first_turn() {
    let mind = Mind::awake().await;
    let house = House::with_model(&mind).await;
    let phone = is_past_the_name(&house).await;
    phone.hangs_up().await;
    house.closed(phone.call_sid()).await;
    let again = house.call(ASH).await;
    assert!(again.first_greeting().starts_with("Welcome back, Ash!"));
    again.says("What type is Gengar?").await;
    let prompt = prompt(&mind.last_question());
    assert!(prompt.contains("\"Ash\""), "{prompt}");
    assert!(prompt.contains("called before"), "{prompt}");
    again.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_starts_is_bridged_and_then_apologised_for() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    mind.thinks(|_| Completion::silence());
    phone.says_it("What type is Gengar?").await;
    let bridge = phone.hears_anything().await;
    assert!(bridge.preemptible, "a bridge may be cut short: {bridge:?}");
    assert_eq!(bridge.text, "One moment, please.");
    let waited = bridge.first_token.unwrap();
    assert!(
        waited >= Duration::from_millis(BRIDGE_MS - 50),
        "{waited:?}"
    );
    let apology = phone.hears().await;
    assert!(apology.text.starts_with(APOLOGY), "{apology:?}");
    assert!(mind.is_left_alone().await, "silent requests are given up");
    mind.thinks(|request| Completion::says(&request.last_user()));
    the_call_goes_on(&mind, &house, &phone).await;
    assert_eq!(house.metric("calldex_bridges_total", "").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_real_token_may_cut_the_bridge() {
    let mind = Mind::awake().await;
    let house = impatient(&mind)
        .set("model.default.first_token_ms_max", 3_000)
        .start()
        .await;
    let phone = is_past_the_name(&house).await;
    mind.next(Completion::says("Gengar is a ghost type.").first_token_ms(BRIDGE_MS + 300));
    phone.says_it("What type is Gengar?").await;
    let bridge = phone.hears_anything().await;
    assert!(bridge.preemptible);
    assert_eq!(phone.hears().await.text, "Gengar is a ghost type.");
    the_call_goes_on(&mind, &house, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_cut_in_the_middle_of_a_sentence_is_finished_by_an_apology() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    let answer = "Gengar is a ghost type and lives in the dark.";
    mind.next(Completion::says(answer).gap_ms(10).cut_after(4));
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with("Gengar is a ghost"), "{reply}");
    assert!(reply.contains(APOLOGY), "{reply}");
    the_call_goes_on(&mind, &house, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_falls_silent_in_the_middle_is_finished_by_an_apology() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    let answer = "Gengar is a ghost type and lives in the dark.";
    mind.next(Completion::says(answer).stall_after(4, PATIENCE));
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with("Gengar is a ghost"), "{reply}");
    assert!(reply.contains(APOLOGY), "{reply}");
    the_call_goes_on(&mind, &house, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_tried_once_more_before_the_caller_hears_of_it() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    mind.next(Completion::status(500));
    mind.next(Completion::says("Gengar is a ghost type."));
    let reply = phone.says("What type is Gengar?").await;
    assert_eq!(reply, "Gengar is a ghost type.");
    the_call_goes_on(&mind, &house, &phone).await;
    assert_eq!(house.metric("calldex_apologies_total", "").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_errors_only_is_apologised_for() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    mind.next(Completion::status(500));
    mind.next(Completion::status(500));
    apologises(&mind, &house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_limits_requests_is_apologised_for() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    mind.next(Completion::status(429).retry_after("30"));
    apologises(&mind, &house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_asks_for_a_short_wait_gets_it() {
    let mind = Mind::awake().await;
    let house = impatient(&mind)
        .set("model.default.first_token_ms_max", 3_000)
        .start()
        .await;
    let phone = is_past_the_name(&house).await;
    mind.next(Completion::status(429).retry_after("1"));
    mind.next(Completion::says("Gengar is a ghost type."));
    let reply = phone.says("What type is Gengar?").await;
    assert!(
        reply == "Gengar is a ghost type." || reply.starts_with(APOLOGY),
        "{reply}"
    );
    mind.thinks(|request| Completion::says(&request.last_user()));
    assert!(mind.is_left_alone().await);
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_nobody_answers_at_is_apologised_for() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    mind.refuse().await;
    let reply = phone.says("What type is Gengar?").await;
    assert!(reply.starts_with(APOLOGY), "{reply}");
    mind.accept_again().await.unwrap();
    the_call_goes_on(&mind, &house, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_in_place_of_an_answer_is_apologised_for() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    for _ in 0..2 {
        mind.next(Completion::status(200).body("<html>Bad Gateway</html>"));
    }
    apologises(&mind, &house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_is_apologised_for() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    for _ in 0..2 {
        mind.next(Completion::says(""));
    }
    apologises(&mind, &house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_odd_pieces_is_understood() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    let wire = Wire {
        crlf: true,
        split_bytes: 3,
        junk: true,
    };
    mind.next(Completion::says("Flabébé is a fairy type.").wire(wire));
    assert_eq!(
        phone.says("What type is Flabébé?").await,
        "Flabébé is a fairy type."
    );
    the_call_goes_on(&mind, &house, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_writes_is_made_speakable() {
    let mind = Mind::awake().await;
    let house = impatient(&mind).start().await;
    let phone = is_past_the_name(&house).await;
    mind.next(Completion::says(
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
    house.closed(phone.call_sid()).await;
    let words = house.rows().words(phone.call_sid());
    assert_eq!(
        words.last().unwrap().1,
        reply.trim(),
        "what was heard is kept"
    );
}
