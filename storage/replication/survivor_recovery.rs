//! Turns the data directory of a member whose cluster is lost into the first one of a new cluster.

use super::identity::{
    DataDirFiles, IdentityError, NodeFile, NodeIdentity, random_cluster_id, random_node_id,
};
use crate::data_dir_lock::DataDirLock;
use std::path::Path;

/// The recovery of one data directory; each step is on disk before the next. Holds the lock of the
/// directory.
pub(super) struct SurvivorRecovery {
    files: DataDirFiles,
    stage: RecoveryStage,
    _lock: DataDirLock,
}

enum RecoveryStage {
    /// The member that survived.
    Survivor(NodeIdentity),
    /// Everything it had is in its database; its new identity.
    Applied(NodeIdentity),
    /// The recovery is complete, and the instance was not started since.
    Done(NodeIdentity),
}

impl SurvivorRecovery {
    /// Reads how far the recovery has come. Changes nothing.
    pub(super) fn begin(data_dir: &Path) -> Result<Self, IdentityError> {
        let place = DataDirFiles::at(data_dir);
        if !data_dir.exists() {
            return Err(IdentityError::NotAMember);
        }
        let lock = DataDirLock::acquire(data_dir)?;
        let state = match place.node_file()? {
            Some(NodeFile::Member {
                cluster_id,
                node_id,
            }) => match place.member(&cluster_id, node_id)? {
                identity if identity.is_first_of_cluster() && identity.starts() == 0 => {
                    RecoveryStage::Done(identity)
                }
                identity => RecoveryStage::Survivor(identity),
            },
            Some(NodeFile::Recovering {
                new_cluster_id,
                new_node_id,
            }) => {
                RecoveryStage::Applied(NodeIdentity::first_of_cluster(new_cluster_id, new_node_id))
            }
            Some(NodeFile::Joining { join }) => return Err(IdentityError::Joining(join)),
            None if place.has_started_log()? => return Err(IdentityError::NodeFileMissing),
            None => return Err(IdentityError::NotAMember),
        };
        Ok(Self {
            files: place,
            stage: state,
            _lock: lock,
        })
    }

    /// The member, if not everything that it had is known to be in its database.
    pub(super) fn survivor(&self) -> Option<&NodeIdentity> {
        match &self.stage {
            RecoveryStage::Survivor(identity) => Some(identity),
            _ => None,
        }
    }

    /// Notes that everything the survivor had is in its database, durably: from now on it is not that member
    /// any more.
    pub(super) fn mark_applied(&mut self) -> Result<(), IdentityError> {
        let identity = NodeIdentity::first_of_cluster(random_cluster_id()?, random_node_id()?);
        self.files.write_node_file(&NodeFile::Recovering {
            new_cluster_id: identity.cluster_id().to_owned(),
            new_node_id: identity.node_id(),
        })?;
        self.stage = RecoveryStage::Applied(identity);
        Ok(())
    }

    /// Makes the directory the first instance of the new cluster; `step` is called between two steps.
    pub(super) fn create_cluster(
        self,
        step: impl Fn() -> Result<(), IdentityError>,
    ) -> Result<NodeIdentity, IdentityError> {
        let identity = match self.stage {
            RecoveryStage::Done(identity) => return Ok(identity),
            RecoveryStage::Survivor(_) => return Err(IdentityError::RecoveryInterrupted),
            RecoveryStage::Applied(identity) => identity,
        };
        step()?;
        self.files.remove_log()?;
        step()?;
        self.files
            .assign_database_to_cluster(identity.cluster_id())?;
        step()?;
        self.files.write_identity(&identity)?;
        step()?;
        Ok(identity)
    }
}
