//! A call in progress, as the caller holds it.

use super::{
    call_record::{CallRecord, SharedCallRecord},
    call_runner::{CallCommand, CallRunner, expect_twiml},
    caller::Utterance,
    config::TwilioConfig,
    dial::Dial,
    error::CallError,
    http::Twilio,
    identity,
    load_balancer::Routing,
    log::{LogEntry, Violation},
    reply::{ActionAnswer, AfterDrop, EndedCall, InterruptReport, Reply},
    twiml::Twiml,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

/// Commands waiting for a session at most; a caller who is faster waits.
const COMMANDS_MAX: usize = 16;
/// Longest wait, in real time, for anything that the caller does: saying a sentence, hanging up, reconnecting.
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a listener has noticed of a call so far; see [`Call::wait_progress`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallProgress {
    /// So much of the next reply.
    pub text_bytes: usize,
    /// [`Call::sessions`].
    pub session: u32,
    /// [`Call::losses`].
    pub losses: u32,
}

/// A call in progress. Clones hold the same call; when the last is dropped the caller hangs up.
#[derive(Clone, Debug)]
pub struct Call {
    call_sid: String,
    from: String,
    twiml: Arc<Twiml>,
    shared: Arc<SharedCallRecord>,
    commands: mpsc::Sender<CallCommand>,
}

impl Twilio {
    /// An ordinary call: webhook, relay, `setup`. TwiML without a relay gives a call that has ended or soon will.
    pub async fn place_call(&self, from: &str, to: &str) -> Result<Call, CallError> {
        self.place(Dial::new(from, to)).await
    }

    /// A call that is unusual in some way.
    pub async fn place(&self, dial: Dial) -> Result<Call, CallError> {
        let config: &TwilioConfig = &self.config;
        let call_sid = dial.call_sid.clone().unwrap_or_else(identity::call_sid);
        let mut record = CallRecord::new(config.log_entries_max);
        record.via = dial.via;
        let shared = Arc::new(SharedCallRecord::new(record));
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let document = self.links.public_url(&config.voice_path, None)?;
        let from = dial.from.clone();
        let by_get = dial.by_get;
        let mut runner = CallRunner {
            listed: Some(self.exchange.list(&call_sid)),
            twilio: self.clone(),
            call_sid: call_sid.clone(),
            shared: Arc::clone(&shared),
            commands,
            began: Instant::now(),
            document: document.clone(),
            dial,
        };
        let via = runner.dial.via.voice;
        let form = self.voice_form(&runner.dial, &call_sid);
        let answer = runner.webhook(&document, &form, by_get, via).await?;
        let twiml = expect_twiml(&document, &answer)?;
        let course = runner.follow(twiml.clone()).await?;
        tokio::spawn(runner.run(course));
        Ok(Call {
            call_sid,
            from,
            twiml: Arc::new(twiml),
            shared,
            commands: sender,
        })
    }
}

impl Call {
    pub fn call_sid(&self) -> &str {
        &self.call_sid
    }

    pub fn from(&self) -> &str {
        &self.from
    }

    /// The session's id; each session has its own.
    pub fn session_id(&self) -> Option<String> {
        self.shared.lock().session_id.clone()
    }

    /// Which of several instances holds the session, by its place (see [`Routing`]).
    pub fn instance(&self) -> usize {
        self.shared.lock().instance
    }

    /// From now on the call's requests go there.
    pub fn route_via(&self, via: Routing) {
        self.shared.change(|record| record.via = via);
    }

    /// The voice webhook's TwiML.
    pub fn twiml(&self) -> &Twiml {
        &self.twiml
    }

    /// `welcomeGreeting` of the current session.
    pub fn greeting(&self) -> Option<String> {
        self.shared.lock().greeting.clone()
    }

    /// Waits until the agent is silent and nothing is queued.
    pub async fn silence(&self, limit: Duration) -> Result<(), CallError> {
        let quiet = self
            .shared
            .wait(limit, |record| {
                (record.silent || record.ended.is_some()).then_some(())
            })
            .await;
        quiet.ok_or(CallError::TimedOut {
            what: "silence",
            waited: limit,
        })
    }

    /// Says something and returns once the final prompt is out. Speaking over the agent interrupts it.
    pub async fn say(&self, said: impl Into<Utterance>) -> Result<(), CallError> {
        self.say_over(said).await.map(|_| ())
    }

    /// As [`Call::say`], and what it interrupted, if anything (docs/protocol.md 4.4).
    pub async fn say_over(
        &self,
        said: impl Into<Utterance>,
    ) -> Result<Option<InterruptReport>, CallError> {
        let (done, wait) = oneshot::channel();
        self.command(CallCommand::Say(said.into(), done)).await?;
        self.done("the end of an utterance", wait).await
    }

    /// The next whole reply (up to `last:true`), in order. Replies that were interrupted are not among them.
    pub async fn hear(&self, limit: Duration) -> Result<Reply, CallError> {
        self.take_reply(limit, false).await
    }

    /// The next whole reply, once it has been played to its end.
    pub async fn hear_out(&self, limit: Duration) -> Result<Reply, CallError> {
        self.take_reply(limit, true).await
    }

    async fn take_reply(&self, limit: Duration, played_out: bool) -> Result<Reply, CallError> {
        let found = self.shared.wait(limit, |record| {
            match record.take_reply(played_out || record.ended.is_some()) {
                Some(reply) => Some(Ok(reply)),
                None if record.ended.is_some() => {
                    Some(record.take_reply(false).ok_or(CallError::Ended))
                }
                None => None,
            }
        });
        match found.await {
            Some(result) => result,
            None => Err(CallError::NoReply {
                waited: limit,
                partial: Box::new(self.shared.lock().partial_reply()),
            }),
        }
    }

    /// What has come so far of the next reply, without taking it: to show words as they arrive.
    pub fn partial_reply(&self) -> Reply {
        self.shared.lock().partial_reply()
    }

    /// Waits until more has come of the next reply than `text_bytes`, or the whole of it, or the call has ended.
    pub async fn more_than(&self, text_bytes: usize, limit: Duration) -> bool {
        let more = self.shared.wait(limit, |record| {
            let news = record.partial_reply().text.len() > text_bytes
                || record.next_is_whole()
                || record.ended.is_some();
            news.then_some(())
        });
        more.await.is_some()
    }

    /// Waits until there is something that a listener has not noticed yet: more of the next reply, a lost connection,
    /// another session, or the end of the call. `false`: nothing within `limit`.
    pub async fn wait_progress(&self, noticed: CallProgress, limit: Duration) -> bool {
        let news = self.shared.wait(limit, |record| {
            let news = record.partial_reply().text.len() > noticed.text_bytes
                || record.next_is_whole()
                || record.session != noticed.session
                || record.losses != noticed.losses
                || record.ended.is_some();
            news.then_some(())
        });
        news.await.is_some()
    }

    /// Sockets that vanished or broke so far.
    pub fn losses(&self) -> u32 {
        self.shared.lock().losses
    }

    /// Nobody answered the action request after a lost connection: the server is gone.
    pub fn server_is_gone(&self) -> bool {
        self.shared.lock().server_gone
    }

    /// `say` and `hear`.
    pub async fn ask(
        &self,
        said: impl Into<Utterance>,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        self.say(said).await?;
        self.hear(limit).await
    }

    /// Speaks over the agent once it has been speaking for `after` (Twilio's time, counted from now or from when it
    /// begins); returns once the final prompt is out.
    ///
    /// # Errors
    /// [`CallError::NotSpeaking`] if the agent fell silent before, [`CallError::NotInterrupted`] if it spoke on.
    pub async fn interrupt(
        &self,
        said: impl Into<Utterance>,
        after: Duration,
    ) -> Result<InterruptReport, CallError> {
        let (done, wait) = oneshot::channel();
        self.command(CallCommand::Interrupt(said.into(), after, done))
            .await?;
        self.done("the agent to be interrupted", wait)
            .await??
            .ok_or(CallError::NotInterrupted)
    }

    /// Presses a key; what it interrupted, if anything.
    pub async fn press(&self, digit: char) -> Result<Option<InterruptReport>, CallError> {
        let (done, wait) = oneshot::channel();
        self.command(CallCommand::Press(digit, done)).await?;
        self.done("a key", wait).await
    }

    /// Hangs up: close 1000, action `completed`, status callback. Returns when all of that is done.
    pub async fn hang_up(&self) -> Result<EndedCall, CallError> {
        if self.shared.lock().ended.is_none() {
            self.command(CallCommand::HangUp).await?;
        }
        self.ended(COMMAND_WAIT_MAX).await
    }

    /// The socket vanishes without a close frame; does not wait for what comes of it.
    pub async fn break_socket(&self) -> Result<(), CallError> {
        self.command(CallCommand::Drop).await
    }

    /// The socket vanishes without a close frame; returns when the call goes on or is over.
    pub async fn drop_socket(&self) -> Result<AfterDrop, CallError> {
        let before = self.shared.lock().session;
        self.command(CallCommand::Drop).await?;
        self.after_drop(before, COMMAND_WAIT_MAX).await
    }

    /// Waits for the session after session `before` (counted from 1), or the end: after a drop that the server caused.
    pub async fn after_drop(&self, before: u32, limit: Duration) -> Result<AfterDrop, CallError> {
        let after = self
            .shared
            .wait(limit, |record| match (&record.ended, &record.session_id) {
                (_, Some(session_id)) if record.session > before && record.live => {
                    Some(AfterDrop::Reconnected {
                        session_id: session_id.clone(),
                    })
                }
                (Some(ended), _) => Some(AfterDrop::Ended(ended.clone())),
                _ => None,
            });
        after.await.ok_or(CallError::TimedOut {
            what: "a new session",
            waited: limit,
        })
    }

    /// How many sessions there have been.
    pub fn sessions(&self) -> u32 {
        self.shared.lock().session
    }

    /// Waits for the end of the call, whoever causes it.
    pub async fn ended(&self, limit: Duration) -> Result<EndedCall, CallError> {
        let ended = self.shared.wait(limit, |record| record.ended.clone()).await;
        ended.ok_or(CallError::TimedOut {
            what: "the end of the call",
            waited: limit,
        })
    }

    /// Whether the call is over.
    pub fn is_over(&self) -> bool {
        self.shared.lock().ended.is_some()
    }

    /// Sends a text frame as it is.
    pub async fn send_raw(&self, text: &str) -> Result<(), CallError> {
        self.command(CallCommand::Raw(text.to_owned())).await
    }

    /// Sends a frame.
    pub async fn send_frame(&self, frame: serde_json::Value) -> Result<(), CallError> {
        self.send_raw(&frame.to_string()).await
    }

    /// Everything played so far: the `tokensPlayed` values strung together, greetings included.
    pub fn heard(&self) -> String {
        self.shared.lock().heard()
    }

    /// Every frame and request so far.
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.lock().log()
    }

    /// What the server did wrong so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.lock().violations()
    }

    /// Action requests so far.
    pub fn actions(&self) -> Vec<ActionAnswer> {
        self.shared.lock().actions.clone()
    }

    /// What TwiML's `<Say>` spoke so far.
    pub fn said_by_twiml(&self) -> Vec<String> {
        self.shared.lock().said.clone()
    }

    async fn command(&self, command: CallCommand) -> Result<(), CallError> {
        if self.shared.lock().ended.is_some() {
            return Err(CallError::Ended);
        }
        match timeout(COMMAND_WAIT_MAX, self.commands.send(command)).await {
            Ok(sent) => sent.map_err(|_| CallError::Ended),
            Err(_) => Err(CallError::NoSession),
        }
    }

    /// A sender that is dropped means that the session ended before the deed was done.
    async fn done<T>(
        &self,
        what: &'static str,
        wait: oneshot::Receiver<T>,
    ) -> Result<T, CallError> {
        match timeout(COMMAND_WAIT_MAX, wait).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) if self.is_over() => Err(CallError::Ended),
            Ok(Err(_)) => Err(CallError::NoSession),
            Err(_) => Err(CallError::TimedOut {
                what,
                waited: COMMAND_WAIT_MAX,
            }),
        }
    }
}
