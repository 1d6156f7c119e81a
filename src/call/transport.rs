//! The WebSocket interface of a call session.

use std::future::Future;

/// An event of the socket.
pub enum TransportEvent {
    /// A text frame.
    Text(String),
    /// A frame that is no text: counted and ignored.
    NonText,
    /// The answer to a ping of the server.
    Pong,
    /// A ping; the WebSocket library answers it.
    Ping,
    /// The end: `clean` when Twilio closed it with 1000.
    Closed {
        /// Whether it was a close frame with code 1000.
        clean: bool,
    },
}

/// The WebSocket of a call. `next` must be cancel-safe.
pub trait Transport: Send {
    /// The next frame, or the end; after the end it is not called again.
    fn next(&mut self) -> impl Future<Output = TransportEvent> + Send;
    /// Sends one text frame and flushes it; `false` when the socket is gone.
    fn send(&mut self, frame: String) -> impl Future<Output = bool> + Send;
    /// Sends a ping; `false` when the socket is gone.
    fn ping(&mut self) -> impl Future<Output = bool> + Send;
    /// Closes with a code and a reason.
    fn close(&mut self, code: u16, reason: &'static str) -> impl Future<Output = ()> + Send;
}
