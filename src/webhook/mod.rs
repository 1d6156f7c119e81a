//! The routes that Twilio requests: the voice webhook, the relay's socket, the action and status callbacks. HTTP
//! only: what a request means for a call is decided in `call`.

mod action;
mod dial_action;
mod guard;
mod idempotency;
mod not_found;
mod relay_socket;
mod request;
mod status;
mod twiml_response;
mod voice;

pub use guard::RequestGuard;
pub use not_found::not_found_route;

use crate::call::manager::CallManager;
use crate::twilio::call_token::CallTokenKey;
use idempotency::IdempotencyCache;
use salvo::Router;
use std::sync::Arc;

/// Paths of the routes; the TwiML names them too.
pub const VOICE_PATH: &str = "/twilio/voice";
/// The relay's socket.
pub const RELAY_PATH: &str = "/twilio/relay";
/// The action of `<Connect>`.
pub const ACTION_PATH: &str = "/twilio/action";
/// The action of `<Dial>`.
pub const DIAL_ACTION_PATH: &str = "/twilio/dialled";
/// The number's status callback.
pub const STATUS_PATH: &str = "/twilio/status";

/// What the routes share.
pub struct WebhookRoutes {
    /// The calls.
    pub call_manager: Arc<CallManager>,
    /// Verifies requests.
    pub guard: RequestGuard,
    /// Keys of call tokens: the one that seals first, then older ones.
    pub keys: Vec<CallTokenKey>,
    /// How long a reference opens a socket, in seconds.
    pub call_token_s_max: u64,
    /// Answers given, for requests that come twice.
    idempotency: IdempotencyCache,
}

impl WebhookRoutes {
    /// The routes of one instance.
    pub fn new(
        switchboard: Arc<CallManager>,
        guard: RequestGuard,
        keys: Vec<CallTokenKey>,
        call_token_s_max: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            call_manager: switchboard,
            guard,
            keys,
            call_token_s_max,
            idempotency: IdempotencyCache::default(),
        })
    }

    /// All routes, the compatibility aliases included: at the root, and under the path of the public
    /// address for a proxy that leaves it on.
    pub fn routes(self: &Arc<Self>) -> Router {
        let mount = self.guard.path_prefix().trim_matches('/');
        let mut root = Router::new().append(&mut self.twilio_routes());
        if !mount.is_empty() {
            root = root.push(Router::with_path(mount).append(&mut self.twilio_routes()));
        }
        root.push(not_found_route(
            "nothing here; the voice webhook is POST /twilio/voice\n",
        ))
    }

    fn twilio_routes(self: &Arc<Self>) -> Vec<Router> {
        let voice = || voice::VoiceHandler(Arc::clone(self));
        let relay = || relay_socket::RelayHandler(Arc::clone(self));
        let action = action::ActionHandler(Arc::clone(self));
        let dialled = dial_action::DialActionHandler(Arc::clone(self));
        let status = status::StatusHandler(Arc::clone(self));
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
