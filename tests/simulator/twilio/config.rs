//! How the simulated Twilio is set up.

use super::playback::Pace;
use std::{fmt, time::Duration};

/// Frames and requests that one call records at most; later ones are counted as lost and not kept.
pub const LOG_ENTRIES_MAX: usize = 100_000;

/// Where the server under test is and how Twilio behaves towards it.
#[derive(Clone, Debug)]
pub struct TwilioConfig {
    /// Where the server listens, such as `http://127.0.0.1:8080`. No path.
    pub base_url: String,
    /// Where further instances of the same server listen. A small load balancer stands before them all: each request
    /// and each socket goes to the next one in turn (see [`super::Routing`]), and to another where nobody answers.
    pub instances: Vec<String>,
    /// What the server believes its public address to be (its `PUBLIC_URL`); signatures cover it and requests for it
    /// are sent to `base_url`. `None`: the same as `base_url`.
    pub public_url: Option<String>,
    /// The account's primary auth token, the key of every signature; `None` sends nothing signed.
    pub auth_token: Option<AuthToken>,
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// How fast Twilio's time runs: 1.0 is realistic, 20.0 speaks and waits twenty times as fast. Above zero.
    /// Latencies in [`super::Reply`] and log times are always real.
    pub speed: f64,
    /// Path (and query) of the voice webhook.
    pub voice_path: String,
    /// Path of the number's status callback; `None` sends none.
    pub status_path: Option<String>,
    /// Other public addresses and the servers behind them, for several instances.
    pub routes: Vec<Route>,
    /// How fast the agent's voice speaks and how long synthesis takes.
    pub pace: Pace,
    /// How long frames are on their way.
    pub network: Network,
    /// Whether replies are played (clauses, `tokensPlayed`, `agentSpeaking`, interrupts). Off: text is only counted.
    pub playback: bool,
    /// How long the action request after a lost connection is tried again while connections are refused, in real
    /// time. Zero, as Twilio does it: the first failure ends the call (11200). Above zero it stands for a fallback URL,
    /// so that a server may be started anew in mid-call.
    pub action_patience: Duration,
    /// What happens after a drop where the TwiML says `applicationReconnect="true"`.
    pub redial: Redial,
    /// Log entries that a call keeps, at most `LOG_ENTRIES_MAX`; 0 records nothing.
    pub log_entries_max: usize,
}

impl Default for TwilioConfig {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".into(),
            instances: Vec::new(),
            public_url: None,
            auth_token: None,
            account_sid: "AC5f0c8a1de2b94e37a6d1c0b2f3948576".into(),
            speed: 1.0,
            voice_path: "/twilio/voice".into(),
            status_path: Some("/twilio/status".into()),
            routes: Vec::new(),
            pace: Pace::default(),
            network: Network::default(),
            playback: true,
            action_patience: Duration::ZERO,
            redial: Redial::default(),
            log_entries_max: LOG_ENTRIES_MAX,
        }
    }
}

/// The way between Twilio and the server, in Twilio's time. Frames keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// From the server to Twilio: 86-87 ms recorded.
    pub uplink: Duration,
    /// From Twilio to the server: 2-3 ms recorded.
    pub downlink: Duration,
    /// Of a hundred frames, so many are held up.
    pub stalls_percent: u8,
    /// For how long; what is behind them waits too.
    pub stall: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            uplink: Duration::from_millis(87),
            downlink: Duration::from_millis(2),
            stalls_percent: 0,
            stall: Duration::from_millis(400),
        }
    }
}

impl Network {
    /// No way at all: for measurements of the server alone.
    pub const NONE: Self = Self {
        uplink: Duration::ZERO,
        downlink: Duration::ZERO,
        stalls_percent: 0,
        stall: Duration::ZERO,
    };
}

/// One public address and the server that answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Host and port as URLs spell it, such as `b.example.net` or `127.0.0.1:9001`.
    pub authority: String,
    /// Where to connect instead, such as `http://127.0.0.1:9001`.
    pub base_url: String,
}

/// How a dropped session comes back under `applicationReconnect` (docs/protocol.md 6.4). Only the re-dial itself is
/// documented; both forms are assumptions that a server must survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redial {
    /// `setup` again with the same session id, and the last prompt once more.
    #[default]
    SameSession,
    /// `setup` with a new session id, nothing repeated.
    NewSession,
}

/// An auth token that does not show itself in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthToken(String);

impl AuthToken {
    /// The token's text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(•••)")
    }
}

impl<T: Into<String>> From<T> for AuthToken {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}
