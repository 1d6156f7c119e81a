//! Why the warm cache is rebuilt.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RebuildReason {
    /// The server was started.
    Start,
    /// A caller was erased: sled keeps what it has deleted.
    Erasure,
    /// The database was changed by another process, or replaced.
    Changed,
    /// Too many numbers have changed since it was written last.
    Behind,
    /// Damaged, or failing.
    Corrupt,
    /// sled panicked.
    Panicked,
}

impl RebuildReason {
    /// The label of `warm_rebuilds_total`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Erasure => "erasure",
            Self::Changed => "changed",
            Self::Behind => "behind",
            Self::Corrupt => "corrupt",
            Self::Panicked => "panicked",
        }
    }

    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Corrupt | Self::Panicked)
    }
}
