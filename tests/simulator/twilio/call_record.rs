//! What a call has brought forth so far: replies, log, violations. The runner writes it, the handle reads it.

use super::{
    load_balancer::Routing,
    log::{Direction, LogEntry, Violation, ViolationKind},
    reply::{ActionAnswer, EndedCall, InterruptReport, Reply, Token},
    session_output::SessionObservation,
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Replies kept for a handle that does not listen; the oldest goes first.
const REPLIES_MAX: usize = 1000;
/// Cycle of what an earlier session has left behind: each session counts its own from the start.
const EARLIER_SESSION: u64 = u64::MAX;
/// Violations kept.
const VIOLATIONS_MAX: usize = 1000;

/// A reply on its way: being written, being played, or not yet heard by the test.
#[derive(Debug)]
struct StoredReply {
    cycle: u64,
    reply: Reply,
    closed: bool,
    taken: bool,
}

/// Everything that a call has brought forth.
#[derive(Debug)]
pub(crate) struct CallRecord {
    began: Instant,
    asked: Instant,
    replies: VecDeque<StoredReply>,
    heard: String,
    log: Vec<LogEntry>,
    log_entries_max: usize,
    violations: Vec<Violation>,
    pub(crate) session: u32,
    pub(crate) session_id: Option<String>,
    /// Which of several instances the session is at.
    pub(crate) instance: usize,
    /// Which of them the call's requests go to.
    pub(crate) via: Routing,
    pub(crate) greeting: Option<String>,
    /// Sessions whose socket vanished or broke.
    pub(crate) losses: u32,
    /// Nobody answered after the last of them.
    pub(crate) server_gone: bool,
    /// A session stands.
    pub(crate) live: bool,
    pub(crate) silent: bool,
    pub(crate) interrupted: Option<InterruptReport>,
    pub(crate) actions: Vec<ActionAnswer>,
    pub(crate) said: Vec<String>,
    pub(crate) ended: Option<EndedCall>,
}

impl CallRecord {
    pub(crate) fn new(log_entries_max: usize) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            asked: now,
            replies: VecDeque::new(),
            heard: String::new(),
            log: Vec::new(),
            log_entries_max,
            violations: Vec::new(),
            session: 0,
            session_id: None,
            instance: 0,
            via: Routing::default(),
            greeting: None,
            losses: 0,
            server_gone: false,
            live: false,
            silent: false,
            interrupted: None,
            actions: Vec::new(),
            said: Vec::new(),
            ended: None,
        }
    }

    pub(crate) fn note(&mut self, direction: Direction, text: &str) {
        if self.log.len() < self.log_entries_max {
            let at = self.began.elapsed();
            self.log.push(LogEntry {
                at,
                session: self.session,
                direction,
                text: text.to_owned(),
            });
        }
    }

    pub(crate) fn violation(&mut self, kind: ViolationKind, detail: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation {
                at: self.began.elapsed(),
                kind,
                detail,
            });
        }
    }

    pub(crate) fn log(&self) -> Vec<LogEntry> {
        self.log.clone()
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.clone()
    }

    pub(crate) fn heard(&self) -> String {
        self.heard.clone()
    }

    /// A new session: what the old one left behind will never be closed.
    pub(crate) fn begin_session(&mut self, session_id: String, greeting: Option<String>) {
        self.session += 1;
        self.session_id = Some(session_id);
        self.greeting = greeting;
        self.live = true;
        self.silent = false;
        self.asked = Instant::now();
        self.replies.retain(|kept| kept.closed && !kept.taken);
        for kept in &mut self.replies {
            kept.cycle = EARLIER_SESSION;
        }
    }

    pub(crate) fn saw(&mut self, seen: SessionObservation, at: Instant) {
        match seen {
            SessionObservation::Token {
                cycle,
                text,
                last,
                preemptible,
                lang,
            } => {
                // Looked at again once the frame is played: who waits for silence must not see the
                // one that this token ends.
                self.silent = false;
                self.token(cycle, text, last, preemptible, lang, at);
            }
            SessionObservation::Played { cycle, text } => {
                self.heard.push_str(&spaced(&self.heard, &text));
                if let Some(kept) = self.replies.iter_mut().find(|kept| kept.cycle == cycle) {
                    let text = spaced(&kept.reply.played, &text);
                    kept.reply.played.push_str(&text);
                }
            }
            SessionObservation::CutShort { cycle } => {
                if let Some(kept) = self.replies.iter_mut().find(|kept| kept.cycle == cycle) {
                    kept.reply.cut = true;
                }
            }
            SessionObservation::Interrupted {
                fragment,
                duration_ms,
            } => self.interrupt(fragment, duration_ms),
            SessionObservation::Asked => self.asked = at,
            SessionObservation::Violation(kind, detail) => self.violation(kind, detail),
            SessionObservation::Said | SessionObservation::NotSpeaking => {}
        }
    }

    fn token(
        &mut self,
        cycle: u64,
        text: String,
        last: bool,
        preemptible: bool,
        lang: Option<String>,
        at: Instant,
    ) {
        let since = at.saturating_duration_since(self.asked);
        if self.replies.iter().all(|kept| kept.cycle != cycle) {
            if text.is_empty() {
                return;
            }
            if self.replies.len() >= REPLIES_MAX {
                self.replies.pop_front();
            }
            let reply = Reply {
                preemptible: true,
                ..Reply::default()
            };
            self.replies.push_back(StoredReply {
                cycle,
                reply,
                closed: false,
                taken: false,
            });
        }
        let Some(kept) = self.replies.iter_mut().find(|kept| kept.cycle == cycle) else {
            return;
        };
        let reply = &mut kept.reply;
        if !text.is_empty() {
            reply.first_token.get_or_insert(since);
            reply.preemptible &= preemptible;
            reply.text.push_str(&text);
            reply.tokens.push(Token { text, at: since });
        }
        reply.lang = reply.lang.take().or(lang);
        if last {
            reply.whole = since;
            kept.closed = true;
        }
    }

    /// All replies that have not been played to their end are gone.
    fn interrupt(&mut self, fragment: String, duration_ms: u64) {
        let (cut, kept) = self
            .replies
            .drain(..)
            .partition::<VecDeque<StoredReply>, _>(|kept| !kept.is_played_out());
        self.replies = kept;
        let replies = cut
            .into_iter()
            .map(|kept| Reply {
                cut: true,
                ..kept.reply
            })
            .collect();
        self.interrupted = Some(InterruptReport {
            fragment,
            duration_ms,
            replies,
        });
    }

    /// Takes the next whole reply; with `played_out` only once nothing of it is left to play.
    pub(crate) fn take_reply(&mut self, played_out: bool) -> Option<Reply> {
        let silent = self.silent;
        self.replies
            .retain(|kept| !(kept.taken && (silent || kept.is_played_out())));
        let next = self.replies.iter_mut().find(|kept| !kept.taken)?;
        if !next.closed || (played_out && !silent && !next.is_played_out()) {
            return None;
        }
        next.taken = true;
        Some(next.reply.clone())
    }

    /// The next reply waits to be taken.
    pub(crate) fn next_is_whole(&self) -> bool {
        self.replies
            .iter()
            .find(|kept| !kept.taken)
            .is_some_and(|kept| kept.closed)
    }

    /// What has come of the next reply.
    pub(crate) fn partial_reply(&self) -> Reply {
        let next = self.replies.iter().find(|kept| !kept.taken);
        next.map(|kept| kept.reply.clone()).unwrap_or_default()
    }
}

impl StoredReply {
    fn is_played_out(&self) -> bool {
        let sounds = |text: &str| {
            text.chars()
                .filter(|character| !character.is_whitespace())
                .count()
        };
        self.reply.cut || (self.closed && sounds(&self.reply.played) >= sounds(&self.reply.text))
    }
}

/// Fragments come without their leading space; strung together they need one.
fn spaced(before: &str, text: &str) -> String {
    let joined = before.is_empty()
        || before.ends_with(char::is_whitespace)
        || text.starts_with(char::is_whitespace);
    if joined {
        text.to_owned()
    } else {
        format!(" {text}")
    }
}

/// A record that several look at.
#[derive(Debug)]
pub(crate) struct SharedCallRecord {
    record: Mutex<CallRecord>,
    changed: Notify,
}

impl SharedCallRecord {
    pub(crate) fn new(record: CallRecord) -> Self {
        Self {
            record: Mutex::new(record),
            changed: Notify::new(),
        }
    }

    /// Looks; a panic elsewhere has left nothing half done that matters here.
    pub(crate) fn lock(&self) -> MutexGuard<'_, CallRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the record and wakes all who wait for a change.
    pub(crate) fn change<T>(&self, how: impl FnOnce(&mut CallRecord) -> T) -> T {
        let made = how(&mut self.lock());
        self.changed.notify_waiters();
        made
    }

    /// Waits until `find` finds something; `None` after `limit`.
    pub(crate) async fn wait<T>(
        &self,
        limit: Duration,
        mut find: impl FnMut(&mut CallRecord) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = find(&mut self.lock()) {
                return Some(found);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return find(&mut self.lock());
            }
        }
    }
}
