//! Several people on one number (issue 11): each is told only what is theirs, nobody is added by a
//! stray word, and decisions hold whatever the clock says.

use crate::house::{House, LINE};
use crate::mind::{Mind, conversation, prompt};
use crate::phone::Phone;
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::Dial;
use rusqlite::Connection;
use serde_json::json;

const NUMBER: &str = "+14155550140";
const SECRET: &str = "Misty is getting divorced";
const WHO: &str = "Welcome back! Who am I speaking with?";

async fn ends(house: &House, phone: &Phone) {
    phone.hangs_up().await;
    house.closed(phone.call_sid()).await;
}

/// A call in which these things are said; the greeting and what was heard to each.
async fn says(house: &House, from: &str, lines: &[&str]) -> Vec<String> {
    let phone = house.call(from).await;
    let mut heard = vec![phone.first_greeting()];
    for line in lines {
        heard.push(phone.says(line).await);
    }
    ends(house, &phone).await;
    heard
}

async fn greeting(house: &House, from: &str) -> String {
    says(house, from, &[]).await.remove(0)
}

/// Misty tells her name in a first call, and in a second something to be remembered.
async fn misty_is_known(house: &House, mind: &Mind) {
    says(house, NUMBER, &["My name is Misty."]).await;
    let phone = house.call(NUMBER).await;
    assert!(phone.first_greeting().starts_with("Welcome back, Misty!"));
    let note = json!({ "note": SECRET }).to_string();
    mind.next(Completion::calls("note_preference", &note));
    mind.next(Completion::says("I am sorry to hear that."));
    phone.says("I am getting divorced.").await;
    ends(house, &phone).await;
}

/// The prompt for an answer to something said in this call.
async fn prompt_in(mind: &Mind, phone: &Phone) -> String {
    phone.says("What type is Pikachu?").await;
    prompt(&mind.last_question())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preference_is_in_no_prompt_but_its_persons() {
    let mind = Mind::awake().await;
    let house = House::with_model(&mind).await;
    misty_is_known(&house, &mind).await;

    let phone = house.call(NUMBER).await;
    let hers = prompt_in(&mind, &phone).await;
    assert!(hers.contains(SECRET), "{hers}");
    phone.says("No, this is Brock.").await;
    let his = prompt_in(&mind, &phone).await;
    assert!(!his.contains(SECRET) && his.contains("Brock"), "{his}");
    ends(&house, &phone).await;

    let phone = house.call(NUMBER).await;
    assert_eq!(phone.first_greeting(), WHO);
    let strangers = prompt_in(&mind, &phone).await;
    assert!(!strangers.contains(SECRET) && !strangers.contains("Misty"));
    phone.says("My name is Brock.").await;
    assert!(!prompt_in(&mind, &phone).await.contains(SECRET));
    ends(&house, &phone).await;

    let phone = house.call(NUMBER).await;
    phone.says("It's Misty.").await;
    let hers = prompt_in(&mind, &phone).await;
    assert!(hers.contains(SECRET), "{hers}");
    ends(&house, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unvouched_caller_meets_a_house_that_knows_nothing() {
    let mind = Mind::awake().await;
    let house = House::plan()
        .with_model(&mind)
        .set("call.name_needs_attestation", true)
        .start()
        .await;
    misty_is_known(&house, &mind).await;
    let before = house.caller(NUMBER);
    let never_seen = greeting(&house, "+14155550141").await;
    for verdict in [Some("No-TN-Validation"), Some("TN-Validation-Failed"), None] {
        let mut dial = Dial::new(NUMBER, LINE);
        dial.stir_verstat = verdict.map(str::to_owned);
        let phone = house.dial(dial).await.unwrap();
        assert_eq!(phone.first_greeting(), never_seen, "{verdict:?}");
        let told = prompt_in(&mind, &phone).await;
        assert!(
            !told.contains(SECRET) && !told.contains("called before"),
            "{told}"
        );
        phone.says("My name is Misty.").await;
        let told = prompt_in(&mind, &phone).await;
        assert!(
            !told.contains(SECRET) && !told.contains("called before"),
            "{told}"
        );
        ends(&house, &phone).await;
    }
    assert_eq!(house.caller(NUMBER), before, "nothing known was changed");
    assert!(
        greeting(&house, NUMBER)
            .await
            .starts_with("Welcome back, Misty!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_word_is_nobody() {
    let house = House::start().await;
    let strays = [
        "No, Iris please.",
        "No thanks, Jasmine.",
        "No, not Brock, Onix.",
        "No, tell me about Lillie.",
    ];
    for (stray, digit) in strays.into_iter().zip('0'..) {
        let from = format!("+1415555014{digit}");
        says(&house, &from, &["My name is Misty."]).await;
        let heard = says(&house, &from, &[stray]).await;
        let caller = house.caller(&from).unwrap();
        assert_eq!(caller.name.as_deref(), Some("Misty"), "{stray}: {heard:?}");
        assert!(caller.people.is_empty(), "{stray}: {caller:?} {heard:?}");
        let next = greeting(&house, &from).await;
        assert!(next.starts_with("Welcome back, Misty!"), "{stray}: {next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_of_ones_own_is_put_right() {
    let house = House::start().await;
    says(&house, NUMBER, &["My name is Larry."]).await;
    says(
        &house,
        NUMBER,
        &["I said the wrong name, it's Gary I meant."],
    )
    .await;
    let caller = house.caller(NUMBER).unwrap();
    assert_eq!(caller.name.as_deref(), Some("Gary"));
    assert!(caller.people.is_empty(), "{caller:?}");
    assert!(
        greeting(&house, NUMBER)
            .await
            .starts_with("Welcome back, Gary!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_several_people_recovers() {
    let house = House::start().await;
    says(&house, NUMBER, &["My name is Misty."]).await;
    says(&house, NUMBER, &["No, this is Brock."]).await;
    for _ in 0..3 {
        let heard = says(&house, NUMBER, &["It's Misty."]).await;
        assert_eq!(heard[0], WHO);
    }
    let heard = says(&house, NUMBER, &["What type is Pikachu?"]).await;
    assert!(heard[0].starts_with("Welcome back, Misty!"), "{heard:?}");
    assert_eq!(house.caller(NUMBER).unwrap().people, ["Brock", "Misty"]);
    says(&house, NUMBER, &["No, this is Brock."]).await;
    assert_eq!(greeting(&house, NUMBER).await, WHO);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_declined_or_forgotten_is_known_again_by_saying_their_name() {
    let house = House::start().await;
    for (words, digit) in [("I'd rather not say.", '0'), ("Forget my name.", '1')] {
        let from = format!("+1415555014{digit}");
        says(&house, &from, &[words]).await;
        says(&house, &from, &["My name is Misty."]).await;
        assert_eq!(
            house.caller(&from).unwrap().name.as_deref(),
            Some("Misty"),
            "{words}"
        );
        assert!(
            greeting(&house, &from)
                .await
                .starts_with("Welcome back, Misty!")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_answer_to_the_models_own_question_is_a_name() {
    let mind = Mind::awake().await;
    let house = House::with_model(&mind).await;
    let phone = house.call("anonymous").await;
    mind.next(Completion::says(
        "It is electric. By the way, what is your name?",
    ));
    phone.says("What type is Pikachu?").await;
    assert!(prompt(&mind.last_question()).contains("Ask for it once"));
    let reply = phone.says("Misty.").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    let told = prompt_in(&mind, &phone).await;
    assert!(told.contains("\"Misty\""), "{told}");
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn set_name_tells_the_truth_and_corrects_what_the_caller_corrected() {
    let mind = Mind::awake().await;
    let house = House::plan()
        .with_model(&mind)
        .config("[names]\nexcluded = [\"Dexter\"]\n")
        .start()
        .await;
    let told = || {
        let tools = conversation(&mind.last_question()).into_iter();
        let mut results = tools.filter(|(role, _)| role == "tool");
        results
            .next_back()
            .map(|(_, words)| words)
            .unwrap_or_default()
    };
    let phone = house.call(NUMBER).await;
    let tries = [
        ("well hello there dexter", "Dexter", "not taken"),
        (
            "folks around here call out brendan whenever i come by",
            "Brendan",
            "noted",
        ),
        ("what is an onix", "Onix", "not taken"),
    ];
    for (words, name, result) in tries {
        let arguments = json!({ "name": name }).to_string();
        mind.next(Completion::calls("set_name", &arguments));
        mind.next(Completion::says("I see."));
        phone.says(words).await;
        let told = told();
        assert!(told.starts_with(result), "{name}: {told}");
    }
    // Heard as a correction at once, or set by the model: the same comes of it.
    mind.next(Completion::calls("set_name", "{\"name\":\"Brandon\"}"));
    mind.next(Completion::says("I see."));
    phone.says("brandon it would be spelled").await;
    ends(&house, &phone).await;
    assert_eq!(
        house.caller(NUMBER).unwrap().name.as_deref(),
        Some("Brandon")
    );
    assert!(
        greeting(&house, NUMBER)
            .await
            .starts_with("Welcome back, Brandon!")
    );
}

/// Changes the database of a stopped house, and takes the cache away that knows nothing of it.
fn change(house: &House, sql: &str) {
    let database = Connection::open(house.database()).unwrap();
    database.execute_batch(sql).unwrap();
    let cache = house.folder().join("data/warm");
    std::fs::remove_dir_all(cache).expect("a cache to take away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_holds_though_the_clock_was_ahead_when_the_name_was_heard() {
    for ahead_ms in [5_000, 120_000] {
        for (words, name) in [
            ("Forget my name.", None),
            ("No, it's Hannah.", Some("Hannah")),
        ] {
            let mut house = House::start().await;
            says(&house, NUMBER, &["My name is Anna."]).await;
            house.kill();
            let mark = "name_at_ms = name_at_ms";
            change(&house, &format!("UPDATE callers SET {mark} + {ahead_ms}"));
            house.restart().await;
            says(&house, NUMBER, &[words]).await;
            assert_eq!(
                house.caller(NUMBER).unwrap().name.as_deref(),
                name,
                "{words}"
            );
            let next = greeting(&house, NUMBER).await;
            assert!(!next.contains("Anna"), "{words} ({ahead_ms} ms): {next}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_spoken_is_greeted_as_none() {
    let mut house = House::start().await;
    says(&house, NUMBER, &[]).await;
    let unnamed = greeting(&house, NUMBER).await;
    assert!(unnamed.contains("May I have your name?"), "{unnamed}");
    house.kill();
    let mut rows = String::new();
    let names = ["", "   ", "😀", "<b></b>", "12345"];
    for (name, digit) in names.into_iter().zip('1'..) {
        rows.push_str(&format!(
            "INSERT INTO callers (phone_number, name, name_state) VALUES
             ('+1415555014{digit}', '{name}', 'confirmed');"
        ));
    }
    change(&house, &rows);
    house.restart().await;
    for (name, digit) in names.into_iter().zip('1'..) {
        let from = format!("+1415555014{digit}");
        assert_eq!(greeting(&house, &from).await, unnamed, "{name:?}");
    }
}
