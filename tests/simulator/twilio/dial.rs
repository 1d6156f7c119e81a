//! What one simulated call is like before it is answered.

use super::load_balancer::Routing;

/// How a request or handshake is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// By the configured token (not at all without one).
    #[default]
    Right,
    /// By another token: a forgery.
    Forged,
    /// No signature header.
    Missing,
    /// Over this URL instead of the requested one.
    Over(String),
}

/// A call to place. [`Dial::new`] gives an ordinary inbound PSTN call; change what the test is about.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The caller as the webhook spells it: E.164, a stand-in number, `sip:…`, `client:…`, a word, or empty.
    pub from: String,
    /// The called number.
    pub to: String,
    /// `CA` and 32 hex digits; `None` draws one.
    pub call_sid: Option<String>,
    /// SHAKEN verdict; `None` leaves the key out.
    pub stir_verstat: Option<String>,
    /// CNAM name; `None` leaves the key out.
    pub caller_name: Option<String>,
    /// Keys that are added to, or replace those of, the voice webhook.
    pub form_overrides: Vec<(String, String)>,
    /// Asks for TwiML by GET, with the form in the query.
    pub by_get: bool,
    /// Overrides the `customParameters` that the TwiML asked for: a stolen or missing call token.
    pub custom_parameters: Option<Vec<(String, String)>>,
    /// Which of several instances its requests go to.
    pub via: Routing,
    /// Signature of webhooks (voice, action, status).
    pub sign_webhooks: Signing,
    /// Signature of the WebSocket handshake.
    pub sign_handshake: Signing,
}

impl Dial {
    /// An ordinary call from one number to another.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            call_sid: None,
            stir_verstat: Some("TN-Validation-Passed-A".into()),
            caller_name: None,
            form_overrides: Vec::new(),
            by_get: false,
            custom_parameters: None,
            via: Routing::default(),
            sign_webhooks: Signing::Right,
            sign_handshake: Signing::Right,
        }
    }
}
