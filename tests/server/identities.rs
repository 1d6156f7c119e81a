//! Who may be remembered: a number, and nobody else (ARCHITECTURE.md G3, docs/protocol.md 2.5).

use crate::test_server::TestServer;
use calldex_simulator::twilio::Dial;

#[tokio::test(flavor = "multi_thread")]
async fn withheld_numbers_are_answered_and_nobody_is_remembered() {
    let test_server = TestServer::start().await;
    let withheld = [
        "+266696687",
        "+266696687",
        "anonymous",
        "+7378742833",
        "",
        "Unavailable",
    ];
    for from in withheld {
        let phone = test_server.call(from).await;
        assert!(
            phone.first_greeting().starts_with("Hello! Welcome"),
            "{from:?}: {}",
            phone.first_greeting()
        );
        let reply = phone.says("My name is Misty").await;
        assert!(reply.contains("Misty"), "used in this call: {reply}");
        phone.hangs_up().await;
        let row = test_server.wait_conversation_closed(phone.call_sid()).await;
        assert_eq!(row.phone_number, None, "{from:?}");
        assert!(row.messages.len() >= 3, "{row:?}");
    }
    let rows = test_server.database();
    assert_eq!(rows.count("callers"), 0);
    assert_eq!(rows.count("people"), 0);
    assert_eq!(rows.count("conversations"), withheld.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn sip_and_client_callers_are_no_numbers() {
    let test_server = TestServer::start().await;
    let callers = [
        ("sip:1001@acme.sip.twilio.com;transport=udp", "sip"),
        ("client:tommy", "client"),
    ];
    for (from, kind) in callers {
        for _ in 0..2 {
            let phone = test_server.call(from).await;
            assert!(!phone.first_greeting().contains("Tommy"));
            let reply = phone.says("My name is Tommy").await;
            assert!(reply.contains("Tommy"), "{reply}");
            phone.hangs_up().await;
            let row = test_server.wait_conversation_closed(phone.call_sid()).await;
            assert_eq!(row.caller_kind.as_deref(), Some(kind));
            assert_eq!(row.phone_number, None);
            let identity = row.identity.expect("kept under the call");
            assert!(identity.starts_with(kind), "{identity}");
        }
    }
    assert_eq!(test_server.database().count("callers"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_from_a_carrier_is_answered_and_not_remembered() {
    let test_server = TestServer::start().await;
    for from in ["7000", "+1555", "garbage", "+0123456789"] {
        let phone = test_server.call(from).await;
        phone.hangs_up().await;
        test_server.wait_conversation_closed(phone.call_sid()).await;
    }
    assert_eq!(test_server.database().count("callers"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_calls_itself_is_a_call_like_any_other() {
    let test_server = TestServer::start().await;
    let number = "+14155550108";
    let phone = test_server.dial(Dial::new(number, number)).await.unwrap();
    let reply = phone.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(row.phone_number.as_deref(), Some(number));
    assert_eq!(
        test_server.caller(number).unwrap().name.as_deref(),
        Some("Misty")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsapp_number_is_its_number() {
    let test_server = TestServer::start().await;
    let phone = test_server.call("whatsapp:+14155550109").await;
    phone.says("My name is Misty").await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let again = test_server.call("+14155550109").await;
    assert!(again.first_greeting().starts_with("Welcome back, Misty!"));
    again.hangs_up().await;
    assert_eq!(test_server.database().count("callers"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_be_kept_for_numbers_that_the_network_vouches_for() {
    let test_server = TestServer::builder()
        .set("call.name_needs_attestation", true)
        .start()
        .await;
    let number = "+14155550110";
    let phone = test_server.call(number).await;
    phone.says("My name is Misty").await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let verdicts = [
        (Some("TN-Validation-Passed-A"), true),
        (Some("TN-Validation-Failed"), false),
        (Some("No-TN-Validation"), false),
        (None, false),
    ];
    for (verdict, named) in verdicts {
        let mut dial = Dial::new(number, crate::test_server::LINE);
        dial.stir_verstat = verdict.map(str::to_owned);
        let phone = test_server.dial(dial).await.unwrap();
        let greeting = phone.first_greeting();
        assert_eq!(greeting.contains("Misty"), named, "{verdict:?}: {greeting}");
        phone.hangs_up().await;
    }
}
