//! TwiML as an answer: always valid, always in time, the worst case spoken.

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

/// A WhatsApp call's first second of audio is lost (docs/protocol.md 2.5).
const WHATSAPP_PAUSE_S: u32 = 1;
/// `<Parameter>`: the first words, so that any instance knows them.
pub(super) const GREETING_PARAMETER: &str = "greeting";
/// `<Parameter>`: the first words ask for the caller's name.
pub(super) const ASKS_NAME_PARAMETER: &str = "asksName";
/// `<Parameter>`: the session takes up a call that was up before. The epoch that the call was owned in as
/// far as whoever wrote it knew, or a word; then [`COUNTED_SUFFIX`] if its return was counted, and the letter of
/// its [`ReconnectCause`] if that is no lost socket.
pub(super) const RESUME_TOKEN_PARAMETER: &str = "resumed";

/// Marks a return that was counted.
const COUNTED_SUFFIX: char = '+';
/// Stands for an epoch that is not known; ends in no letter of a cause.
const UNKNOWN_EPOCH: &str = "?";

/// The causes that have a letter.
const CAUSE_LETTERS: [(char, ReconnectCause); 2] = [
    ('u', ReconnectCause::HandoffUnanswered),
    ('e', ReconnectCause::EndedByUs),
];

/// What [`RESUME_TOKEN_PARAMETER`] says.
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

/// The same, to be read by [`parse_resume_token`].
fn format_resume_token(hold: ResumeToken) -> String {
    let owner = hold
        .owner_epoch
        .map_or_else(|| UNKNOWN_EPOCH.to_owned(), |epoch| epoch.to_string());
    let counted = hold.reconnect_counted.then_some(COUNTED_SUFFIX);
    let letter = CAUSE_LETTERS.iter().find(|(_, cause)| *cause == hold.cause);
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

/// Says a sentence and hangs up.
pub(super) fn say_and_hang_up_twiml(farewell: &SpokenRejection) -> String {
    let mut say = Say::new(&*farewell.text);
    // Twilio's own voices go by language and region; without a region the default voice speaks.
    if farewell.language.contains('-') {
        say = say.language(&*farewell.language);
    }
    let document = Twiml::new().then(say).hangup();
    document.render().unwrap_or_else(|_| EMPTY_TWIML.to_owned())
}

/// Hangs up.
pub(super) fn hang_up_twiml() -> String {
    let document = Twiml::new().hangup();
    document.render().unwrap_or_else(|_| EMPTY_TWIML.to_owned())
}

/// Nothing more to do.
pub(super) const EMPTY_TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// The number called, as lines are named: `whatsapp:` and the like taken off.
pub(super) fn called_number(to: &RawAddress) -> CompactString {
    match to.identity().number() {
        Some(number) => number.as_str().into(),
        None => to.as_str().trim().into(),
    }
}

/// The TwiML's settings for this call: of its language, and of another provider where one has failed.
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
        arrival: &IncomingCall,
        connection: &RelayConnect<'_>,
    ) -> String {
        let resumed = connection.resume_token.is_some();
        let reference = self.new_call_token(&arrival.call_sid, connection.log_position);
        let failed =
            || say_and_hang_up_twiml(&self.call_manager.failure_message(connection.called_number));
        let url = |endpoint, target| self.guard.url(req, endpoint, target);
        let action = format!("{ACTION_PATH}?{CALL_TOKEN_PARAMETER}={reference}");
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
            .parameter(CALL_TOKEN_PARAMETER, reference)
            .parameter(GREETING_PARAMETER, &*connection.greeting.text);
        if connection.greeting.asks_name {
            connect = connect.parameter(ASKS_NAME_PARAMETER, "1");
        }
        if let Some(hold) = connection.resume_token {
            connect = connect.parameter(RESUME_TOKEN_PARAMETER, format_resume_token(hold));
        }
        let whatsapp = matches!(
            arrival.caller,
            CallerIdentity::Number(_, NumberChannel::WhatsApp)
        );
        let document = match whatsapp && !resumed {
            true => Twiml::new().pause(WHATSAPP_PAUSE_S),
            false => Twiml::new(),
        };
        document.then(connect).render().unwrap_or_else(|_| failed())
    }

    pub(super) fn new_call_token(&self, call_sid: &str, mark: LogPosition) -> String {
        let reference = CallToken {
            call_sid: call_sid.to_owned(),
            position: mark.position,
            epoch: mark.log_id,
            expires_at: clock::unix_seconds() + self.call_token_s_max,
        };
        self.keys
            .first()
            .map(|key| reference.sign(key))
            .unwrap_or_default()
    }

    /// What a reference of the call says about how far others had come, however old it is; `None`
    /// without one that we sealed.
    pub(super) fn log_position_in_token(
        &self,
        call_sid: &str,
        text: Option<&str>,
    ) -> Option<LogPosition> {
        let reference = CallToken::verify_for_call(call_sid, text?, &self.keys, 0).ok()?;
        Some(log_position_of(&reference))
    }
}

/// How far whoever sealed the reference had come.
pub(super) fn log_position_of(reference: &CallToken) -> LogPosition {
    LogPosition {
        position: reference.position,
        log_id: reference.epoch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_return_is_read_again() {
        for owner in [None, Some(7), Some(65_541)] {
            for counted in [true, false] {
                for cause in [
                    ReconnectCause::ConnectionLost,
                    ReconnectCause::HandoffUnanswered,
                    ReconnectCause::EndedByUs,
                ] {
                    // Where the owner is not known nothing can have been counted.
                    let told = ResumeToken {
                        owner_epoch: owner,
                        reconnect_counted: counted && owner.is_some(),
                        cause,
                    };
                    assert_eq!(parse_resume_token(&format_resume_token(told)), told);
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
