//! The verbs other than `<Connect>`, for what happens before and after the relay.

use super::connect::Connect;
use super::xml_writer::XmlWriter;
use std::fmt;

/// One instruction. `Debug` shows its name only.
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
    /// Calls somebody and connects the caller.
    Dial(Dial),
    /// Puts the caller into a queue.
    Enqueue(Enqueue),
}

/// `<Say>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Say {
    text: String,
    language: Option<String>,
}

impl Say {
    /// Says `text` in the default voice.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            language: None,
        }
    }

    /// In this language.
    pub fn language(self, language: impl Into<String>) -> Self {
        Self {
            language: Some(language.into()),
            ..self
        }
    }
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

/// `<Enqueue>` into a TaskRouter workflow.
#[derive(Clone, PartialEq, Eq)]
pub struct Enqueue {
    workflow_sid: String,
    task: Option<String>,
    action: Option<String>,
}

impl Enqueue {
    /// Into the workflow `sid` (`WW…`).
    pub fn workflow(sid: impl Into<String>) -> Self {
        Self {
            workflow_sid: sid.into(),
            task: None,
            action: None,
        }
    }

    /// With the task's attributes, as JSON.
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
        xml.attribute("workflowSid", &self.workflow_sid);
        xml.optional("action", self.action.as_deref());
        xml.optional("method", self.action.as_ref().map(|_| "POST"));
        if let Some(task) = &self.task {
            xml.open("Task");
            xml.text(task);
            xml.close();
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
