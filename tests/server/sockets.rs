//! The socket beneath a call: close frames are answered, silence is filled with pings.

use crate::fake_model::FakeModel;
use crate::recorded::relay_client::RelayClient;
use crate::test_server::TestServer;
use calldex_simulator::model::Completion;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;

const IRIS: &str = "+14155550161";

/// A ping without content, as a server sends it (RFC 6455 5.2).
const PING: [u8; 2] = [0x89, 0x00];

fn sid(number: u32) -> String {
    format!("CA{number:032x}")
}

fn prompt(text: &str) -> serde_json::Value {
    json!({"type": "prompt", "voicePrompt": text, "lang": "en", "last": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_close_frame_is_answered_with_its_code() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let mut number = 0;
    for code in [Some(1000), Some(1007), None] {
        for streaming in [false, true] {
            number += 1;
            let mut wire = RelayClient::open(&test_server, &sid(number), IRIS).await;
            if streaming {
                model.next(Completion::says("One two three four five.").gap_ms(50));
                wire.send(&prompt("Count, please.")).await;
                wire.wait_for_open("One").await;
            }
            let answer = wire.close(code).await;
            assert_eq!(
                answer,
                (Some(code), true),
                "{code:?}, streaming: {streaming}"
            );
            wire.is_over(&test_server).await;
            test_server.wait_conversation_closed(&sid(number)).await;
        }
    }
}

/// Reads raw bytes until a ping is among them.
async fn reads_a_ping(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut bytes = Vec::new();
    while !bytes.windows(2).any(|pair| pair == PING) {
        let mut more = [0; 512];
        let count = tokio::time::timeout(crate::test_server::WAIT_MAX, stream.read(&mut more))
            .await
            .expect("a ping comes")
            .expect("the connection stands");
        assert!(count > 0, "the connection was closed");
        bytes.extend_from_slice(&more[..count]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_a_ping_is_kept_and_counted() {
    let test_server = TestServer::builder()
        .set("call.ping_ms", 1_000)
        .start()
        .await;
    let wire = RelayClient::open(&test_server, &sid(1), IRIS).await;
    // From here on nobody answers for the peer.
    let mut stream = wire.socket.into_inner();
    for _ in 0..3 {
        reads_a_ping(&mut stream).await;
    }
    assert!(
        test_server
            .metric("calldex_pings_total", "unanswered")
            .await
            >= 2.0
    );
    assert_eq!(test_server.metric("calldex_pings_total", "dead").await, 0.0);
    assert_eq!(test_server.metric("calldex_calls_live", "").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_answers_no_more_is_dead() {
    let test_server = TestServer::builder()
        .set("call.ping_ms", 1_000)
        .start()
        .await;
    let mut wire = RelayClient::open(&test_server, &sid(1), IRIS).await;
    // The library answers while it is read.
    while test_server.metric("calldex_pings_total", "answered").await < 2.0 {
        wire.listen(Duration::from_millis(100)).await;
    }
    assert_eq!(
        test_server
            .metric("calldex_pings_total", "unanswered")
            .await,
        0.0
    );
    let mut stream = wire.socket.into_inner();
    let closed =
        async { while matches!(stream.read(&mut [0; 512]).await, Ok(count) if count > 0) {} };
    tokio::time::timeout(crate::test_server::WAIT_MAX, closed)
        .await
        .expect("the dead socket is given up");
    test_server
        .wait_metric("calldex_pings_total", "dead", 1.0)
        .await;
    test_server.wait_metric("calldex_calls_live", "", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pinged_where_that_is_switched_off() {
    let test_server = TestServer::builder().set("call.ping_ms", 0).start().await;
    let mut wire = RelayClient::open(&test_server, &sid(1), IRIS).await;
    wire.listen(Duration::from_millis(500)).await;
    assert_eq!(test_server.metric("calldex_pings_total", "").await, 0.0);
}
