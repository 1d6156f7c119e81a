//! TwiML responses. A document that cannot be rendered is replaced by one that speaks the failure
//! message, or by an empty one.

use super::{ACTION_PATH, RELAY_PATH, WebhookRoutes};
use crate::call::clock;
use crate::call::manager::{
    IncomingCall, ReconnectCause, RelayConnect, ResumeToken, SpokenRejection,
};
use crate::call::peers::LogPosition;
use crate::twilio::call_token::{CALL_TOKEN_PARAMETER, CallToken};
use crate::twilio::identity::{CallerIdentity, NumberChannel, RawAddress};
use crate::twilio::signature::EndpointKind;
use crate::twilio::twiml::{Connect, RelayConfig, Say, TWIML_CONTENT_TYPE, TwimlResponse as Twiml};
use compact_str::CompactString;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::{Request, Response};
use std::borrow::Cow;

/// Seconds of silence before the greeting of a WhatsApp call, whose first second of audio is lost
/// (docs/protocol.md 2.5).
const WHATSAPP_PAUSE_S: u32 = 1;
/// `<Parameter>` with the greeting, so that any instance knows it.
pub(super) const GREETING_PARAMETER: &str = "greeting";
/// `<Parameter>` that is present if the greeting asks for the caller's name.
pub(super) const ASKS_NAME_PARAMETER: &str = "asksName";
/// `<Parameter>` with the resume token, present if the session continues a call. The token is the epoch
/// in which the call was owned, or [`UNKNOWN_EPOCH`]; then [`COUNTED_SUFFIX`] if the reconnect was
/// counted; then the letter of the [`ReconnectCause`] unless the connection was lost.
pub(super) const RESUME_TOKEN_PARAMETER: &str = "resumed";

/// Follows the epoch if the reconnect was counted.
const COUNTED_SUFFIX: char = '+';
/// Stands for an unknown epoch. It must not end in a letter of [`CAUSE_LETTERS`].
const UNKNOWN_EPOCH: &str = "?";

/// The causes that have a letter in a resume token.
const CAUSE_LETTERS: [(char, ReconnectCause); 2] = [
    ('u', ReconnectCause::HandoffUnanswered),
    ('e', ReconnectCause::EndedByUs),
];

/// Parses a resume token. An epoch that is no number counts as unknown.
pub(super) fn parse_resume_token(text: &str) -> ResumeToken {
    let (text, cause) = CAUSE_LETTERS
        .iter()
        .find_map(|(letter, cause)| Some((text.strip_suffix(*letter)?, *cause)))
        .unwrap_or((text, ReconnectCause::ConnectionLost));
    let epoch = text.strip_suffix(COUNTED_SUFFIX);
    ResumeToken {
        owner_epoch: epoch.unwrap_or(text).parse().ok(),
        reconnect_counted: epoch.is_some(),
        cause,
    }
}

/// Formats a resume token for [`parse_resume_token`].
fn format_resume_token(token: ResumeToken) -> String {
    let owner = token
        .owner_epoch
        .map_or_else(|| UNKNOWN_EPOCH.to_owned(), |epoch| epoch.to_string());
    let counted = token.reconnect_counted.then_some(COUNTED_SUFFIX);
    let letter = CAUSE_LETTERS
        .iter()
        .find(|(_, cause)| *cause == token.cause);
    let letter = letter.map(|(letter, _)| *letter);
    owner.chars().chain(counted).chain(letter).collect()
}

/// Sends a TwiML document.
pub(super) fn write_twiml(res: &mut Response, document: &str) {
    res.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(TWIML_CONTENT_TYPE));
    // Only a body that was set before could make this fail.
    let _ = res.write_body(document.to_owned());
}

/// A document that says `farewell` and hangs up.
pub(super) fn say_and_hang_up_twiml(farewell: &SpokenRejection) -> String {
    let mut say = Say::new(&*farewell.text);
    // Twilio's own voices go by language and region; without a region the default voice speaks.
    if farewell.language.contains('-') {
        say = say.language(&*farewell.language);
    }
    let document = Twiml::new().then(say).hangup();
    document.render().unwrap_or_else(|_| EMPTY_TWIML.to_owned())
}

/// A document that hangs up.
pub(super) fn hang_up_twiml() -> String {
    let document = Twiml::new().hangup();
    document.render().unwrap_or_else(|_| EMPTY_TWIML.to_owned())
}

/// A document without verbs.
pub(super) const EMPTY_TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// The called number as the configuration of lines has it: in E.164 form without `whatsapp:` or `tel:`
/// where it is a number, else the trimmed address.
pub(super) fn called_number(to: &RawAddress) -> CompactString {
    match to.identity().number() {
        Some(number) => number.as_str().into(),
        None => to.as_str().trim().into(),
    }
}

/// The settings of the relay for this call: in its language, and with the fallback provider after a
/// provider failed.
fn relay_settings<'a>(connection: &RelayConnect<'a>) -> Cow<'a, RelayConfig> {
    let line = connection.line;
    let relay = match &line.fallback {
        Some(fallback) if connection.provider_failed => fallback,
        _ => &line.relay,
    };
    if connection.language == line.language {
        Cow::Borrowed(relay)
    } else {
        Cow::Owned(relay.in_language(connection.language))
    }
}

impl WebhookRoutes {
    /// The document that connects a call to the relay.
    pub(super) fn connect_twiml(
        &self,
        req: &Request,
        incoming_call: &IncomingCall,
        connection: &RelayConnect<'_>,
    ) -> String {
        let resumed = connection.resume_token.is_some();
        let call_token = self.new_call_token(&incoming_call.call_sid, connection.log_position);
        let failed =
            || say_and_hang_up_twiml(&self.call_manager.failure_message(connection.called_number));
        let url = |endpoint, target| self.guard.url(req, endpoint, target);
        let action = format!("{ACTION_PATH}?{CALL_TOKEN_PARAMETER}={call_token}");
        let (Some(relay), Some(action)) = (
            url(EndpointKind::Relay, RELAY_PATH),
            url(EndpointKind::Webhook, &action),
        ) else {
            tracing::error!("no public URL: set PUBLIC_URL, or send a Host header");
            return failed();
        };
        let mut connect = Connect::new(&relay_settings(connection), relay)
            .action(action)
            .greeting(&*connection.greeting.text)
            .parameter(CALL_TOKEN_PARAMETER, call_token)
            .parameter(GREETING_PARAMETER, &*connection.greeting.text);
        if connection.greeting.asks_name {
            connect = connect.parameter(ASKS_NAME_PARAMETER, "1");
        }
        if let Some(token) = connection.resume_token {
            connect = connect.parameter(RESUME_TOKEN_PARAMETER, format_resume_token(token));
        }
        let whatsapp = matches!(
            incoming_call.caller,
            CallerIdentity::Number(_, NumberChannel::WhatsApp)
        );
        let document = match whatsapp && !resumed {
            true => Twiml::new().pause(WHATSAPP_PAUSE_S),
            false => Twiml::new(),
        };
        document.then(connect).render().unwrap_or_else(|_| failed())
    }

    pub(super) fn new_call_token(&self, call_sid: &str, log_position: LogPosition) -> String {
        let call_token = CallToken {
            call_sid: call_sid.to_owned(),
            position: log_position.position,
            epoch: log_position.log_id,
            expires_at: clock::unix_seconds() + self.call_token_s_max,
        };
        self.keys
            .first()
            .map(|key| call_token.sign(key))
            .unwrap_or_default()
    }

    /// The log position in a call token of this call. Tokens that have expired count too; `None` without
    /// a token, or if none of our keys signed it.
    pub(super) fn log_position_in_token(
        &self,
        call_sid: &str,
        text: Option<&str>,
    ) -> Option<LogPosition> {
        let call_token = CallToken::verify_for_call(call_sid, text?, &self.keys, 0).ok()?;
        Some(log_position_of(&call_token))
    }
}

/// The log position of the instance that signed the call token.
pub(super) fn log_position_of(call_token: &CallToken) -> LogPosition {
    LogPosition {
        position: call_token.position,
        log_id: call_token.epoch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_token_round_trips() {
        for owner in [None, Some(7), Some(65_541)] {
            for counted in [true, false] {
                for cause in [
                    ReconnectCause::ConnectionLost,
                    ReconnectCause::HandoffUnanswered,
                    ReconnectCause::EndedByUs,
                ] {
                    // Without a known owner no reconnect can have been counted.
                    let token = ResumeToken {
                        owner_epoch: owner,
                        reconnect_counted: counted && owner.is_some(),
                        cause,
                    };
                    assert_eq!(parse_resume_token(&format_resume_token(token)), token);
                }
            }
        }
        assert_eq!(
            parse_resume_token("unknown").owner_epoch,
            None,
            "as earlier versions wrote it"
        );
    }
}
