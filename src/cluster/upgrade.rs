//! Raising the level in use (`calldex_storage::FormatVersionRange`) once every member reads a higher one: by itself
//! after `cluster.finalize_upgrade_after_s`, or when an operator says so. Only the primary does it, by a
//! write that every instance applies at the same place of the log.

use super::node_context::NodeContext;
use super::wire::{FinalizeUpgradeResponse, ForwardResult};
use calldex_observability::worker::{RoundResult, WorkerProgress};
use calldex_storage::FormatVersionRange;
use calldex_storage::write::{Write, encode_batch};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it looks.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// What one member reads, as the primary knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MemberFormats {
    /// Who, in words.
    name: String,
    /// None while it does not answer.
    supported_formats: Option<FormatVersionRange>,
}

/// Somebody has to answer, or to go, before it is known which level all read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UnknownFormats(String);

/// The highest level that all of `members` read.
fn highest_common_format(members: &[MemberFormats]) -> Result<u32, UnknownFormats> {
    let mut level = FormatVersionRange::SUPPORTED.max;
    for member in members {
        let reads = member.supported_formats.ok_or_else(|| {
            UnknownFormats(format!(
                "{} does not answer: bring it back, or remove it with `calldex cluster remove`",
                member.name
            ))
        })?;
        level = level.min(reads.max);
    }
    Ok(level)
}

/// Since when all members have read a level that is not in use yet.
#[derive(Debug, Default)]
pub(super) struct CommonFormatSince(Option<(u32, Instant)>);

impl CommonFormatSince {
    /// All members read `format_version`, which is not in use: for how long they have.
    fn observe(&mut self, level: u32, now: Instant) -> Duration {
        match self.0 {
            Some((before, since)) if before == level => now.saturating_duration_since(since),
            _ => {
                self.0 = Some((level, now));
                Duration::ZERO
            }
        }
    }

    /// Somebody does not read it, or it is in use, or this instance is not primary.
    fn forget(&mut self) {
        self.0 = None;
    }
}

/// Raises the level if its time has come.
pub(super) async fn round(
    context: Arc<NodeContext>,
    settling: Arc<Mutex<CommonFormatSince>>,
) -> RoundResult {
    if is_due(&context, &mut lock(&settling)) {
        let finished = finalize_upgrade(&context).await;
        tracing::debug!(?finished, "the level was to be raised");
        if let FinalizeUpgradeResponse::Refused { why } | FinalizeUpgradeResponse::Wait { why } =
            finished
        {
            return Err(why);
        }
    }
    Ok(WorkerProgress::Done)
}

fn is_due(context: &NodeContext, settling: &mut CommonFormatSince) -> bool {
    if context.raft_if_primary().is_none() {
        settling.forget();
        return false;
    }
    // Who does not answer for a moment has not gone back to an earlier build.
    let Ok(level) = highest_common_format(&formats_of_members(context)) else {
        return false;
    };
    let in_use = context.storage.format_version();
    if level <= in_use {
        settling.forget();
        return false;
    }
    let patience = Duration::from_secs(context.section.finalize_upgrade_after_s);
    let settled = settling.observe(level, Instant::now());
    if settled.is_zero() {
        tracing::info!(
            format_version = level,
            format_version_in_use = in_use,
            seconds = patience.as_secs(),
            "all members read a new level: it comes into use in so many seconds, or by `calldex cluster finalize-upgrade`; until then the upgrade can be taken back"
        );
    }
    settled >= patience
}

fn lock(settling: &Mutex<CommonFormatSince>) -> MutexGuard<'_, CommonFormatSince> {
    settling.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises the level to the highest that all members read, now.
pub(super) async fn finalize_upgrade(context: &Arc<NodeContext>) -> FinalizeUpgradeResponse {
    if context.raft_if_primary().is_none() {
        return FinalizeUpgradeResponse::NotPrimary(context.primary_hint());
    }
    // Nobody is admitted meanwhile who does not read it.
    let _one_at_a_time = context.membership_lock.lock().await;
    let members = formats_of_members(context);
    let level = match highest_common_format(&members) {
        Ok(level) => level,
        Err(UnknownFormats(why)) => return FinalizeUpgradeResponse::Refused { why },
    };
    let in_use = context.storage.format_version();
    if level <= in_use {
        let behind = members.iter().filter(|member| {
            let reads = member.supported_formats.unwrap_or_default();
            FormatVersionRange::SUPPORTED.max > in_use && reads.max <= in_use
        });
        let behind: Vec<&str> = behind.map(|member| member.name.as_str()).collect();
        return match behind.as_slice() {
            [] => FinalizeUpgradeResponse::AlreadyFinalized {
                format_version: in_use,
            },
            behind => FinalizeUpgradeResponse::Refused {
                why: format!(
                    "{} read{} no level beyond {in_use}: upgrade first",
                    behind.join(", "),
                    if behind.len() == 1 { "s" } else { "" }
                ),
            },
        };
    }
    let batch = encode_batch(&[Write::FormatVersionRaised { to: level }]);
    match context.group_commit.submit(batch.into(), 1).await {
        ForwardResult::Committed(_) => FinalizeUpgradeResponse::Finalized {
            format_version: level,
        },
        ForwardResult::NotPrimary(found) => FinalizeUpgradeResponse::NotPrimary(found),
        ForwardResult::Busy | ForwardResult::TimedOut => FinalizeUpgradeResponse::Wait {
            why: "no majority has answered in time".to_owned(),
        },
        ForwardResult::Refused => FinalizeUpgradeResponse::Refused {
            why: "the log does not take it".to_owned(),
        },
    }
}

fn formats_of_members(context: &NodeContext) -> Vec<MemberFormats> {
    let members = context.member_list().members;
    let others = members
        .into_iter()
        .filter(|listed| listed.node_id != context.node_id);
    others
        .map(|listed| {
            let seen = context.peer_health.get(listed.node_id);
            let answering = seen.filter(|seen| seen.is_reachable());
            MemberFormats {
                name: format!("{} (node {})", listed.member.instance, listed.node_id),
                supported_formats: answering
                    .and_then(|seen| Some(seen.pong?.build.supported_formats)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(name: &str, max: Option<u32>) -> MemberFormats {
        MemberFormats {
            name: name.to_owned(),
            supported_formats: max.map(|max| FormatVersionRange { min: 1, max }),
        }
    }

    #[test]
    fn the_level_is_the_lowest_of_what_all_read_and_not_known_while_one_is_silent() {
        let own = FormatVersionRange::SUPPORTED.max;
        assert_eq!(highest_common_format(&[]), Ok(own));
        let [one, two] = [reader("one", Some(own + 3)), reader("two", Some(1))];
        assert_eq!(highest_common_format(&[one.clone(), two]), Ok(1));
        let silent = highest_common_format(&[one, reader("three", None)]);
        assert!(silent.unwrap_err().0.contains("three does not answer"));
    }

    #[test]
    fn the_wait_begins_anew_when_somebody_has_gone_back() {
        let began = Instant::now();
        let at = |s| began + Duration::from_secs(s);
        let mut settling = CommonFormatSince::default();
        assert_eq!(settling.observe(2, at(0)), Duration::ZERO);
        assert_eq!(settling.observe(2, at(500)), Duration::from_secs(500));
        settling.forget();
        assert_eq!(settling.observe(2, at(510)), Duration::ZERO);
        assert_eq!(settling.observe(3, at(700)), Duration::ZERO);
    }
}
