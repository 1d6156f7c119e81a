//! The HTTP routes that Twilio requests: the voice webhook, the WebSocket of ConversationRelay, and the
//! action and status callbacks. `call` decides what a request means for a call.

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

/// Path of the voice webhook. The TwiML contains these paths too.
pub const VOICE_PATH: &str = "/twilio/voice";
/// Path of the WebSocket of ConversationRelay.
pub const RELAY_PATH: &str = "/twilio/relay";
/// Path of the action of `<Connect>`.
pub const ACTION_PATH: &str = "/twilio/action";
/// Path of the action of `<Dial>` and `<Enqueue>`.
pub const DIAL_ACTION_PATH: &str = "/twilio/dialled";
/// Path of the status callback of a number.
pub const STATUS_PATH: &str = "/twilio/status";

/// What the routes share.
pub struct WebhookRoutes {
    /// The calls.
    pub call_manager: Arc<CallManager>,
    /// Verifies requests.
    pub guard: RequestGuard,
    /// Keys of call tokens: the one that signs first, then older ones.
    pub keys: Vec<CallTokenKey>,
    /// How long a call token is valid, in seconds.
    pub call_token_s_max: u64,
    /// Responses sent, for requests that Twilio repeats.
    idempotency: IdempotencyCache,
}

impl WebhookRoutes {
    /// The routes of one instance.
    pub fn new(
        call_manager: Arc<CallManager>,
        guard: RequestGuard,
        keys: Vec<CallTokenKey>,
        call_token_s_max: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            call_manager,
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
