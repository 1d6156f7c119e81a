//! openraft's own suite for storages.

use super::fixtures::Instance;
use calldex_storage::replication::{LogStore, NodeId, StateMachine, TypeConfig};
use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Instance> for Builder {
    async fn build(&self) -> Result<(Instance, LogStore, StateMachine), StorageError<NodeId>> {
        // Instances of one cluster: the suite gives the snapshot of one to another.
        let instance = Instance::joined("c0ffee");
        let (log, machine) = (instance.log(), instance.machine());
        Ok((instance, log, machine))
    }
}

#[test]
fn openrafts_own_suite_passes() {
    Suite::test_all(Builder).unwrap();
}
