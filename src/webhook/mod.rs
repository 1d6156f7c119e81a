//! Twilio's doors: the voice webhook, the relay's socket, the action and status callbacks. HTTP
//! and nothing else: what a call means is the call room's business.

mod answer;
mod dialled;
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
/// The action of `<Dial>`.
pub const DIALLED_PATH: &str = "/twilio/dialled";
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
    ) -> Arc<Self> {
        Arc::new(Self {
            switchboard,
            guard,
            keys,
            reference_s_max,
            repeats: Repeats::default(),
        })
    }

    /// All routes, the compatibility aliases included: at the root, and under the path of the public
    /// address for a proxy that leaves it on.
    pub fn routes(self: &Arc<Self>) -> Router {
        let mount = self.guard.mount().trim_matches('/');
        let mut root = Router::new().append(&mut self.listeners());
        if !mount.is_empty() {
            root = root.push(Router::with_path(mount).append(&mut self.listeners()));
        }
        root.push(elsewhere(
            "nothing here; the voice webhook is POST /twilio/voice\n",
        ))
    }

    fn listeners(self: &Arc<Self>) -> Vec<Router> {
        let voice = || voice::Handler(Arc::clone(self));
        let relay = || relay::Handler(Arc::clone(self));
        let action = ended::Handler(Arc::clone(self));
        let dialled = dialled::Handler(Arc::clone(self));
        let status = status::Handler(Arc::clone(self));
        vec![
            Router::with_path("twilio/voice").get(voice()).post(voice()),
            Router::with_path("twiml").get(voice()).post(voice()),
            Router::with_path("twilio/relay").get(relay()),
            Router::with_path("ws").get(relay()),
            Router::with_path("twilio/action")
                .get(action.clone())
                .post(action),
            Router::with_path("twilio/dialled")
                .get(dialled.clone())
                .post(dialled),
            Router::with_path("twilio/status")
                .get(status.clone())
                .post(status),
        ]
    }
}
