//! How each part of the house is: what `/healthz` and `/readyz` say.
//!
//! A part reports its own state; the house is ready when every part has reported and none has failed.
//! A degraded part still takes calls. A process that answers at all is alive: restarting it because a
//! disk is full would only end the calls that are live.

use crate::redaction::mask_numbers_in;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a part is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does its work.
    Ok,
    /// It does its work for callers, but something is missing.
    Degraded,
    /// It does not do its work: no new calls, please.
    Failed,
}

/// One part's state, with its reason; one that is well has a reason only where that is worth a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// How it is.
    pub status: Status,
    /// Why, in words for the operator; numbers are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl State {
    fn well() -> Self {
        Self {
            status: Status::Ok,
            reason: None,
        }
    }

    fn because(status: Status, reason: &str) -> Self {
        Self {
            status,
            reason: Some(mask_numbers_in(reason).into_owned()),
        }
    }
}

/// What a probe is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst state of any part.
    pub status: Status,
    /// Every part by its name.
    pub parts: BTreeMap<&'static str, State>,
    #[serde(skip)]
    passed: bool,
}

impl Report {
    /// Whether the probe is to be answered with 200, else with 503.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// `{"status":"degraded","parts":{"storage":{"status":"degraded","reason":"disk full"}}}`
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and unit variants always serialise")
    }
}

/// The states of all parts. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

impl Health {
    /// A house without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the part `name`, failed with the reason "starting" until it reports. Registered
    /// again, the part starts again.
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part {
            name,
            health: self.clone(),
        };
        part.failed("starting");
        part
    }

    /// For `/healthz`: always passes, for who answers is alive; the parts are told all the same.
    pub fn live(&self) -> Report {
        Report {
            passed: true,
            ..self.ready()
        }
    }

    /// For `/readyz`: passes when there are parts and none has failed.
    pub fn ready(&self) -> Report {
        let parts = self.lock().clone();
        let status = parts
            .values()
            .map(|state| state.status)
            .max()
            .unwrap_or(Status::Failed);
        Report {
            status,
            parts,
            passed: status != Status::Failed,
        }
    }

    // A panic while the lock is held cannot leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One part's voice. It keeps its last state when dropped. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    health: Health,
}

impl Part {
    /// It does its work.
    pub fn ok(&self) {
        self.set(State::well());
    }

    /// It does its work, which is not all that one would expect: `reason` (a replica without calls).
    pub fn ok_because(&self, reason: &str) {
        self.set(State::because(Status::Ok, reason));
    }

    /// It does its work for callers, but `reason`.
    pub fn degraded(&self, reason: &str) {
        self.set(State::because(Status::Degraded, reason));
    }

    /// It does not do its work because of `reason`, or must get no new calls (drain).
    pub fn failed(&self, reason: &str) {
        self.set(State::because(Status::Failed, reason));
    }

    fn set(&self, state: State) {
        self.health.lock().insert(self.name, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_house_is_not_ready_before_every_part_has_reported() {
        let health = Health::new();
        assert!(!health.ready().passed(), "no parts");
        let (storage, doors) = (health.part("storage"), health.part("doors"));
        storage.ok();
        assert!(!health.ready().passed());
        assert_eq!(
            health.ready().parts["doors"].reason.as_deref(),
            Some("starting")
        );
        doors.ok();
        assert!(health.ready().passed());
        assert_eq!(health.ready().status, Status::Ok);
    }

    #[test]
    fn a_degraded_part_still_takes_calls_and_says_why() {
        let health = Health::new();
        health.part("doors").ok();
        health.part("storage").degraded("disk full");
        let report = health.ready();
        assert!(report.passed());
        assert_eq!(
            report.to_json(),
            r#"{"status":"degraded","parts":{"doors":{"status":"ok"},"storage":{"status":"degraded","reason":"disk full"}}}"#
        );
    }

    #[test]
    fn a_part_that_is_well_may_say_what_it_is_not_there_for() {
        let health = Health::new();
        health.part("calls").ok_because("takes no calls");
        assert!(health.ready().passed());
        assert_eq!(
            health.ready().to_json(),
            r#"{"status":"ok","parts":{"calls":{"status":"ok","reason":"takes no calls"}}}"#
        );
    }

    #[test]
    fn a_failed_part_makes_the_house_unready_but_not_dead() {
        let health = Health::new();
        let doors = health.part("doors");
        doors.failed("draining");
        assert!(!health.ready().passed());
        assert!(health.live().passed());
        assert_eq!(health.live().status, Status::Failed);
        doors.ok();
        assert!(health.ready().passed());
    }

    #[test]
    fn a_reason_shows_no_number() {
        let health = Health::new();
        health
            .part("storage")
            .degraded("row of +14155550100 is odd");
        assert!(!health.ready().to_json().contains("5550"));
    }
}
