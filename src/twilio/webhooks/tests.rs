//! The webhooks read as Twilio sends them, and as it should not.

use super::*;
use crate::twilio::identity::{CallerIdentity, NumberChannel};
use calldex_storage::record::PhoneNumber;

const CALL: &str = "CA00000000000000000000000000000a01";

fn form(pairs: &[(&str, &str)]) -> Form {
    Form::from_iter(std::iter::once(("CallSid", CALL)).chain(pairs.iter().copied()))
}

#[test]
fn a_ringing_call_says_who_calls_and_whom() {
    let voice = VoiceWebhook::from_form(&form(&[
        ("From", "+16135550172"),
        ("To", "+16135550100"),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("StirVerstat", "TN-Validation-Passed-B"),
        ("FromCity", ""),
        ("FromCountry", "CA"),
        ("SomethingNew", "of 2027"),
    ]))
    .unwrap();
    let number = PhoneNumber::parse("+16135550172").unwrap();
    assert_eq!(
        voice.parties.remote_identity(),
        CallerIdentity::Number(number, NumberChannel::Pstn)
    );
    assert_eq!(voice.status, CallStatus::Ringing);
    assert_eq!(voice.parties.local_address().as_str(), "+16135550100");
    assert_eq!(voice.attestation, Attestation::Partial);
    assert!(!format!("{voice:?}").contains("5550"), "{voice:?}");
}

#[test]
fn the_old_names_of_from_and_to_still_count() {
    let voice = VoiceWebhook::from_form(&form(&[
        ("From", ""),
        ("Caller", "+16135550172"),
        ("Called", "+16135550172"),
    ]))
    .unwrap();
    assert_eq!(voice.parties.remote_address().as_str(), "+16135550172");
    assert_eq!(voice.parties.local_address().as_str(), "+16135550172");
}

#[test]
fn a_form_without_a_call_is_unreadable() {
    assert_eq!(
        VoiceWebhook::from_form(&Form::new()),
        Err(InvalidWebhook::MissingCallSid)
    );
    assert_eq!(
        ActionCallback::from_form(&Form::from_iter([("CallSid", " ")])),
        Err(InvalidWebhook::MissingCallSid)
    );
    let long = Form::from_iter([("CallSid", "C".repeat(CALL_SID_BYTES_MAX + 1))]);
    assert_eq!(
        StatusCallback::from_form(&long),
        Err(InvalidWebhook::InvalidCallSid)
    );
    assert_eq!(
        VoiceWebhook::from_form(&Form::from_iter([("CallSid", "CA1 \u{1}")])),
        Err(InvalidWebhook::InvalidCallSid)
    );
}

#[test]
fn a_dropped_socket_leaves_a_call_that_may_reconnect() {
    let ended = ActionCallback::from_form(&form(&[
        ("SessionId", "VX00000000000000000000000000000a01"),
        ("SessionStatus", "failed"),
        ("SessionDuration", "9"),
        ("CallStatus", "in-progress"),
        ("ErrorCode", "64105"),
        ("ErrorMessage", "Websocket ended"),
    ]))
    .unwrap();
    assert!(ended.has_session_failed() && ended.is_call_in_progress() && ended.is_retryable());
}

#[test]
fn a_hand_off_comes_back_unchanged() {
    let data = r#"{"reason":"wants a person","n":1}"#;
    let ended = ActionCallback::from_form(&form(&[
        ("SessionStatus", "ended"),
        ("CallStatus", "in-progress"),
        ("HandoffData", data),
    ]))
    .unwrap();
    assert_eq!(ended.handoff_data.as_deref(), Some(data));
    assert!(!ended.has_session_failed() && ended.is_call_in_progress() && !ended.is_retryable());
    assert!(!format!("{ended:?}").contains("person"));
}

#[test]
fn after_a_hang_up_nothing_goes_on() {
    let ended = ActionCallback::from_form(&form(&[
        ("SessionStatus", "completed"),
        ("CallStatus", "completed"),
        ("SessionDuration", "x"),
    ]))
    .unwrap();
    assert!(!ended.is_call_in_progress() && !ended.has_session_failed());
}

#[test]
fn a_status_callback_says_where_the_call_stands() {
    let status = StatusCallback::from_form(&form(&[
        ("CallStatus", "completed"),
        ("SequenceNumber", "2"),
        ("CallDuration", "61"),
        ("Duration", "2"),
        ("Timestamp", "Tue, 24 Nov 2026 05:47:36 +0000"),
        ("StirStatus", "A"),
        ("SipResponseCode", "200"),
    ]))
    .unwrap();
    assert!(status.status.is_terminal());
}

#[test]
fn both_spellings_of_a_status_are_one() {
    assert_eq!(CallStatus::parse("IN_PROGRESS"), CallStatus::InProgress);
    assert_eq!(CallStatus::parse("no-answer"), CallStatus::NoAnswer);
    assert_eq!(
        CallStatus::parse("active"),
        CallStatus::Other("active".to_owned())
    );
    assert_eq!(
        CallStatus::parse(&"x".repeat(99)),
        CallStatus::Other("x".repeat(32))
    );
}

#[test]
fn on_a_call_that_we_placed_the_person_is_the_one_called() {
    for direction in ["outbound-api", "outbound-dial", "OUTBOUND_API"] {
        let voice = VoiceWebhook::from_form(&form(&[
            ("From", "+16135550100"),
            ("To", "+16135550172"),
            ("Direction", direction),
            ("StirVerstat", "TN-Validation-Failed"),
        ]))
        .unwrap();
        assert_eq!(
            voice.parties.remote_address().as_str(),
            "+16135550172",
            "{direction}"
        );
        assert_eq!(voice.parties.local_address().as_str(), "+16135550100");
        // Nobody has to vouch for a number that we dialled.
        assert_eq!(voice.attestation, Attestation::Full);
    }
    let trunk = VoiceWebhook::from_form(&form(&[
        ("From", "+16135550172"),
        ("To", "+16135550100"),
        ("Direction", "trunking-originating"),
    ]))
    .unwrap();
    assert_eq!(trunk.parties.remote_address().as_str(), "+16135550172");
}

#[test]
fn only_what_may_pass_or_another_provider_cures_is_connected_again() {
    let failed = |code: &str| {
        ActionCallback::from_form(&form(&[
            ("SessionStatus", "failed"),
            ("CallStatus", "in-progress"),
            ("ErrorCode", code),
        ]))
        .unwrap()
    };
    for (code, again, provider) in [
        ("64101", false, false),
        ("64102", false, false),
        ("64103", true, false),
        ("64104", false, false),
        ("64105", true, false),
        ("64106", false, false),
        ("64107", true, false),
        ("64108", false, false),
        ("64109", false, false),
        ("64110", false, false),
        ("64111", true, true),
        ("64112", true, true),
        ("64114", true, true),
        ("64118", true, true),
        ("11200", false, false),
        ("", false, false),
    ] {
        let ended = failed(code);
        assert_eq!(ended.is_retryable(), again, "{code}");
        assert_eq!(ended.has_provider_failed(), provider, "{code}");
    }
}

#[test]
fn a_dial_that_nobody_answered_leaves_a_caller_who_waits() {
    for (status, call, waits) in [
        ("no-answer", "in-progress", true),
        ("busy", "in-progress", true),
        ("failed", "in-progress", true),
        ("something-new", "in-progress", true),
        ("completed", "in-progress", false),
        ("answered", "in-progress", false),
        ("canceled", "completed", false),
        ("no-answer", "completed", false),
    ] {
        let dialled = DialActionCallback::from_form(&form(&[
            ("DialCallStatus", status),
            ("CallStatus", call),
        ]));
        assert_eq!(
            dialled.unwrap().returns_to_agent(),
            waits,
            "{status} {call}"
        );
    }
    for (result, call, waits) in [
        ("bridged", "in-progress", false),
        ("redirected-from-bridged", "in-progress", false),
        ("redirected", "in-progress", false),
        ("queue-full", "in-progress", true),
        ("leave", "in-progress", true),
        ("system-error", "in-progress", true),
        ("hangup", "completed", false),
    ] {
        let queued =
            DialActionCallback::from_form(&form(&[("QueueResult", result), ("CallStatus", call)]));
        assert_eq!(queued.unwrap().returns_to_agent(), waits, "{result} {call}");
    }
}
