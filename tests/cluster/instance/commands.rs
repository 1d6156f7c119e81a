//! Answers to the test's questions.

use super::names::name_of;
use super::now_us;
use super::runtime::InstanceRuntime;
use crate::events::{InstanceEvent, SubmittedWrite, TestCommand};
use crate::fault_cluster::WAIT_MAX;
use calldex_observability::recorder;
use calldex_storage::ExistingFile;
use std::path::PathBuf;
use std::time::Duration;

/// How long a position is waited for.
const POSITION_MAX: Duration = WAIT_MAX;

/// The answer to `order`, which is a question.
pub async fn answer(runtime: &InstanceRuntime, order: TestCommand) -> InstanceEvent {
    match order {
        TestCommand::Standing { asked } => {
            let standing = serde_json::to_value(runtime.cluster.status());
            let standing = standing.expect("a standing is JSON");
            InstanceEvent::Standing { asked, standing }
        }
        TestCommand::Look {
            asked,
            position,
            deed,
        } => look(runtime, asked, position, deed).await,
        TestCommand::Tell { asked, position } => {
            let reached = runtime.storage.wait_applied(position, WAIT_MAX).await;
            runtime.report_claims().await;
            InstanceEvent::Told { asked, reached }
        }
        TestCommand::Figure { asked, series } => {
            let value = recorder::install().series_value(&series);
            InstanceEvent::Figure { asked, value }
        }
        TestCommand::Backup { asked, file } => {
            let copied = runtime
                .storage
                .backup(PathBuf::from(file), ExistingFile::Replace)
                .await;
            let failure = copied.err().map(|error| error.to_string());
            InstanceEvent::BackedUp { asked, failure }
        }
        other => unreachable!("no question: {other:?}"),
    }
}

async fn look(
    runtime: &InstanceRuntime,
    asked: u64,
    position: Option<u64>,
    deed: SubmittedWrite,
) -> InstanceEvent {
    let asked_us = now_us();
    let reached = match position {
        Some(position) => runtime.storage.wait_applied(position, POSITION_MAX).await,
        None => runtime.cluster.catch_up(POSITION_MAX).await,
    };
    let waited_us = position.map(|_| now_us() - asked_us);
    let found = find(runtime, &deed).await;
    InstanceEvent::Looked {
        asked,
        reached: reached && found.is_some(),
        found: found == Some(true),
        waited_us,
        deed,
    }
}

/// Whether it is there; nothing if it could not be asked.
async fn find(runtime: &InstanceRuntime, deed: &SubmittedWrite) -> Option<bool> {
    match deed {
        SubmittedWrite::Began { call, .. } => {
            let read = runtime.storage.conversations.read(call).await.ok()?;
            Some(read.is_some_and(|call| call.conversation.caller_kind.is_some()))
        }
        SubmittedWrite::Turn {
            call,
            epoch,
            seq,
            revision,
        } => {
            let read = runtime.storage.conversations.read(call).await.ok()?;
            let turns = read.map_or(Vec::new(), |read| read.turns);
            let mut turns = turns.iter();
            Some(
                turns.any(|turn| {
                    (turn.epoch, turn.seq) == (*epoch, *seq) && turn.revision >= *revision
                }),
            )
        }
        SubmittedWrite::Ended { call } => {
            let read = runtime.storage.conversations.read(call).await.ok()?;
            Some(read.is_some_and(|call| !call.is_live()))
        }
        SubmittedWrite::Named { number, mark } => {
            name_of(runtime, number).await.map(|seen| seen >= *mark)
        }
        SubmittedWrite::Claimed { call, epoch, .. } => {
            let read = runtime.storage.conversations.read(call).await.ok()?;
            Some(read.is_some_and(|call| call.conversation.epoch >= *epoch))
        }
    }
}
