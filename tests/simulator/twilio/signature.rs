//! `X-Twilio-Signature` (docs/protocol.md 7): HMAC-SHA1 over the URL and what the request carries.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::collections::BTreeMap;

/// Signs a form request: the URL as requested, then each name in byte order with each of its distinct values.
pub fn sign_form<N: AsRef<str>, V: AsRef<str>>(token: &str, url: &str, form: &[(N, V)]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in form {
        by_name
            .entry(name.as_ref())
            .or_default()
            .push(value.as_ref());
    }
    let mut data = url.to_owned();
    for (name, mut values) in by_name {
        values.sort_unstable();
        values.dedup();
        for value in values {
            data.push_str(name);
            data.push_str(value);
        }
    }
    sign_url(token, &data)
}

/// Signs a URL alone: a GET, a JSON request, or a handshake over its `wss://` form exactly as the TwiML spells it.
pub fn sign_url(token: &str, url: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Signs a JSON request. Returns the URL with `bodySHA256` added, and the signature over that URL.
pub fn sign_json(token: &str, url: &str, body: &[u8]) -> (String, String) {
    use sha2::{Digest, Sha256};
    let digest: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let joint = if url.contains('?') { '&' } else { '?' };
    let signed = format!("{url}{joint}bodySHA256={digest}");
    let signature = sign_url(token, &signed);
    (signed, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "12345";
    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const KEYS: [(&str, &str); 5] = [
        ("Digits", "1234"),
        ("To", "+18005551212"),
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("From", "+14158675309"),
    ];

    #[test]
    fn a_form_is_signed_in_the_order_of_its_names() {
        assert_eq!(sign_form(TOKEN, URL, &KEYS), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }

    #[test]
    fn a_port_and_credentials_belong_to_the_signed_url() {
        let with_port = "https://mycompany.com:443/myapp.php?foo=1&bar=2";
        assert_eq!(
            sign_form(TOKEN, with_port, &KEYS),
            "kvajT1Ptam85bY51eRf/AJRuM3w="
        );
        let with_user = "https://user:pass@mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(
            sign_form(TOKEN, with_user, &KEYS),
            "CukzLTc1tT5dXEDIHm/tKBanW10="
        );
    }

    #[test]
    fn a_longer_name_sorts_after_its_prefix() {
        let mut keys = KEYS.to_vec();
        keys.push(("ReasonConferenceEnded", "test"));
        keys.push(("Reason", "Participant"));
        assert_eq!(sign_form(TOKEN, URL, &keys), "vOEb5UThFn24KEfnOFLQY2AE5FY=");
    }

    #[test]
    fn equal_values_of_one_name_count_once() {
        let keys = [
            ("Sid", "CA123"),
            ("SidAccount", "AC123"),
            ("Digits", "5678"),
            ("Digits", "1234"),
            ("Digits", "1234"),
        ];
        assert_eq!(sign_form(TOKEN, URL, &keys), "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
    }

    #[test]
    fn a_handshake_is_signed_over_its_wss_url_with_the_query() {
        assert_eq!(
            sign_url(TOKEN, "wss://example.com/ws"),
            "HXrgvHt0qTHu33oSxSjpOvWtO60="
        );
        assert_eq!(
            sign_url(TOKEN, "wss://example.com/ws?call=abc"),
            "RdgfrkfPaRviJKMPhicKzq9c0mE="
        );
    }

    #[test]
    fn a_json_body_is_signed_by_its_digest_in_the_url() {
        let body = br#"{"property": "value", "boolean": true}"#;
        let (url, signature) = sign_json(TOKEN, URL, body);
        assert!(url.ends_with(
            "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
        ));
        assert_eq!(signature, "a9nBmqA0ju/hNViExpshrM61xv4=");
        let (_, bare) = sign_json(TOKEN, "https://mycompany.com/myapp.php", body);
        assert_eq!(bare, "y77kIzt2vzLz71DgmJGsen2scGs=");
    }
}
