//! `GET /twilio/relay`: the socket of one call (protocol 4, 7.4).

use super::Doors;
use super::answer::{
    ASKS_NAME_PARAMETER, GREETING_PARAMETER, RESUMED_PARAMETER, called, hold, mark_in,
};
use crate::call::clock;
use crate::call::others::Mark;
use crate::call::switchboard::{Arrival, Setup};
use crate::call::transport::{Incoming, Wire};
use crate::twilio::identity::Attestation;
use crate::twilio::reference::{Reference, ReferenceError};
use crate::twilio::relay::{self as frames, FRAME_BYTES_MAX, Heard};
use crate::twilio::voice::CallStatus;
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

/// `setup` is the first frame and comes at once (protocol 4.1); a socket silent for longer is
/// nobody's.
const SETUP_MAX: Duration = Duration::from_secs(10);
/// Other frames before `setup`; past it the socket is closed.
const BEFORE_SETUP_MAX: usize = 16;
/// Bytes that tungstenite reads at once: its default of 128 KiB would be most of a call's memory
/// (evidence.md, WebSocket).
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that may wait for a slow socket; past it the call counts as lost.
const WRITE_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// How long a close may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The relay's socket.
pub(super) struct Handler(pub(super) Arc<Doors>);

#[async_trait]
impl salvo::Handler for Handler {
    async fn handle(
        &self,
        req: &mut Request,
        _depot: &mut Depot,
        res: &mut Response,
        _ctrl: &mut FlowCtrl,
    ) {
        if !self.0.guard.admits_handshake(req) {
            catalog::HANDSHAKES_TOTAL.with("forbidden").increment(1);
            res.status_code(StatusCode::FORBIDDEN);
            res.render("forbidden");
            return;
        }
        let doors = Arc::clone(&self.0);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let upgrade = WebSocketUpgrade::with_config(config);
        let upgraded = upgrade.upgrade(req, res, move |socket| async move {
            doors.hold(Socket::new(socket)).await
        });
        match upgraded.await {
            // Counted as ok or failed when its first frame is there.
            Ok(()) => {}
            Err(error) => {
                catalog::HANDSHAKES_TOTAL.with("bad_request").increment(1);
                res.render(error);
            }
        }
    }
}

impl Doors {
    /// One socket from its first frame to its end. A panic in a call ends that call only.
    async fn hold(self: Arc<Self>, mut socket: Socket) {
        let Ok(Some(setup)) = tokio::time::timeout(SETUP_MAX, first_frame(&mut socket)).await
        else {
            catalog::HANDSHAKES_TOTAL.with("failed").increment(1);
            socket.close(1008, "no setup").await;
            return;
        };
        catalog::HANDSHAKES_TOTAL.with("ok").increment(1);
        let mark = match self.check_reference(&setup).await {
            Ok(mark) => mark,
            Err(error) => {
                catalog::RELAY_REFERENCE_FAILURES_TOTAL
                    .with(error)
                    .increment(1);
                tracing::warn!(call = %setup.call_sid, reason = error, "a socket without the reference of its call");
                socket.close(1008, "no reference of this call").await;
                return;
            }
        };
        let run = self.run(&mut socket, &setup, mark);
        let call = AssertUnwindSafe(run.instrument(spans::call(&setup.call_sid)))
            .catch_unwind()
            .await;
        if call.is_err() {
            tracing::error!(call = %setup.call_sid, "a call's task panicked; its session is closed");
            // Twilio then asks for the action, and the call is taken up from storage.
            socket.close(1011, "internal error").await;
            self.switchboard.close_if_gone(&setup.call_sid).await;
        }
    }

    async fn run(&self, socket: &mut Socket, setup: &frames::Setup, mark: Mark) {
        let parameter = |name: &str| setup.parameters.get(name).map(String::as_str);
        let greeting = parameter(GREETING_PARAMETER)
            .filter(|text| !text.is_empty())
            .map(|text| (text, parameter(ASKS_NAME_PARAMETER).is_some()));
        let setup = Setup {
            mark,
            arrival: Arrival {
                call_sid: setup.call_sid.as_str().into(),
                identity: setup.ends.identity(),
                called: called(setup.ends.line()),
                attestation: Attestation::Unstated,
            },
            session_id: &setup.session_id,
            greeting,
            reconnected: parameter(RESUMED_PARAMETER).map(hold),
            in_progress: setup.call_status == CallStatus::InProgress,
        };
        self.switchboard.connect(socket, setup).await;
    }

    /// What the `<Parameter>` says that only our webhook's answer had. One that has expired still opens
    /// the door to a call that is up already: Twilio's own reconnect repeats it hours later.
    async fn check_reference(&self, setup: &frames::Setup) -> Result<Mark, &'static str> {
        let text = setup.reference().ok_or("missing")?;
        let now = clock::unix_seconds();
        match Reference::open_for(&setup.call_sid, text, &self.keys, now) {
            Ok(reference) => Ok(mark_in(&reference)),
            Err(ReferenceError::Expired { .. })
                if self.switchboard.knows(&setup.call_sid).await =>
            {
                self.mark(&setup.call_sid, Some(text)).ok_or("forged")
            }
            Err(error) => Err(error.label()),
        }
    }
}

/// The `setup` frame; what else comes before it is counted and ignored.
async fn first_frame(socket: &mut Socket) -> Option<Box<frames::Setup>> {
    for _ in 0..BEFORE_SETUP_MAX {
        let text = match socket.next().await {
            Incoming::Text(text) => text,
            Incoming::Other | Incoming::Ping | Incoming::Pong => continue,
            Incoming::Closed { .. } => return None,
        };
        match Heard::parse(&text) {
            Ok(Heard::Setup(setup)) => {
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

/// A WebSocket as a call's wire.
struct Socket {
    socket: WebSocket,
    /// Twilio has closed it, with this code; our answer may still be on its way.
    closed: Option<Option<u16>>,
}

impl Socket {
    fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            closed: None,
        }
    }

    /// Twilio's close frame is answered with the same code (RFC 6455 5.5.1): the library has the
    /// answer ready, and the stream ends once it is written.
    async fn answer_close(&mut self, code: Option<u16>) -> Incoming {
        let answered = async { while let Some(Ok(_)) = self.socket.next().await {} };
        // A peer that does not take it is gone already.
        let _ = tokio::time::timeout(CLOSE_MAX, answered).await;
        Incoming::Closed {
            clean: code == Some(1000),
        }
    }
}

impl Wire for Socket {
    async fn next(&mut self) -> Incoming {
        // A wait for the answer that was dropped is taken up.
        if let Some(code) = self.closed {
            return self.answer_close(code).await;
        }
        match self.socket.next().await {
            None | Some(Err(_)) => Incoming::Closed { clean: false },
            Some(Ok(message)) if message.is_close() => {
                let code = message.close_frame().map(|(code, _)| code);
                self.closed = Some(code);
                self.answer_close(code).await
            }
            Some(Ok(message)) if message.is_ping() => Incoming::Ping,
            Some(Ok(message)) if message.is_pong() => Incoming::Pong,
            Some(Ok(message)) => message
                .as_str()
                .map_or(Incoming::Other, |text| Incoming::Text(text.to_owned())),
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
        // A socket that does not take the close frame is gone already.
        let _ = tokio::time::timeout(CLOSE_MAX, close).await;
    }
}
