//! A second opinion on a name, asked in the background.

use compact_str::CompactString;
use std::fmt;

/// What the words said about a name, in the model's opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// The caller's own name.
    Own,
    /// Somebody else's name.
    Other,
    /// The caller does not want to say it.
    Refused,
    /// No name at all.
    Absent,
}

/// The model's opinion on a name. The name is to be used only if it occurs in the transcript.
#[derive(Clone, PartialEq, Eq)]
pub struct NameOpinion {
    /// As it should be written; `None` unless the kind is a name.
    pub name: Option<CompactString>,
    /// Whose name it is.
    pub kind: NameKind,
    /// The words of the transcript that say so; they occur in it.
    pub quote: CompactString,
}

impl fmt::Debug for NameOpinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameOpinion({:?})", self.kind)
    }
}
