//! From the directory of a member whose cluster is lost to the first instance of a new one.

use super::identity::{
    Identity, IdentityError, NodeFile, Place, random_cluster_id, random_node_id,
};
use crate::lock::DirectoryLock;
use std::path::Path;

/// The way from a survivor's directory to the first instance of a new cluster, each step on disk before
/// the next. Holds the directory's lock.
pub(super) struct Founding {
    place: Place,
    state: FoundingState,
    _lock: DirectoryLock,
}

enum FoundingState {
    /// The member that survived.
    Survivor(Identity),
    /// Everything it had is in its database; who it will be.
    Settled(Identity),
    /// It was done before, and not started since.
    Done(Identity),
}

impl Founding {
    /// Where the directory stands on that way. Changes nothing.
    pub(super) fn begin(data_dir: &Path) -> Result<Self, IdentityError> {
        let place = Place::at(data_dir);
        if !data_dir.exists() {
            return Err(IdentityError::NoSurvivor);
        }
        let lock = DirectoryLock::take(data_dir)?;
        let state = match place.node_file()? {
            Some(NodeFile::Member {
                cluster_id,
                node_id,
            }) => match place.member(&cluster_id, node_id)? {
                identity if identity.is_founder() && identity.starts() == 0 => {
                    FoundingState::Done(identity)
                }
                identity => FoundingState::Survivor(identity),
            },
            Some(NodeFile::Founding {
                new_cluster_id,
                new_node_id,
            }) => FoundingState::Settled(Identity::founder_of(new_cluster_id, new_node_id)),
            Some(NodeFile::Joining { join }) => return Err(IdentityError::Joining(join)),
            None if place.has_started_log()? => return Err(IdentityError::NodeGone),
            None => return Err(IdentityError::NoSurvivor),
        };
        Ok(Self {
            place,
            state,
            _lock: lock,
        })
    }

    /// The member, if not everything that it had is known to be in its database.
    pub(super) fn survivor(&self) -> Option<&Identity> {
        match &self.state {
            FoundingState::Survivor(identity) => Some(identity),
            _ => None,
        }
    }

    /// Everything that the survivor had is in its database, on disk for good: from now on it is that
    /// member no more.
    pub(super) fn settle(&mut self) -> Result<(), IdentityError> {
        let identity = Identity::founder_of(random_cluster_id()?, random_node_id()?);
        self.place.write_node_file(&NodeFile::Founding {
            new_cluster_id: identity.cluster_id().to_owned(),
            new_node_id: identity.node_id(),
        })?;
        self.state = FoundingState::Settled(identity);
        Ok(())
    }

    /// Makes the directory the first instance of the new cluster; `step` is called between two steps.
    pub(super) fn finish(
        self,
        step: impl Fn() -> Result<(), IdentityError>,
    ) -> Result<Identity, IdentityError> {
        let identity = match self.state {
            FoundingState::Done(identity) => return Ok(identity),
            FoundingState::Survivor(_) => return Err(IdentityError::CutShort),
            FoundingState::Settled(identity) => identity,
        };
        step()?;
        self.place.remove_log()?;
        step()?;
        self.place.mark_calls(identity.cluster_id())?;
        step()?;
        self.place.settle(&identity)?;
        step()?;
        Ok(identity)
    }
}
