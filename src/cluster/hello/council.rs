//! Who has to let an instance in, and who has.

use super::Shut;
use crate::cluster::client::Addressee;
use crate::cluster::wire::{Greeted, Roll};
use calldex_storage::replication::NodeId;
use std::collections::BTreeSet;

/// How it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A majority has let it in.
    In,
    /// So many of the voters needed have.
    Waiting { let_in: usize, needed: usize },
    /// It is not known who has to.
    Unknown,
}

/// The voters as far as they are known: as the own data has them, or as whoever answered knows them
/// of a later time.
pub(super) struct Council {
    own: NodeId,
    roll: Roll,
    let_in: BTreeSet<NodeId>,
}

impl Council {
    pub(super) fn new(own: NodeId, known: Roll) -> Self {
        Self {
            own,
            roll: known,
            let_in: BTreeSet::from([own]),
        }
    }

    /// Takes an answer in.
    pub(super) fn hear(&mut self, greeted: Greeted) -> Result<(), Shut> {
        match greeted {
            Greeted::Welcome { node_id, roll } => {
                self.let_in.insert(node_id);
                if roll.index > self.roll.index {
                    self.roll = roll;
                }
                Ok(())
            }
            Greeted::NotNow | Greeted::Removed => Ok(()),
            Greeted::Refused { why } => Err(Shut::Refused(why)),
        }
    }

    /// How it stands. A newcomer does not count itself: it is no voter yet.
    pub(super) fn verdict(&self) -> Verdict {
        let voters: BTreeSet<NodeId> = self.roll.voters().collect();
        if voters.is_empty() {
            return Verdict::Unknown;
        }
        let needed = voters.len() / 2 + 1;
        let let_in = voters.intersection(&self.let_in).count();
        if let_in >= needed {
            Verdict::In
        } else {
            Verdict::Waiting { let_in, needed }
        }
    }

    /// Members that have not answered.
    pub(super) fn doors_to_ask(&self) -> Vec<Addressee> {
        let silent = self
            .roll
            .members
            .iter()
            .filter(|listed| !self.let_in.contains(&listed.node_id));
        silent
            .map(|listed| Addressee::node(listed.node_id, listed.member.address.clone()))
            .collect()
    }

    /// Whether the member at `address` is known: it is asked by its id.
    pub(super) fn has_heard_from(&self, address: &str) -> bool {
        let mut members = self.roll.members.iter();
        members.any(|listed| listed.node_id != self.own && listed.member.address == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire::Listed;
    use calldex_storage::replication::Member;

    fn roll(index: u64, voters: &[NodeId]) -> Roll {
        let listed = |node_id: &NodeId| Listed {
            node_id: *node_id,
            member: Member {
                address: format!("node-{node_id}:7946"),
                ..Member::default()
            },
            voter: true,
        };
        Roll {
            index: Some(index),
            members: voters.iter().map(listed).collect(),
        }
    }

    fn welcome(node_id: NodeId, roll: Roll) -> Greeted {
        Greeted::Welcome { node_id, roll }
    }

    #[test]
    fn a_voter_alone_lets_itself_in() {
        assert_eq!(Council::new(1, roll(0, &[1])).verdict(), Verdict::In);
    }

    #[test]
    fn a_majority_of_the_voters_has_to_let_it_in() {
        let mut council = Council::new(1, roll(5, &[1, 2, 3]));
        let waiting = Verdict::Waiting {
            let_in: 1,
            needed: 2,
        };
        assert_eq!(council.verdict(), waiting);
        council.hear(Greeted::NotNow).unwrap();
        assert_eq!(council.doors_to_ask().len(), 2);
        council.hear(welcome(3, roll(5, &[1, 2, 3]))).unwrap();
        assert_eq!(council.verdict(), Verdict::In);
        assert_eq!(council.doors_to_ask().len(), 1);
    }

    #[test]
    fn an_empty_instance_learns_who_has_to_and_does_not_count_itself() {
        let mut council = Council::new(9, Roll::default());
        assert_eq!(council.verdict(), Verdict::Unknown);
        council.hear(welcome(1, roll(5, &[1, 2, 3]))).unwrap();
        let waiting = Verdict::Waiting {
            let_in: 1,
            needed: 2,
        };
        assert_eq!(council.verdict(), waiting);
        council.hear(welcome(2, roll(4, &[1, 2]))).unwrap();
        assert_eq!(council.verdict(), Verdict::In);
    }

    #[test]
    fn the_later_list_of_members_counts() {
        let mut council = Council::new(1, roll(5, &[1, 2, 3]));
        council.hear(welcome(2, roll(9, &[1, 2, 3, 4, 5]))).unwrap();
        let waiting = Verdict::Waiting {
            let_in: 2,
            needed: 3,
        };
        assert_eq!(council.verdict(), waiting);
    }

    #[test]
    fn one_refusal_is_enough() {
        let mut council = Council::new(1, roll(5, &[1, 2, 3]));
        let why = "older".to_owned();
        let refused = council.hear(Greeted::Refused { why: why.clone() });
        assert_eq!(refused, Err(Shut::Refused(why)));
    }
}
