//! Several instances of which too few are left to write, or just enough.

use crate::cluster::{LONG, TestCluster, wait_until};
use crate::fake_model::FakeModel;
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::{AfterDrop, Routing};
use tokio::net::TcpStream;

const BROCK: &str = "+14155550130";
const MISTY: &str = "+14155550131";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_calls_go_on_from_memory_and_are_durable_when_it_is_back() {
    let model = FakeModel::start().await;
    let mut several = TestCluster::builder().with_model(&model).start().await;
    let left = several.primary().await;
    let others = [(left + 1) % 3, (left + 2) % 3];
    let phone = several.call(BROCK, Routing::only(left)).await;
    let greeting = phone.first_greeting();
    let nice = phone.says("My name is Brock").await;
    several.wait_turn_stored(phone.call_sid(), &nice).await;
    for other in others {
        several.instances[other].kill();
    }

    let alone = &several.instances[left];
    let (status, words) = wait_until("one that is left to know it", async || {
        let ready = alone.ready().await?;
        (ready.1["status"] == "degraded").then_some(ready)
    })
    .await;
    assert_eq!(status, 200, "calls are taken: {words}");
    let why = words["parts"]["cluster"]["reason"].to_string();
    assert!(why.contains("no primary that a majority follows"), "{why}");
    let mut expected = vec![greeting, "My name is Brock".to_owned(), nice];
    for (question, answer) in [
        ("What type is Onix?", "Onix is a rock type."),
        ("And Geodude?", "Geodude is one as well."),
        ("And Vulpix?", "Vulpix is a fire type."),
    ] {
        model.next(Completion::says(answer));
        assert_eq!(phone.says(question).await, answer);
        expected.extend([question.to_owned(), answer.to_owned()]);
    }
    let misty = several.call(MISTY, Routing::only(left)).await;
    let reply = misty.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    misty.hangs_up().await;
    let again = several.call(MISTY, Routing::only(left)).await;
    assert!(again.first_greeting().starts_with("Welcome back, Misty!"));
    again.hangs_up().await;
    wait_until("what was said to wait in the outbox", async || {
        let waiting = alone.metric("calldex_outbox_writes").await;
        (waiting > 0.0).then_some(())
    })
    .await;
    let had = alone.database().texts_by_role(phone.call_sid()).len();
    assert!(
        had <= 3,
        "nothing is written without a majority: {had} turns"
    );

    for other in others {
        several.instances[other].start();
    }
    several.wait_settled().await;
    model.next(Completion::says("Goodbye then."));
    phone.says("That is all.").await;
    expected.extend(["That is all.".to_owned(), "Goodbye then.".to_owned()]);
    phone.hangs_up().await;
    for call in [&phone, &misty, &again] {
        let row = several.wait_conversation_closed(call.call_sid()).await;
        assert_eq!((row.resumes, row.outcome.as_deref()), (0, Some("hung_up")));
    }
    several.wait_replicated().await;
    let waiting = several.instances[left]
        .metric("calldex_outbox_writes")
        .await;
    assert_eq!(waiting, 0.0);
    for instance in &several.instances {
        let rows = instance.database();
        let words = rows.texts_by_role(phone.call_sid()).into_iter();
        let words: Vec<String> = words.map(|(_, words)| words).collect();
        assert_eq!(words, expected, "in order, as {} has it", instance.name);
        let known = rows.caller(MISTY).expect("the caller is known");
        assert_eq!(known.name.as_deref(), Some("Misty"));
        assert_eq!((rows.count("conversations"), rows.count("turns")), (3, 0));
    }
    let phone = several.call(MISTY, Routing::only(others[0])).await;
    assert!(phone.first_greeting().starts_with("Welcome back, Misty!"));
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_and_a_third_voter_outlive_the_loss_of_one() {
    let plan = TestCluster::builder().with_a_third_voter();
    let mut several = plan.start().await;
    let third = &several.instances[2];
    let (status, words) = third.ready().await.expect("its admin door is open");
    assert_eq!(status, 200);
    assert!(words.to_string().contains("takes no calls"), "{words}");
    let knock = TcpStream::connect(third.listen).await;
    assert!(knock.is_err(), "Twilio's door is shut");
    let standing = third.status().await.expect("it takes part");
    for member in standing["members"].as_array().expect("members") {
        let takes_calls = member["instance"] != "three";
        assert_eq!(member["takes_calls"], takes_calls, "{member}");
        assert_eq!(member["voter"], true, "{member}");
    }

    let phone = several.call(BROCK, Routing::only(0)).await;
    let nice = phone.says("My name is Brock").await;
    several.wait_turn_stored(phone.call_sid(), &nice).await;
    // Whoever is primary: the other instance and the voter are a majority.
    several.instances[0].kill();
    let ended = phone.after_drop(1, LONG).await;
    let goes_on = matches!(ended, Ok(AfterDrop::Reconnected { .. }));
    assert!(goes_on, "{ended:?}\n{}", phone.report());
    assert_eq!(phone.instance(), 1);
    let reply = phone.says("What type is Onix?").await;
    assert!(reply.to_lowercase().contains("rock"), "{reply}");
    several.wait_turn_stored(phone.call_sid(), &reply).await;
    phone.hangs_up().await;
    several.wait_conversation_closed(phone.call_sid()).await;
    let primary = several.primary().await;
    assert_ne!(primary, 0);
    several.instances[0].start();
    several.wait_settled().await;
    let rows = several.wait_replicated().await;
    assert!(rows.iter().any(|row| row.contains("Brock")), "{rows:?}");
    let phone = several.call(BROCK, Routing::only(0)).await;
    assert!(phone.first_greeting().starts_with("Welcome back, Brock!"));
    phone.hangs_up().await;
}
