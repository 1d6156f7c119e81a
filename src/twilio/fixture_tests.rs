//! Signature vectors and scripted calls, line by line: those of `tests/fixtures/twilio` always,
//! those of a folder beside the repository as well where there is one.

use super::Form;
use super::frames::{InboundFrame, InfoFrame, OutboundFrame, TextFrame};
use super::identity::CallerIdentity;
use super::signature::{SignatureVerdict, SignatureVerifier};
use super::webhooks::{ActionCallback, StatusCallback, VoiceWebhook};
use calldex_observability::redaction::Secret;
use serde_json::Value;
use std::path::{Path, PathBuf};

const SHARED_TOKEN: &str = "12345";
const OWN_TOKEN: &str = "fixture-token-of-calldex";

/// Folders with fixtures that exist, each with the token that its scripts are signed with.
fn folders() -> Vec<(PathBuf, &'static str)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("tests/fixtures/twilio");
    assert!(own.is_dir(), "{} is missing", own.display());
    let shared = root.join("../shared/protocol");
    let mut folders = vec![(own, OWN_TOKEN)];
    if shared.is_dir() {
        folders.push((shared, SHARED_TOKEN));
    }
    folders
}

/// Every line of every script, with where it stands and the token.
fn lines() -> Vec<(String, Value, &'static str)> {
    let mut lines = Vec::new();
    for (folder, token) in folders() {
        let mut scripts: Vec<_> = std::fs::read_dir(folder.join("frames"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        scripts.sort();
        assert!(
            scripts.len() >= 4,
            "{} has too few scripts",
            folder.display()
        );
        for script in scripts {
            let text = std::fs::read_to_string(&script).unwrap();
            let name = script.file_name().unwrap().to_string_lossy().into_owned();
            lines.extend(text.lines().enumerate().map(|(at, line)| {
                (
                    format!("{name}:{}", at + 1),
                    serde_json::from_str(line).unwrap(),
                    token,
                )
            }));
        }
    }
    lines
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

/// The pairs of a JSON object whose values are texts or lists of texts.
fn form_of(params: &Value) -> Form {
    let mut form = Form::new();
    for (name, value) in params.as_object().unwrap() {
        match value {
            Value::Array(values) => values
                .iter()
                .for_each(|value| form.push(name, value.as_str().unwrap())),
            value => form.push(name, value.as_str().unwrap()),
        }
    }
    form
}

fn verifier(token: &str) -> SignatureVerifier {
    SignatureVerifier::new(&[Secret::new(token)])
}

#[test]
fn every_signature_vector_is_judged_as_it_says() {
    for (folder, _) in folders() {
        let vectors = std::fs::read_to_string(folder.join("signature-vectors.json")).unwrap();
        let vectors: Vec<Value> = serde_json::from_str(&vectors).unwrap();
        assert!(vectors.len() >= 8);
        for vector in &vectors {
            let (url, signature, verifier) = (
                text(vector, "url"),
                text(vector, "signature"),
                verifier(text(vector, "token")),
            );
            let body = vector["body"].as_str().unwrap_or_default();
            let verdict = match text(vector, "kind") {
                "form" => verifier.verify_form(url, &form_of(&vector["params"]), signature),
                "json" => verifier.verify_json(url, body.as_bytes(), signature),
                "websocket" => verifier.verify_handshake(url, signature),
                kind => panic!("kind {kind}"),
            };
            assert_eq!(
                verdict.is_accepted(),
                vector["valid"].as_bool().unwrap(),
                "{}: {verdict:?}",
                vector["id"]
            );
            if text(vector, "kind") == "form" && !body.is_empty() {
                let form = Form::parse(body.as_bytes()).unwrap();
                assert_eq!(
                    verifier.verify_form(url, &form, signature),
                    verdict,
                    "{} by its body",
                    vector["id"]
                );
            }
        }
    }
}

#[test]
fn every_request_of_the_scripts_is_signed_and_readable() {
    let mut seen = 0;
    for (at, line, token) in lines().iter().filter(|(_, line, _)| line["dir"] == "http") {
        let (url, signature) = (
            text(line, "url"),
            text(&line["headers"], "X-Twilio-Signature"),
        );
        let verifier = verifier(token);
        seen += 1;
        if line["name"] == "upgrade" {
            assert_eq!(
                verifier.verify_handshake(url, signature),
                SignatureVerdict::Accepted,
                "{at}"
            );
            continue;
        }
        let body = form_of(&line["form"]).encode();
        let form = Form::parse(body.as_bytes()).unwrap();
        assert_eq!(
            verifier.verify_form(url, &form, signature),
            SignatureVerdict::Accepted,
            "{at}"
        );
        let call_sid = text(&line["form"], "CallSid");
        match text(line, "name") {
            "voice" => assert_eq!(
                VoiceWebhook::from_form(&form).unwrap().call_sid,
                call_sid,
                "{at}"
            ),
            "action" => {
                let ended = ActionCallback::from_form(&form).unwrap();
                assert_eq!(ended.call_sid, call_sid, "{at}");
                assert_eq!(
                    ended.has_session_failed(),
                    line["form"]["SessionStatus"] == "failed",
                    "{at}"
                );
                assert_eq!(
                    ended.handoff_data.as_deref(),
                    line["form"]["HandoffData"].as_str(),
                    "{at}"
                );
            }
            "status" => assert!(
                StatusCallback::from_form(&form)
                    .unwrap()
                    .status
                    .is_terminal(),
                "{at}"
            ),
            name => panic!("{at}: {name}"),
        }
    }
    assert!(seen > 20);
}

#[test]
fn every_inbound_frame_of_the_scripts_is_heard() {
    for (at, line, _) in lines()
        .iter()
        .filter(|(_, line, _)| line["dir"] == "in" && line["frame"].is_object())
    {
        let frame = &line["frame"];
        let json = frame.to_string();
        let heard = InboundFrame::parse(&json).unwrap_or_else(|why| panic!("{at}: {why}"));
        match &heard {
            InboundFrame::Setup(setup) => {
                assert_eq!(setup.call_sid, text(frame, "callSid"), "{at}");
                let is_outbound = text(frame, "direction").starts_with("outbound");
                let person = if is_outbound { "to" } else { "from" };
                assert_eq!(
                    setup.parties.remote_address().as_str(),
                    text(frame, person),
                    "{at}"
                );
                assert_eq!(
                    setup.parameters.len(),
                    frame["customParameters"].as_object().unwrap().len(),
                    "{at}"
                );
            }
            InboundFrame::Prompt(prompt) => {
                assert_eq!(prompt.text, text(frame, "voicePrompt"), "{at}");
                assert_eq!(
                    prompt.last,
                    frame["last"] == true || frame["last"] == "true",
                    "{at}"
                );
            }
            InboundFrame::Interrupt(interrupt) => {
                assert_eq!(
                    interrupt.heard,
                    frame["utteranceUntilInterrupt"]
                        .as_str()
                        .unwrap_or_default(),
                    "{at}"
                );
                assert!(interrupt.after_ms.is_some(), "{at}");
            }
            InboundFrame::Info(InfoFrame::TokensPlayed(played)) => {
                assert_eq!(played, text(frame, "value"), "{at}")
            }
            InboundFrame::Info(InfoFrame::Other { name }) => {
                assert!(
                    ["configUpdated", "roundTripDelayMs"].contains(&name.as_str()),
                    "{at}: {name}"
                )
            }
            InboundFrame::Info(_) | InboundFrame::Dtmf(_) => {}
            InboundFrame::Error(error) => assert_eq!(error.code(), Some(64107), "{at}"),
            InboundFrame::Unknown { kind } => assert_eq!(kind, "weather", "{at}"),
        }
        if heard.label() != "unknown" {
            assert_eq!(heard.label(), text(frame, "type"), "{at}");
        }
    }
}

#[test]
fn every_outbound_frame_of_the_scripts_can_be_spoken() {
    for (at, line, _) in lines()
        .iter()
        .filter(|(_, line, _)| line["dir"] == "out" && line["frame"].is_object())
    {
        let frame = &line["frame"];
        let flag = |name: &str| frame[name].as_bool();
        let spoken = match text(frame, "type") {
            "text" => {
                let token = text(frame, "token");
                let mut said = if frame["last"] == true {
                    TextFrame::last_token(token)
                } else {
                    TextFrame::token(token)
                };
                if let Some(may) = flag("interruptible") {
                    said = said.interruptible(may);
                }
                if let Some(may) = flag("preemptible") {
                    said = said.preemptible(may);
                }
                OutboundFrame::Text(said)
            }
            "end" => frame["handoffData"]
                .as_str()
                .map_or(OutboundFrame::end(), |data| {
                    OutboundFrame::end_with_handoff(data).unwrap()
                }),
            kind => panic!("{at}: {kind}"),
        };
        assert_eq!(
            serde_json::from_str::<Value>(&spoken.to_json()).unwrap(),
            *frame,
            "{at}"
        );
    }
}

#[test]
fn callers_of_the_scripts_are_who_they_are() {
    let mut kinds = std::collections::BTreeSet::new();
    for (at, line, _) in lines()
        .iter()
        .filter(|(_, line, _)| line["name"] == "voice")
    {
        let identity = VoiceWebhook::from_form(&form_of(&line["form"]))
            .unwrap()
            .parties
            .remote_identity();
        let expected = match text(&line["form"], "From") {
            sip if sip.starts_with("sip:") => "sip",
            client if client.starts_with("client:") => "client",
            "+266696687" | "+7378742833" => "withheld",
            _ => "number",
        };
        let kind = match identity {
            CallerIdentity::Number(..) => "number",
            CallerIdentity::Withheld(_) => "withheld",
            CallerIdentity::Sip(_) => "sip",
            CallerIdentity::Client(_) => "client",
            CallerIdentity::Unusable => "unusable",
        };
        assert_eq!(kind, expected, "{at}");
        kinds.insert(expected);
    }
    assert!(kinds.len() >= 3, "{kinds:?}");
}
