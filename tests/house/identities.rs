//! Who may be remembered: a number, and nobody else (design G3, protocol 2.5).

use crate::house::House;
use calldex_simulator::twilio::Dial;

#[tokio::test(flavor = "multi_thread")]
async fn withheld_numbers_are_answered_and_nobody_is_remembered() {
    let house = House::start().await;
    let withheld = [
        "+266696687",
        "+266696687",
        "anonymous",
        "+7378742833",
        "",
        "Unavailable",
    ];
    for from in withheld {
        let phone = house.call(from).await;
        assert!(
            phone.first_greeting().starts_with("Hello! Welcome"),
            "{from:?}: {}",
            phone.first_greeting()
        );
        let reply = phone.says("My name is Misty").await;
        assert!(reply.contains("Misty"), "used in this call: {reply}");
        phone.hangs_up().await;
        let row = house.closed(phone.call_sid()).await;
        assert_eq!(row.phone_number, None, "{from:?}");
        assert!(row.messages.len() >= 3, "{row:?}");
    }
    let rows = house.rows();
    assert_eq!(rows.count("callers"), 0);
    assert_eq!(rows.count("people"), 0);
    assert_eq!(rows.count("conversations"), withheld.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn sip_and_client_callers_are_no_numbers() {
    let house = House::start().await;
    let callers = [
        ("sip:1001@acme.sip.twilio.com;transport=udp", "sip"),
        ("client:tommy", "client"),
    ];
    for (from, kind) in callers {
        for _ in 0..2 {
            let phone = house.call(from).await;
            assert!(!phone.first_greeting().contains("Tommy"));
            let reply = phone.says("My name is Tommy").await;
            assert!(reply.contains("Tommy"), "{reply}");
            phone.hangs_up().await;
            let row = house.closed(phone.call_sid()).await;
            assert_eq!(row.caller_kind.as_deref(), Some(kind));
            assert_eq!(row.phone_number, None);
            let identity = row.identity.expect("kept under the call");
            assert!(identity.starts_with(kind), "{identity}");
        }
    }
    assert_eq!(house.rows().count("callers"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_from_a_carrier_is_answered_and_not_remembered() {
    let house = House::start().await;
    for from in ["7000", "+1555", "garbage", "+0123456789"] {
        let phone = house.call(from).await;
        phone.hangs_up().await;
        house.closed(phone.call_sid()).await;
    }
    assert_eq!(house.rows().count("callers"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_calls_itself_is_a_call_like_any_other() {
    let house = House::start().await;
    let number = "+14155550108";
    let phone = house.dial(Dial::new(number, number)).await.unwrap();
    let reply = phone.says("My name is Misty").await;
    assert!(reply.starts_with("Nice to meet you, Misty!"), "{reply}");
    phone.hangs_up().await;
    let row = house.closed(phone.call_sid()).await;
    assert_eq!(row.phone_number.as_deref(), Some(number));
    assert_eq!(house.caller(number).unwrap().name.as_deref(), Some("Misty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsapp_number_is_its_number() {
    let house = House::start().await;
    let phone = house.call("whatsapp:+14155550109").await;
    phone.says("My name is Misty").await;
    phone.hangs_up().await;
    house.closed(phone.call_sid()).await;
    let again = house.call("+14155550109").await;
    assert!(again.first_greeting().starts_with("Welcome back, Misty!"));
    again.hangs_up().await;
    assert_eq!(house.rows().count("callers"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_be_kept_for_numbers_that_the_network_vouches_for() {
    let house = House::plan()
        .set("call.name_needs_attestation", true)
        .start()
        .await;
    let number = "+14155550110";
    let phone = house.call(number).await;
    phone.says("My name is Misty").await;
    phone.hangs_up().await;
    house.closed(phone.call_sid()).await;
    let verdicts = [
        (Some("TN-Validation-Passed-A"), true),
        (Some("TN-Validation-Failed"), false),
        (Some("No-TN-Validation"), false),
        (None, false),
    ];
    for (verdict, named) in verdicts {
        let mut dial = Dial::new(number, crate::house::LINE);
        dial.stir_verstat = verdict.map(str::to_owned);
        let phone = house.dial(dial).await.unwrap();
        let greeting = phone.first_greeting();
        assert_eq!(greeting.contains("Misty"), named, "{verdict:?}: {greeting}");
        phone.hangs_up().await;
    }
}
