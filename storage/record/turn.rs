//! One turn of a conversation: who said what, when, and how much of it was heard.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who a turn belongs to. In JSON and in the database: `user`, `assistant`, `tool`, `system`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnRole {
    /// The person on the phone.
    #[serde(rename = "user")]
    Caller,
    /// The voice that answers.
    #[serde(rename = "assistant")]
    Agent,
    /// A tool's call or its result.
    #[serde(rename = "tool")]
    Tool,
    /// The server itself.
    #[serde(rename = "system")]
    System,
}

impl TurnRole {
    /// The word that stands for it in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "user",
            Self::Agent => "assistant",
            Self::Tool => "tool",
            Self::System => "system",
        }
    }

    /// The role that `word` stands for.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "user" => Some(Self::Caller),
            "assistant" => Some(Self::Agent),
            "tool" => Some(Self::Tool),
            "system" => Some(Self::System),
            _ => None,
        }
    }
}

/// What sort of turn it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnKind {
    /// The greeting that the TwiML spoke.
    Greeting,
    /// Words of either side.
    #[default]
    Speech,
    /// A filler: a short sentence spoken while the caller waits or reconnects.
    #[serde(rename = "bridge")]
    Filler,
    /// What was said because an answer could not be had.
    Apology,
    /// A tool called or answering.
    Tool,
    /// Keys pressed.
    Dtmf,
    /// A system message that is not spoken.
    Note,
}

impl TurnKind {
    /// The word that stands for it in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Speech => "speech",
            Self::Filler => "bridge",
            Self::Apology => "apology",
            Self::Tool => "tool",
            Self::Dtmf => "dtmf",
            Self::Note => "note",
        }
    }

    /// The kind that `word` stands for; a word of a later version is [`TurnKind::Speech`].
    pub fn parse(word: &str) -> Self {
        let all = [
            Self::Greeting,
            Self::Filler,
            Self::Apology,
            Self::Tool,
            Self::Dtmf,
            Self::Note,
        ];
        all.into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or_default()
    }
}

/// A turn's place in its call: the owner's epoch, then the owner's own count. Two instances that
/// write for one call do so in different epochs, so no key is ever given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnKey {
    /// Which ownership of the call: 0 from its start, one more at each claim.
    pub epoch: u32,
    /// The turn's number within the epoch, given by its maker, rising.
    pub seq: u32,
}

/// One turn. `Debug` shows its place and size, never its words.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Who spoke.
    pub role: TurnRole,
    /// What was said, or what of it was heard.
    pub content: String,
    /// When, in milliseconds of the Unix epoch.
    pub at: i64,
    /// What sort of turn.
    #[serde(default)]
    pub kind: TurnKind,
    /// Ownership of the call in which it was made.
    #[serde(default)]
    pub epoch: u32,
    /// Its number within the epoch.
    pub seq: u32,
    /// Whether the caller cut it short.
    #[serde(default, skip_serializing_if = "is_false")]
    pub interrupted: bool,
    /// Whether the place where it ends was not reported by the provider, but estimated from the time
    /// that passed: the clause in play at a hang-up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub estimated: bool,
    /// 0 as appended; each amendment carries a higher one, and only a higher one is applied.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// BCP 47 tag of what was spoken, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<CompactString>,
    /// What a turn of the agent took of a model, where its provider told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Box<TurnUsage>>,
}

/// Tokens of one reply of a model, by its provider's own count.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnUsage {
    /// The configured name of the model.
    pub model: CompactString,
    /// Tokens of the question.
    pub input: u32,
    /// Of these, the ones that the provider had in its cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached: u32,
    /// Tokens of the answer, thoughts included.
    pub output: u32,
    /// What that costs, in millionths of the currency of the price table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Turn {
    /// A turn of speech at `at` (Unix milliseconds) with the key `(epoch, seq)`.
    pub fn new(role: TurnRole, content: impl Into<String>, at: i64, epoch: u32, seq: u32) -> Self {
        Self {
            role,
            content: content.into(),
            at,
            kind: TurnKind::Speech,
            epoch,
            seq,
            interrupted: false,
            estimated: false,
            revision: 0,
            language: None,
            usage: None,
        }
    }

    /// The same turn as another kind.
    pub fn with_kind(mut self, kind: TurnKind) -> Self {
        self.kind = kind;
        self
    }

    /// Its place in the call.
    pub fn key(&self) -> TurnKey {
        TurnKey {
            epoch: self.epoch,
            seq: self.seq,
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("role", &self.role)
            .field("kind", &self.kind)
            .field("epoch", &self.epoch)
            .field("seq", &self.seq)
            .field("at", &self.at)
            .field("bytes", &self.content.len())
            .field("interrupted", &self.interrupted)
            .field("estimated", &self.estimated)
            .field("revision", &self.revision)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_words() {
        let turn = Turn::new(TurnRole::Caller, "my name is Misty", 1, 0, 1);
        assert!(!format!("{turn:?}").contains("Misty"));
    }

    #[test]
    fn a_turn_in_json_has_role_content_and_time_as_the_prd_says() {
        let json = serde_json::to_value(Turn::new(
            TurnRole::Agent,
            "Hello!",
            1_700_000_000_000,
            0,
            0,
        ))
        .unwrap();
        assert_eq!(json["role"], "assistant");
        assert_eq!(json["content"], "Hello!");
        assert_eq!(json["at"], 1_700_000_000_000_i64);
    }

    #[test]
    fn a_turn_written_before_there_were_estimates_is_read() {
        let old = r#"{"role":"assistant","content":"Hello","at":1,"seq":0,"interrupted":true}"#;
        let turn: Turn = serde_json::from_str(old).unwrap();
        assert!(turn.interrupted && !turn.estimated);
        let json = serde_json::to_string(&turn).unwrap();
        assert!(!json.contains("estimated"), "{json}");
        let estimated = Turn {
            estimated: true,
            ..turn
        };
        let json = serde_json::to_string(&estimated).unwrap();
        assert_eq!(serde_json::from_str::<Turn>(&json).unwrap(), estimated);
    }
}
