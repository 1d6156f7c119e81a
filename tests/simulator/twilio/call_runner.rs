//! The life of a call at Twilio: session after session, action after action, to the status callback.

use super::{
    call_record::{CallRecord, SharedCallRecord},
    caller::Utterance,
    config::Redial,
    dial::Dial,
    error::CallError,
    form::{self, SessionEnd},
    frame,
    http::{Twilio, WebhookAnswer},
    identity,
    live_calls::{LiveCallEntry, Redirect},
    log::{Direction, ViolationKind},
    relay::RelaySettings,
    reply::{ActionAnswer, EndCause, EndedCall, InterruptReport},
    session::{CallerAction, TwilioSession},
    session_driver::{Observer, SessionDriver},
    session_output::{SessionClose, SessionObservation, SocketEnd},
    twiml::{Connect, Twiml, Verb},
    url_resolver,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

/// Relay sessions of one call at most: a server that drops every one of them would reconnect for ever.
const SESSIONS_MAX: u32 = 20;
/// `<Redirect>`s in a row at most.
const REDIRECTS_MAX: u32 = 10;
/// Socket close to action after a hang-up or `end` (recorded: 0.054-1.2 s).
const ACTION_AFTER_CLOSE: Duration = Duration::from_millis(320);
/// The same after 1007 (recorded: 0.163 s).
const ACTION_AFTER_MALFORMED: Duration = Duration::from_millis(163);
/// Lost socket to action, or to the re-dial (docs/protocol.md 6.3).
const ACTION_AFTER_LOSS: Duration = Duration::from_millis(1190);
/// TwiML to handshake (docs/protocol.md 6.3, 9.1: 0.4-1.5 s).
const HANDSHAKE_AFTER_TWIML: Duration = Duration::from_millis(400);
/// How fast `<Say>` speaks.
const SAY_CHARACTER: Duration = Duration::from_millis(50);

/// What the handle asks for.
pub(crate) enum CallCommand {
    Say(Utterance, oneshot::Sender<Option<InterruptReport>>),
    /// Answered with nothing when nobody was speaking.
    Interrupt(
        Utterance,
        Duration,
        oneshot::Sender<Result<Option<InterruptReport>, CallError>>,
    ),
    Press(char, oneshot::Sender<Option<InterruptReport>>),
    Raw(String),
    HangUp,
    Drop,
}

/// Who waits for the utterance being said.
enum PendingCommand {
    Say(oneshot::Sender<Option<InterruptReport>>),
    Interrupt(oneshot::Sender<Result<Option<InterruptReport>, CallError>>),
}

/// Everything that a running call needs.
pub(crate) struct CallRunner {
    pub(crate) twilio: Twilio,
    /// Where the REST API finds the call; taken while a session runs.
    pub(crate) listed: Option<LiveCallEntry>,
    pub(crate) dial: Dial,
    pub(crate) call_sid: String,
    pub(crate) shared: Arc<SharedCallRecord>,
    pub(crate) commands: mpsc::Receiver<CallCommand>,
    pub(crate) began: Instant,
    /// Where the current TwiML came from.
    pub(crate) document: String,
}

/// A relay that stands, with what is needed when it ends.
pub(crate) struct OpenRelay {
    line: SessionDriver,
    action: Option<String>,
    by_get: bool,
    session_id: String,
    since: Instant,
    connect: Box<Connect>,
}

/// What TwiML leads to.
pub(crate) enum NextStep {
    Relay(Box<OpenRelay>),
    Over(EndCause),
}

/// Writes frames into the call's record and notices what the runner waits for.
struct RunnerObserver<'a> {
    shared: &'a SharedCallRecord,
    said: bool,
    not_speaking: bool,
}

impl Observer for RunnerObserver<'_> {
    fn sent(&mut self, frame: &str) {
        self.shared
            .change(|record| record.note(Direction::ToApp, frame));
    }

    fn received(&mut self, frame: &str) {
        self.shared
            .change(|record| record.note(Direction::FromApp, frame));
    }

    fn saw(&mut self, seen: SessionObservation, at: Instant) {
        self.said |= seen == SessionObservation::Said;
        self.not_speaking |= seen == SessionObservation::NotSpeaking;
        self.shared.change(|record| record.saw(seen, at));
    }
}

impl CallRunner {
    /// Runs the call to its end from where its first TwiML led.
    pub(crate) async fn run(mut self, first: NextStep) {
        let mut course = first;
        let cause = loop {
            match course {
                NextStep::Over(cause) => break cause,
                NextStep::Relay(standing) => course = self.until_redirected(*standing).await,
            }
        };
        self.listed = None;
        let status_callback = self.status_callback().await;
        self.shared.change(|record| {
            record.live = false;
            let (actions, said) = (record.actions.clone(), record.said.clone());
            record.ended = Some(EndedCall {
                cause,
                actions,
                said,
                status_callback,
            });
        });
    }

    /// Follows TwiML to the next relay or to the end of the call.
    pub(crate) async fn follow(&mut self, mut twiml: Twiml) -> Result<NextStep, CallError> {
        for _ in 0..REDIRECTS_MAX {
            match self.perform(twiml).await? {
                TwimlOutcome::Course(course) => return Ok(course),
                TwimlOutcome::Redirect(link) => {
                    let url = self.twilio.links.public_url(&link, Some(&self.document))?;
                    let form = self.twilio.voice_form(&self.dial, &self.call_sid);
                    let via = self.shared.lock().via.voice;
                    let answer = self.webhook(&url, &form, false, via).await?;
                    twiml = expect_twiml(&url, &answer)?;
                    self.document = url;
                }
            }
        }
        Err(CallError::Settings(format!(
            "more than {REDIRECTS_MAX} redirects in a row"
        )))
    }

    async fn perform(&mut self, twiml: Twiml) -> Result<TwimlOutcome, CallError> {
        for verb in twiml.verbs {
            let cause = match verb {
                Verb::Connect(connect) => {
                    return Ok(TwimlOutcome::Course(NextStep::Relay(Box::new(
                        self.connect(connect).await?,
                    ))));
                }
                Verb::Redirect(link) => return Ok(TwimlOutcome::Redirect(link)),
                Verb::Say(text) => {
                    let lasts = SAY_CHARACTER * text.chars().count() as u32;
                    self.shared.change(|record| record.said.push(text));
                    self.pass(lasts).await;
                    continue;
                }
                Verb::Pause(seconds) => {
                    self.pass(Duration::from_secs(seconds.min(600))).await;
                    continue;
                }
                Verb::Play(_) | Verb::Other(_) => continue,
                Verb::Hangup => EndCause::Twiml,
                Verb::Reject(_) => EndCause::Twiml,
                Verb::Dial(whom) | Verb::Enqueue(whom) => EndCause::HandedOver(whom),
            };
            return Ok(TwimlOutcome::Course(NextStep::Over(cause)));
        }
        Ok(TwimlOutcome::Course(NextStep::Over(EndCause::Twiml)))
    }

    /// Opens a relay as TwiML asks.
    async fn connect(&mut self, connect: Box<Connect>) -> Result<OpenRelay, CallError> {
        let sessions = self.shared.lock().session;
        if sessions >= SESSIONS_MAX {
            return Err(CallError::Settings(format!(
                "more than {SESSIONS_MAX} relay sessions in one call"
            )));
        }
        self.pass(HANDSHAKE_AFTER_TWIML).await;
        let action = match &connect.action {
            Some(link) => Some(self.twilio.links.public_url(link, Some(&self.document))?),
            None => None,
        };
        let by_get = connect.method.as_deref() == Some("GET");
        self.dial_relay(connect, action, by_get, identity::session_id())
            .await
    }

    async fn dial_relay(
        &mut self,
        connect: Box<Connect>,
        action: Option<String>,
        by_get: bool,
        session_id: String,
    ) -> Result<OpenRelay, CallError> {
        let settings = RelaySettings::read(&connect)?;
        let via = self.shared.lock().via.relay;
        let signing = &self.dial.sign_handshake;
        let (socket, instance) =
            url_resolver::dial(&self.twilio, &settings.url, signing, via).await?;
        let again = self.shared.lock().session > 0;
        let parameters = self
            .dial
            .custom_parameters
            .as_ref()
            .unwrap_or(&settings.parameters);
        let setup = form::setup(
            &self.twilio.config.account_sid,
            &self.call_sid,
            &session_id,
            &self.dial,
            parameters,
            again,
        );
        self.shared.change(|record| {
            record.begin_session(session_id.clone(), settings.greeting.clone());
            record.instance = instance;
            record.note(Direction::Socket, &format!("opened {}", settings.url));
        });
        let session = TwilioSession::begin(
            settings,
            setup,
            self.twilio.config.pace.clone(),
            self.twilio.config.playback,
        );
        let config = &self.twilio.config;
        let mut line = SessionDriver::new(socket, session, config.speed, config.network);
        let mut watch = RunnerObserver {
            shared: &self.shared,
            said: false,
            not_speaking: false,
        };
        if let Err(end) = line.flush(&mut watch).await {
            return Err(CallError::Handshake {
                url: connect.url().to_owned(),
                status: Some(101),
                reason: format!("{end:?}"),
            });
        }
        Ok(OpenRelay {
            line,
            action,
            by_get,
            session_id,
            since: Instant::now(),
            connect,
        })
    }

    /// A session and what follows from it, unless the REST API has the call go on elsewhere first.
    async fn until_redirected(&mut self, mut standing: OpenRelay) -> NextStep {
        let Some(mut listed) = self.listed.take() else {
            return NextStep::Over(EndCause::Failed("a call that nobody lists".into()));
        };
        let redirect = match self.drive_session(&mut standing.line, &mut listed).await {
            SessionOutcome::Redirected(redirect) => Err(redirect),
            SessionOutcome::Over(end) => tokio::select! {
                biased;
                Some(redirect) = listed.redirects.recv() => Err(redirect),
                course = self.after(standing, end) => Ok(course),
            },
        };
        self.listed = Some(listed);
        match redirect {
            Ok(course) => course,
            Err(redirect) => self.redirected(redirect).await,
        }
    }

    /// What follows from the end of a session.
    async fn after(&mut self, standing: OpenRelay, end: SocketEnd) -> NextStep {
        let lost = matches!(end, SocketEnd::Lost(_) | SocketEnd::Vanished);
        self.shared.change(|record| {
            record.live = false;
            record.losses += u32::from(lost);
            record.note(Direction::Socket, &format!("{end:?}"));
        });
        let reconnects = lost && standing.line.session.reconnects();
        let OpenRelay {
            line,
            action,
            by_get,
            session_id,
            since,
            connect,
        } = standing;
        let lasted = since.elapsed().mul_f64(self.twilio.config.speed);
        line.vanish();
        self.pass(match &end {
            SocketEnd::Closed(SessionClose::TooManyMalformed) => ACTION_AFTER_MALFORMED,
            _ if lost => ACTION_AFTER_LOSS,
            SocketEnd::Closed(_) | SocketEnd::Lost(_) | SocketEnd::Vanished => ACTION_AFTER_CLOSE,
        })
        .await;
        if reconnects
            && let Some(course) = self
                .redial(connect, action.clone(), by_get, &session_id)
                .await
        {
            return course;
        }
        let Some(url) = action else {
            return NextStep::Over(end.cause());
        };
        let (status, handoff_data) = match &end {
            SocketEnd::Closed(SessionClose::HungUp) => ("completed", None),
            SocketEnd::Closed(SessionClose::EndedByApp { handoff_data }) => {
                ("ended", handoff_data.as_deref())
            }
            _ => ("failed", None),
        };
        let over = SessionEnd {
            session_id: &session_id,
            status,
            lasted,
            handoff_data,
        };
        self.act(&url, by_get, &over, &end).await
    }

    /// Runs the session until its socket is gone.
    async fn drive_session(
        &mut self,
        line: &mut SessionDriver,
        listed: &mut LiveCallEntry,
    ) -> SessionOutcome {
        let shared = Arc::clone(&self.shared);
        let mut watch = RunnerObserver {
            shared: &shared,
            said: false,
            not_speaking: false,
        };
        let mut waiting: VecDeque<PendingCommand> = VecDeque::new();
        loop {
            if let Err(end) = line.flush(&mut watch).await {
                return SessionOutcome::Over(end);
            }
            shared.change(|record| record.silent = line.is_silent());
            answer_waiting(&shared, &mut watch, &mut waiting);
            tokio::select! {
                happened = line.next(&mut watch) => if let Err(end) = happened {
                    // What the session had still to say about itself.
                    let _ = line.flush(&mut watch).await;
                    return SessionOutcome::Over(end);
                },
                Some(redirect) = listed.redirects.recv() => {
                    line.close(&SessionClose::Redirected, &mut watch).await;
                    return SessionOutcome::Redirected(redirect);
                }
                command = self.commands.recv() => {
                    shared.lock().interrupted = None;
                    match command {
                        Some(CallCommand::Say(utterance, done)) => {
                            line.caller(CallerAction::Say(utterance));
                            waiting.push_back(PendingCommand::Say(done));
                        }
                        Some(CallCommand::Interrupt(utterance, after, done)) => {
                            line.caller(CallerAction::Interrupt(utterance, after));
                            waiting.push_back(PendingCommand::Interrupt(done));
                        }
                        Some(CallCommand::Press(digit, done)) => {
                            line.caller(CallerAction::Press(digit));
                            let flushed = line.flush(&mut watch).await;
                            // Nobody need wait for the answer.
                            let _ = done.send(shared.lock().interrupted.take());
                            if let Err(end) = flushed {
                                return SessionOutcome::Over(end);
                            }
                        }
                        Some(CallCommand::Raw(text)) => line.caller(CallerAction::Raw(text)),
                        // Without a handle nobody can hang up any more.
                        Some(CallCommand::HangUp) | None => line.caller(CallerAction::HangUp),
                        Some(CallCommand::Drop) => return SessionOutcome::Over(SocketEnd::Vanished),
                    }
                }
            }
        }
    }

    /// `applicationReconnect`: dials again and repeats what the server may have missed (docs/protocol.md 6.4, assumed).
    async fn redial(
        &mut self,
        connect: Box<Connect>,
        action: Option<String>,
        by_get: bool,
        session_id: &str,
    ) -> Option<NextStep> {
        let same = self.twilio.config.redial == Redial::SameSession;
        let id = if same {
            session_id.to_owned()
        } else {
            identity::session_id()
        };
        let mut again = connect;
        // The greeting is not spoken again: this is the same session to the caller.
        again
            .attributes
            .retain(|(name, _)| name != "welcomeGreeting");
        let mut standing = match self.dial_relay(again, action, by_get, id).await {
            Ok(standing) => standing,
            Err(error) => {
                self.shared.change(|record| {
                    record.note(Direction::Socket, &format!("re-dial failed: {error}"))
                });
                return None;
            }
        };
        let prompt = last_prompt(&self.shared.lock());
        if same && let Some(prompt) = prompt {
            standing
                .line
                .caller(CallerAction::Raw(frame::speaking("clientSpeaking", false)));
            standing.line.caller(CallerAction::Raw(prompt));
        }
        Some(NextStep::Relay(Box::new(standing)))
    }

    /// Requests the action and follows its TwiML.
    async fn act(
        &mut self,
        url: &str,
        by_get: bool,
        over: &SessionEnd<'_>,
        end: &SocketEnd,
    ) -> NextStep {
        let form = form::action(
            &self.twilio.config.account_sid,
            &self.call_sid,
            &self.dial,
            over,
        );
        let patience = match end {
            SocketEnd::Lost(_) | SocketEnd::Vanished => self.twilio.config.action_patience,
            SocketEnd::Closed(_) => Duration::ZERO,
        };
        let (answer, refused_for) = self.patiently(url, &form, by_get, patience).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.shared.change(|record| {
                    record.server_gone = !matches!(end, SocketEnd::Closed(_));
                    record.violation(ViolationKind::Webhook, format!("action: {error}"))
                });
                return NextStep::Over(end.cause());
            }
        };
        let twiml = expect_twiml(url, &answer);
        let session_status = over.status.to_owned();
        self.shared.change(|record| {
            if let Err(error) = &twiml {
                record.violation(ViolationKind::Webhook, format!("action: {error}"));
            }
            record.actions.push(ActionAnswer {
                session_status,
                form,
                answer,
                refused_for,
                twiml: twiml.as_ref().ok().cloned(),
            });
        });
        self.document = url.to_owned();
        match twiml {
            Ok(twiml) if over.status != "completed" && !twiml.verbs.is_empty() => {
                match self.follow(twiml).await {
                    Ok(course) => course,
                    Err(error) => NextStep::Over(EndCause::Failed(error.to_string())),
                }
            }
            _ => NextStep::Over(end.cause()),
        }
    }

    /// Lets so much of Twilio's time pass.
    pub(super) async fn pass(&self, time: Duration) {
        sleep(time.div_f64(self.twilio.config.speed)).await;
    }
}

/// How a session was held to its end.
enum SessionOutcome {
    Over(SocketEnd),
    Redirected(Redirect),
}

enum TwimlOutcome {
    Course(NextStep),
    Redirect(String),
}

/// TwiML or the error that Twilio would raise.
pub(crate) fn expect_twiml(url: &str, answer: &WebhookAnswer) -> Result<Twiml, CallError> {
    if answer.status != 200 {
        return Err(CallError::WebhookStatus {
            url: url.to_owned(),
            status: answer.status,
        });
    }
    answer.twiml()
}

fn answer_waiting(
    shared: &SharedCallRecord,
    watch: &mut RunnerObserver<'_>,
    waiting: &mut VecDeque<PendingCommand>,
) {
    if !watch.said && !watch.not_speaking {
        return;
    }
    let interrupted = shared.lock().interrupted.take();
    // A handle that has given up waiting is no fault.
    match waiting.pop_front() {
        Some(PendingCommand::Say(done)) => drop(done.send(interrupted)),
        Some(PendingCommand::Interrupt(done)) if watch.not_speaking => {
            drop(done.send(Err(CallError::NotSpeaking)))
        }
        Some(PendingCommand::Interrupt(done)) => drop(done.send(Ok(interrupted))),
        None => {}
    }
    (watch.said, watch.not_speaking) = (false, false);
}

/// The last final prompt that went out.
fn last_prompt(record: &CallRecord) -> Option<String> {
    let log = record.log();
    let prompts = log.iter().rev().filter(|entry| {
        entry.direction == Direction::ToApp && entry.frame_type().as_deref() == Some("prompt")
    });
    prompts
        .filter_map(|entry| Some((entry.json()?["last"].as_bool()?, entry.text.clone())))
        .find(|(last, _)| *last)
        .map(|(_, text)| text)
}
