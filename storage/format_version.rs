//! Format versions: which writes and which tables a database may hold, so that builds of different releases
//! can use one database during an upgrade.
//!
//! Every build reads the format versions of [`FormatVersionRange::SUPPORTED`]. The database has the one in
//! use (`meta.level`), and a build writes nothing that it does not have. It is raised by
//! [`Write::FormatVersionRaised`](crate::write::Write::FormatVersionRaised), which every instance applies at the
//! same position of the log; it is never lowered. Until then the earlier build can be started again.
//!
//! What a format version adds:
//!
//! | format version | writes (`write::codec`) | tables |
//! |---|---|---|
//! | 1 | forms 1 to 3 | as before there were format versions |
//! | the next release's | one form more: `call_noted` (only with the feature `next-version`, which stands for a later release in the tests) | `conversations.summary`, which nothing uses, is removed |
//!
//! Additions (a column, a table) are made by every build when it opens the database
//! (`sqlite::migrations`) and belong to no format version: a build that does not know them does not touch them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The highest format version of this release.
const RELEASE_FORMAT_VERSION: u32 = 1;
/// That of the release after it, for which the feature `next-version` stands in the tests.
pub(crate) const NEXT_FORMAT_VERSION: u32 = RELEASE_FORMAT_VERSION + 1;
/// The highest format version that this build reads and writes.
pub const FORMAT_VERSION: u32 = if cfg!(feature = "next-version") {
    NEXT_FORMAT_VERSION
} else {
    RELEASE_FORMAT_VERSION
};
/// The lowest format version with which this build works.
pub const FORMAT_VERSION_MIN: u32 = 1;

/// The format versions that a build reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatVersionRange {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

impl FormatVersionRange {
    /// Those of this build.
    pub const SUPPORTED: Self = Self {
        min: FORMAT_VERSION_MIN,
        max: FORMAT_VERSION,
    };
    /// Those of a build that sends none: it is from before there were format versions.
    pub const LEGACY: Self = Self { min: 1, max: 1 };

    /// Whether `level` is one of them.
    pub fn contains(&self, format_version: u32) -> bool {
        (self.min..=self.max).contains(&format_version)
    }
}

impl Default for FormatVersionRange {
    fn default() -> Self {
        Self::LEGACY
    }
}

impl fmt::Display for FormatVersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// The format version in use in this instance's database, as of its last commit. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FormatVersionInUse(Arc<AtomicU32>);

impl FormatVersionInUse {
    pub(crate) fn new(format_version: u32) -> Self {
        Self(Arc::new(AtomicU32::new(format_version)))
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// The database is at `level` now. Returns whether that is higher than before.
    pub(crate) fn raise(&self, format_version: u32) -> bool {
        self.0.fetch_max(format_version, Ordering::AcqRel) < format_version
    }
}
