//! openraft's own suite for storages.

use super::fixtures::TestReplica;
use calldex_storage::replication::{LogStore, NodeId, StateMachine, TypeConfig};
use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};

struct SuiteStorageBuilder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TestReplica> for SuiteStorageBuilder {
    async fn build(&self) -> Result<(TestReplica, LogStore, StateMachine), StorageError<NodeId>> {
        // Instances of one cluster: the suite gives the snapshot of one to another.
        let instance = TestReplica::joined("c0ffee");
        let (log, machine) = (instance.log(), instance.state_machine());
        Ok((instance, log, machine))
    }
}

#[test]
fn openrafts_own_suite_passes() {
    Suite::test_all(SuiteStorageBuilder).unwrap();
}
