//! The life of a call at Twilio: session after session, action after action, to the status callback.

use super::{
    caller::Utterance,
    config::Redial,
    dial::Dial,
    error::CallError,
    events::{Close, Seen, SocketEnd},
    exchange::{Listed, Redirect},
    form::{self, SessionOver},
    frame,
    http::{Answer, Twilio},
    identity,
    line::{Line, Observer},
    link,
    log::{Direction, ViolationKind},
    record::{Record, Shared},
    relay::RelaySettings,
    reply::{ActionAnswer, EndCause, Ended, Interrupted},
    session::{Caller, Session},
    twiml::{Connect, Twiml, Verb},
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
/// Lost socket to action, or to the re-dial (protocol 6.3).
const ACTION_AFTER_LOSS: Duration = Duration::from_millis(1190);
/// TwiML to handshake (protocol 6.3, 9.3: 0.4-1.5 s).
const HANDSHAKE_AFTER_TWIML: Duration = Duration::from_millis(400);
/// How fast `<Say>` speaks.
const SAY_CHARACTER: Duration = Duration::from_millis(50);

/// What the handle asks for.
pub(crate) enum Command {
    Say(Utterance, oneshot::Sender<Option<Interrupted>>),
    /// Answered with nothing when nobody was speaking.
    BargeIn(
        Utterance,
        Duration,
        oneshot::Sender<Result<Option<Interrupted>, CallError>>,
    ),
    Press(char, oneshot::Sender<Option<Interrupted>>),
    Raw(String),
    HangUp,
    Drop,
}

/// Who waits for the utterance being said.
enum Waiting {
    Say(oneshot::Sender<Option<Interrupted>>),
    BargeIn(oneshot::Sender<Result<Option<Interrupted>, CallError>>),
}

/// Everything that a running call needs.
pub(crate) struct Runner {
    pub(crate) twilio: Twilio,
    /// Where the REST API finds the call; taken while a session runs.
    pub(crate) listed: Option<Listed>,
    pub(crate) dial: Dial,
    pub(crate) call_sid: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) began: Instant,
    /// Where the current TwiML came from.
    pub(crate) document: String,
}

/// A relay that stands, with what is needed when it ends.
pub(crate) struct Standing {
    line: Line,
    action: Option<String>,
    by_get: bool,
    session_id: String,
    since: Instant,
    connect: Box<Connect>,
}

/// What TwiML leads to.
pub(crate) enum Course {
    Relay(Box<Standing>),
    Over(EndCause),
}

/// Writes frames into the call's record and notices what the runner waits for.
struct Watch<'a> {
    shared: &'a Shared,
    said: bool,
    not_speaking: bool,
}

impl Observer for Watch<'_> {
    fn sent(&mut self, frame: &str) {
        self.shared
            .change(|record| record.note(Direction::ToApp, frame));
    }

    fn received(&mut self, frame: &str) {
        self.shared
            .change(|record| record.note(Direction::FromApp, frame));
    }

    fn saw(&mut self, seen: Seen, at: Instant) {
        self.said |= seen == Seen::Said;
        self.not_speaking |= seen == Seen::NotSpeaking;
        self.shared.change(|record| record.saw(seen, at));
    }
}

impl Runner {
    /// Runs the call to its end from where its first TwiML led.
    pub(crate) async fn run(mut self, first: Course) {
        let mut course = first;
        let cause = loop {
            match course {
                Course::Over(cause) => break cause,
                Course::Relay(standing) => course = self.until_redirected(*standing).await,
            }
        };
        self.listed = None;
        let status_callback = self.status_callback().await;
        self.shared.change(|record| {
            record.live = false;
            let (actions, said) = (record.actions.clone(), record.said.clone());
            record.ended = Some(Ended {
                cause,
                actions,
                said,
                status_callback,
            });
        });
    }

    /// Follows TwiML to the next relay or to the end of the call.
    pub(crate) async fn follow(&mut self, mut twiml: Twiml) -> Result<Course, CallError> {
        for _ in 0..REDIRECTS_MAX {
            match self.perform(twiml).await? {
                Performed::Course(course) => return Ok(course),
                Performed::Redirect(link) => {
                    let url = self.twilio.links.public(&link, Some(&self.document))?;
                    let form = self.twilio.voice_form(&self.dial, &self.call_sid);
                    let via = self.shared.look().via.voice;
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

    async fn perform(&mut self, twiml: Twiml) -> Result<Performed, CallError> {
        for verb in twiml.verbs {
            let cause = match verb {
                Verb::Connect(connect) => {
                    return Ok(Performed::Course(Course::Relay(Box::new(
                        self.connect(connect).await?,
                    ))));
                }
                Verb::Redirect(link) => return Ok(Performed::Redirect(link)),
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
            return Ok(Performed::Course(Course::Over(cause)));
        }
        Ok(Performed::Course(Course::Over(EndCause::Twiml)))
    }

    /// Opens a relay as TwiML asks.
    async fn connect(&mut self, connect: Box<Connect>) -> Result<Standing, CallError> {
        let sessions = self.shared.look().session;
        if sessions >= SESSIONS_MAX {
            return Err(CallError::Settings(format!(
                "more than {SESSIONS_MAX} relay sessions in one call"
            )));
        }
        self.pass(HANDSHAKE_AFTER_TWIML).await;
        let action = match &connect.action {
            Some(link) => Some(self.twilio.links.public(link, Some(&self.document))?),
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
    ) -> Result<Standing, CallError> {
        let settings = RelaySettings::read(&connect)?;
        let via = self.shared.look().via.relay;
        let signing = &self.dial.sign_handshake;
        let (socket, instance) = link::dial(&self.twilio, &settings.url, signing, via).await?;
        let again = self.shared.look().session > 0;
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
        let session = Session::begin(
            settings,
            setup,
            self.twilio.config.pace.clone(),
            self.twilio.config.playback,
        );
        let config = &self.twilio.config;
        let mut line = Line::new(socket, session, config.speed, config.network);
        let mut watch = Watch {
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
        Ok(Standing {
            line,
            action,
            by_get,
            session_id,
            since: Instant::now(),
            connect,
        })
    }

    /// A session and what follows from it, unless the REST API has the call go on elsewhere first.
    async fn until_redirected(&mut self, mut standing: Standing) -> Course {
        let Some(mut listed) = self.listed.take() else {
            return Course::Over(EndCause::Failed("a call that nobody lists".into()));
        };
        let redirect = match self.hold(&mut standing.line, &mut listed).await {
            Held::Redirected(redirect) => Err(redirect),
            Held::Over(end) => tokio::select! {
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
    async fn after(&mut self, standing: Standing, end: SocketEnd) -> Course {
        let lost = matches!(end, SocketEnd::Lost(_) | SocketEnd::Vanished);
        self.shared.change(|record| {
            record.live = false;
            record.losses += u32::from(lost);
            record.note(Direction::Socket, &format!("{end:?}"));
        });
        let reconnects = lost && standing.line.session.reconnects();
        let Standing {
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
            SocketEnd::Closed(Close::TooManyMalformed) => ACTION_AFTER_MALFORMED,
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
            return Course::Over(end.cause());
        };
        let (status, handoff_data) = match &end {
            SocketEnd::Closed(Close::HungUp) => ("completed", None),
            SocketEnd::Closed(Close::EndedByApp { handoff_data }) => {
                ("ended", handoff_data.as_deref())
            }
            _ => ("failed", None),
        };
        let over = SessionOver {
            session_id: &session_id,
            status,
            lasted,
            handoff_data,
        };
        self.act(&url, by_get, &over, &end).await
    }

    /// Runs the session until its socket is gone.
    async fn hold(&mut self, line: &mut Line, listed: &mut Listed) -> Held {
        let shared = Arc::clone(&self.shared);
        let mut watch = Watch {
            shared: &shared,
            said: false,
            not_speaking: false,
        };
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        loop {
            if let Err(end) = line.flush(&mut watch).await {
                return Held::Over(end);
            }
            shared.change(|record| record.silent = line.is_silent());
            answer_waiting(&shared, &mut watch, &mut waiting);
            tokio::select! {
                happened = line.next(&mut watch) => if let Err(end) = happened {
                    // What the session had still to say about itself.
                    let _ = line.flush(&mut watch).await;
                    return Held::Over(end);
                },
                Some(redirect) = listed.redirects.recv() => {
                    line.close(&Close::Redirected, &mut watch).await;
                    return Held::Redirected(redirect);
                }
                command = self.commands.recv() => {
                    shared.look().interrupted = None;
                    match command {
                        Some(Command::Say(utterance, done)) => {
                            line.caller(Caller::Say(utterance));
                            waiting.push_back(Waiting::Say(done));
                        }
                        Some(Command::BargeIn(utterance, after, done)) => {
                            line.caller(Caller::BargeIn(utterance, after));
                            waiting.push_back(Waiting::BargeIn(done));
                        }
                        Some(Command::Press(digit, done)) => {
                            line.caller(Caller::Press(digit));
                            let flushed = line.flush(&mut watch).await;
                            // Nobody need wait for the answer.
                            let _ = done.send(shared.look().interrupted.take());
                            if let Err(end) = flushed {
                                return Held::Over(end);
                            }
                        }
                        Some(Command::Raw(text)) => line.caller(Caller::Raw(text)),
                        // Without a handle nobody can hang up any more.
                        Some(Command::HangUp) | None => line.caller(Caller::HangUp),
                        Some(Command::Drop) => return Held::Over(SocketEnd::Vanished),
                    }
                }
            }
        }
    }

    /// `applicationReconnect`: dials again and repeats what the server may have missed (protocol 6.4, assumed).
    async fn redial(
        &mut self,
        connect: Box<Connect>,
        action: Option<String>,
        by_get: bool,
        session_id: &str,
    ) -> Option<Course> {
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
        let prompt = last_prompt(&self.shared.look());
        if same && let Some(prompt) = prompt {
            standing
                .line
                .caller(Caller::Raw(frame::speaking("clientSpeaking", false)));
            standing.line.caller(Caller::Raw(prompt));
        }
        Some(Course::Relay(Box::new(standing)))
    }

    /// Requests the action and follows its TwiML.
    async fn act(
        &mut self,
        url: &str,
        by_get: bool,
        over: &SessionOver<'_>,
        end: &SocketEnd,
    ) -> Course {
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
                return Course::Over(end.cause());
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
                    Err(error) => Course::Over(EndCause::Failed(error.to_string())),
                }
            }
            _ => Course::Over(end.cause()),
        }
    }

    /// Lets so much of Twilio's time pass.
    pub(super) async fn pass(&self, time: Duration) {
        sleep(time.div_f64(self.twilio.config.speed)).await;
    }
}

/// How a session was held to its end.
enum Held {
    Over(SocketEnd),
    Redirected(Redirect),
}

enum Performed {
    Course(Course),
    Redirect(String),
}

/// TwiML or the error that Twilio would raise.
pub(crate) fn expect_twiml(url: &str, answer: &Answer) -> Result<Twiml, CallError> {
    if answer.status != 200 {
        return Err(CallError::WebhookStatus {
            url: url.to_owned(),
            status: answer.status,
        });
    }
    answer.twiml()
}

fn answer_waiting(shared: &Shared, watch: &mut Watch<'_>, waiting: &mut VecDeque<Waiting>) {
    if !watch.said && !watch.not_speaking {
        return;
    }
    let interrupted = shared.look().interrupted.take();
    // A handle that has given up waiting is no fault.
    match waiting.pop_front() {
        Some(Waiting::Say(done)) => drop(done.send(interrupted)),
        Some(Waiting::BargeIn(done)) if watch.not_speaking => {
            drop(done.send(Err(CallError::NotSpeaking)))
        }
        Some(Waiting::BargeIn(done)) => drop(done.send(Ok(interrupted))),
        None => {}
    }
    (watch.said, watch.not_speaking) = (false, false);
}

/// The last final prompt that went out.
fn last_prompt(record: &Record) -> Option<String> {
    let log = record.log();
    let prompts = log.iter().rev().filter(|entry| {
        entry.direction == Direction::ToApp && entry.frame_type().as_deref() == Some("prompt")
    });
    prompts
        .filter_map(|entry| Some((entry.json()?["last"].as_bool()?, entry.text.clone())))
        .find(|(last, _)| *last)
        .map(|(_, text)| text)
}
