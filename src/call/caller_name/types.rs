//! What the dialogue about the caller's name takes and gives.

use compact_str::CompactString;

/// A change of the stored name.
#[derive(Clone, PartialEq, Eq)]
pub enum NameChange {
    /// The name was heard, not confirmed.
    Heard(CompactString),
    /// The caller confirmed the name.
    Confirmed(CompactString),
    /// The caller corrected the name.
    Corrected {
        /// The right name.
        to: CompactString,
        /// The wrong name, if it was the same person's: their preferences stay with them.
        from: Option<CompactString>,
    },
    /// Another person on the same number.
    PersonAdded(CompactString),
    /// The name of one of several people on the number was wrong.
    PersonRenamed {
        /// The wrong name.
        from: CompactString,
        /// The right one.
        to: CompactString,
    },
    /// The name of one of several people on the number is deleted.
    PersonForgotten(CompactString),
    /// The caller did not want to give a name.
    Declined,
    /// The name is deleted.
    Forgotten,
}

/// A message about the name, before or instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameReply {
    /// "Nice to meet you": the turn was nothing but the name.
    Welcome,
    /// "Hello again": a name that was known.
    WelcomeBack,
    /// "Thank you, I've got it now".
    Corrected,
    /// "Was that Kay?"
    Confirm,
    /// "Sorry. What is your name?"
    AskAgain,
    /// "No problem."
    Declined,
    /// "I won't call you that again."
    Forgotten,
}

/// A step of the dialogue (label `event` of `calldex_names_total`).
pub type NameEvent = &'static str;

/// What one turn of the caller comes to.
#[derive(Default)]
pub struct NameStep {
    /// To be kept, in order, if the caller has a number.
    pub changes: Vec<NameChange>,
    /// To be said at once; without it the agent answers the turn.
    pub reply: Option<NameReply>,
    /// To be told to the agent for its answer.
    pub turn_instruction: Option<String>,
    /// After the answer the name is to be asked for.
    pub ask_name_after: bool,
    /// The model may know better: asked in the background.
    pub verify_with_model: bool,
    /// Somebody else speaks from now on.
    pub speaker_changed: bool,
    /// To be counted.
    pub metric_event: Option<NameEvent>,
    /// The turn was nothing but the wish for a language: its primary subtag (BCP 47).
    pub requested_language: Option<&'static str>,
}

/// What is known of the caller as the call begins.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct InitialCallerName {
    /// The name from earlier calls.
    pub name: Option<CompactString>,
    /// The greeting said it.
    pub greeted_by_name: bool,
    /// The greeting said it to the only person known on a number, who confirmed it in a call before:
    /// whoever does not deny it is that person.
    pub identifies_caller: bool,
    /// Who else uses the number.
    pub other_people: Vec<CompactString>,
}

/// How a name came up in a turn.
#[derive(Clone, Copy, Default)]
pub(super) struct NameEvidence {
    /// We had asked for it.
    pub(super) asked: bool,
    /// We had just said the name we know.
    pub(super) read_back: bool,
    /// The turn turns down the name we know.
    pub(super) denied: bool,
    /// The caller says that their own name was wrong.
    pub(super) says_own_name_wrong: bool,
    /// It came with words that say whose it is ("this is X", "my name is X"), not as a bare word.
    pub(super) has_cue: bool,
    /// Somebody presents themselves by it ("this is X", "I'm X").
    pub(super) introduces_self: bool,
    /// The turn says nothing else.
    pub(super) is_only_name: bool,
}

/// What the model makes of an answer to the question for the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSuggestion<'a> {
    /// The caller's own name.
    OwnName(&'a str),
    /// They would rather not say it.
    Declined,
    /// Neither, or the model does not know.
    Unknown,
}

/// What the caller said, for a name that must occur in it.
#[derive(Clone, Copy)]
pub struct CallerWords<'t> {
    /// In the whole call.
    pub whole_call: &'t str,
    /// Since the agent last spoke.
    pub since_agent_spoke: &'t str,
    /// BCP-47.
    pub language: &'t str,
}
