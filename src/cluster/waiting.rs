//! Before this instance is one of several: it waits for `calldex cluster init`, or joins.

use super::client::{Addressee, Client, Sender, Silence};
use super::wire::{Admission, Application, Desk};
use super::{ClusterError, ClusterSection, papers};
use calldex_storage::Levels;
use calldex_storage::replication::{
    Identity, IdentityError, Member, NodeId, Standing, random_node_id,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the data directory is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often membership is asked for.
const ASK: Duration = Duration::from_secs(1);
/// What an instance may take to answer: a change of the members takes a majority.
const PATIENCE: Duration = Duration::from_secs(10);
/// Doors that one address leads to: its own, and the primary's that it names.
const DOORS_MAX: usize = 3;

/// Waits until the data directory has an identity, so that storage can be opened replicated: made by
/// `calldex cluster init` on it, or by joining through `section.join` or what `calldex cluster join`
/// has noted in it. `tell` gets what is waited for, in words for the operator, whenever it changes.
///
/// # Errors
/// [`ClusterError`]: a data directory that is not whole, the secret.
pub async fn await_identity(
    section: &ClusterSection,
    instance: &str,
    takes_calls: bool,
    data: &Path,
    tell: impl Fn(&str),
) -> Result<(), ClusterError> {
    let joiner = Joiner::new(section, instance, takes_calls, data)?;
    let mut told = String::new();
    let mut asked: Option<Instant> = None;
    loop {
        let standing = on_disk(data, Identity::read).await?;
        let doors = match standing {
            Some(Standing::Member(_)) => return Ok(()),
            Some(Standing::Joining(addresses)) => addresses,
            None => section.others(),
        };
        let waits_for = if doors.is_empty() {
            "waiting for `calldex cluster init` or `calldex cluster join`".to_owned()
        } else if on_disk(data, Identity::has_calls).await? {
            "waiting for `calldex cluster init`: the data directory has calls of its own, which \
             joining would replace"
                .to_owned()
        } else if asked.is_none_or(|asked| asked.elapsed() >= ASK) {
            asked = Some(Instant::now());
            match joiner.join(&doors).await? {
                None => return Ok(()),
                Some(why) => format!(
                    "waiting to join through {}: {why}; to found a cluster, run `calldex cluster \
                     init` on one instance",
                    doors.join(", ")
                ),
            }
        } else {
            told.clone()
        };
        if waits_for != told {
            tracing::info!("{waits_for}");
            tell(&waits_for);
            told = waits_for;
        }
        sleep(LOOK).await;
    }
}

/// What may take its time with the disk that `data` is on.
async fn on_disk<T: Send + 'static>(
    data: &Path,
    work: impl FnOnce(&Path) -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, ClusterError> {
    let data = data.to_owned();
    match tokio::task::spawn_blocking(move || work(&data)).await {
        Ok(done) => Ok(done?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// An empty instance that wants in.
struct Joiner {
    client: Client,
    member: Member,
    voter: bool,
    data: PathBuf,
}

impl Joiner {
    fn new(
        section: &ClusterSection,
        instance: &str,
        takes_calls: bool,
        data: &Path,
    ) -> Result<Self, ClusterError> {
        let papers = papers(section)?;
        let member = Member {
            address: section.advertised(),
            instance: instance.to_owned(),
            takes_calls,
        };
        let sender = Sender {
            address: member.address.clone(),
            ..Sender::default()
        };
        Ok(Self {
            client: Client::new(&papers, &sender)?,
            member,
            voter: section.voter,
            data: data.to_owned(),
        })
    }

    /// Asks at each of `doors` once. Nothing when the data directory has become a member's, else why
    /// it has not.
    async fn join(&self, doors: &[String]) -> Result<Option<String>, ClusterError> {
        let mut why = "no instance of a cluster answers there".to_owned();
        for door in doors {
            let mut node_id = random_node_id()?;
            let mut door = Addressee::anybody_at(door.clone());
            for _ in 0..DOORS_MAX {
                match self.ask(&door, node_id).await {
                    Ok(Admission::Joined { cluster_id }) => {
                        self.become_member(cluster_id, node_id).await?;
                        return Ok(None);
                    }
                    Ok(Admission::Elsewhere(Some(found))) => {
                        door = Addressee::node(found.node_id, found.address);
                    }
                    Ok(Admission::ChooseAnother) => node_id = random_node_id()?,
                    Ok(Admission::Elsewhere(None)) => {
                        why = "the cluster has no primary at the moment".to_owned();
                        break;
                    }
                    Ok(Admission::Wait { why: reason } | Admission::Refused { why: reason }) => {
                        why = reason;
                        break;
                    }
                    Err(silence) => {
                        if silence != Silence::Unreachable {
                            why = format!("{} {silence}", door.address);
                        }
                        break;
                    }
                }
            }
        }
        Ok(Some(why))
    }

    async fn ask(&self, door: &Addressee, node_id: NodeId) -> Result<Admission, Silence> {
        let application = Application {
            node_id,
            member: self.member.clone(),
            voter: self.voter,
            reads: Levels::OWN,
        };
        let client = &self.client;
        client.ask(door, Desk::Join, &application, PATIENCE).await
    }

    async fn become_member(&self, cluster_id: String, node_id: NodeId) -> Result<(), ClusterError> {
        let joining = move |data: &Path| Identity::join(data, &cluster_id, node_id);
        let identity = on_disk(&self.data, joining).await?;
        let (cluster_id, node_id) = (identity.cluster_id(), identity.node_id());
        tracing::info!(cluster_id, node_id, "joined the cluster");
        Ok(())
    }
}
