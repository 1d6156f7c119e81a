//! What the vectors do not cover: rotation, shared keys, refusals and their reasons.

use super::*;

const URL: &str = "https://calls.example.test/twilio/voice";

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

fn form() -> Form {
    Form::from_iter([
        ("CallSid", "CA1"),
        ("From", "+16135550172"),
        ("FromCity", ""),
    ])
}

#[test]
fn old_and_new_token_count_during_rotation() {
    let verifier = SignatureVerifier::new(&[secret("new"), secret("old")]);
    for token in ["new", "old"] {
        let signature = sign_form(&secret(token), URL, &form());
        assert_eq!(
            verifier.verify_form(URL, &form(), signature.as_str()),
            SignatureVerdict::Accepted,
            "{token}"
        );
    }
    let signature = sign_form(&secret("older"), URL, &form());
    assert_eq!(
        verifier.verify_form(URL, &form(), signature.as_str()),
        SignatureVerdict::Mismatch
    );
}

#[test]
fn an_empty_token_accepts_nothing() {
    let verifier = SignatureVerifier::new(&[secret("")]);
    let signature = sign_form(&secret(""), URL, &form());
    assert_eq!(
        verifier.verify_form(URL, &form(), signature.as_str()),
        SignatureVerdict::NoAuthToken
    );
}

#[test]
fn what_is_no_signature_is_refused_with_its_reason() {
    let verifier = SignatureVerifier::new(&[secret("new")]);
    let verdict = |header: Option<&str>| verifier.verify_form(URL, &form(), header);
    assert_eq!(verdict(None), SignatureVerdict::Missing);
    assert_eq!(verdict(Some("  ")), SignatureVerdict::Missing);
    let good = sign_form(&secret("new"), URL, &form());
    let good = good.as_str();
    for odd in [
        "WRONG_SIGNATURE",
        "AAAA",
        &good[..good.len() - 1],
        &good.replace('=', "=="),
        &"A".repeat(500),
    ] {
        assert_eq!(verdict(Some(odd)), SignatureVerdict::Malformed, "{odd}");
    }
    assert_eq!(verdict(Some(good)), SignatureVerdict::Accepted);
    assert_eq!(
        verdict(Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        SignatureVerdict::Mismatch
    );
}

#[test]
fn a_handshake_is_never_checked_under_another_scheme() {
    let verifier = SignatureVerifier::new(&[secret("new")]);
    let url = "https://calls.example.test/twilio/relay";
    let signature = sign_url(&secret("new"), url);
    assert_eq!(
        verifier.verify_handshake(url, signature.as_str()),
        SignatureVerdict::NotAWebSocketUrl
    );
    assert_eq!(
        verifier.verify_handshake(&url.replace("https", "wss"), signature.as_str()),
        SignatureVerdict::Mismatch
    );
    let loopback = "ws://127.0.0.1:8080/twilio/relay";
    assert_eq!(
        verifier.verify_handshake(loopback, sign_url(&secret("new"), loopback).as_str()),
        SignatureVerdict::Accepted
    );
}

#[test]
fn a_body_is_held_against_its_digest() {
    let verifier = SignatureVerifier::new(&[secret("new")]);
    for url in [URL.to_owned(), format!("{URL}?a=1#rc=3")] {
        let (signed_url, signature) = sign_with_digest(&secret("new"), &url, b"{\"a\":1}");
        let verdict = |body: &[u8]| verifier.verify_json(&signed_url, body, signature.as_str());
        assert_eq!(verdict(b"{\"a\":1}"), SignatureVerdict::Accepted);
        assert_eq!(verdict(b"{\"a\":2}"), SignatureVerdict::BodyMismatch);
        assert_eq!(verdict(b""), SignatureVerdict::BodyMismatch);
    }
}

#[test]
fn a_shared_key_counts_only_when_it_is_configured() {
    let settings = "key=k1, algorithm=HMAC_SHA1";
    let by_token = SignatureVerifier::new(&[secret("new")]);
    let signature = sign_form(&secret("shared"), URL, &form());
    let shared = SignatureHeaders {
        signature: Some(&signature),
        settings: Some(settings),
    };
    assert_eq!(
        by_token.verify_form(URL, &form(), shared),
        SignatureVerdict::UnknownSharedKey
    );

    let token_signature = sign_form(&secret("new"), URL, &form());
    let relabelled = SignatureHeaders {
        signature: Some(&token_signature),
        settings: Some(settings),
    };
    assert_eq!(
        by_token.verify_form(URL, &form(), relabelled),
        SignatureVerdict::UnknownSharedKey
    );

    let by_both = by_token.with_shared_keys(&[SharedKey {
        id: "k1".into(),
        secret: secret("shared"),
    }]);
    assert_eq!(
        by_both.verify_form(URL, &form(), shared),
        SignatureVerdict::Accepted
    );
    assert_eq!(
        by_both.verify_form(URL, &form(), relabelled),
        SignatureVerdict::Mismatch,
        "the token is not the shared key"
    );
    assert_eq!(
        by_both.verify_form(URL, &form(), token_signature.as_str()),
        SignatureVerdict::Accepted
    );
    for odd in [
        "",
        "key=k2,algorithm=HMAC_SHA1",
        "key=k1",
        "key=k1,algorithm=HMAC_MD5",
        "algorithm=HMAC_SHA1",
    ] {
        let presented = SignatureHeaders {
            settings: Some(odd),
            ..shared
        };
        assert_eq!(
            by_both.verify_form(URL, &form(), presented),
            SignatureVerdict::UnknownSharedKey,
            "{odd}"
        );
    }
}

#[test]
fn a_shared_key_may_sign_by_sha256() {
    use base64::Engine;
    let verifier = SignatureVerifier::new(&[]).with_shared_keys(&[SharedKey {
        id: "k1".into(),
        secret: secret("shared"),
    }]);
    let key = HmacKey::new(HmacAlgorithm::Sha256, &secret("shared"));
    let digest = key.digest(|sink| sink(URL.as_bytes()));
    let signature = base64::engine::general_purpose::STANDARD.encode(digest);
    let presented = |settings| SignatureHeaders {
        signature: Some(&signature),
        settings: Some(settings),
    };
    assert_eq!(
        verifier.verify_url(URL, presented("key=k1,algorithm=HMAC_SHA256")),
        SignatureVerdict::Accepted
    );
    assert_eq!(
        verifier.verify_url(URL, presented("key=k1,algorithm=HMAC_SHA1")),
        SignatureVerdict::Malformed
    );
}

#[test]
fn no_key_is_shown() {
    let keys = [SharedKey {
        id: "k1".into(),
        secret: secret("tiger"),
    }];
    let shown = format!(
        "{:?} {:?}",
        SignatureVerifier::new(&[secret("tiger")]).with_shared_keys(&keys),
        keys
    );
    assert!(!shown.contains("tiger"), "{shown}");
}
