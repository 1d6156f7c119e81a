//! The verbs beside `<Connect>`: what happens before and after the relay.

use super::connect::Connect;
use super::xml_writer::XmlWriter;
use std::fmt;

/// One instruction. `Debug` names it and shows no words and no numbers.
#[derive(Clone, PartialEq)]
pub enum Verb {
    /// Opens the relay.
    Connect(Box<Connect>),
    /// Speaks.
    Say(Say),
    /// Waits.
    Pause {
        /// How long.
        seconds: u32,
    },
    /// Ends the call.
    Hangup,
    /// Refuses the call.
    Reject(RejectReason),
    /// Goes on with another document.
    Redirect {
        /// Where it is.
        url: String,
    },
    /// Puts the caller through.
    Dial(Dial),
    /// Puts the caller into a queue.
    Enqueue(Enqueue),
}

/// `<Say>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Say {
    text: String,
    language: Option<String>,
    voice: Option<String>,
}

impl Say {
    /// Says `text` in the default voice.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            language: None,
            voice: None,
        }
    }

    /// In this language.
    pub fn language(self, language: impl Into<String>) -> Self {
        Self {
            language: Some(language.into()),
            ..self
        }
    }

    /// In this voice.
    pub fn voice(self, voice: impl Into<String>) -> Self {
        Self {
            voice: Some(voice.into()),
            ..self
        }
    }
}

/// What the caller of a refused call hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// The busy tone.
    Busy,
    /// "The number you have dialed is not in service".
    Rejected,
}

/// `<Dial>`: `to` is a number, or `sip:…` or `client:…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Dial {
    /// Whom to call.
    pub to: String,
    /// The number shown to them; not set: the caller's.
    pub caller_id: Option<String>,
    /// How long it rings.
    pub timeout_seconds: Option<u32>,
    /// Requested by POST when it is over.
    pub action: Option<String>,
    /// The caller's leg counts as answered only when `to` answers; until then the caller hears the
    /// ringing tone.
    pub answer_on_bridge: bool,
}

impl Dial {
    /// Calls `to` with Twilio's defaults.
    pub fn new(to: impl Into<String>) -> Self {
        Self {
            to: to.into(),
            caller_id: None,
            timeout_seconds: None,
            action: None,
            answer_on_bridge: false,
        }
    }

    fn write(&self, xml: &mut XmlWriter) {
        xml.open("Dial");
        xml.optional("callerId", self.caller_id.as_deref());
        xml.optional(
            "timeout",
            self.timeout_seconds
                .map(|seconds| seconds.to_string())
                .as_deref(),
        );
        xml.optional("action", self.action.as_deref());
        xml.optional("method", self.action.as_ref().map(|_| "POST"));
        xml.optional("answerOnBridge", self.answer_on_bridge.then_some("true"));
        let (noun, to) = match self.to.split_once(':') {
            Some(("client", name)) => ("Client", name),
            Some(("sip" | "sips", _)) => ("Sip", self.to.as_str()),
            _ => ("Number", self.to.as_str()),
        };
        xml.open(noun);
        xml.text(to);
        xml.close();
        xml.close();
    }
}

/// `<Enqueue>`: a queue by its name, or a TaskRouter workflow.
#[derive(Clone, PartialEq, Eq)]
pub struct Enqueue {
    queue: Option<String>,
    workflow_sid: Option<String>,
    task: Option<String>,
    action: Option<String>,
}

impl Enqueue {
    /// Into the queue `name`.
    pub fn queue(name: impl Into<String>) -> Self {
        Self {
            queue: Some(name.into()),
            workflow_sid: None,
            task: None,
            action: None,
        }
    }

    /// Into the workflow `sid` (`WW…`).
    pub fn workflow(sid: impl Into<String>) -> Self {
        Self {
            queue: None,
            workflow_sid: Some(sid.into()),
            task: None,
            action: None,
        }
    }

    /// With the task's attributes, as JSON. A queue has no use for them and leaves them out.
    pub fn task(self, json: impl Into<String>) -> Self {
        Self {
            task: Some(json.into()),
            ..self
        }
    }

    /// Requested by POST when the call leaves the queue.
    pub fn action(self, url: Option<String>) -> Self {
        Self {
            action: url,
            ..self
        }
    }

    fn write(&self, xml: &mut XmlWriter) {
        xml.open("Enqueue");
        xml.optional("workflowSid", self.workflow_sid.as_deref());
        xml.optional("action", self.action.as_deref());
        xml.optional("method", self.action.as_ref().map(|_| "POST"));
        match (&self.queue, &self.task) {
            (Some(name), _) => xml.text(name),
            (None, Some(task)) => {
                xml.open("Task");
                xml.text(task);
                xml.close();
            }
            (None, None) => {}
        }
        xml.close();
    }
}

impl Verb {
    pub(super) fn write(&self, xml: &mut XmlWriter) {
        match self {
            Self::Connect(connect) => connect.write(xml),
            Self::Say(say) => {
                xml.open("Say");
                xml.optional("language", say.language.as_deref());
                xml.optional("voice", say.voice.as_deref());
                xml.text(&say.text);
                xml.close();
            }
            Self::Pause { seconds } => {
                xml.open("Pause");
                xml.attribute("length", &seconds.to_string());
                xml.close();
            }
            Self::Hangup => {
                xml.open("Hangup");
                xml.close();
            }
            Self::Reject(reason) => {
                xml.open("Reject");
                xml.attribute(
                    "reason",
                    if *reason == RejectReason::Busy {
                        "busy"
                    } else {
                        "rejected"
                    },
                );
                xml.close();
            }
            Self::Redirect { url } => {
                xml.open("Redirect");
                xml.text(url);
                xml.close();
            }
            Self::Dial(dial) => dial.write(xml),
            Self::Enqueue(enqueue) => enqueue.write(xml),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "Connect",
            Self::Say(_) => "Say",
            Self::Pause { .. } => "Pause",
            Self::Hangup => "Hangup",
            Self::Reject(_) => "Reject",
            Self::Redirect { .. } => "Redirect",
            Self::Dial(_) => "Dial",
            Self::Enqueue(_) => "Enqueue",
        }
    }
}

impl fmt::Debug for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(connect) => connect.fmt(f),
            other => f.write_str(other.name()),
        }
    }
}

impl From<Connect> for Verb {
    fn from(connect: Connect) -> Self {
        Self::Connect(Box::new(connect))
    }
}

impl From<Say> for Verb {
    fn from(say: Say) -> Self {
        Self::Say(say)
    }
}

impl From<Dial> for Verb {
    fn from(dial: Dial) -> Self {
        Self::Dial(dial)
    }
}

impl From<Enqueue> for Verb {
    fn from(enqueue: Enqueue) -> Self {
        Self::Enqueue(enqueue)
    }
}
