//! A call in progress, as the caller holds it.
use super::twiml::Twiml;
use super::*;
use std::time::Duration;

/// A call in progress. Clones hold the same call; when the last is dropped the socket closes (1000) without callbacks.
#[derive(Clone)]
pub struct Call {}

impl Call {
    pub fn call_sid(&self) -> &str {
        todo!()
    }
    pub fn from(&self) -> &str {
        todo!()
    }
    /// The session's id; changes with each session.
    pub fn session_id(&self) -> Option<String> {
        todo!()
    }
    /// The voice webhook's TwiML.
    pub fn twiml(&self) -> &Twiml {
        todo!()
    }
    /// `welcomeGreeting` of the current session.
    pub fn greeting(&self) -> Option<String> {
        todo!()
    }
    /// Waits until the agent is silent and nothing is queued.
    pub async fn silence(&self, _timeout: Duration) -> Result<(), CallError> {
        todo!()
    }
    /// Says something and returns once the final prompt is out.
    pub async fn say(&self, _said: impl Into<Utterance>) -> Result<(), CallError> {
        todo!()
    }
    /// The next whole reply (up to `last:true`), in order.
    pub async fn hear(&self, _timeout: Duration) -> Result<Reply, CallError> {
        todo!()
    }
    /// The next whole reply, once it has been played to its end.
    pub async fn hear_out(&self, _timeout: Duration) -> Result<Reply, CallError> {
        todo!()
    }
    /// `say` and `hear`.
    pub async fn ask(
        &self,
        _said: impl Into<Utterance>,
        _timeout: Duration,
    ) -> Result<Reply, CallError> {
        todo!()
    }
    /// Speaks over the agent once it has been speaking for `after` (Twilio's time); returns once the final prompt is out.
    pub async fn barge_in(
        &self,
        _said: impl Into<Utterance>,
        _after: Duration,
    ) -> Result<Interrupted, CallError> {
        todo!()
    }
    /// Presses a key; what it interrupted, if anything.
    pub async fn press(&self, _digit: char) -> Result<Option<Interrupted>, CallError> {
        todo!()
    }
    /// Hangs up: close 1000, action `completed`, status callback.
    pub async fn hang_up(&self) -> Result<Ended, CallError> {
        todo!()
    }
    /// The socket vanishes without a close frame; returns when the call goes on or is over.
    pub async fn drop_socket(&self) -> Result<AfterDrop, CallError> {
        todo!()
    }
    /// Waits for session `number` (from 1): a reconnect that the server caused.
    pub async fn session(&self, _number: u32, _timeout: Duration) -> Result<String, CallError> {
        todo!()
    }
    /// Waits for the end of the call, whoever causes it.
    pub async fn ended(&self, _timeout: Duration) -> Result<Ended, CallError> {
        todo!()
    }
    /// Sends a text frame as it is.
    pub async fn send_raw(&self, _text: &str) -> Result<(), CallError> {
        todo!()
    }
    /// Sends a frame.
    pub async fn send_frame(&self, _frame: serde_json::Value) -> Result<(), CallError> {
        todo!()
    }
    /// Everything played so far: the `tokensPlayed` values strung together.
    pub fn heard(&self) -> String {
        todo!()
    }
    /// Every frame and request so far.
    pub fn log(&self) -> Vec<LogEntry> {
        todo!()
    }
    /// What the server did wrong so far.
    pub fn violations(&self) -> Vec<Violation> {
        todo!()
    }
    /// Action requests so far.
    pub fn actions(&self) -> Vec<reply::ActionAnswer> {
        todo!()
    }
}
