//! A preference that the model noted in this call.

use compact_str::CompactString;

/// A preference noted in this call.
pub(super) struct PreferenceNote {
    pub(super) text: CompactString,
    /// The person's name; `None` as long as it is not known who speaks.
    pub(super) person: Option<CompactString>,
}
