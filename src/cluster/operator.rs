//! What a person asks of a running cluster from the command line.

use super::client::{Addressee, Client, Sender, Silence};
use super::wire::{Desk, Dismissal, Dismissed, Finished, Whereabouts};
use super::{ClusterError, ClusterSection, Standing, papers};
use std::time::{Duration, Instant};

/// What an instance may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a change is asked for again while the cluster is not able to make it.
const INSIST: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The secret, or the section.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Nobody answers at the door.
    #[error(
        "no instance answers at {address}: it {silence}. Is `calldex serve` running with this configuration, and has it been founded (`calldex cluster init`) or joined?"
    )]
    Silent {
        /// Where.
        address: String,
        /// How.
        silence: String,
    },
    /// The cluster does not do it.
    #[error("{0}")]
    Refused(String),
}

/// A member that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub node_id: u64,
    /// Its name.
    pub instance: String,
}

/// Asks at a running instance's cluster door.
pub struct Operator {
    client: Client,
    address: String,
}

impl Operator {
    /// With the secret of `section`, at the door of the instance that it configures.
    ///
    /// # Errors
    /// [`ClusterError`]: no secret, or none that can be used.
    pub fn new(section: &ClusterSection) -> Result<Self, ClusterError> {
        let papers = papers(section)?;
        // The own door is nearer than what the others know it by.
        let address = match section.listen {
            Some(listen) if listen.ip().is_unspecified() => {
                format!("127.0.0.1:{}", listen.port())
            }
            Some(listen) => listen.to_string(),
            None => return Err(ClusterError::Unset("listen")),
        };
        let client = Client::new(&papers, &Sender::default())?;
        Ok(Self { client, address })
    }

    /// How the cluster stands, as that instance knows it.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn standing(&self) -> Result<Standing, OperatorError> {
        let door = Addressee::anybody_at(self.address.clone());
        let answer = self.client.ask(&door, Desk::Standing, &(), PATIENCE).await;
        answer.map_err(|silence| silent(&door, &silence))
    }

    /// Brings the highest level into use that all members read: no earlier calldex reads the database
    /// then. The level, and whether it was in use before.
    ///
    /// # Errors
    /// [`OperatorError`]: a member that does not answer, or does not read a higher level.
    pub async fn finish_upgrade(&self) -> Result<(u32, bool), OperatorError> {
        let mut door = Addressee::anybody_at(self.address.clone());
        let began = Instant::now();
        loop {
            let answer = self.client.ask(&door, Desk::FinishUpgrade, &(), PATIENCE);
            let why = match answer.await.map_err(|silence| silent(&door, &silence))? {
                Finished::At { level } => return Ok((level, false)),
                Finished::Already { level } => return Ok((level, true)),
                Finished::Refused { why } => return Err(OperatorError::Refused(why)),
                Finished::Elsewhere(found) => follow(&mut door, found),
                Finished::Wait { why } => why,
            };
            if began.elapsed() > INSIST {
                return Err(OperatorError::Refused(why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes the member called `who` (node id, instance or address); `force`: even if too few
    /// voters remain that answer.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn remove(&self, who: &str, force: bool) -> Result<Removed, OperatorError> {
        let dismissal = Dismissal {
            who: who.to_owned(),
            force,
        };
        let mut door = Addressee::anybody_at(self.address.clone());
        let began = Instant::now();
        loop {
            let answer = self.client.ask(&door, Desk::Remove, &dismissal, PATIENCE);
            let why = match answer.await.map_err(|silence| silent(&door, &silence))? {
                Dismissed::Gone { node_id, instance } => return Ok(Removed { node_id, instance }),
                Dismissed::Refused { why } => return Err(OperatorError::Refused(why)),
                Dismissed::Elsewhere(found) => follow(&mut door, found),
                Dismissed::Wait { why } => why,
            };
            if began.elapsed() > INSIST {
                return Err(OperatorError::Refused(why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Asks the primary next, where that is known; why there is no answer yet.
fn follow(door: &mut Addressee, found: Option<Whereabouts>) -> String {
    match found {
        Some(Whereabouts { node_id, address }) => {
            *door = Addressee::node(node_id, address);
            "the primary changes".to_owned()
        }
        None => "the cluster has no primary: a majority of its voters must run".to_owned(),
    }
}

fn silent(door: &Addressee, silence: &Silence) -> OperatorError {
    OperatorError::Silent {
        address: door.address.clone(),
        silence: silence.to_string(),
    }
}
