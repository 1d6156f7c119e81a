//! `GET /twilio/relay`: the WebSocket of one session (docs/protocol.md 4, 7.4).

use super::WebhookRoutes;
use super::twiml_response::{
    ASKS_NAME_PARAMETER, GREETING_PARAMETER, RESUME_TOKEN_PARAMETER, called_number,
    log_position_of, parse_resume_token,
};
use crate::call::clock;
use crate::call::manager::{IncomingCall, SessionSetup};
use crate::call::peers::LogPosition;
use crate::call::transport::{Transport, TransportEvent};
use crate::twilio::call_token::{CallToken, CallTokenError};
use crate::twilio::frames::{self as frames, FRAME_BYTES_MAX, InboundFrame};
use crate::twilio::identity::Attestation;
use crate::twilio::webhooks::CallStatus;
use calldex_observability::{catalog, spans};
use futures_util::{FutureExt, SinkExt, StreamExt};
use salvo::http::StatusCode;
use salvo::websocket::{Message, WebSocket, WebSocketUpgrade};
use salvo::{Depot, FlowCtrl, Request, Response, async_trait};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tracing::Instrument;

/// How long a socket may take to send `setup`, its first frame (docs/protocol.md 4.1); then it is
/// closed.
const SETUP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Frames that are read while `setup` is awaited; then the socket is closed.
const FRAMES_BEFORE_SETUP_MAX: usize = 16;
/// Size of tungstenite's read buffer in bytes. Its default of 128 KiB would be most of a call's memory.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that may wait for a slow socket; then the connection counts as lost.
const WRITE_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// How long the closing handshake may take.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);

/// The handler of the socket's route.
pub(super) struct RelayHandler(pub(super) Arc<WebhookRoutes>);

#[async_trait]
impl salvo::Handler for RelayHandler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        if !self.0.guard.accepts_handshake(req) {
            catalog::WEBSOCKET_HANDSHAKES_TOTAL
                .with("forbidden")
                .increment(1);
            res.status_code(StatusCode::FORBIDDEN);
            res.render("forbidden");
            return;
        }
        let routes = Arc::clone(&self.0);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let upgrade = WebSocketUpgrade::with_config(config);
        let upgraded = upgrade.upgrade(req, res, move |socket| async move {
            routes.run_socket(RelaySocket::new(socket)).await
        });
        match upgraded.await {
            // `run_socket` counts it as ok or failed once its first frame has come.
            Ok(()) => {}
            Err(error) => {
                catalog::WEBSOCKET_HANDSHAKES_TOTAL
                    .with("bad_request")
                    .increment(1);
                res.render(error);
            }
        }
    }
}

impl WebhookRoutes {
    /// Runs one socket from its first frame to its end. A panic ends this session only.
    async fn run_socket(self: Arc<Self>, mut socket: RelaySocket) {
        let Ok(Some(setup)) = tokio::time::timeout(SETUP_WAIT_MAX, read_setup(&mut socket)).await
        else {
            catalog::WEBSOCKET_HANDSHAKES_TOTAL
                .with("failed")
                .increment(1);
            socket.close(1008, "no setup").await;
            return;
        };
        catalog::WEBSOCKET_HANDSHAKES_TOTAL.with("ok").increment(1);
        let log_position = match self.verify_call_token(&setup).await {
            Ok(log_position) => log_position,
            Err(error) => {
                catalog::CALL_TOKEN_FAILURES_TOTAL.with(error).increment(1);
                tracing::warn!(call_sid = %setup.call_sid, reason = error, "a relay socket without a valid call token");
                socket.close(1008, "no valid call token").await;
                return;
            }
        };
        let run = self.run_session(&mut socket, &setup, log_position);
        let call = AssertUnwindSafe(run.instrument(spans::call_span(&setup.call_sid)))
            .catch_unwind()
            .await;
        if call.is_err() {
            tracing::error!(call_sid = %setup.call_sid, "a call's task panicked; its session is closed");
            // Twilio then requests the action, and the call continues from storage.
            socket.close(1011, "internal error").await;
            self.call_manager.end_after_panic(&setup.call_sid).await;
        }
    }

    async fn run_session(
        &self,
        socket: &mut RelaySocket,
        setup: &frames::SetupFrame,
        log_position: LogPosition,
    ) {
        let parameter = |name: &str| setup.parameters.get(name).map(String::as_str);
        let greeting = parameter(GREETING_PARAMETER)
            .filter(|text| !text.is_empty())
            .map(|text| (text, parameter(ASKS_NAME_PARAMETER).is_some()));
        let setup = SessionSetup {
            log_position,
            incoming_call: IncomingCall {
                call_sid: setup.call_sid.as_str().into(),
                caller: setup.parties.remote_identity(),
                called_number: called_number(setup.parties.local_address()),
                attestation: Attestation::Absent,
            },
            session_id: &setup.session_id,
            greeting,
            resume_token: parameter(RESUME_TOKEN_PARAMETER).map(parse_resume_token),
            in_progress: setup.call_status == CallStatus::InProgress,
        };
        self.call_manager.on_socket(socket, setup).await;
    }

    /// Verifies the call token of `setup` and returns its log position. An expired token is accepted for
    /// a call that is known, because a reconnect by Twilio repeats the token hours later.
    ///
    /// # Errors
    /// The label of the failure: `missing`, `forged`, or that of a [`CallTokenError`].
    async fn verify_call_token(
        &self,
        setup: &frames::SetupFrame,
    ) -> Result<LogPosition, &'static str> {
        let text = setup.call_token().ok_or("missing")?;
        let now = clock::unix_seconds();
        match CallToken::verify_for_call(&setup.call_sid, text, &self.keys, now) {
            Ok(call_token) => Ok(log_position_of(&call_token)),
            Err(CallTokenError::Expired { .. })
                if self.call_manager.is_known(&setup.call_sid).await =>
            {
                self.log_position_in_token(&setup.call_sid, Some(text))
                    .ok_or("forged")
            }
            Err(error) => Err(error.label()),
        }
    }
}

/// Reads frames up to `setup`. Other frames are counted and ignored. `None` if the socket closes, or
/// after [`FRAMES_BEFORE_SETUP_MAX`] frames.
async fn read_setup(socket: &mut RelaySocket) -> Option<Box<frames::SetupFrame>> {
    for _ in 0..FRAMES_BEFORE_SETUP_MAX {
        let text = match socket.next().await {
            TransportEvent::Text(text) => text,
            TransportEvent::NonText | TransportEvent::Ping | TransportEvent::Pong => continue,
            TransportEvent::Closed { .. } => return None,
        };
        match InboundFrame::parse(&text) {
            Ok(InboundFrame::Setup(setup)) => {
                catalog::FRAMES_RECEIVED_TOTAL.with("setup").increment(1);
                return Some(setup);
            }
            Ok(other) => catalog::FRAMES_RECEIVED_TOTAL
                .with(other.label())
                .increment(1),
            Err(_) => catalog::FRAMES_RECEIVED_TOTAL
                .with("malformed")
                .increment(1),
        }
    }
    None
}

/// The WebSocket of one call, as the session's transport.
struct RelaySocket {
    socket: WebSocket,
    /// The code of the close frame that Twilio sent. Our reply to it may still be unsent.
    close_code: Option<Option<u16>>,
}

impl RelaySocket {
    fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            close_code: None,
        }
    }

    /// Replies to Twilio's close frame with the same code (RFC 6455 5.5.1). The library has queued the
    /// reply; the stream ends once it is written. Takes at most [`CLOSE_WAIT_MAX`].
    async fn complete_close(&mut self, code: Option<u16>) -> TransportEvent {
        let answered = async { while let Some(Ok(_)) = self.socket.next().await {} };
        // On a timeout the peer is gone already.
        let _ = tokio::time::timeout(CLOSE_WAIT_MAX, answered).await;
        TransportEvent::Closed {
            clean: code == Some(1000),
        }
    }
}

impl Transport for RelaySocket {
    async fn next(&mut self) -> TransportEvent {
        // An earlier call was cancelled while it completed the close.
        if let Some(code) = self.close_code {
            return self.complete_close(code).await;
        }
        match self.socket.next().await {
            None | Some(Err(_)) => TransportEvent::Closed { clean: false },
            Some(Ok(message)) if message.is_close() => {
                let code = message.close_frame().map(|(code, _)| code);
                self.close_code = Some(code);
                self.complete_close(code).await
            }
            Some(Ok(message)) if message.is_ping() => TransportEvent::Ping,
            Some(Ok(message)) if message.is_pong() => TransportEvent::Pong,
            Some(Ok(message)) => message.as_str().map_or(TransportEvent::NonText, |text| {
                TransportEvent::Text(text.to_owned())
            }),
        }
    }

    async fn send(&mut self, frame: String) -> bool {
        SinkExt::send(&mut self.socket, Message::text(frame))
            .await
            .is_ok()
    }

    async fn ping(&mut self) -> bool {
        SinkExt::send(&mut self.socket, Message::ping(Vec::new()))
            .await
            .is_ok()
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let close = SinkExt::send(&mut self.socket, Message::close_with(code, reason));
        // On a timeout the peer is gone already.
        let _ = tokio::time::timeout(CLOSE_WAIT_MAX, close).await;
    }
}
