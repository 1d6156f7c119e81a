//! The facts about the caller and the call at one turn.

use compact_str::CompactString;
use std::fmt;

/// The channel of the call, as far as the prompt depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallerChannel {
    /// A telephone number; the caller can be remembered.
    #[default]
    Phone,
    /// A withheld number, or one that identifies nobody: nothing is remembered beyond this call.
    Withheld,
    /// SIP, a client application or WhatsApp: no number, or not an ordinary call.
    Internet,
}

impl CallerChannel {
    /// The value of the variable `channel` in prompts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Withheld => "withheld",
            Self::Internet => "internet",
        }
    }
}

/// Whether the caller's unknown name may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameAskPolicy {
    /// It may be asked for once.
    #[default]
    MayAsk,
    /// It was asked for directly before the caller's last text.
    JustAsked,
    /// It may not be asked for (again) in this call.
    DoNotAsk,
}

/// The facts about the caller and the call at this turn.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CallerFacts {
    /// The name as it is spoken, if it is known.
    pub name: Option<CompactString>,
    /// Whether this caller has never called before; only from calls that may be mentioned to them.
    pub first_call: bool,
    /// Number of calls before this one that may be mentioned to them.
    pub previous_calls: u32,
    /// When the last of them began, Unix milliseconds.
    pub last_call_ms: Option<i64>,
    /// BCP 47 code of the conversation, such as `en-US`.
    pub language: CompactString,
    /// The other languages that the line has (BCP 47).
    pub other_languages: Vec<CompactString>,
    /// Preferences of the person who speaks, from earlier calls and this one.
    pub preferences: Vec<CompactString>,
    /// A recap of earlier calls; may be empty.
    pub recap: CompactString,
    /// Whether an unknown name may be asked for.
    pub name_ask_policy: NameAskPolicy,
    /// Whether the agent has said the name in this call.
    pub greeted_by_name: bool,
    /// The channel of the call.
    pub channel: CallerChannel,
    /// The number that was called; empty where none was.
    pub called_number: CompactString,
    /// When the call began, Unix milliseconds: the same in every turn.
    pub call_started_ms: i64,
}

impl CallerFacts {
    /// Sample calls of every kind, each with a description; prompts are checked with them.
    pub fn samples() -> Vec<(&'static str, Self)> {
        let new = Self {
            first_call: true,
            language: "en-US".into(),
            called_number: "+14155550100".into(),
            call_started_ms: 1_796_083_200_000,
            ..Self::default()
        };
        let known = Self {
            name: Some("Misty".into()),
            first_call: false,
            previous_calls: 4,
            last_call_ms: Some(new.call_started_ms - 86_400_000),
            name_ask_policy: NameAskPolicy::DoNotAsk,
            ..new.clone()
        };
        let asked = Self {
            name_ask_policy: NameAskPolicy::JustAsked,
            other_languages: vec!["es-ES".into(), "de-DE".into()],
            ..new.clone()
        };
        let named = Self {
            name: Some("Misty".into()),
            name_ask_policy: NameAskPolicy::DoNotAsk,
            ..new.clone()
        };
        let liked = Self {
            greeted_by_name: true,
            preferences: vec!["likes water types".into(), "wants short answers".into()],
            recap: "Asked what Staryu evolves into.".into(),
            other_languages: vec!["es-ES".into()],
            ..known.clone()
        };
        let nameless = Self {
            name: None,
            ..known.clone()
        };
        let withheld = Self {
            channel: CallerChannel::Withheld,
            name_ask_policy: NameAskPolicy::DoNotAsk,
            ..new.clone()
        };
        let withheld_named = Self {
            channel: CallerChannel::Withheld,
            ..named.clone()
        };
        let internet = Self {
            channel: CallerChannel::Internet,
            called_number: "".into(),
            language: "".into(),
            ..new.clone()
        };
        vec![
            ("a new caller", new),
            (
                "a new caller who was asked for the name, on a line with three languages",
                asked,
            ),
            ("a new caller who has said the name", named),
            ("a known caller", known),
            (
                "a known caller who was greeted, with notes from earlier calls",
                liked,
            ),
            ("a caller who called before and never said a name", nameless),
            ("a withheld number", withheld),
            ("a withheld number that has said a name", withheld_named),
            (
                "a caller without a telephone number, to no number",
                internet,
            ),
        ]
    }
}

impl fmt::Debug for CallerFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerFacts")
            .field("named", &self.name.is_some())
            .field("first_call", &self.first_call)
            .field("language", &self.language)
            .field("preferences", &self.preferences.len())
            .field("asking", &self.name_ask_policy)
            .field("greeted", &self.greeted_by_name)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
