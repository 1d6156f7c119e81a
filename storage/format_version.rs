//! Levels: which writes and which tables a database may hold, so that builds of different versions can
//! use one database while they replace each other.
//!
//! Every build reads the levels of [`FormatVersionRange::SUPPORTED`]. The database says which level is in use
//! (`meta.level`), and a build writes nothing that this level does not know. The level is raised by
//! [`Write::LevelRaised`](crate::write::Write::LevelRaised), which is applied by every instance at
//! the same place of the log; it is never lowered. Until then a build of before can take over again.
//!
//! What a level adds:
//!
//! | level | writes (`write::codec`) | tables |
//! |---|---|---|
//! | 1 | forms 1 to 3 | as they were before there were levels |
//! | 2 | form 4: `call_noted` (only with the feature `next-version`, which stands for a later release in the tests) | `conversations.summary`, which nothing uses, is removed |
//!
//! Additions (a column, a table) are made by every build when it opens the database
//! (`sqlite::migrations`) and belong to no level: a build that does not know them does not touch them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The highest level that this build reads and writes.
pub const FORMAT_VERSION: u32 = if cfg!(feature = "next-version") { 2 } else { 1 };
/// The lowest level that this build can work at.
pub const FORMAT_VERSION_MIN: u32 = 1;

/// The levels that a build reads.
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
    /// Those of a build that does not tell: it is of before there were levels.
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

/// The level in use in this instance's database, as its last commit left it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FormatVersionInUse(Arc<AtomicU32>);

impl FormatVersionInUse {
    pub(crate) fn new(format_version: u32) -> Self {
        Self(Arc::new(AtomicU32::new(format_version)))
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// The database has come to `level`. Whether that is news.
    pub(crate) fn raise(&self, format_version: u32) -> bool {
        self.0.fetch_max(format_version, Ordering::AcqRel) < format_version
    }
}
