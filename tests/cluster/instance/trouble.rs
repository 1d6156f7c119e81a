//! Faults of storage's labelled operations, told while the instance runs.

use calldex_storage::{Faults, Operation};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Instead of an error number: the process ends.
pub const DIES: i32 = -1;

/// What is to happen, and how often still.
#[derive(Default)]
pub struct Trouble(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    /// Every operation, if none.
    operation: Option<Operation>,
    delay: Duration,
    errno: i32,
    times: u64,
}

impl Trouble {
    /// What storage is given.
    pub fn faults(self: &Arc<Self>) -> Faults {
        let trouble = Arc::clone(self);
        Faults::new(move |operation| trouble.befall(operation))
    }

    /// From now on.
    pub fn set(&self, operation: &str, delay_ms: u64, errno: i32, times: u64) {
        let named = (!operation.is_empty())
            .then(|| Operation::parse(operation).expect("a labelled operation"));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Plan {
            operation: named,
            delay: Duration::from_millis(delay_ms),
            errno,
            times,
        };
    }

    fn befall(&self, at: Operation) -> io::Result<()> {
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
