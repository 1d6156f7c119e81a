//! Twilio's doors: the voice webhook, the relay's socket, the action and status callbacks. HTTP
//! and nothing else: what a call means is the call room's business.

mod answer;
mod ended;
mod guard;
mod nothing;
mod relay;
mod repeats;
mod status;
mod visit;
mod voice;

pub use guard::Guard;
pub use nothing::elsewhere;

use crate::call::switchboard::Switchboard;
use crate::config::HandoffSection;
use crate::twilio::reference::ReferenceKey;
use repeats::Repeats;
use salvo::Router;
use std::sync::Arc;

/// Paths of the doors, which the TwiML names too.
pub const VOICE_PATH: &str = "/twilio/voice";
/// The relay's socket.
pub const RELAY_PATH: &str = "/twilio/relay";
/// The action of `<Connect>`.
pub const ACTION_PATH: &str = "/twilio/action";
/// The number's status callback.
pub const STATUS_PATH: &str = "/twilio/status";

/// What the doors share.
pub struct Doors {
    /// The calls.
    pub switchboard: Arc<Switchboard>,
    /// Who may come in.
    pub guard: Guard,
    /// Keys of call references: the one that seals first, then older ones.
    pub keys: Vec<ReferenceKey>,
    /// How long a reference opens a socket, in seconds.
    pub reference_s_max: u64,
    /// Where handed-over calls go.
    pub handoff: HandoffSection,
    /// Answers given, for requests that come twice.
    repeats: Repeats,
}

impl Doors {
    /// The doors of one instance.
    pub fn new(
        switchboard: Arc<Switchboard>,
        guard: Guard,
        keys: Vec<ReferenceKey>,
        reference_s_max: u64,
        handoff: HandoffSection,
    ) -> Arc<Self> {
        Arc::new(Self {
            switchboard,
            guard,
            keys,
            reference_s_max,
            handoff,
            repeats: Repeats::default(),
        })
    }

    /// All routes, the compatibility aliases included.
    pub fn routes(self: &Arc<Self>) -> Router {
        let voice = || voice::Handler(Arc::clone(self));
        let relay = || relay::Handler(Arc::clone(self));
        let action = ended::Handler(Arc::clone(self));
        let status = status::Handler(Arc::clone(self));
        Router::new()
            .push(Router::with_path("twilio/voice").get(voice()).post(voice()))
            .push(Router::with_path("twiml").get(voice()).post(voice()))
            .push(Router::with_path("twilio/relay").get(relay()))
            .push(Router::with_path("ws").get(relay()))
            .push(
                Router::with_path("twilio/action")
                    .get(action.clone())
                    .post(action),
            )
            .push(
                Router::with_path("twilio/status")
                    .get(status.clone())
                    .post(status),
            )
            .push(elsewhere(
                "nothing here; the voice webhook is POST /twilio/voice\n",
            ))
    }
}
