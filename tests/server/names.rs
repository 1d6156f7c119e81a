//! Names by script: what is kept, and what the next greeting says.

use crate::database::CallerRow;
use crate::fake_model::{FakeModel, conversation};
use crate::test_caller::TestCaller;
use crate::test_server::TestServer;
use calldex_simulator::model::Completion;

const NUMBER: &str = "+14155550160";
const NEUTRAL: &str = "Welcome back! Who am I speaking with?";

/// A caller says these things in one call, each once the agent has finished; what was heard.
async fn calls_and_says(test_server: &TestServer, lines: &[&str]) -> (TestCaller, Vec<String>) {
    let phone = test_server.call(NUMBER).await;
    let mut heard = vec![phone.first_greeting()];
    for line in lines {
        heard.push(phone.says(line).await);
    }
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    (phone, heard)
}

/// The greeting that the number would get now.
async fn greeting(test_server: &TestServer) -> String {
    let phone = test_server.call(NUMBER).await;
    let greeting = phone.first_greeting();
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    greeting
}

fn kept(test_server: &TestServer) -> CallerRow {
    test_server.caller(NUMBER).expect("a row for the caller")
}

/// After these words in one call the number is known by this name, whatever came before.
async fn is_known_as(name: &str, lines: &[&str]) {
    let test_server = TestServer::start().await;
    let (phone, heard) = calls_and_says(&test_server, lines).await;
    assert_eq!(
        kept(&test_server).name.as_deref(),
        Some(name),
        "{lines:?} was heard as {heard:?}\n{}",
        phone.report()
    );
    let next = greeting(&test_server).await;
    assert!(
        next.starts_with(&format!("Welcome back, {name}!")),
        "{lines:?}: {next}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_answer_is_a_name() {
    is_known_as("Misty", &["My name is Misty."]).await;
    is_known_as("Peter", &["Peter"]).await;
    is_known_as("Anna", &["it's anna"]).await;
    is_known_as("Carlos", &["Hi, this is Carlos speaking."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_in_the_next_turn_wins() {
    let test_server = TestServer::start().await;
    let lines = ["My name is Anna.", "No, it's Hannah."];
    let (_, heard) = calls_and_says(&test_server, &lines).await;
    assert!(heard[1].contains("Anna"), "{heard:?}");
    assert!(heard[2].starts_with("Thank you, Hannah."), "{heard:?}");
    let caller = kept(&test_server);
    assert_eq!(caller.name.as_deref(), Some("Hannah"));
    assert_eq!(caller.name_state.as_deref(), Some("corrected"));
    assert!(
        greeting(&test_server)
            .await
            .starts_with("Welcome back, Hannah!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_much_later_wins_too() {
    let lines = [
        "My name is Anna.",
        "What type is Pikachu?",
        "Actually, my name is Hannah.",
    ];
    is_known_as("Hannah", &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_caller_corrects_the_greeting() {
    let test_server = TestServer::start().await;
    calls_and_says(&test_server, &["My name is Jon."]).await;
    calls_and_says(&test_server, &["No, it's John."]).await;
    assert_eq!(kept(&test_server).name.as_deref(), Some("John"));
    assert!(
        greeting(&test_server)
            .await
            .starts_with("Welcome back, John!")
    );
}

/// "Not Mark, Marc with a c" corrects at any time, and so does every other way to say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_denied_and_put_right_in_one_breath_is_put_right() {
    let test_server = TestServer::start().await;
    let ways = [
        ("Mark", "Not Mark, Marc with a c.", "Marc"),
        ("Jon", "It's not Jon, it's John.", "John"),
        ("Anna", "My name is not Anna, it's Hannah.", "Hannah"),
        ("Ana", "My name isn't Ana, it's Anna.", "Anna"),
    ];
    let mut misheard = Vec::new();
    for ((wrong, way, right), digit) in ways.into_iter().zip('0'..) {
        let from = format!("+1415555019{digit}");
        let phone = test_server.call(&from).await;
        phone.says(&format!("My name is {wrong}.")).await;
        phone.says("What type is Pikachu?").await;
        let reply = phone.says(way).await;
        phone.hangs_up().await;
        test_server.wait_conversation_closed(phone.call_sid()).await;
        let kept = test_server.caller(&from).and_then(|caller| caller.name);
        if kept.as_deref() != Some(right) {
            misheard.push(format!("{way:?} kept {kept:?} and was answered {reply:?}"));
        }
    }
    assert!(misheard.is_empty(), "{misheard:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_about_the_name_and_the_right_one_put_it_right() {
    let lines = [
        "My name is Ana.",
        "What type is Pikachu?",
        "You got my name wrong, it's Anna.",
    ];
    is_known_as("Anna", &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_the_name_puts_it_right_at_any_time() {
    for way in [
        "Actually, it's Marc with a c.",
        "By the way, it's Marc with a c.",
    ] {
        is_known_as("Marc", &["My name is Mark.", "What type is Pikachu?", way]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spelled_name_is_put_together() {
    is_known_as("Maja", &["My name is Maja, M A J A."]).await;
    is_known_as("Siobhan", &["S-I-O-B-H-A-N"]).await;
    is_known_as("Kaia", &["It's Kaia, K as in kilo, A, I, A."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_asked_again_in_this_call() {
    let test_server = TestServer::start().await;
    let lines = [
        "I'd rather not say.",
        "What type is Pikachu?",
        "And Gengar?",
    ];
    let (_, heard) = calls_and_says(&test_server, &lines).await;
    assert!(heard[1].starts_with("No problem."), "{heard:?}");
    for reply in &heard[2..] {
        assert!(!reply.contains("your name"), "asked again: {heard:?}");
    }
    let caller = kept(&test_server);
    assert_eq!(
        (caller.name, caller.name_state.as_deref()),
        (None, Some("declined"))
    );
    let next = greeting(&test_server).await;
    assert!(next.starts_with("Welcome back to the Pokédex"), "{next}");
    assert!(!next.contains("your name"), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refused_once_may_still_give_a_name() {
    let lines = [
        "No thanks.",
        "What type is Pikachu?",
        "Okay, my name is Dawn.",
    ];
    is_known_as("Dawn", &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsure_name_is_asked_about_and_kept_on_yes() {
    let test_server = TestServer::start().await;
    let (_, heard) = calls_and_says(&test_server, &["Will", "Yes."]).await;
    if heard[1].starts_with("Was that") {
        assert_eq!(heard[1], "Was that Will?");
        assert_eq!(kept(&test_server).name_state.as_deref(), Some("confirmed"));
    }
    assert!(
        heard[1..]
            .iter()
            .any(|reply| reply.starts_with("Nice to meet you, Will!")),
        "{heard:?}"
    );
    assert_eq!(kept(&test_server).name.as_deref(), Some("Will"));
    assert!(
        greeting(&test_server)
            .await
            .starts_with("Welcome back, Will!")
    );
}

/// Words that are names and words: one of them at least must be asked about, or nothing is.
const UNSURE: [&str; 8] = ["Kay", "Art", "Bo", "Jay", "Sunny", "Olive", "Pikachu", "Ze"];

/// The first of the unsure words that this server asks about, in a call of its own.
async fn asks_about(test_server: &TestServer) -> (TestCaller, &'static str) {
    for (word, digit) in UNSURE.into_iter().zip('0'..) {
        let phone = test_server.call(&format!("+1415555017{digit}")).await;
        let reply = phone.says(word).await;
        if reply == format!("Was that {word}?") {
            return (phone, word);
        }
        phone.hangs_up().await;
    }
    panic!("none of {UNSURE:?} was asked about");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_back_is_confirmed_by_yes() {
    let test_server = TestServer::start().await;
    let (phone, name) = asks_about(&test_server).await;
    let reply = phone.says("Yes, that's right.").await;
    assert!(
        reply.starts_with(&format!("Nice to meet you, {name}!")),
        "{reply}"
    );
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let caller = test_server.caller(phone.from()).unwrap();
    assert_eq!(caller.name.as_deref(), Some(name));
    assert_eq!(caller.name_state.as_deref(), Some("confirmed"));
    let again = test_server.call(phone.from()).await;
    assert!(
        again
            .first_greeting()
            .starts_with(&format!("Welcome back, {name}!"))
    );
    again.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_back_is_denied_by_no_and_the_name_asked_again() {
    let test_server = TestServer::start().await;
    let (phone, name) = asks_about(&test_server).await;
    let reply = phone.says("No.").await;
    assert!(reply.contains("What is your name?"), "{reply}");
    let reply = phone.says("My name is Misty.").await;
    assert!(reply.contains("Misty") && !reply.contains(name), "{reply}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.caller(phone.from()).unwrap().name.as_deref(),
        Some("Misty")
    );
    let again = test_server.call(phone.from()).await;
    assert!(again.first_greeting().starts_with("Welcome back, Misty!"));
    again.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_back_may_be_put_right_in_one_go() {
    let test_server = TestServer::start().await;
    let (phone, _) = asks_about(&test_server).await;
    let reply = phone.says("No, it's Misty.").await;
    assert!(reply.contains("Misty"), "{reply}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(
        test_server.caller(phone.from()).unwrap().name.as_deref(),
        Some("Misty")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_is_kept_beside_the_first_and_nobody_is_named_to_a_stranger() {
    let test_server = TestServer::start().await;
    calls_and_says(&test_server, &["My name is Peter."]).await;
    let (_, heard) = calls_and_says(&test_server, &["No, this is Ana."]).await;
    assert!(heard[0].starts_with("Welcome back, Peter!"), "{heard:?}");
    assert!(
        heard[1].contains("Ana") && !heard[1].contains("Peter"),
        "{heard:?}"
    );
    let mut people = kept(&test_server).people;
    people.sort();
    assert_eq!(people, ["Ana", "Peter"]);

    // In doubt nobody is named; the answer picks the person.
    let (_, heard) = calls_and_says(&test_server, &["It's Ana."]).await;
    assert_eq!(heard[0], NEUTRAL);
    assert!(heard[1].starts_with("Hello, Ana!"), "{heard:?}");
    let (_, heard) = calls_and_says(&test_server, &["Peter here."]).await;
    assert_eq!(heard[0], NEUTRAL);
    assert!(heard[1].starts_with("Hello, Peter!"), "{heard:?}");
    let (_, heard) = calls_and_says(&test_server, &["My name is Maria."]).await;
    assert_eq!(heard[0], NEUTRAL);
    assert!(
        heard[1].starts_with("Nice to meet you, Maria!"),
        "{heard:?}"
    );
    let mut people = kept(&test_server).people;
    people.sort();
    assert_eq!(people, ["Ana", "Maria", "Peter"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_else_on_a_known_number_is_not_called_by_its_name() {
    let test_server = TestServer::start().await;
    calls_and_says(&test_server, &["My name is Peter."]).await;
    let (_, heard) = calls_and_says(&test_server, &["This is his wife, Clara."]).await;
    assert!(heard[1].contains("Clara"), "{heard:?}");
    assert_eq!(greeting(&test_server).await, NEUTRAL);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_me_is_what_it_says() {
    let lines = ["My name is Joanna.", "But please call me Jo."];
    is_known_as("Jo", &lines).await;
    is_known_as("Misty", &["You can call me Misty."]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_volunteered_before_it_is_asked_for_is_taken_and_the_question_answered() {
    let test_server = TestServer::builder()
        .config("[phrases.en]\ngreet_new = \"Hello! What can I do for you?\"\n")
        .start()
        .await;
    let lines = ["Hi, I'm Misty, what type is Pikachu?"];
    let (_, heard) = calls_and_says(&test_server, &lines).await;
    assert!(
        heard[1].to_lowercase().contains("electric"),
        "answered: {heard:?}"
    );
    assert_eq!(kept(&test_server).name.as_deref(), Some("Misty"));
    assert!(
        greeting(&test_server)
            .await
            .starts_with("Welcome back, Misty!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_instead_of_a_name_is_answered_first_and_the_name_asked_after() {
    let test_server = TestServer::start().await;
    let lines = ["What type is Pikachu?", "Misty."];
    let (_, heard) = calls_and_says(&test_server, &lines).await;
    let answer = heard[1].to_lowercase().find("electric");
    let question = heard[1].find("may I have your name?");
    assert!(
        answer.is_some() && question.is_some() && answer < question,
        "{heard:?}"
    );
    assert!(
        heard[2].starts_with("Nice to meet you, Misty!"),
        "{heard:?}"
    );
    assert_eq!(kept(&test_server).name.as_deref(), Some("Misty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_gives_a_name_is_not_asked_for_ever() {
    let test_server = TestServer::start().await;
    let lines = [
        "What type is Pikachu?",
        "And what type is Gengar?",
        "And what type is Onix?",
        "And what type is Eevee?",
    ];
    let (_, heard) = calls_and_says(&test_server, &lines).await;
    let asked = heard
        .iter()
        .filter(|reply| reply.contains("your name"))
        .count();
    assert_eq!(asked, 2, "{heard:?}");
    assert_eq!(kept(&test_server).name, None, "no species is a name");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_calling_me_that_forgets_the_name() {
    let test_server = TestServer::start().await;
    calls_and_says(&test_server, &["My name is Misty."]).await;
    let (_, heard) = calls_and_says(
        &test_server,
        &["Stop calling me Misty.", "What type is Pikachu?"],
    )
    .await;
    assert!(
        heard[1].starts_with("All right, I won't call you that again."),
        "{heard:?}"
    );
    assert!(!heard[2].contains("Misty"), "{heard:?}");
    assert_eq!(kept(&test_server).name, None);
    let next = greeting(&test_server).await;
    assert!(!next.contains("Misty"), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn species_and_moods_are_never_names() {
    let test_server = TestServer::start().await;
    for (line, digit) in [
        "Pikachu",
        "This is ridiculous.",
        "I'm good, thanks.",
        "Is this Oak?",
        "It's for my son Max.",
    ]
    .into_iter()
    .zip('0'..)
    {
        let from = format!("+1415555018{digit}");
        let phone = test_server.call(&from).await;
        let reply = phone.says(line).await;
        phone.hangs_up().await;
        test_server.wait_conversation_closed(phone.call_sid()).await;
        assert!(!reply.starts_with("Nice to meet you"), "{line}: {reply}");
        assert_eq!(test_server.caller(&from).unwrap().name, None, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_word_never_overwrites_a_known_name() {
    let test_server = TestServer::start().await;
    calls_and_says(&test_server, &["My name is Misty."]).await;
    calls_and_says(
        &test_server,
        &["Brock", "Rose is my favourite colour.", "I'm home."],
    )
    .await;
    let caller = kept(&test_server);
    assert_eq!(caller.name.as_deref(), Some("Misty"), "{caller:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_of_a_name_that_came_with_a_question() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = test_server.call(NUMBER).await;
    model.next(Completion::says(
        "Nice to meet you, Misty. Pikachu is electric.",
    ));
    let reply = phone
        .says("I'm Misty, and I want to know what type Pikachu is.")
        .await;
    assert!(reply.starts_with("Nice to meet you, Misty."), "{reply}");
    let question = model.last_reply_request();
    assert!(crate::fake_model::prompt(&question).contains("Misty"));
    assert_eq!(conversation(&question).len(), 2);
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(kept(&test_server).name.as_deref(), Some("Misty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_written_and_spoken_as_it_should_be() {
    let test_server = TestServer::start().await;
    let lines = ["my name is o'brien <script> & co"];
    let (_, heard) = calls_and_says(&test_server, &lines).await;
    assert!(
        !heard[1].contains('<') && !heard[1].contains('&'),
        "{heard:?}"
    );
    let test_server = TestServer::start().await;
    calls_and_says(&test_server, &["my name is josé"]).await;
    assert_eq!(kept(&test_server).name.as_deref(), Some("José"));
    assert!(
        greeting(&test_server)
            .await
            .starts_with("Welcome back, José!")
    );
}
