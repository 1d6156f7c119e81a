//! Webhook forms and the `setup` frame of a call (docs/protocol.md 2.1, 2.6, 4.1, 6.1).

use super::{
    dial::Dial,
    identity::{self, CallKind},
};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Names and values in the order in which they are sent.
pub(crate) type Form = Vec<(String, String)>;

/// Stand-ins for a withheld number: their country is not known.
const PLACEHOLDERS: &[&str] = &[
    "+266696687",
    "+86282452253",
    "+7378742833",
    "+2562533",
    "+8656696",
];

/// The voice webhook's form.
pub(crate) fn voice(account_sid: &str, call_sid: &str, dial: &Dial) -> Form {
    let mut form = call_keys(account_sid, call_sid, dial, "ringing");
    if identity::kind(&dial.from) == CallKind::Pstn {
        put(&mut form, "CallToken", identity::call_token(call_sid));
    }
    if let Some(verdict) = &dial.stir_verstat {
        put(&mut form, "StirVerstat", verdict.clone());
    }
    if let Some(name) = &dial.caller_name {
        put(&mut form, "CallerName", name.clone());
    }
    for (name, value) in &dial.form_overrides {
        put(&mut form, name, value.clone());
    }
    form
}

/// The voice webhook's form for a call that was answered before: after a redirect (docs/protocol.md 2.1).
pub(crate) fn in_progress(account_sid: &str, call_sid: &str, dial: &Dial) -> Form {
    call_keys(account_sid, call_sid, dial, "in-progress")
}

/// The action request's form.
pub(crate) fn action(
    account_sid: &str,
    call_sid: &str,
    dial: &Dial,
    over: &SessionEnd<'_>,
) -> Form {
    let call_status = if over.status == "completed" {
        "completed"
    } else {
        "in-progress"
    };
    let mut form = call_keys(account_sid, call_sid, dial, call_status);
    put(&mut form, "SessionId", over.session_id.to_owned());
    put(&mut form, "SessionStatus", over.status.to_owned());
    put(
        &mut form,
        "SessionDuration",
        over.lasted.as_secs().to_string(),
    );
    if let Some(data) = over.handoff_data {
        put(&mut form, "HandoffData", data.to_owned());
    }
    if over.status == "failed" {
        put(&mut form, "ErrorCode", "64105".into());
        put(&mut form, "ErrorMessage", "Websocket ended".into());
    }
    form
}

/// The status callback's form at the end of a call.
pub(crate) fn status(
    account_sid: &str,
    call_sid: &str,
    dial: &Dial,
    lasted: Duration,
    now: SystemTime,
) -> Form {
    let mut form = call_keys(account_sid, call_sid, dial, "completed");
    put(&mut form, "CallbackSource", "call-progress-events".into());
    put(&mut form, "SequenceNumber", "0".into());
    put(&mut form, "Timestamp", rfc2822(now));
    put(&mut form, "CallDuration", lasted.as_secs().to_string());
    put(
        &mut form,
        "Duration",
        lasted.as_secs().div_ceil(60).max(1).to_string(),
    );
    form
}

/// How a session ended, for its action request.
pub(crate) struct SessionEnd<'a> {
    pub(crate) session_id: &'a str,
    /// `completed`, `ended` or `failed`.
    pub(crate) status: &'a str,
    pub(crate) lasted: Duration,
    pub(crate) handoff_data: Option<&'a str>,
}

/// The `setup` frame; `again` on any session after the call's first.
pub(crate) fn setup(
    account_sid: &str,
    call_sid: &str,
    session_id: &str,
    dial: &Dial,
    parameters: &[(String, String)],
    again: bool,
) -> String {
    let kind = identity::kind(&dial.from);
    let parameters: Map<String, Value> = parameters
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    json!({
        "type": "setup",
        "sessionId": session_id,
        "callSid": call_sid,
        "parentCallSid": "",
        "from": dial.from,
        "to": dial.to,
        "forwardedFrom": if kind == CallKind::Pstn { dial.to.as_str() } else { "" },
        "callerName": dial.caller_name.as_deref().unwrap_or_default(),
        "direction": "inbound",
        "callType": kind.wire(),
        "callStatus": if again { "IN_PROGRESS" } else { "RINGING" },
        "accountSid": account_sid,
        "customParameters": parameters,
    })
    .to_string()
}

/// Encodes a form as `application/x-www-form-urlencoded`, blanks kept.
pub(crate) fn encode(form: &[(String, String)]) -> String {
    let mut body = String::with_capacity(form.len() * 24);
    for (name, value) in form {
        if !body.is_empty() {
            body.push('&');
        }
        encode_into(&mut body, name);
        body.push('=');
        encode_into(&mut body, value);
    }
    body
}

fn encode_into(body: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                body.push(char::from(byte))
            }
            b' ' => body.push('+'),
            // Writing to a String cannot fail.
            other => drop(write!(body, "%{other:02X}")),
        }
    }
}

/// The keys that every request of a call carries.
fn call_keys(account_sid: &str, call_sid: &str, dial: &Dial, call_status: &str) -> Form {
    let mut form = Form::new();
    for (name, value) in [
        ("AccountSid", account_sid),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", call_sid),
        ("CallStatus", call_status),
        ("Direction", "inbound"),
    ] {
        put(&mut form, name, value.to_owned());
    }
    for (names, number) in [
        (["From", "Caller"], &dial.from),
        (["To", "Called"], &dial.to),
    ] {
        for name in names {
            put(&mut form, name, number.clone());
        }
    }
    match identity::kind(&dial.from) {
        CallKind::Pstn => geography(&mut form, dial),
        CallKind::Sip => {
            let host = dial.from.split('@').nth(1).unwrap_or_default();
            put(
                &mut form,
                "SipDomain",
                host.split([';', ':']).next().unwrap_or_default().to_owned(),
            );
            put(
                &mut form,
                "SipCallId",
                format!(
                    "{}@198.51.100.7",
                    &call_sid[call_sid.len().saturating_sub(8)..]
                ),
            );
            put(&mut form, "SipSourceIp", "198.51.100.7".into());
        }
        CallKind::Client => put(
            &mut form,
            "ApplicationSid",
            format!("AP{}", &account_sid[2.min(account_sid.len())..]),
        ),
    }
    form
}

fn geography(form: &mut Form, dial: &Dial) {
    for (prefixes, number) in [
        (["From", "Caller"], &dial.from),
        (["To", "Called"], &dial.to),
    ] {
        for prefix in prefixes {
            for key in ["City", "State", "Zip"] {
                put(form, &format!("{prefix}{key}"), String::new());
            }
            put(
                form,
                &format!("{prefix}Country"),
                country(number).to_owned(),
            );
        }
    }
}

fn country(number: &str) -> &'static str {
    const CODES: &[(&str, &str)] = &[
        ("+1", "US"),
        ("+44", "GB"),
        ("+49", "DE"),
        ("+33", "FR"),
        ("+34", "ES"),
        ("+81", "JP"),
        ("+61", "AU"),
    ];
    if PLACEHOLDERS.contains(&number) {
        return "";
    }
    CODES
        .iter()
        .find(|(code, _)| number.starts_with(code))
        .map_or("", |(_, name)| name)
}

/// Sets a key, replacing an earlier value.
fn put(form: &mut Form, name: &str, value: String) {
    match form.iter_mut().find(|(key, _)| key == name) {
        Some((_, old)) => *old = value,
        None => form.push((name.to_owned(), value)),
    }
}

/// `Sun, 30 Aug 2026 08:33:32 +0000`.
fn rfc2822(now: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// Year, month and day of a day since 1970 (Howard Hinnant's `civil_from_days`, for days that are not negative).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "AC00000000000000000000000000000000";
    const CALL: &str = "CA00000000000000000000000000000001";

    #[test]
    fn an_inbound_call_has_the_complete_key_set() {
        let form = voice(ACCOUNT, CALL, &Dial::new("+14155550100", "+14155550199"));
        let mut names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut expected: Vec<String> = [
            "AccountSid",
            "ApiVersion",
            "CallSid",
            "CallStatus",
            "CallToken",
            "Direction",
            "StirVerstat",
        ]
        .map(String::from)
        .to_vec();
        for who in ["Called", "Caller", "From", "To"] {
            expected.push(who.into());
            expected.extend(["City", "State", "Zip", "Country"].map(|key| format!("{who}{key}")));
        }
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn callbacks_leave_out_what_only_the_voice_webhook_has() {
        let dial = Dial::new("+14155550100", "+14155550199");
        let over = SessionEnd {
            session_id: "VX1",
            status: "failed",
            lasted: Duration::from_millis(9400),
            handoff_data: None,
        };
        let form = action(ACCOUNT, CALL, &dial, &over);
        let value = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("StirVerstat"), None);
        assert_eq!(value("CallToken"), None);
        assert_eq!(value("SessionDuration"), Some("9"));
        assert_eq!(value("CallStatus"), Some("in-progress"));
        assert_eq!(value("ErrorCode"), Some("64105"));
    }

    #[test]
    fn blanks_and_signs_survive_the_encoding() {
        let form = vec![
            ("To".to_owned(), "+1 5".to_owned()),
            ("Zip".to_owned(), String::new()),
            ("é".to_owned(), "a&b=c".to_owned()),
        ];
        assert_eq!(encode(&form), "To=%2B1+5&Zip=&%C3%A9=a%26b%3Dc");
    }

    #[test]
    fn a_time_is_written_as_twilio_writes_it() {
        let at = UNIX_EPOCH + Duration::from_secs(1_788_078_812);
        assert_eq!(rfc2822(at), "Sun, 30 Aug 2026 08:33:32 +0000");
        assert_eq!(rfc2822(UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 +0000");
    }

    #[test]
    fn a_client_call_has_no_geography() {
        let form = voice(
            ACCOUNT,
            CALL,
            &Dial {
                stir_verstat: None,
                ..Dial::new("client:tommy", "")
            },
        );
        assert!(
            form.iter()
                .all(|(name, _)| !name.ends_with("City") && name != "CallToken")
        );
        assert!(
            setup(
                ACCOUNT,
                CALL,
                "VX1",
                &Dial::new("client:tommy", ""),
                &[],
                false
            )
            .contains(r#""callType":"CLIENT""#)
        );
    }
}
