//! Webhooks: signed requests to the server and their answers.
use super::{
    call::Call,
    config::TwilioConfig,
    dial::{Dial, Signing},
    error::CallError,
    twiml::Twiml,
};

/// A webhook's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

impl Answer {
    /// The answer as TwiML; its status is not looked at.
    pub fn twiml(&self) -> Result<Twiml, CallError> {
        todo!()
    }
}

/// One webhook request, for tests that go around [`Twilio::place_call`].
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Path and query at the server.
    pub path: String,
    pub form: Vec<(String, String)>,
    pub by_get: bool,
    pub signing: Signing,
    /// `I-Twilio-Idempotency-Token`; `None` draws one.
    pub idempotency_token: Option<String>,
}

/// A simulated Twilio account; cheap to clone.
#[derive(Clone)]
pub struct Twilio {
    #[allow(dead_code)]
    config: std::sync::Arc<TwilioConfig>,
}

impl Twilio {
    /// Checks the settings and prepares a client.
    pub fn new(_config: TwilioConfig) -> Result<Self, CallError> {
        todo!()
    }
    /// An ordinary call: webhook, relay, `setup`.
    pub async fn place_call(&self, _from: &str, _to: &str) -> Result<Call, CallError> {
        todo!()
    }
    /// A call that is unusual in some way.
    pub async fn place(&self, _dial: Dial) -> Result<Call, CallError> {
        todo!()
    }
    /// One request of one's own.
    pub async fn request(&self, _webhook: Webhook) -> Result<Answer, CallError> {
        todo!()
    }
    /// The voice webhook's form for a call (protocol 2.1).
    pub fn voice_form(&self, _dial: &Dial, _call_sid: &str) -> Vec<(String, String)> {
        todo!()
    }
    /// The handshake alone: the HTTP status, 101 where the socket was opened (and then dropped).
    pub async fn handshake(&self, _relay_url: &str, _signing: &Signing) -> Result<u16, CallError> {
        todo!()
    }
}
