//! The latest entries of the log in memory, which the other members and the applying thread mostly read.

use crate::replication::TypeConfig;
use openraft::Entry;
use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of entries in memory; older ones are read from disk.
const CACHE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Entries without a gap, with their sizes.
#[derive(Default)]
pub(super) struct EntryCache {
    entries: VecDeque<(Entry<TypeConfig>, u64)>,
    bytes: u64,
}

impl EntryCache {
    /// The index of the first, if there is one.
    pub(super) fn start(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.log_id.index)
    }

    pub(super) fn push(&mut self, entry: Entry<TypeConfig>, bytes: u64) {
        let last = self.entries.back().map(|(last, _)| last.log_id.index);
        if last.is_some_and(|last| last + 1 != entry.log_id.index) {
            // A snapshot replaced the entries between: nothing before it is read any more.
            (self.entries, self.bytes) = (VecDeque::new(), 0);
        }
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
        while self.bytes > CACHE_BYTES_MAX
            && let Some((_, bytes)) = self.entries.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    /// Removes the entries from `since` on.
    pub(super) fn truncate(&mut self, since: u64) {
        while let Some((_, bytes)) = self
            .entries
            .pop_back_if(|(entry, _)| entry.log_id.index >= since)
        {
            self.bytes -= bytes;
        }
    }

    /// Removes the entries before `end`.
    pub(super) fn drop_until(&mut self, end: u64) {
        while let Some((_, bytes)) = self
            .entries
            .pop_front_if(|(entry, _)| entry.log_id.index < end)
        {
            self.bytes -= bytes;
        }
    }

    /// The entries of `range` that are here: at most `bytes_max` of them, one at least.
    pub(super) fn read(&self, range: Range<u64>, bytes_max: u64) -> Vec<Entry<TypeConfig>> {
        let skipped = self
            .start()
            .map_or(0, |start| range.start.saturating_sub(start));
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (entry, size) in self.entries.iter().skip(skipped as usize) {
            bytes += size;
            let is_enough = bytes > bytes_max && !entries.is_empty();
            if entry.log_id.index >= range.end || is_enough {
                break;
            }
            entries.push(entry.clone());
        }
        entries
    }
}
