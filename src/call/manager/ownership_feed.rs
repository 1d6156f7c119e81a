//! Passes the result of every claim from storage to the calls of this instance.

use super::{CallManager, STORAGE_READ_TIMEOUT};
use crate::call::state::CallOwner;
use calldex_storage::record::Conversation;
use calldex_storage::write::ClaimResult;
use compact_str::CompactString;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often the owner is looked up for calls whose session was not notified or whose claims were missed.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Calls looked up in one interval; the others follow in the next.
const RECHECK_BATCH_MAX: usize = 256;
/// An epoch from here on holds the slot of its owner in its lower half.
const FIRST_WITH_SLOT: u32 = 1 << 16;

impl CallManager {
    /// Receives the results of all claims and notifies the calls. Ends only if storage closes.
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

    /// Notifies the call of its owner. Returns `false` if its session could not be notified.
    fn forward_owner(&self, takeover: &ClaimResult) -> bool {
        // A released call has no owner, like a call that storage does not have.
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

    /// Looks up the owners of the calls in `owed` and notifies the calls. Calls that cannot be notified stay
    /// in `owed`. Stops at the first failed read.
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

    /// In cluster mode the epoch holds the slot of its owner, which is safer than the instance name.
    fn is_own_epoch(&self, epoch: u32, instance: &str) -> bool {
        let slot = u32::from(self.peers.slot());
        match epoch {
            _ if instance.is_empty() => false,
            FIRST_WITH_SLOT.. if slot != 0 => epoch % FIRST_WITH_SLOT == slot,
            _ => instance == self.instance,
        }
    }
}
