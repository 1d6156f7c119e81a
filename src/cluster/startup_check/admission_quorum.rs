//! Who has to let an instance in, and who has.

use super::NotAdmitted;
use crate::cluster::client::RpcTarget;
use crate::cluster::wire::{MemberList, StartupCheckResponse};
use calldex_storage::replication::NodeId;
use std::collections::BTreeSet;

/// How it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QuorumState {
    /// A majority has let it in.
    Reached,
    /// So many of the voters needed have.
    Missing { accepted: usize, needed: usize },
    /// It is not known who has to.
    VotersUnknown,
}

/// The voters as far as they are known: as the own data has them, or as whoever answered knows them
/// of a later time.
pub(super) struct AdmissionQuorum {
    own: NodeId,
    member_list: MemberList,
    accepted: BTreeSet<NodeId>,
}

impl AdmissionQuorum {
    pub(super) fn new(own: NodeId, known: MemberList) -> Self {
        Self {
            own,
            member_list: known,
            accepted: BTreeSet::from([own]),
        }
    }

    /// Takes an answer in.
    pub(super) fn record(&mut self, response: StartupCheckResponse) -> Result<(), NotAdmitted> {
        match response {
            StartupCheckResponse::Accepted {
                node_id,
                member_list,
            } => {
                self.accepted.insert(node_id);
                if member_list.index > self.member_list.index {
                    self.member_list = member_list;
                }
                Ok(())
            }
            StartupCheckResponse::Unavailable | StartupCheckResponse::Removed => Ok(()),
            StartupCheckResponse::Refused { why } => Err(NotAdmitted::Refused(why)),
        }
    }

    /// How it stands. A newcomer does not count itself: it is no voter yet.
    pub(super) fn state(&self) -> QuorumState {
        let voters: BTreeSet<NodeId> = self.member_list.voters().collect();
        if voters.is_empty() {
            return QuorumState::VotersUnknown;
        }
        let needed = voters.len() / 2 + 1;
        let let_in = voters.intersection(&self.accepted).count();
        if let_in >= needed {
            QuorumState::Reached
        } else {
            QuorumState::Missing {
                accepted: let_in,
                needed,
            }
        }
    }

    /// Members that have not answered.
    pub(super) fn members_to_ask(&self) -> Vec<RpcTarget> {
        let silent = self
            .member_list
            .members
            .iter()
            .filter(|listed| !self.accepted.contains(&listed.node_id));
        silent
            .map(|listed| RpcTarget::node(listed.node_id, listed.member.address.clone()))
            .collect()
    }

    /// Whether the member at `address` is known: it is asked by its id.
    pub(super) fn knows_address(&self, address: &str) -> bool {
        let mut members = self.member_list.members.iter();
        members.any(|listed| listed.node_id != self.own && listed.member.address == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire::ListedMember;
    use calldex_storage::replication::Member;

    fn member_list(index: u64, voters: &[NodeId]) -> MemberList {
        let listed = |node_id: &NodeId| ListedMember {
            node_id: *node_id,
            member: Member {
                address: format!("node-{node_id}:7946"),
                ..Member::default()
            },
            voter: true,
        };
        MemberList {
            index: Some(index),
            members: voters.iter().map(listed).collect(),
        }
    }

    fn welcome(node_id: NodeId, member_list: MemberList) -> StartupCheckResponse {
        StartupCheckResponse::Accepted {
            node_id,
            member_list,
        }
    }

    #[test]
    fn a_voter_alone_lets_itself_in() {
        assert_eq!(
            AdmissionQuorum::new(1, member_list(0, &[1])).state(),
            QuorumState::Reached
        );
    }

    #[test]
    fn a_majority_of_the_voters_has_to_let_it_in() {
        let mut quorum = AdmissionQuorum::new(1, member_list(5, &[1, 2, 3]));
        let waiting = QuorumState::Missing {
            accepted: 1,
            needed: 2,
        };
        assert_eq!(quorum.state(), waiting);
        quorum.record(StartupCheckResponse::Unavailable).unwrap();
        assert_eq!(quorum.members_to_ask().len(), 2);
        quorum
            .record(welcome(3, member_list(5, &[1, 2, 3])))
            .unwrap();
        assert_eq!(quorum.state(), QuorumState::Reached);
        assert_eq!(quorum.members_to_ask().len(), 1);
    }

    #[test]
    fn an_empty_instance_learns_who_has_to_and_does_not_count_itself() {
        let mut quorum = AdmissionQuorum::new(9, MemberList::default());
        assert_eq!(quorum.state(), QuorumState::VotersUnknown);
        quorum
            .record(welcome(1, member_list(5, &[1, 2, 3])))
            .unwrap();
        let waiting = QuorumState::Missing {
            accepted: 1,
            needed: 2,
        };
        assert_eq!(quorum.state(), waiting);
        quorum.record(welcome(2, member_list(4, &[1, 2]))).unwrap();
        assert_eq!(quorum.state(), QuorumState::Reached);
    }

    #[test]
    fn the_later_list_of_members_counts() {
        let mut quorum = AdmissionQuorum::new(1, member_list(5, &[1, 2, 3]));
        quorum
            .record(welcome(2, member_list(9, &[1, 2, 3, 4, 5])))
            .unwrap();
        let waiting = QuorumState::Missing {
            accepted: 2,
            needed: 3,
        };
        assert_eq!(quorum.state(), waiting);
    }

    #[test]
    fn one_refusal_is_enough() {
        let mut quorum = AdmissionQuorum::new(1, member_list(5, &[1, 2, 3]));
        let why = "older".to_owned();
        let refused = quorum.record(StartupCheckResponse::Refused { why: why.clone() });
        assert_eq!(refused, Err(NotAdmitted::Refused(why)));
    }
}
