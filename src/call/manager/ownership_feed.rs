//! Who owns which call: what storage tells of every claim, passed on to the calls that are here.

use super::{CallManager, STORAGE_READ_TIMEOUT};
use crate::call::state::CallOwner;
use calldex_storage::record::Conversation;
use calldex_storage::write::ClaimResult;
use compact_str::CompactString;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often calls are looked up whose session could not be told, or of which claims were missed.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Calls looked up at once; the rest waits for the next time.
const RECHECK_BATCH_MAX: usize = 256;
/// An epoch from here on holds the slot of its owner in its lower half.
const FIRST_WITH_SLOT: u32 = 1 << 16;

impl CallManager {
    /// Hears what came of claims of calls, whoever made them; runs as long as it is polled.
    pub(super) async fn follow_ownership(&self) {
        let mut takeovers = self.storage.claim_results();
        let mut owed = HashSet::new();
        let mut again = interval(RECHECK_INTERVAL);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = takeovers.recv() => match told {
                    Ok(takeover) if self.forward_owner(&takeover) => {}
                    Ok(takeover) => drop(owed.insert(takeover.call_sid)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "claims of calls came faster than they were heard: calls are looked up");
                        owed.extend(self.services.registry.call_sids());
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = again.tick(), if !owed.is_empty() => self.recheck_owners(&mut owed).await,
            }
        }
    }

    /// `false` if the call's session could not be told.
    fn forward_owner(&self, takeover: &ClaimResult) -> bool {
        // One that its owner gave up is nobody's, like one that storage has not.
        let known = !takeover.instance.is_empty();
        let owner = CallOwner {
            epoch: known.then_some(takeover.epoch),
            claimed: Some(takeover.claimed_epoch),
        };
        let ours = self.is_own_epoch(takeover.epoch, &takeover.instance);
        self.services
            .registry
            .owner_changed(&takeover.call_sid, owner, ours)
    }

    /// Looks up who owns the calls in `owed`, and tells them; those that cannot be told stay in it.
    async fn recheck_owners(&self, owed: &mut HashSet<CompactString>) {
        let calls: Vec<CompactString> = owed.iter().take(RECHECK_BATCH_MAX).cloned().collect();
        for call_sid in calls {
            let reading = self.storage.conversations.read(&call_sid);
            let Ok(Ok(call)) = timeout(STORAGE_READ_TIMEOUT, reading).await else {
                return;
            };
            let row = call.map(|call| call.conversation);
            let has_owner =
                |row: &&Conversation| row.instance.as_deref().is_some_and(|name| !name.is_empty());
            let owner = CallOwner {
                epoch: row.as_ref().filter(has_owner).map(|row| row.epoch),
                claimed: None,
            };
            let ours = row.is_none_or(|row| self.is_owned_by_us(&row));
            if self.services.registry.owner_changed(&call_sid, owner, ours) {
                owed.remove(&call_sid);
            }
        }
    }

    /// Whether the row names this instance as the call's owner.
    pub(super) fn is_owned_by_us(&self, row: &Conversation) -> bool {
        self.is_own_epoch(row.epoch, row.instance.as_deref().unwrap_or_default())
    }

    /// An epoch names its owner more surely than a name does, in cluster mode.
    fn is_own_epoch(&self, epoch: u32, instance: &str) -> bool {
        let slot = u32::from(self.peers.slot());
        match epoch {
            _ if instance.is_empty() => false,
            FIRST_WITH_SLOT.. if slot != 0 => epoch % FIRST_WITH_SLOT == slot,
            _ => instance == self.instance,
        }
    }
}
