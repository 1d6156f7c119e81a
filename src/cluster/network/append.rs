//! Append messages that wait for a response.
//!
//! The engine waits one heartbeat period for the response to an append message (openraft 0.9 has no other
//! bound) and then sends the same message again. On a slow network or disk, or while a connection is made, no
//! response would arrive in time. Therefore a message stays under way when the engine stops waiting for it.
//! When the engine sends the same again, the response that is still expected is used. Between the two tries
//! the engine sends a heartbeat: the response answers that as well, and is kept for the next try.

use crate::cluster::client::{ClusterClient, RpcError, RpcTarget};
use crate::cluster::wire::{APPEND_BYTES_TARGET, Endpoint, pack};
use calldex_storage::replication::{NodeId, TypeConfig};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::{EntryPayload, LogId, Vote};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The longest time until a response. A later one would make the primary believe that a majority has
/// followed it more recently than it has.
const RESPONSE_MAX: Duration = Duration::from_secs(1);

/// A message that was sent and whose response has not been used.
pub(super) struct InFlightAppend {
    vote: Vote<NodeId>,
    /// The entry before the first.
    prev_log_id: Option<LogId<NodeId>>,
    /// The last entry; the one before where it carries none.
    last_log_id: Option<LogId<NodeId>>,
    sent_at: Instant,
    response: JoinHandle<Result<AppendEntriesResponse<NodeId>, RpcError>>,
    /// The response was a success, and has only answered a heartbeat so far.
    succeeded: bool,
}

impl Drop for InFlightAppend {
    fn drop(&mut self) {
        self.response.abort();
    }
}

impl InFlightAppend {
    /// Sends `rpc`, encoded as `message`, on a task of its own.
    pub(super) fn send(
        client: ClusterClient,
        rpc_target: RpcTarget,
        rpc: &AppendEntriesRequest<TypeConfig>,
        message: Vec<u8>,
    ) -> Self {
        let response = tokio::spawn(async move {
            client
                .request_encoded(&rpc_target, Endpoint::Append, message, RESPONSE_MAX)
                .await
        });
        Self {
            vote: rpc.vote,
            prev_log_id: rpc.prev_log_id,
            last_log_id: last_log_id(rpc),
            sent_at: Instant::now(),
            response,
            succeeded: false,
        }
    }

    /// Waits for the response. Cancel safe: a later call waits for the same response.
    pub(super) async fn response(&mut self) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        if self.succeeded {
            return Ok(AppendEntriesResponse::Success);
        }
        (&mut self.response)
            .await
            .unwrap_or(Err(RpcError::NoResponse))
    }

    /// Whether its response also answers `rpc`: entries of the same primary after the same entry, up to one that
    /// `rpc` holds too; or a heartbeat after the same entry.
    fn applies_to(&self, rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
        self.vote == rpc.vote
            && self.prev_log_id == rpc.prev_log_id
            && self.sent_at.elapsed() <= RESPONSE_MAX
            && (self.last_log_id == rpc.prev_log_id
                || rpc.entries.is_empty()
                || rpc
                    .entries
                    .iter()
                    .any(|entry| Some(entry.log_id) == self.last_log_id))
    }

    /// `response` as one to `rpc`, which may carry more.
    fn adapted_to(
        &self,
        rpc: &AppendEntriesRequest<TypeConfig>,
        answer: AppendEntriesResponse<NodeId>,
    ) -> AppendEntriesResponse<NodeId> {
        match answer {
            // A member that has the entries has those before them.
            AppendEntriesResponse::Success if rpc.entries.is_empty() => answer,
            AppendEntriesResponse::Success if self.last_log_id != last_log_id(rpc) => {
                AppendEntriesResponse::PartialSuccess(self.last_log_id)
            }
            answer => answer,
        }
    }
}

/// What became of entries that are still under way, if `rpc` asks for the same again or is a heartbeat
/// from the same place.
pub(super) async fn reuse_in_flight(
    under_way: &mut Option<InFlightAppend>,
    rpc: &AppendEntriesRequest<TypeConfig>,
) -> Option<AppendEntriesResponse<NodeId>> {
    if !under_way.as_ref()?.applies_to(rpc) {
        *under_way = None;
        return None;
    }
    let pending = under_way.as_mut()?;
    let answer = pending.response().await;
    let served_all = last_log_id(rpc) == pending.last_log_id;
    let answer = answer.ok().map(|answer| pending.adapted_to(rpc, answer));
    if answer == Some(AppendEntriesResponse::Success) && !served_all {
        pending.succeeded = true;
    } else {
        *under_way = None;
    }
    answer
}

fn last_log_id(rpc: &AppendEntriesRequest<TypeConfig>) -> Option<LogId<NodeId>> {
    rpc.entries
        .last()
        .map(|entry| entry.log_id)
        .or(rpc.prev_log_id)
}

/// `rpc` as bytes; if it is too long to be sent quickly, how many of its entries are not.
pub(super) fn encode_bounded(rpc: &AppendEntriesRequest<TypeConfig>) -> Result<Vec<u8>, u64> {
    let mut bytes = 0;
    let fitting = rpc.entries.iter().take_while(|entry| {
        if let EntryPayload::Normal(batches) = &entry.payload {
            bytes += batches.bytes();
        }
        bytes <= APPEND_BYTES_TARGET
    });
    let fitting = fitting.count();
    if fitting < rpc.entries.len() && rpc.entries.len() > 1 {
        return Err(fitting.max(1) as u64);
    }
    Ok(pack(rpc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use calldex_storage::replication::EntryBatches;
    use openraft::{CommittedLeaderId, Entry};

    fn at(index: u64) -> LogId<NodeId> {
        LogId::new(CommittedLeaderId::new(2, 7), index)
    }

    fn rpc(before: u64, entries: u64, bytes: usize) -> AppendEntriesRequest<TypeConfig> {
        let entry = |index| Entry {
            log_id: at(index),
            payload: EntryPayload::Normal(EntryBatches(vec![vec![0; bytes].into()])),
        };
        AppendEntriesRequest {
            vote: Vote::new_committed(2, 7),
            prev_log_id: Some(at(before)),
            entries: (before + 1..=before + entries).map(entry).collect(),
            leader_commit: None,
        }
    }

    fn pending(rpc: &AppendEntriesRequest<TypeConfig>) -> InFlightAppend {
        InFlightAppend {
            vote: rpc.vote,
            prev_log_id: rpc.prev_log_id,
            last_log_id: last_log_id(rpc),
            sent_at: Instant::now(),
            response: tokio::spawn(async { Ok(AppendEntriesResponse::Success) }),
            succeeded: false,
        }
    }

    /// An answer takes longer than the engine's patience; between its tries a heartbeat is due.
    #[tokio::test]
    async fn a_heartbeat_between_two_tries_does_not_throw_a_late_answer_away() {
        let patience = Duration::from_millis(40);
        let mut sent = pending(&rpc(4, 2, 1));
        sent.response = tokio::spawn(async move {
            tokio::time::sleep(patience * 3 / 2).await;
            Ok(AppendEntriesResponse::Success)
        });
        let mut under_way = Some(sent);
        let (entries, heartbeat) = (rpc(4, 2, 1), rpc(4, 0, 1));
        let in_time =
            tokio::time::timeout(patience, reuse_in_flight(&mut under_way, &heartbeat)).await;
        assert!(in_time.is_err(), "the answer came too soon for this test");
        assert_eq!(
            reuse_in_flight(&mut under_way, &heartbeat).await,
            Some(AppendEntriesResponse::Success)
        );
        assert_eq!(
            reuse_in_flight(&mut under_way, &entries).await,
            Some(AppendEntriesResponse::Success),
            "the answer to the entries was thrown away"
        );
        assert!(under_way.is_none(), "it serves once");
    }

    #[tokio::test]
    async fn an_answer_is_not_kept_for_longer_than_its_bound() {
        let mut under_way = Some(pending(&rpc(4, 2, 1)));
        reuse_in_flight(&mut under_way, &rpc(4, 0, 1))
            .await
            .unwrap();
        under_way.as_mut().unwrap().sent_at -= RESPONSE_MAX * 2;
        assert_eq!(reuse_in_flight(&mut under_way, &rpc(4, 2, 1)).await, None);
    }

    #[tokio::test]
    async fn a_late_answer_counts_for_what_is_sent_again_from_the_same_place() {
        let sent = pending(&rpc(4, 2, 1));
        let success = || AppendEntriesResponse::Success;
        for (again, counts_as) in [
            (rpc(4, 2, 1), AppendEntriesResponse::Success),
            (
                rpc(4, 5, 1),
                AppendEntriesResponse::PartialSuccess(Some(at(6))),
            ),
        ] {
            assert!(sent.applies_to(&again));
            assert_eq!(sent.adapted_to(&again, success()), counts_as);
        }
        let heartbeat = pending(&rpc(4, 0, 1));
        assert!(heartbeat.applies_to(&rpc(4, 2, 1)));
        let part = heartbeat.adapted_to(&rpc(4, 2, 1), success());
        assert_eq!(part, AppendEntriesResponse::PartialSuccess(Some(at(4))));
    }

    #[tokio::test]
    async fn a_late_answer_says_nothing_about_anything_else() {
        let sent = pending(&rpc(4, 2, 1));
        assert!(!sent.applies_to(&rpc(5, 2, 1)), "from another place");
        assert!(!sent.applies_to(&rpc(4, 1, 1)), "less than was sent");
        assert!(
            !sent.applies_to(&rpc(5, 0, 1)),
            "a heartbeat from elsewhere"
        );
        let mut other = rpc(4, 2, 1);
        other.vote = Vote::new_committed(3, 8);
        assert!(!sent.applies_to(&other), "of another primary");
    }

    #[test]
    fn a_long_message_is_cut_but_one_entry_is_always_sent() {
        assert!(encode_bounded(&rpc(1, 5, 1_000)).is_ok());
        assert_eq!(encode_bounded(&rpc(1, 5, APPEND_BYTES_TARGET / 2)), Err(2));
        assert_eq!(encode_bounded(&rpc(1, 5, APPEND_BYTES_TARGET + 1)), Err(1));
        assert!(encode_bounded(&rpc(1, 1, APPEND_BYTES_TARGET + 1)).is_ok());
    }
}
