//! Several people on one number: each is told only what is theirs, nobody is added by a
//! stray word, and decisions hold whatever the clock says.

use crate::fake_model::{FakeModel, conversation, prompt};
use crate::test_caller::TestCaller;
use crate::test_server::{LINE, TestServer};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::Dial;
use rusqlite::Connection;
use serde_json::json;

const NUMBER: &str = "+14155550140";
const SECRET: &str = "Misty is getting divorced";
const WHO: &str = "Welcome back! Who am I speaking with?";

async fn ends(test_server: &TestServer, phone: &TestCaller) {
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
}

/// A call in which these things are said; the greeting and what was heard to each.
async fn says(test_server: &TestServer, from: &str, lines: &[&str]) -> Vec<String> {
    let phone = test_server.call(from).await;
    let mut heard = vec![phone.first_greeting()];
    for line in lines {
        heard.push(phone.says(line).await);
    }
    ends(test_server, &phone).await;
    heard
}

async fn greeting(test_server: &TestServer, from: &str) -> String {
    says(test_server, from, &[]).await.remove(0)
}

/// Misty tells her name in a first call, and in a second something to be remembered.
async fn misty_is_known(test_server: &TestServer, model: &FakeModel) {
    says(test_server, NUMBER, &["My name is Misty."]).await;
    let phone = test_server.call(NUMBER).await;
    assert!(phone.first_greeting().starts_with("Welcome back, Misty!"));
    let note = json!({ "note": SECRET }).to_string();
    model.next(Completion::calls("note_preference", &note));
    model.next(Completion::says("I am sorry to hear that."));
    phone.says("I am getting divorced.").await;
    ends(test_server, &phone).await;
}

/// The prompt for an answer to something said in this call.
async fn prompt_in(model: &FakeModel, phone: &TestCaller) -> String {
    phone.says("What type is Pikachu?").await;
    prompt(&model.last_reply_request())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preference_is_in_no_prompt_but_its_persons() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    misty_is_known(&test_server, &model).await;

    let phone = test_server.call(NUMBER).await;
    let hers = prompt_in(&model, &phone).await;
    assert!(hers.contains(SECRET), "{hers}");
    phone.says("No, this is Brock.").await;
    let his = prompt_in(&model, &phone).await;
    assert!(!his.contains(SECRET) && his.contains("Brock"), "{his}");
    ends(&test_server, &phone).await;

    let phone = test_server.call(NUMBER).await;
    assert_eq!(phone.first_greeting(), WHO);
    let strangers = prompt_in(&model, &phone).await;
    assert!(!strangers.contains(SECRET) && !strangers.contains("Misty"));
    phone.says("My name is Brock.").await;
    assert!(!prompt_in(&model, &phone).await.contains(SECRET));
    ends(&test_server, &phone).await;

    let phone = test_server.call(NUMBER).await;
    phone.says("It's Misty.").await;
    let hers = prompt_in(&model, &phone).await;
    assert!(hers.contains(SECRET), "{hers}");
    ends(&test_server, &phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unvouched_caller_meets_a_server_that_knows_nothing() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .set("call.name_needs_attestation", true)
        .start()
        .await;
    misty_is_known(&test_server, &model).await;
    let before = test_server.caller(NUMBER);
    let never_seen = greeting(&test_server, "+14155550141").await;
    for verdict in [Some("No-TN-Validation"), Some("TN-Validation-Failed"), None] {
        let mut dial = Dial::new(NUMBER, LINE);
        dial.stir_verstat = verdict.map(str::to_owned);
        let phone = test_server.dial(dial).await.unwrap();
        assert_eq!(phone.first_greeting(), never_seen, "{verdict:?}");
        let told = prompt_in(&model, &phone).await;
        assert!(
            !told.contains(SECRET) && !told.contains("called before"),
            "{told}"
        );
        phone.says("My name is Misty.").await;
        let told = prompt_in(&model, &phone).await;
        assert!(
            !told.contains(SECRET) && !told.contains("called before"),
            "{told}"
        );
        ends(&test_server, &phone).await;
    }
    assert_eq!(
        test_server.caller(NUMBER),
        before,
        "nothing known was changed"
    );
    assert!(
        greeting(&test_server, NUMBER)
            .await
            .starts_with("Welcome back, Misty!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_word_is_nobody() {
    let test_server = TestServer::start().await;
    let strays = [
        "No, Iris please.",
        "No thanks, Jasmine.",
        "No, not Brock, Onix.",
        "No, tell me about Lillie.",
    ];
    for (stray, digit) in strays.into_iter().zip('0'..) {
        let from = format!("+1415555014{digit}");
        says(&test_server, &from, &["My name is Misty."]).await;
        let heard = says(&test_server, &from, &[stray]).await;
        let caller = test_server.caller(&from).unwrap();
        assert_eq!(caller.name.as_deref(), Some("Misty"), "{stray}: {heard:?}");
        assert!(caller.people.is_empty(), "{stray}: {caller:?} {heard:?}");
        let next = greeting(&test_server, &from).await;
        assert!(next.starts_with("Welcome back, Misty!"), "{stray}: {next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_of_ones_own_is_put_right() {
    let test_server = TestServer::start().await;
    says(&test_server, NUMBER, &["My name is Larry."]).await;
    says(
        &test_server,
        NUMBER,
        &["I said the wrong name, it's Gary I meant."],
    )
    .await;
    let caller = test_server.caller(NUMBER).unwrap();
    assert_eq!(caller.name.as_deref(), Some("Gary"));
    assert!(caller.people.is_empty(), "{caller:?}");
    assert!(
        greeting(&test_server, NUMBER)
            .await
            .starts_with("Welcome back, Gary!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_several_people_recovers() {
    let test_server = TestServer::start().await;
    says(&test_server, NUMBER, &["My name is Misty."]).await;
    says(&test_server, NUMBER, &["No, this is Brock."]).await;
    for _ in 0..3 {
        let heard = says(&test_server, NUMBER, &["It's Misty."]).await;
        assert_eq!(heard[0], WHO);
    }
    let heard = says(&test_server, NUMBER, &["What type is Pikachu?"]).await;
    assert!(heard[0].starts_with("Welcome back, Misty!"), "{heard:?}");
    assert_eq!(
        test_server.caller(NUMBER).unwrap().people,
        ["Brock", "Misty"]
    );
    says(&test_server, NUMBER, &["No, this is Brock."]).await;
    assert_eq!(greeting(&test_server, NUMBER).await, WHO);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_declined_or_forgotten_is_known_again_by_saying_their_name() {
    let test_server = TestServer::start().await;
    for (words, digit) in [("I'd rather not say.", '0'), ("Forget my name.", '1')] {
        let from = format!("+1415555014{digit}");
        says(&test_server, &from, &[words]).await;
        says(&test_server, &from, &["My name is Misty."]).await;
        assert_eq!(
            test_server.caller(&from).unwrap().name.as_deref(),
            Some("Misty"),
            "{words}"
        );
        assert!(
            greeting(&test_server, &from)
                .await
                .starts_with("Welcome back, Misty!")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_answer_to_the_models_own_question_is_a_name() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = test_server.call("anonymous").await;
    model.next(Completion::says(
        "It is electric. By the way, what is your name?",
    ));
    phone.says("What type is Pikachu?").await;
    assert!(prompt(&model.last_reply_request()).contains("Ask for it once"));
    let reply = phone.says("Misty.").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    let told = prompt_in(&model, &phone).await;
    assert!(told.contains("\"Misty\""), "{told}");
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn set_name_tells_the_truth_and_corrects_what_the_caller_corrected() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .config("[names]\nexcluded = [\"Dexter\"]\n")
        .start()
        .await;
    let told = || {
        let tools = conversation(&model.last_reply_request()).into_iter();
        let mut results = tools.filter(|(role, _)| role == "tool");
        results
            .next_back()
            .map(|(_, words)| words)
            .unwrap_or_default()
    };
    let phone = test_server.call(NUMBER).await;
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
        model.next(Completion::calls("set_name", &arguments));
        model.next(Completion::says("I see."));
        phone.says(words).await;
        let told = told();
        assert!(told.starts_with(result), "{name}: {told}");
    }
    // Heard as a correction at once, or set by the model: the same comes of it.
    model.next(Completion::calls("set_name", "{\"name\":\"Brandon\"}"));
    model.next(Completion::says("I see."));
    phone.says("brandon it would be spelled").await;
    ends(&test_server, &phone).await;
    assert_eq!(
        test_server.caller(NUMBER).unwrap().name.as_deref(),
        Some("Brandon")
    );
    assert!(
        greeting(&test_server, NUMBER)
            .await
            .starts_with("Welcome back, Brandon!")
    );
}

/// Changes the database of a stopped server, and takes the cache away that knows nothing of it.
fn change(test_server: &TestServer, sql: &str) {
    let database = Connection::open(test_server.database_path()).unwrap();
    database.execute_batch(sql).unwrap();
    let cache = test_server.folder().join("data/warm");
    std::fs::remove_dir_all(cache).expect("a cache to take away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_holds_though_the_clock_was_ahead_when_the_name_was_heard() {
    for ahead_ms in [5_000, 120_000] {
        for (words, name) in [
            ("Forget my name.", None),
            ("No, it's Hannah.", Some("Hannah")),
        ] {
            let mut test_server = TestServer::start().await;
            says(&test_server, NUMBER, &["My name is Anna."]).await;
            test_server.kill();
            let mark = "name_at_ms = name_at_ms";
            change(
                &test_server,
                &format!("UPDATE callers SET {mark} + {ahead_ms}"),
            );
            test_server.restart().await;
            says(&test_server, NUMBER, &[words]).await;
            assert_eq!(
                test_server.caller(NUMBER).unwrap().name.as_deref(),
                name,
                "{words}"
            );
            let next = greeting(&test_server, NUMBER).await;
            assert!(!next.contains("Anna"), "{words} ({ahead_ms} ms): {next}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_spoken_is_greeted_as_none() {
    let mut test_server = TestServer::start().await;
    says(&test_server, NUMBER, &[]).await;
    let unnamed = greeting(&test_server, NUMBER).await;
    assert!(unnamed.contains("May I have your name?"), "{unnamed}");
    test_server.kill();
    let mut rows = String::new();
    let names = ["", "   ", "😀", "<b></b>", "12345"];
    for (name, digit) in names.into_iter().zip('1'..) {
        rows.push_str(&format!(
            "INSERT INTO callers (phone_number, name, name_state) VALUES
             ('+1415555014{digit}', '{name}', 'confirmed');"
        ));
    }
    change(&test_server, &rows);
    test_server.restart().await;
    for (name, digit) in names.into_iter().zip('1'..) {
        let from = format!("+1415555014{digit}");
        assert_eq!(greeting(&test_server, &from).await, unnamed, "{name:?}");
    }
}
