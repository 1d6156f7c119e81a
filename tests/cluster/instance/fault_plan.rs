//! Faults of storage's labelled operations, told while the instance runs.

use calldex_storage::{DiskOperation, FaultInjector};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Instead of an error number: the process ends.
pub const DIES: i32 = -1;

/// What is to happen, and how often still.
#[derive(Default)]
pub struct FaultPlan(Mutex<PlannedFault>);

#[derive(Default)]
struct PlannedFault {
    /// Every operation, if none.
    operation: Option<DiskOperation>,
    delay: Duration,
    errno: i32,
    times: u64,
}

impl FaultPlan {
    /// What storage is given.
    pub fn faults(self: &Arc<Self>) -> FaultInjector {
        let plan = Arc::clone(self);
        FaultInjector::new(move |operation| plan.inject(operation))
    }

    /// From now on.
    pub fn set(&self, operation: &str, delay_ms: u64, errno: i32, times: u64) {
        let named = (!operation.is_empty())
            .then(|| DiskOperation::parse(operation).expect("a labelled operation"));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = PlannedFault {
            operation: named,
            delay: Duration::from_millis(delay_ms),
            errno,
            times,
        };
    }

    fn inject(&self, at: DiskOperation) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plan.times == 0 || plan.operation.is_some_and(|operation| operation != at) {
            return Ok(());
        }
        plan.times -= 1;
        let (delay, errno) = (plan.delay, plan.errno);
        drop(plan);
        std::thread::sleep(delay);
        match errno {
            0 => Ok(()),
            // As by kill -9: no destructor, no flush.
            DIES => std::process::abort(),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}
