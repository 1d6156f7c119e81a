//! Call admission: limits the number of live calls, and rejects new ones when the server stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionError {
    /// All permits are in use.
    AtCapacity,
    /// The server is stopping.
    Draining,
}

impl AdmissionError {
    /// The label `reason` of `calldex_calls_refused_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::AtCapacity => "busy",
            Self::Draining => "draining",
        }
    }
}

/// Limits how many calls are live at once.
#[derive(Debug)]
pub struct CallAdmission {
    live_max: usize,
    in_use: AtomicUsize,
    draining: AtomicBool,
    saying_goodbye: AtomicBool,
}

impl CallAdmission {
    /// Admits at most `live_max` calls at once.
    pub fn new(live_max: usize) -> Arc<Self> {
        Arc::new(Self {
            live_max,
            in_use: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            saying_goodbye: AtomicBool::new(false),
        })
    }

    /// Takes a permit; it is given back when the [`CallPermit`] is dropped.
    ///
    /// # Errors
    /// [`AdmissionError`] if no permit is free or the server stops.
    pub fn admit_new(self: &Arc<Self>) -> Result<CallPermit, AdmissionError> {
        if self.is_draining() {
            Err(AdmissionError::Draining)
        } else {
            self.admit_existing()
        }
    }

    /// Takes a permit for a call that is already live elsewhere, even while the server drains.
    ///
    /// # Errors
    /// [`AdmissionError::AtCapacity`] if no permit is free.
    pub fn admit_existing(self: &Arc<Self>) -> Result<CallPermit, AdmissionError> {
        let take = |taken: usize| (taken < self.live_max).then_some(taken + 1);
        match self
            .in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
        {
            Ok(_) => Ok(CallPermit(Arc::clone(self))),
            Err(_) => Err(AdmissionError::AtCapacity),
        }
    }

    /// Rejects new calls from now on.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// From now on calls say goodbye and end, also those that connect later.
    pub fn start_goodbyes(&self) {
        self.saying_goodbye.store(true, Ordering::Release);
    }

    /// Whether calls say goodbye and end.
    pub fn is_saying_goodbye(&self) -> bool {
        self.saying_goodbye.load(Ordering::Acquire)
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Permits in use.
    pub fn permits_in_use(&self) -> usize {
        self.in_use.load(Ordering::Acquire)
    }
}

/// One call's permit.
#[derive(Debug)]
pub struct CallPermit(Arc<CallAdmission>);

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_bounded_and_returned() {
        let limits = CallAdmission::new(1);
        let permit = limits.admit_new().unwrap();
        assert_eq!(limits.admit_new().unwrap_err(), AdmissionError::AtCapacity);
        drop(permit);
        assert!(limits.admit_new().is_ok());
        limits.start_draining();
        assert_eq!(limits.admit_new().unwrap_err(), AdmissionError::Draining);
        assert!(limits.admit_existing().is_ok());
    }
}
