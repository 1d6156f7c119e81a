//! How many calls may be live at once, and whether new ones are taken at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Why a call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Every place is taken.
    Busy,
    /// The server is stopping.
    Draining,
}

impl Refusal {
    /// The label `reason` of `calldex_calls_refused_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }
}

/// Counts places for calls.
#[derive(Debug)]
pub struct Limits {
    live_max: usize,
    taken: AtomicUsize,
    draining: AtomicBool,
    parting: AtomicBool,
}

impl Limits {
    /// `live_max` places.
    pub fn new(live_max: usize) -> Arc<Self> {
        Arc::new(Self {
            live_max,
            taken: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            parting: AtomicBool::new(false),
        })
    }

    /// Takes a place; it is given back when the [`Place`] is dropped.
    ///
    /// # Errors
    /// [`Refusal`], which the caller is told in words.
    pub fn admit(self: &Arc<Self>) -> Result<Place, Refusal> {
        if self.is_draining() {
            Err(Refusal::Draining)
        } else {
            self.readmit()
        }
    }

    /// A place for a call that is already up elsewhere: refused only at the bound.
    pub fn readmit(self: &Arc<Self>) -> Result<Place, Refusal> {
        let take = |taken: usize| (taken < self.live_max).then_some(taken + 1);
        match self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
        {
            Ok(_) => Ok(Place(Arc::clone(self))),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// From now on no new call is taken.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// From now on live calls are said goodbye to, those that still connect included.
    pub fn part(&self) {
        self.parting.store(true, Ordering::Release);
    }

    /// Whether live calls are said goodbye to.
    pub fn is_parting(&self) -> bool {
        self.parting.load(Ordering::Acquire)
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

/// One call's place.
#[derive(Debug)]
pub struct Place(Arc<Limits>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = Limits::new(1);
        let place = limits.admit().unwrap();
        assert_eq!(limits.admit().unwrap_err(), Refusal::Busy);
        drop(place);
        assert!(limits.admit().is_ok());
        limits.drain();
        assert_eq!(limits.admit().unwrap_err(), Refusal::Draining);
        assert!(limits.readmit().is_ok());
    }
}
