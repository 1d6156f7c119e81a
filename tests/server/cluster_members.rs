//! Who is one of several: status, removal, replacement, backups, and what is refused.

use crate::cluster::{SECRET, ServerInstance, TestCluster, output_text, restore_copy, wait_until};
use crate::test_server::TestServer;
use calldex_simulator::twilio::Routing;
use serde_json::Value;

const BROCK: &str = "+14155550130";
/// Good enough for a cluster, and not this one's.
const OTHER_SECRET: &str = "another-secret-of-more-than-32-characters";

/// `calldex cluster status --json` and its exit status.
fn status(instance: &ServerInstance) -> (Option<i32>, Value) {
    let output = instance.run_command(&["cluster", "status", "--json"]);
    let standing = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), standing)
}

fn node_of(standing: &Value, name: &str) -> Option<u64> {
    let mut members = standing["members"].as_array()?.iter();
    members.find(|member| member["instance"] == name)?["node_id"].as_u64()
}

/// Waits until `instance` counts this many members.
async fn members(instance: &ServerInstance, count: usize) -> Value {
    wait_until("the members to be as many", async || {
        let standing = instance.status().await?;
        let members = standing["members"].as_array()?.len();
        (members == count).then_some(standing)
    })
    .await
}

/// Runs to its end what must be refused, and says in which words it was.
async fn refused(instance: &mut ServerInstance) -> String {
    let before = instance.log_text().len();
    instance.start();
    let ended = instance.exit().await;
    let said = instance.log_text()[before..].to_owned();
    assert!(!ended.success(), "{said}");
    said
}

async fn knows_brock(several: &TestCluster, place: usize) {
    let phone = several.call(BROCK, Routing::only(place)).await;
    let reply = phone.says("My name is Brock").await;
    assert!(reply.contains("Brock"), "{reply}");
    phone.hangs_up().await;
    several.wait_conversation_closed(phone.call_sid()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_shown_removed_and_replaced() {
    // Members that are gone keep their place for minutes otherwise.
    let mut several = TestCluster::builder()
        .set("cluster.replace_after_s", 1)
        .start()
        .await;
    knows_brock(&several, 0).await;
    let primary = several.primary().await;
    let [one, two, three] = &several.instances[..] else {
        unreachable!("there are three");
    };
    for instance in [one, two] {
        let (code, standing) = status(instance);
        assert_eq!(code, Some(0), "{standing}");
        assert_eq!(standing["has_quorum"], true);
        assert_eq!(standing["members"].as_array().map(Vec::len), Some(3));
        let table = instance.run_command(&["cluster", "status"]);
        let table = output_text(&table);
        let name = &several.instances[primary].name;
        assert!(
            table.contains(&format!("primary   {name} (node ")),
            "{table}"
        );
        for member in &several.instances {
            let line = table.lines().find(|line| line.starts_with(&member.name));
            let line = line.unwrap_or_else(|| panic!("{} in {table}", member.name));
            assert!(line.contains(&member.cluster.to_string()), "{line}");
            assert!(line.contains(" yes ") && !line.contains("answer"), "{line}");
        }
    }
    let unknown = one.run_command(&["cluster", "remove", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(output_text(&unknown).contains("no member is called"));

    // Removed while it runs: it says so, takes no calls, and its place is free.
    let removed = two.run_command(&["cluster", "remove", "three"]);
    let text = output_text(&removed);
    assert!(removed.status.success(), "{text}");
    assert!(
        text.contains("three") && text.contains("no member any more"),
        "{text}"
    );
    members(one, 2).await;
    wait_until("the removed one to know it", async || {
        let (status, words) = three.ready().await?;
        let told = words.to_string().contains("removed from the cluster");
        (status == 503 && told).then_some(())
    })
    .await;

    // A new machine in its place, then one in the place of a member that is only gone.
    replaced(&mut several, 2).await;
    replaced(&mut several, 1).await;
    assert!(
        several
            .wait_replicated()
            .await
            .iter()
            .any(|row| row.contains("Brock"))
    );
    knows_brock(&several, 1).await;

    several.instances[1].kill();
    several.instances[2].kill();
    wait_until("the last one to know that it is", async || {
        let (code, standing) = status(&several.instances[0]);
        (code == Some(3) && standing["has_quorum"] == false).then_some(())
    })
    .await;
    several.instances[0].kill();
    let (code, _) = status(&several.instances[0]);
    assert_eq!(code, Some(1), "nobody answers");
}

/// The same name and address on an empty disk: another node, with all there is.
async fn replaced(several: &mut TestCluster, place: usize) {
    let before = several.instances[(place + 1) % 3].status().await;
    let old = node_of(
        &before.expect("it takes part"),
        &several.instances[place].name,
    );
    let instance = &mut several.instances[place];
    instance.kill();
    std::fs::remove_dir_all(instance.data()).expect("a disk can be lost");
    instance.start();
    several.wait_settled().await;
    let after = members(&several.instances[0], 3).await;
    let new = node_of(&after, &several.instances[place].name);
    assert!(new.is_some() && new != old, "{old:?} {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_member_is_a_server_of_its_own_and_is_refused_in_the_old_cluster() {
    let mut several = TestCluster::builder()
        .set("cluster.replace_after_s", 1)
        .start()
        .await;
    knows_brock(&several, 1).await;
    let copy = several.folder().join("copy.db");
    let file = copy.display().to_string();
    let made = several.instances[1].run_command(&["backup", &file]);
    let text = output_text(&made);
    assert_eq!(made.status.code(), Some(0), "{text}");
    assert!(text.contains("1 calls, 1 callers"), "{text}");

    let mut test_server = TestServer::start().await;
    test_server.kill();
    let data = test_server.folder().join("data");
    std::fs::remove_dir_all(&data).expect("a folder can be emptied");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::copy(&copy, test_server.database_path()).expect("a copy");
    test_server.restart().await;
    let phone = test_server.call(BROCK).await;
    let greeting = phone.first_greeting();
    assert!(greeting.starts_with("Welcome back, Brock!"), "{greeting}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(test_server.database().count("conversations"), 2);
    drop(test_server);

    let third = &mut several.instances[2];
    third.kill();
    let own = third.database().dump();
    restore_copy(&copy, &third.database_path());
    let said = refused(third).await;
    assert!(
        said.contains("a restored backup makes a cluster of its own"),
        "{said}"
    );
    std::fs::remove_dir_all(third.data()).expect("it is taken away");
    third.start();
    several.wait_settled().await;
    let rows = several.wait_replicated().await;
    let of_calls = |rows: &[String]| {
        let rows = rows.iter().filter(|row| !row.starts_with("meta"));
        rows.cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_calls(&rows), of_calls(&own), "as it was before");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_secret_is_refused_and_a_member_does_not_serve_alone() {
    let mut several = TestCluster::builder().start().await;
    let door = several.instances[0].cluster.to_string();
    let mut stranger = ServerInstance::new(several.folder(), "stranger");
    stranger.joins(std::slice::from_ref(&door));
    stranger.set("cluster.secret", OTHER_SECRET);
    stranger.start();
    wait_until("the stranger to be told why", async || {
        let (status, words) = stranger.ready().await?;
        let why = words["parts"]["cluster"]["reason"].as_str()?;
        let is_told = why.contains(&door) && why.contains("cluster.secret");
        (status == 503 && is_told).then_some(())
    })
    .await;
    assert!(!stranger.database_path().exists(), "it got nothing");
    stranger.kill();
    let asked = {
        let one = &mut several.instances[0];
        one.set("cluster.secret", OTHER_SECRET);
        let asked = one.run_command(&["cluster", "status"]);
        one.set("cluster.secret", SECRET);
        asked
    };
    let text = output_text(&asked);
    assert_eq!(asked.status.code(), Some(1), "{text}");
    assert!(text.contains("cluster.secret"), "{text}");
    members(&several.instances[0], 3).await;

    for (secret, fault) in [("", "cluster.secret"), ("short", "32 random characters")] {
        stranger.set("cluster.secret", secret);
        let said = refused(&mut stranger).await;
        assert!(
            said.contains(fault) && said.contains("openssl rand"),
            "{said}"
        );
    }

    let third = &mut several.instances[2];
    third.kill();
    let mut alone = third.command(&["serve"]);
    for name in ["LISTEN", "JOIN", "SECRET"] {
        alone.env_remove(format!("CALLDEX_CLUSTER__{name}"));
    }
    let output = alone.output().expect("the binary starts");
    let said = output_text(&output);
    assert!(!output.status.success(), "{said}");
    for words in ["is one of several instances", "[cluster]", "calldex backup"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    third.start();
    several.wait_settled().await;
}
