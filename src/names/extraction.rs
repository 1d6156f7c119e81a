//! What one turn says about the caller's name: the extractor's vocabulary.

use std::collections::HashSet;
use std::fmt;

use super::language::Language;
use super::text;

/// Confidence from which a name is used at once, without asking.
pub const CAPTURE_CONFIDENCE_MIN: f32 = 0.8;
/// Confidence from which it is worth asking once ("Was that Kay?").
pub const CONFIRM_CONFIDENCE_MIN: f32 = 0.5;

/// A name as it is written and spoken: capitals, accents, hyphens and apostrophes in place.
///
/// `Debug` shows only its length: names are personal data and stay out of logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The first name, or the only one said (a surname alone, if that was the answer).
    pub first: String,
    /// The whole name, where more than `first` was said.
    pub full: Option<String>,
    /// The title said before a surname alone: "Mr." of "Mr. Jones".
    pub title: Option<String>,
}

impl Name {
    /// A name of one part.
    #[must_use]
    pub fn single(first: String) -> Self {
        Self {
            first,
            full: None,
            title: None,
        }
    }

    /// As the caller is spoken to: "Misty", "Mr. Jones".
    #[must_use]
    pub fn form_of_address(&self) -> String {
        match &self.title {
            Some(title) => format!("{title} {}", self.first),
            None => self.first.clone(),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Name({} chars)", self.first.chars().count())
    }
}

/// What the turn does with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameIntent {
    /// Nothing about a name.
    #[default]
    None,
    /// The caller says who they are.
    Introduction,
    /// The caller replaces a name that was said or heard before ("no, it's Kay", "call me Sam").
    Correction,
    /// Somebody else's name ("it's for my son Max"); never used as the caller's.
    OtherPerson,
    /// The caller does not want to say ("skip", "why do you need it"): not asked again in this call.
    Refusal,
    /// The caller wants to be called by that name no more ("don't call me Sam", "forget my name").
    /// `name` holds the unwanted name where one was said.
    Forget,
}

/// What to do with the name that was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameDecision {
    /// Use at once, provisional until the call ends without a correction.
    Capture,
    /// Ask once ("Was that Kay?").
    Confirm,
    /// Nothing to use.
    #[default]
    Ignore,
}

impl NameDecision {
    /// The decision for a confidence between 0 and 1.
    #[must_use]
    pub fn from_confidence(confidence: f32) -> Self {
        if confidence >= CAPTURE_CONFIDENCE_MIN {
            Self::Capture
        } else if confidence >= CONFIRM_CONFIDENCE_MIN {
            Self::Confirm
        } else {
            Self::Ignore
        }
    }
}

/// What [`extract`](super::extract) found in one turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extraction {
    /// The name: the caller's for `Introduction` and `Correction` (also when `decision` is
    /// `Ignore`, then only as a hint), the unwanted one for `Forget`, the other person's for `OtherPerson`.
    pub name: Option<Name>,
    /// From 0 (nothing) to 1 (certain).
    pub confidence: f32,
    /// What the caller does with the name.
    pub intent: NameIntent,
    /// Always `Ignore` for kinds other than `Introduction` and `Correction`.
    pub decision: NameDecision,
    /// The name came with an explicit cue ("my name is", "call me"): may replace a known name.
    pub has_explicit_cue: bool,
    /// The name was read from spelled letters ("J O N", "Jon with an h").
    pub is_spelled: bool,
    /// The turn holds more than the introduction (a question, a request): answer that too.
    pub has_more: bool,
    /// A different person than the one greeted speaks ("no, this is his wife Ana"): kept beside
    /// the known person of this number, not over them.
    pub is_another_person: bool,
    /// The name that a correction turns down ("not Mark", "Ana, not Anna").
    pub rejected_name: Option<Name>,
    /// The language that the turn asks for and says nothing else ("Spanish please"): the tag of a
    /// language file, or `x-...` for a language without one.
    pub requested_language: Option<&'static str>,
}

/// Names that are never the caller's: the agent's own and the line's brand words.
///
/// By default the words of the default persona's world (species, moves, "gym leader") are no names
/// either; [`allowing_domain_words`](Self::allowing_domain_words) switches that off.
#[derive(Clone, Default)]
pub struct ExcludedWords {
    folded: HashSet<String>,
    allows_domain_words: bool,
}

impl fmt::Debug for ExcludedWords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ExcludedWords({})", self.folded.len())
    }
}

impl ExcludedWords {
    /// Takes names and brand words in any case; a phrase excludes each of its words
    /// ("Professor Oak" excludes "professor" and "oak").
    #[must_use]
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let folded = words
            .into_iter()
            .flat_map(|phrase| phrase.split(|c: char| !(c.is_alphanumeric() || c == '\'')))
            .map(text::fold)
            .filter(|word| !word.is_empty())
            .collect();
        Self {
            folded,
            allows_domain_words: false,
        }
    }

    /// The same words, without those of the default persona's world: on another line "Ruby" and
    /// "Leader" are words like any other.
    #[must_use]
    pub fn allowing_domain_words(self) -> Self {
        Self {
            allows_domain_words: true,
            ..self
        }
    }

    /// Whether words of the default persona's world are no names.
    pub(super) fn excludes_domain_words(&self) -> bool {
        !self.allows_domain_words
    }

    /// Whether a folded word is excluded.
    pub(super) fn contains(&self, folded: &str) -> bool {
        !self.folded.is_empty() && self.folded.contains(folded)
    }
}

/// What the extractor may know about the turn.
#[derive(Clone, Copy, Debug)]
pub struct ExtractionContext<'c> {
    /// The agent has just asked for the caller's name.
    pub name_asked: bool,
    /// The language of the turn.
    pub language: Language,
    /// Words that are no caller's name here.
    pub excluded: &'c ExcludedWords,
}

/// How a caller took "Was that Kay?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YesNo<'t> {
    /// Yes.
    Yes,
    /// No, and nothing more.
    No,
    /// No, and there is more: the text after the "no", to be read by [`extract`](super::extract)
    /// with `asked`.
    NoWithText(&'t str),
    /// Neither.
    Unclear,
}

/// What a turn after "Was that Kay?" does with the name asked about.
#[derive(Clone, Debug, PartialEq)]
pub enum Confirmation {
    /// It was right; spelled as given here ("yes, with an e" changes it).
    Confirmed(Name),
    /// It was wrong, and this is the right one. The decision inside says whether to use it.
    Corrected(Extraction),
    /// It was wrong, and no other was said.
    Denied,
    /// The caller does not want to give a name.
    Refused,
    /// Neither yes nor no: go on without.
    Unclear,
}
