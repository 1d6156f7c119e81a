//! Calls among several instances: what one learns the others know, and a call goes on when its
//! instance is killed, stopped, or stands still.

use crate::cluster::{LONG, TestCluster};
use crate::fake_model::{FakeModel, conversation};
use crate::test_caller::TestCaller;
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{AfterDrop, EndCause, Routing};
use std::time::Duration;

const BROCK: &str = "+14155550130";
const BACK: &str = "Sorry about that, I'm back.";
/// For how long the model leaves an instance waiting that is about to be paused.
const STALL: Duration = Duration::from_secs(10);

type Words = Vec<(String, String)>;

fn agent(words: &str) -> (String, String) {
    ("assistant".to_owned(), words.to_owned())
}

fn caller(words: &str) -> (String, String) {
    ("user".to_owned(), words.to_owned())
}

async fn comes_back(phone: &TestCaller, session: u32) {
    match phone.after_drop(session, LONG).await {
        Ok(AfterDrop::Reconnected { .. }) => {}
        other => panic!("{other:?}\n{}", phone.report()),
    }
    assert_eq!(
        phone.greeting().as_deref(),
        Some(BACK),
        "{}",
        phone.report()
    );
}

/// A caller gives a name and asks two things; the second is still open. What was said so far, which
/// all instances have.
async fn asks(
    several: &TestCluster,
    model: &FakeModel,
    phone: &TestCaller,
    open: Completion,
) -> Words {
    let nice = phone.says("My name is Brock").await;
    model.next(Completion::says("Onix is a rock type."));
    phone.says("What type is Onix?").await;
    model.next(open);
    phone.says_it("And what does it evolve into?").await;
    let sid = phone.call_sid();
    several.wait_turn_stored(sid, "Onix is a rock type.").await;
    several
        .wait_turn_stored(sid, "And what does it evolve into?")
        .await;
    vec![
        agent(&phone.first_greeting()),
        caller("My name is Brock"),
        agent(&nice),
        caller("What type is Onix?"),
        agent("Onix is a rock type."),
        caller("And what does it evolve into?"),
    ]
}

/// The end of a call that came back once: one row, every turn once, the same everywhere.
async fn is_kept_once(several: &TestCluster, phone: &TestCaller, words: &Words) {
    let row = several.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!((row.resumes, row.outcome.as_deref()), (1, Some("hung_up")));
    several.wait_settled().await;
    several.wait_replicated().await;
    for instance in &several.instances {
        let rows = instance.database();
        assert_eq!(
            &rows.texts_by_role(phone.call_sid()),
            words,
            "{}",
            instance.name
        );
        assert_eq!((rows.count("conversations"), rows.count("turns")), (1, 0));
        let known = rows.caller(BROCK).expect("the caller is known");
        assert_eq!(known.name.as_deref(), Some("Brock"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_learned_on_one_instance_greets_the_next_call_on_another() {
    let several = TestCluster::builder().start().await;
    let phone = several.call(BROCK, Routing::only(0)).await;
    assert!(phone.first_greeting().starts_with("Hello!"));
    let reply = phone.says("My name is Brock").await;
    assert!(reply.starts_with("Nice to meet you, Brock!"), "{reply}");
    phone.hangs_up().await;
    for place in [1, 2] {
        crate::cluster::wait_until("the caller to be greeted by name", async || {
            let phone = several.call(BROCK, Routing::only(place)).await;
            let greeted = phone.first_greeting().starts_with("Welcome back, Brock!");
            phone.hangs_up_at_once().await;
            greeted.then_some(())
        })
        .await;
    }
    for (webhook, relay) in [(1, 2), (2, 0)] {
        let via = Routing {
            voice: Some(webhook),
            relay: Some(relay),
            action: Some(webhook),
        };
        let phone = several.call(BROCK, via).await;
        assert_eq!(phone.instance(), relay);
        let greeting = phone.first_greeting();
        assert!(greeting.starts_with("Welcome back, Brock!"), "{greeting}");
        let reply = phone.says("What type is Onix?").await;
        assert!(reply.to_lowercase().contains("rock"), "{reply}");
        several.wait_turn_stored(phone.call_sid(), &reply).await;
        for instance in &several.instances {
            let owner = instance.database().owner(phone.call_sid());
            let name = several.instances[relay].name.as_str();
            assert_eq!(owner.as_deref(), Some(name), "as {} has it", instance.name);
        }
        phone.hangs_up().await;
        let row = several.wait_conversation_closed(phone.call_sid()).await;
        assert_eq!((row.resumes, row.outcome.as_deref()), (0, Some("hung_up")));
        let words = several.instances[relay]
            .database()
            .texts_by_role(phone.call_sid());
        let talk = [
            agent(&greeting),
            caller("What type is Onix?"),
            agent(&reply),
        ];
        assert_eq!(words, talk, "every turn once, the greeting too");
    }
    several.wait_replicated().await;
}

async fn a_call_outlives_its_instance(is_primary: bool) {
    let model = FakeModel::start().await;
    let plan = TestCluster::builder().with_model(&model).real_time();
    let mut several = plan.start().await;
    let holder = several.instance_by_role(is_primary).await;
    let phone = several.call(BROCK, Routing::only(holder)).await;
    let mut words = asks(&several, &model, &phone, Completion::silence()).await;
    phone.route_via(Routing::default());
    several.instances[holder].kill();
    model.answer_with(|_| Completion::says("It evolves into Steelix."));
    comes_back(&phone, 1).await;
    let reply = phone.hears().await;
    assert_eq!(reply.text, "It evolves into Steelix.", "{}", phone.report());
    assert_ne!(phone.instance(), holder);
    let action = &phone.actions()[0];
    assert_eq!(action.session_status, "failed");
    let told = conversation(&model.last_reply_request());
    assert_eq!(told, words, "the model sees the whole conversation");

    phone.hangs_up().await;
    assert_eq!(phone.heard().matches(BACK).count(), 1, "{}", phone.heard());
    several.instances[holder].start();
    words.extend([agent(BACK), agent("It evolves into Steelix.")]);
    is_kept_once(&several, &phone, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_its_instance_that_was_a_replica() {
    a_call_outlives_its_instance(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_its_instance_that_was_primary() {
    a_call_outlives_its_instance(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_stopped_gives_its_calls_to_the_others_and_comes_back() {
    let plan = TestCluster::builder()
        .set("server.drain_notice_ms", 100)
        .set("twilio.reconnects_max", 1);
    let mut several = plan.start().await;
    let stopped = several.primary().await;
    let other = (stopped + 1) % 3;
    let phone = several.call(BROCK, Routing::only(stopped)).await;
    let nice = phone.says("My name is Brock").await;
    several.wait_turn_stored(phone.call_sid(), &nice).await;
    let quiet = several.call("+14155550131", Routing::only(stopped)).await;
    // A load balancer hears from /readyz that nothing is to be sent there any more.
    phone.route_via(Routing::only(other));
    quiet.route_via(Routing::only(other));
    several.instances[stopped].signal("TERM");
    for moved in [&phone, &quiet] {
        comes_back(moved, 1).await;
        assert_eq!(moved.instance(), other);
    }
    let status = several.instances[stopped].exit().await;
    assert_eq!(
        status.code(),
        Some(0),
        "{}",
        several.instances[stopped].log_text()
    );
    let reply = phone.says("What type is Onix?").await;
    assert!(reply.to_lowercase().contains("rock"), "{reply}");
    let row = several.instances[other]
        .database()
        .conversation(phone.call_sid());
    assert_eq!(row.expect("it is kept").resumes, 0, "a planned move");

    several.instances[stopped].start();
    several.wait_settled().await;
    // The one loss that a call may have is still to be had, and the next is one too many.
    match phone.drop_socket().await {
        Ok(AfterDrop::Reconnected { .. }) => {}
        lost => panic!("{lost:?}\n{}", phone.report()),
    }
    let again = phone.says("What type is Geodude?").await;
    assert!(again.to_lowercase().contains("rock"), "{again}");
    for moved in [&phone, &quiet] {
        let ended = moved.hangs_up().await;
        assert_eq!(ended.cause, EndCause::HungUp);
        assert!(!moved.heard().contains("end our call"), "{}", moved.heard());
        assert!(ended.said.is_empty(), "{:?}", ended.said);
    }
    let row = several.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!((row.resumes, row.outcome.as_deref()), (1, Some("hung_up")));
    let row = several.wait_conversation_closed(quiet.call_sid()).await;
    assert_eq!((row.resumes, row.outcome.as_deref()), (0, Some("hung_up")));
    several.wait_replicated().await;
    let said = several.instances[stopped]
        .database()
        .agent_texts(phone.call_sid());
    let asked = [
        "My name is Brock",
        "What type is Onix?",
        "What type is Geodude?",
    ];
    assert_eq!(said, asked, "every turn once");
    let phone = several.call(BROCK, Routing::only(stopped)).await;
    assert!(phone.first_greeting().starts_with("Welcome back, Brock!"));
    phone.hangs_up().await;
}

async fn a_call_leaves_an_instance_that_stands_still(is_primary: bool) {
    let model = FakeModel::start().await;
    let plan = TestCluster::builder()
        .with_model(&model)
        .set("call.watchdog_ms", 1_000);
    let several = plan.start().await;
    let paused = several.instance_by_role(is_primary).await;
    let other = (paused + 1) % 3;
    let phone = several.call(BROCK, Routing::only(paused)).await;
    // It lies in the socket of the paused instance when that wakes.
    let late = Completion::says("Into nothing that you will hear of.").stall_after(0, STALL);
    let mut words = asks(&several, &model, &phone, late).await;
    phone.route_via(Routing::only(other));
    several.instances[paused].signal("STOP");
    model.next(Completion::says("It evolves into Steelix."));
    comes_back(&phone, 1).await;
    assert_eq!(phone.instance(), other);
    assert_eq!(phone.hears().await.text, "It evolves into Steelix.");
    assert_eq!(conversation(&model.last_reply_request()), words);
    let redirects = several.rest.requests();
    assert!(
        redirects.iter().any(|redirect| redirect.status == 200),
        "{redirects:?}"
    );
    assert!(phone.actions().is_empty(), "its socket only hung");

    tokio::time::sleep(STALL).await;
    several.instances[paused].signal("CONT");
    several.wait_settled().await;
    assert!(model.wait_idle().await, "the late answer was read, or left");
    model.next(Completion::says("Steel and ground."));
    assert_eq!(phone.says("What type is that?").await, "Steel and ground.");
    phone.hangs_up().await;
    assert_eq!(phone.heard().matches(BACK).count(), 1, "{}", phone.heard());
    words.extend([agent(BACK), agent("It evolves into Steelix.")]);
    words.extend([caller("What type is that?"), agent("Steel and ground.")]);
    is_kept_once(&several, &phone, &words).await;
    let asked = several.rest.requests().len();
    assert_eq!(asked, 1, "nobody redirects a call that has gone on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_leaves_a_replica_that_stands_still() {
    a_call_leaves_an_instance_that_stands_still(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_leaves_a_primary_that_stands_still() {
    a_call_leaves_an_instance_that_stands_still(true).await;
}
