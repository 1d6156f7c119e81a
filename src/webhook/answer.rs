//! TwiML as an answer: always valid, always in time, the worst case spoken.

use super::{ACTION_PATH, Doors, RELAY_PATH};
use crate::call::clock;
use crate::call::switchboard::{Arrival, Connection, Farewell};
use crate::twilio::identity::{Channel, Identity};
use crate::twilio::reference::{REFERENCE_PARAMETER, Reference};
use crate::twilio::signature::Door;
use crate::twilio::twiml::{Connect, Response as Twiml, Say};
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::{Request, Response};

/// A WhatsApp call's first second of audio is lost (protocol 2.5).
const WHATSAPP_PAUSE_S: u32 = 1;
/// `<Parameter>`: the first words, so that any instance knows them.
pub(super) const GREETING_PARAMETER: &str = "greeting";
/// `<Parameter>`: the first words ask for the caller's name.
pub(super) const ASKS_NAME_PARAMETER: &str = "asksName";
/// `<Parameter>`: the session takes up a call whose socket was lost.
pub(super) const RESUMED_PARAMETER: &str = "resumed";

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

impl Doors {
    /// The document that connects a call to the relay.
    pub(super) fn connect(
        &self,
        req: &Request,
        arrival: &Arrival,
        connection: &Connection<'_>,
        resumed: bool,
    ) -> String {
        let failed = || goodbye(&self.switchboard.failed(connection.called));
        let url = |door, target| self.guard.url(req, door, target);
        let (Some(relay), Some(action)) = (
            url(Door::Relay, RELAY_PATH),
            url(Door::Webhook, ACTION_PATH),
        ) else {
            tracing::error!("no public URL: set PUBLIC_URL, or send a Host header");
            return failed();
        };
        let mut connect = Connect::new(&connection.line.relay, relay)
            .action(action)
            .greeting(&*connection.greeting.text)
            .parameter(
                REFERENCE_PARAMETER,
                self.reference(&arrival.call_sid, connection.position),
            )
            .parameter(GREETING_PARAMETER, &*connection.greeting.text);
        if connection.language != connection.line.language {
            connect = connect.set("language", connection.language);
        }
        if connection.greeting.asks_name {
            connect = connect.parameter(ASKS_NAME_PARAMETER, "1");
        }
        if resumed {
            connect = connect.parameter(RESUMED_PARAMETER, "1");
        }
        let whatsapp = matches!(arrival.identity, Identity::Number(_, Channel::WhatsApp));
        let document = match whatsapp && !resumed {
            true => Twiml::new().pause(WHATSAPP_PAUSE_S),
            false => Twiml::new(),
        };
        document.then(connect).render().unwrap_or_else(|_| failed())
    }

    fn reference(&self, call_sid: &str, position: u64) -> String {
        let reference = Reference {
            call_sid: call_sid.to_owned(),
            position,
            epoch: 0,
            expires_at: clock::unix_seconds() + self.reference_s_max,
        };
        self.keys
            .first()
            .map(|key| reference.seal(key))
            .unwrap_or_default()
    }
}
