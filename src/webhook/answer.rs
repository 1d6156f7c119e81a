//! TwiML as an answer: always valid, always in time, the worst case spoken.

use super::{ACTION_PATH, Doors, RELAY_PATH};
use crate::call::clock;
use crate::call::others::Mark;
use crate::call::switchboard::{Arrival, Cause, Connection, Farewell, Hold};
use crate::twilio::identity::{Channel, Identity, Party};
use crate::twilio::reference::{REFERENCE_PARAMETER, Reference};
use crate::twilio::signature::Door;
use crate::twilio::twiml::{Connect, Relay, Response as Twiml, Say};
use compact_str::CompactString;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::{Request, Response};
use std::borrow::Cow;

/// A WhatsApp call's first second of audio is lost (protocol 2.5).
const WHATSAPP_PAUSE_S: u32 = 1;
/// `<Parameter>`: the first words, so that any instance knows them.
pub(super) const GREETING_PARAMETER: &str = "greeting";
/// `<Parameter>`: the first words ask for the caller's name.
pub(super) const ASKS_NAME_PARAMETER: &str = "asksName";
/// `<Parameter>`: the session takes up a call that was up before. The epoch that the call was owned in as
/// far as whoever wrote it knew, or a word; then [`COUNTED`] if its return was counted, and the letter of
/// its [`Cause`] if that is no lost socket.
pub(super) const RESUMED_PARAMETER: &str = "resumed";

/// Marks a return that was counted.
const COUNTED: char = '+';
/// Stands for an epoch that is not known; ends in no letter of a cause.
const UNKNOWN: &str = "?";

/// The causes that have a letter.
const CAUSES: [(char, Cause); 2] = [('u', Cause::Unanswered), ('e', Cause::Ended)];

/// What [`RESUMED_PARAMETER`] says.
pub(super) fn hold(text: &str) -> Hold {
    let (text, cause) = CAUSES
        .iter()
        .find_map(|(letter, cause)| Some((text.strip_suffix(*letter)?, *cause)))
        .unwrap_or((text, Cause::Lost));
    let epoch = text.strip_suffix(COUNTED);
    Hold {
        owner: epoch.unwrap_or(text).parse().ok(),
        counted: epoch.is_some(),
        cause,
    }
}

/// The same, to be read by [`hold`].
fn held(hold: Hold) -> String {
    let owner = hold
        .owner
        .map_or_else(|| UNKNOWN.to_owned(), |epoch| epoch.to_string());
    let counted = hold.counted.then_some(COUNTED);
    let letter = CAUSES.iter().find(|(_, cause)| *cause == hold.cause);
    let letter = letter.map(|(letter, _)| *letter);
    owner.chars().chain(counted).chain(letter).collect()
}

/// Sends a TwiML document.
pub(super) fn send(res: &mut Response, document: &str) {
    res.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/xml; charset=utf-8"),
    );
    // Only a body that was set before could make this fail.
    let _ = res.write_body(document.to_owned());
}

/// Says a sentence and hangs up.
pub(super) fn goodbye(farewell: &Farewell) -> String {
    let mut say = Say::new(&*farewell.text);
    // Twilio's own voices go by language and region; without a region the default voice speaks.
    if farewell.language.contains('-') {
        say = say.language(&*farewell.language);
    }
    let document = Twiml::new().then(say).hangup();
    document.render().unwrap_or_else(|_| EMPTY.to_owned())
}

/// Hangs up.
pub(super) fn hang_up() -> String {
    let document = Twiml::new().hangup();
    document.render().unwrap_or_else(|_| EMPTY.to_owned())
}

/// Nothing more to do.
pub(super) const EMPTY: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// The number called, as lines are named: `whatsapp:` and the like taken off.
pub(super) fn called(to: &Party) -> CompactString {
    match to.identity().number() {
        Some(number) => number.as_str().into(),
        None => to.as_str().trim().into(),
    }
}

/// The TwiML's settings for this call: of its language, and of another provider where one has failed.
fn relay_of<'a>(connection: &Connection<'a>) -> Cow<'a, Relay> {
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

impl Doors {
    /// The document that connects a call to the relay.
    pub(super) fn connect(
        &self,
        req: &Request,
        arrival: &Arrival,
        connection: &Connection<'_>,
    ) -> String {
        let resumed = connection.resumed.is_some();
        let reference = self.reference(&arrival.call_sid, connection.mark);
        let failed = || goodbye(&self.switchboard.failed(connection.called));
        let url = |door, target| self.guard.url(req, door, target);
        let action = format!("{ACTION_PATH}?{REFERENCE_PARAMETER}={reference}");
        let (Some(relay), Some(action)) =
            (url(Door::Relay, RELAY_PATH), url(Door::Webhook, &action))
        else {
            tracing::error!("no public URL: set PUBLIC_URL, or send a Host header");
            return failed();
        };
        let mut connect = Connect::new(&relay_of(connection), relay)
            .action(action)
            .greeting(&*connection.greeting.text)
            .parameter(REFERENCE_PARAMETER, reference)
            .parameter(GREETING_PARAMETER, &*connection.greeting.text);
        if connection.greeting.asks_name {
            connect = connect.parameter(ASKS_NAME_PARAMETER, "1");
        }
        if let Some(hold) = connection.resumed {
            connect = connect.parameter(RESUMED_PARAMETER, held(hold));
        }
        let whatsapp = matches!(arrival.identity, Identity::Number(_, Channel::WhatsApp));
        let document = match whatsapp && !resumed {
            true => Twiml::new().pause(WHATSAPP_PAUSE_S),
            false => Twiml::new(),
        };
        document.then(connect).render().unwrap_or_else(|_| failed())
    }

    pub(super) fn reference(&self, call_sid: &str, mark: Mark) -> String {
        let reference = Reference {
            call_sid: call_sid.to_owned(),
            position: mark.position,
            epoch: mark.log,
            expires_at: clock::unix_seconds() + self.reference_s_max,
        };
        self.keys
            .first()
            .map(|key| reference.seal(key))
            .unwrap_or_default()
    }

    /// What a reference of the call says about how far others had come, however old it is; `None`
    /// without one that we sealed.
    pub(super) fn mark(&self, call_sid: &str, text: Option<&str>) -> Option<Mark> {
        let reference = Reference::open_for(call_sid, text?, &self.keys, 0).ok()?;
        Some(mark_in(&reference))
    }
}

/// How far whoever sealed the reference had come.
pub(super) fn mark_in(reference: &Reference) -> Mark {
    Mark {
        position: reference.position,
        log: reference.epoch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_return_is_read_again() {
        for owner in [None, Some(7), Some(65_541)] {
            for counted in [true, false] {
                for cause in [Cause::Lost, Cause::Unanswered, Cause::Ended] {
                    // Where the owner is not known nothing can have been counted.
                    let told = Hold {
                        owner,
                        counted: counted && owner.is_some(),
                        cause,
                    };
                    assert_eq!(hold(&held(told)), told);
                }
            }
        }
        assert_eq!(hold("unknown").owner, None, "as earlier versions wrote it");
    }
}
