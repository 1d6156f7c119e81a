//! TwiML as an answer: always valid, always in time, the worst case spoken.

use super::{ACTION_PATH, Doors, RELAY_PATH};
use crate::call::clock;
use crate::call::others::Mark;
use crate::call::switchboard::{Arrival, Connection, Farewell, Hold};
use crate::twilio::identity::{Channel, Identity, Party};
use crate::twilio::reference::{REFERENCE_PARAMETER, Reference};
use crate::twilio::signature::Door;
use crate::twilio::twiml::{Connect, Response as Twiml, Say, Word};
use compact_str::CompactString;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::{Request, Response};

/// Attributes of the relay that belong to one language (protocol 3.1, 3.3).
const LANGUAGE_BOUND: [&str; 6] = [
    "ttsProvider",
    "voice",
    "transcriptionProvider",
    "speechModel",
    "ttsLanguage",
    "transcriptionLanguage",
];
/// A WhatsApp call's first second of audio is lost (protocol 2.5).
const WHATSAPP_PAUSE_S: u32 = 1;
/// `<Parameter>`: the first words, so that any instance knows them.
pub(super) const GREETING_PARAMETER: &str = "greeting";
/// `<Parameter>`: the first words ask for the caller's name.
pub(super) const ASKS_NAME_PARAMETER: &str = "asksName";
/// `<Parameter>`: the session takes up a call whose socket was lost. The epoch that the call was owned
/// in as far as whoever wrote it knew, then [`COUNTED`] if its return was counted; or a word.
pub(super) const RESUMED_PARAMETER: &str = "resumed";

/// Marks a return that was counted.
const COUNTED: char = '+';

/// What [`RESUMED_PARAMETER`] says.
pub(super) fn hold(text: &str) -> Hold {
    let epoch = text.strip_suffix(COUNTED);
    Hold {
        owner: epoch.unwrap_or(text).parse().ok(),
        counted: epoch.is_some(),
    }
}

/// The same, to be read by [`hold`].
fn held(hold: Hold) -> String {
    match (hold.owner, hold.counted) {
        (Some(epoch), true) => format!("{epoch}{COUNTED}"),
        (Some(epoch), false) => epoch.to_string(),
        (None, _) => "unknown".to_owned(),
    }
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

/// Nothing more to do.
pub(super) const EMPTY: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// The number called, as lines are named: `whatsapp:` and the like taken off.
pub(super) fn called(to: &Party) -> CompactString {
    match to.identity().number() {
        Some(number) => number.as_str().into(),
        None => to.as_str().trim().into(),
    }
}

/// The caller's own language instead of the line's: with the voice and the recogniser that the line
/// has for it. The line's own do not fit (error 64101), so what is not named is left to Twilio.
fn in_language(connect: Connect, connection: &Connection<'_>) -> Connect {
    let languages = &connection.line.relay.languages;
    let is_it = |code: &Word| code.as_text().eq_ignore_ascii_case(connection.language);
    let own = languages
        .iter()
        .find(|language| language.code.as_ref().is_some_and(is_it));
    let mut connect = connect.set("language", connection.language);
    for name in LANGUAGE_BOUND {
        let value = own.and_then(|language| {
            language
                .values()
                .find(|(attribute, _)| attribute.name == name)
                .and_then(|(_, value)| value)
        });
        // A blank value leaves the attribute out.
        connect = connect.set(name, value.cloned().unwrap_or_else(|| "".into()));
    }
    connect
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
        let mut connect = Connect::new(&connection.line.relay, relay)
            .action(action)
            .greeting(&*connection.greeting.text)
            .parameter(REFERENCE_PARAMETER, reference)
            .parameter(GREETING_PARAMETER, &*connection.greeting.text);
        if connection.language != connection.line.language {
            connect = in_language(connect, connection);
        }
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

    fn reference(&self, call_sid: &str, mark: Mark) -> String {
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
