//! The thin driver of a session: its socket, its clock, its outputs.

use super::{
    config::Network,
    delay::Delay,
    session::{CallerAction, TwilioSession},
    session_output::{SessionClose, SessionObservation, SessionOutput, SocketEnd},
    url_resolver::Socket,
};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// A frame that cannot be written for so long means that the server is gone.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long the server may take to answer a close frame before the socket is dropped.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// A wait with no end in sight is looked at again after this time.
const FAR: Duration = Duration::from_secs(3600);

/// Real time and Twilio's time, which may run faster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScaledClock {
    began: Instant,
    speed: f64,
}

impl ScaledClock {
    pub(crate) fn new(speed: f64) -> Self {
        Self {
            began: Instant::now(),
            speed,
        }
    }

    /// Twilio's time since the clock began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed().mul_f64(self.speed)
    }

    /// When this moment of Twilio's time is.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.began + Duration::from_secs_f64((at.as_secs_f64() / self.speed).min(FAR.as_secs_f64()))
    }
}

/// Who looks on: every frame, and what the session saw.
pub(crate) trait Observer {
    /// A frame went out.
    fn sent(&mut self, _frame: &str) {}
    /// A frame came in.
    fn received(&mut self, _frame: &str) {}
    /// The session saw something; `at` is when its cause came in.
    fn saw(&mut self, seen: SessionObservation, at: Instant);
}

/// One session on its socket.
pub(crate) struct SessionDriver {
    socket: Socket,
    pub(crate) session: TwilioSession,
    pub(crate) clock: ScaledClock,
    /// Frames of the server on their way, with when they came in here.
    uplink: Delay<(String, Instant)>,
    /// What Twilio does, on its way.
    downlink: Delay<SessionOutput>,
    last_event: Instant,
}

impl SessionDriver {
    pub(crate) fn new(
        socket: Socket,
        session: TwilioSession,
        speed: f64,
        network: Network,
    ) -> Self {
        let way = |lasts| (lasts, network.stalls_percent, network.stall);
        let (up, down) = (way(network.uplink), way(network.downlink));
        Self {
            socket,
            session,
            clock: ScaledClock::new(speed),
            uplink: Delay::new(up.0, up.1, up.2),
            downlink: Delay::new(down.0, down.1, down.2),
            last_event: Instant::now(),
        }
    }

    /// When the last thing came in or the caller last did something.
    pub(crate) fn last_event(&self) -> Instant {
        self.last_event
    }

    /// Nobody speaks, and nothing that was sent either way has still to arrive.
    pub(crate) fn is_silent(&self) -> bool {
        let arrived =
            self.uplink.next_deadline().is_none() && self.downlink.next_deadline().is_none();
        arrived && self.session.is_silent()
    }

    /// The caller does something; [`SessionDriver::flush`] must follow.
    pub(crate) fn caller(&mut self, what: CallerAction) {
        self.last_event = Instant::now();
        let now = self.clock.now();
        self.session.on_caller(what, now);
    }

    /// Puts out all that the session wants put out. `Err`: the socket is gone or has been closed.
    pub(crate) async fn flush(&mut self, observer: &mut impl Observer) -> Result<(), SocketEnd> {
        let now = self.clock.now();
        for output in self.session.take_outputs() {
            match output {
                // Whoever waits for the end of an utterance may rely on its prompt having gone out.
                SessionOutput::Seen(seen) if seen != SessionObservation::Said => {
                    observer.saw(seen, self.last_event)
                }
                output => self.downlink.push(output, now),
            }
        }
        let mut fed = false;
        while let Some(output) = self.downlink.pop(now) {
            match output {
                SessionOutput::Send(frame) => {
                    observer.sent(&frame);
                    fed = true;
                    self.write(Message::text(frame)).await?;
                }
                SessionOutput::Seen(seen) => observer.saw(seen, self.last_event),
                SessionOutput::Close(close) => {
                    self.close(&close, observer).await;
                    return Err(SocketEnd::Closed(close));
                }
            }
        }
        if fed {
            within(WRITE_MAX, self.socket.flush()).await
        } else {
            Ok(())
        }
    }

    /// Waits for the next frame or moment and lets the session take it; [`SessionDriver::flush`] must follow. May be dropped
    /// at any await without loss.
    pub(crate) async fn next(&mut self, observer: &mut impl Observer) -> Result<(), SocketEnd> {
        let arrivals = [
            self.uplink.next_deadline(),
            self.downlink.next_deadline(),
            self.session.next_deadline(),
        ];
        let wake = arrivals.into_iter().flatten().min();
        let wake = wake.map(|at| self.clock.instant(at));
        tokio::select! {
            biased;
            message = self.socket.next() => {
                self.last_event = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => {
                        observer.received(&text);
                        self.arrives(text.as_str().to_owned());
                        Ok(())
                    }
                    Some(Ok(Message::Binary(_))) => {
                        self.arrives("(a binary frame)".to_owned());
                        Ok(())
                    }
                    Some(Ok(Message::Close(frame))) => Err(SocketEnd::Lost(closed_by_app(frame))),
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(SocketEnd::Lost(error.to_string())),
                    None => Err(SocketEnd::Lost("the server dropped the socket".into())),
                }
            }
            () = sleep_until(wake.unwrap_or_else(|| Instant::now() + FAR)) => {
                self.last_event = Instant::now();
                let now = self.clock.now();
                self.take_arrived(now);
                self.session.advance(now);
                Ok(())
            }
        }
    }

    /// A frame of the server has set off; without a way it is there at once.
    fn arrives(&mut self, frame: String) {
        let now = self.clock.now();
        self.uplink.push((frame, self.last_event), now);
        self.take_arrived(now);
    }

    /// One frame at a time: what the observer sees of it bears the time at which it came in.
    fn take_arrived(&mut self, now: Duration) {
        if let Some((frame, came)) = self.uplink.pop(now) {
            self.last_event = came;
            self.session.on_app(&frame, now);
        }
    }

    /// Lets the socket vanish: no close frame, the connection is just gone.
    pub(crate) fn vanish(self) {
        drop(self.socket);
    }

    async fn write(&mut self, message: Message) -> Result<(), SocketEnd> {
        within(WRITE_MAX, self.socket.feed(message)).await
    }

    /// Closes the socket as Twilio does.
    pub(crate) async fn close(&mut self, close: &SessionClose, observer: &mut impl Observer) {
        while let Some(output) = self.downlink.pop_any() {
            if let SessionOutput::Send(frame) = output {
                observer.sent(&frame);
                let _ = self.write(Message::text(frame)).await;
            }
        }
        let (code, reason) = close.frame();
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        };
        // What can go wrong here is that the server has gone first, which ends the same way.
        let _ = timeout(CLOSE_MAX, self.socket.close(Some(frame))).await;
        let drained = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Text(text) = message {
                    observer.received(&text);
                }
            }
        };
        let _ = timeout(CLOSE_MAX, drained).await;
    }
}

async fn within<E: std::fmt::Display>(
    limit: Duration,
    work: impl Future<Output = Result<(), E>>,
) -> Result<(), SocketEnd> {
    match timeout(limit, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(SocketEnd::Lost(error.to_string())),
        Err(_) => Err(SocketEnd::Lost(format!(
            "the server takes no frame for {limit:?}"
        ))),
    }
}

fn closed_by_app(frame: Option<CloseFrame>) -> String {
    match frame {
        Some(frame) => format!(
            "the server closed the socket: {} {}",
            u16::from(frame.code),
            frame.reason
        ),
        None => "the server closed the socket".into(),
    }
}
