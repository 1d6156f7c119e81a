//! Every row of docs/protocol.md 2.5, and the spellings around it.

use super::*;
use proptest::prelude::*;

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

#[test]
fn a_number_is_known_however_it_is_written() {
    let expected = CallerIdentity::Number(number("+16135550172"), NumberChannel::Pstn);
    for text in [
        "+16135550172",
        "  +16135550172\n",
        "+1-613-555-0172",
        "+1(613)555.0172",
        "tel:+16135550172",
        "TEL:+1-613-555-0172;ext=44",
        "tel: +16135550172;phone-context=x",
    ] {
        assert_eq!(CallerIdentity::parse(text), expected, "{text}");
    }
}

#[test]
fn whatsapp_is_a_number_over_another_channel() {
    let expected = CallerIdentity::Number(number("+4915550001234"), NumberChannel::WhatsApp);
    assert_eq!(CallerIdentity::parse("whatsapp:+4915550001234"), expected);
    assert_eq!(CallerIdentity::parse("WhatsApp: +4915550001234 "), expected);
    assert_eq!(
        CallerIdentity::parse("whatsapp:misty"),
        CallerIdentity::Unusable
    );
}

#[test]
fn a_pseudo_number_is_withheld_and_never_a_person() {
    for (pseudo, meaning) in PSEUDO_NUMBERS.iter().zip(PSEUDO_NUMBER_REASONS) {
        let (digits, withheld) = (&pseudo[1..], CallerIdentity::Withheld(meaning));
        for text in [
            pseudo.to_string(),
            format!(" {pseudo} "),
            format!("tel:{pseudo};ext=1"),
            format!("whatsapp:{pseudo}"),
            format!("+{}-{}", &digits[..2], &digits[2..]),
            format!("sip:{pseudo}@carrier.test"),
        ] {
            assert_eq!(CallerIdentity::parse(&text), withheld, "{text}");
            assert!(CallerIdentity::parse(&text).number().is_none());
        }
    }
}

#[test]
fn words_for_withheld_are_read_in_any_case() {
    for (text, meaning) in [
        ("anonymous", WithheldReason::Anonymous),
        (" Anonymous ", WithheldReason::Anonymous),
        ("PRIVATE", WithheldReason::Anonymous),
        ("unknown", WithheldReason::Unknown),
        ("Restricted", WithheldReason::Restricted),
        ("unavailable", WithheldReason::Unavailable),
        ("blocked", WithheldReason::Blocked),
        ("sip:anonymous@anonymous.invalid", WithheldReason::Anonymous),
        (
            "sip:x1@anonymous.invalid;user=phone",
            WithheldReason::Anonymous,
        ),
        ("tel:anonymous", WithheldReason::Anonymous),
    ] {
        assert_eq!(
            CallerIdentity::parse(text),
            CallerIdentity::Withheld(meaning),
            "{text}"
        );
    }
}

#[test]
fn sip_and_client_names_are_kinds_of_their_own() {
    let sip = |text: &str| CallerIdentity::Sip(text.to_owned());
    assert_eq!(
        CallerIdentity::parse("sip:2002@desk.sip.twilio.test"),
        sip("2002@desk.sip.twilio.test")
    );
    assert_eq!(
        CallerIdentity::parse("SIPS:ana@desk.test:5061;transport=tls"),
        sip("ana@desk.test:5061")
    );
    assert_eq!(
        CallerIdentity::parse("sip:+14155550100@far.test;user=phone"),
        sip("+14155550100@far.test")
    );
    assert_eq!(
        CallerIdentity::parse("client:brock"),
        CallerIdentity::Client("brock".to_owned())
    );
    assert_eq!(
        CallerIdentity::parse("client:+14155550100"),
        CallerIdentity::Client("+14155550100".to_owned())
    );
}

#[test]
fn what_names_nobody_is_unusable() {
    for text in [
        "",
        "   ",
        "7000",
        "+1555",
        "16135550172",
        "+0613555017",
        "+1613555O172",
        "+1 613 555 0172",
        "tel:7042;phone-context=+1914555",
        "+16135550172345678",
        "sip:",
        "skype:ana",
        "+",
    ] {
        assert_eq!(
            CallerIdentity::parse(text),
            CallerIdentity::Unusable,
            "{text:?}"
        );
    }
}

#[test]
fn debug_shows_no_number_and_no_name() {
    for text in [
        "+16135550172",
        "sip:ana@desk.test",
        "client:brock",
        "whatsapp:+16135550172",
    ] {
        let shown = format!(
            "{:?} {:?}",
            CallerIdentity::parse(text),
            RawAddress::new(text)
        );
        for personal in ["5550", "ana", "brock"] {
            assert!(!shown.contains(personal), "{shown}");
        }
    }
}

#[test]
fn attestations_are_ordered_by_trust() {
    let read = |text| Attestation::parse(Some(text));
    assert_eq!(read("TN-Validation-Passed-A"), Attestation::Full);
    assert_eq!(read("TN-Validation-Passed-B"), Attestation::Partial);
    assert_eq!(read("TN-Validation-Passed-C"), Attestation::Gateway);
    assert_eq!(read("TN-Validation-Failed"), Attestation::Failed);
    assert_eq!(read("TN-Validation-Failed-A"), Attestation::Failed);
    assert_eq!(read("No-TN-Validation"), Attestation::Unverified);
    assert_eq!(read("B"), Attestation::Partial);
    assert_eq!(read(" "), Attestation::Absent);
    assert_eq!(Attestation::parse(None), Attestation::Absent);
    assert!(Attestation::Full.is_at_least(Attestation::Partial));
    assert!(!Attestation::Absent.is_at_least(Attestation::Gateway));
    assert!(!Attestation::Failed.is_at_least(Attestation::Unverified));
}

proptest! {
    #[test]
    fn whatever_is_a_number_is_e164(text in "\\PC{0,40}|(whatsapp:|tel:|sip:)?\\+?[0-9().;-]{0,20}") {
        if let Some(number) = CallerIdentity::parse(&text).number() {
            prop_assert!(PhoneNumber::parse(number.as_str()).is_some());
        }
    }
}
