//! Writes that are accepted and not yet applied, by call and by number. With them this instance reads its
//! own writes at once.

use crate::record::{CallSid, PhoneNumber};
use crate::write::Write;
use dashmap::DashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number that the queue gave a write.
pub(crate) type WriteId = u64;
type PendingList = Vec<(WriteId, Arc<Write>)>;

/// See the module.
#[derive(Default)]
pub(crate) struct PendingWrites {
    calls: DashMap<CallSid, PendingList>,
    numbers: DashMap<u64, PendingList>,
    /// Writes about callers that wait: look-ups skip the map while there are none.
    about_numbers: AtomicUsize,
}

impl PendingWrites {
    pub(crate) fn add(&self, id: WriteId, write: &Arc<Write>) {
        if let Some(number) = write.number() {
            self.about_numbers.fetch_add(1, Ordering::SeqCst);
            self.numbers
                .entry(number.digits())
                .or_default()
                .push((id, Arc::clone(write)));
        }
        if let Some(call_sid) = write.call_sid() {
            self.calls
                .entry(call_sid.clone())
                .or_default()
                .push((id, Arc::clone(write)));
        }
    }

    /// Takes a write out once the caches show it.
    pub(crate) fn remove(&self, id: WriteId, write: &Write) {
        if let Some(call_sid) = write.call_sid() {
            remove_from(&self.calls, call_sid, id);
        }
        if let Some(number) = write.number() {
            remove_from(&self.numbers, &number.digits(), id);
            self.about_numbers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// What waits about `call_sid`, in order.
    pub(crate) fn of_call(&self, call_sid: &CallSid) -> Vec<Arc<Write>> {
        self.calls
            .get(call_sid)
            .map(|waiting| writes(&waiting))
            .unwrap_or_default()
    }

    /// What waits about `number`, in order.
    pub(crate) fn of_number(&self, number: &PhoneNumber) -> Vec<Arc<Write>> {
        if self.about_numbers.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        self.numbers
            .get(&number.digits())
            .map(|waiting| writes(&waiting))
            .unwrap_or_default()
    }
}

fn writes(waiting: &PendingList) -> Vec<Arc<Write>> {
    waiting.iter().map(|(_, write)| Arc::clone(write)).collect()
}

fn remove_from<K: Eq + Hash>(map: &DashMap<K, PendingList>, key: &K, id: WriteId) {
    if let Some(mut waiting) = map.get_mut(key)
        && let Some(at) = waiting.iter().position(|(waiting_id, _)| *waiting_id == id)
    {
        waiting.remove(at);
    }
    map.remove_if(key, |_, waiting| waiting.is_empty());
}
