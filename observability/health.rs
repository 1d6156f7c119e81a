//! How each part of the server is: what `/healthz` and `/readyz` say.
//!
//! A part reports its own state; the server is ready when every part has reported and none has failed.
//! A degraded part still takes calls. A process that answers at all is alive: restarting it because a
//! disk is full would only end the calls that are live.

use crate::redaction::mask_numbers_in;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a part is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It does its work.
    Ok,
    /// It does its work for callers, but something is missing.
    Degraded,
    /// It does not do its work: no new calls, please.
    Failed,
}

/// One part's state, with its reason; one that is well has a reason only where that is worth a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    /// How it is.
    pub status: HealthStatus,
    /// Why, in words for the operator; numbers are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ComponentHealth {
    fn ok() -> Self {
        Self {
            status: HealthStatus::Ok,
            reason: None,
        }
    }

    fn with_reason(status: HealthStatus, reason: &str) -> Self {
        Self {
            status,
            reason: Some(mask_numbers_in(reason).into_owned()),
        }
    }
}

/// What a probe is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// The worst state of any part.
    pub status: HealthStatus,
    /// Every part by its name.
    #[serde(rename = "parts")]
    pub components: BTreeMap<&'static str, ComponentHealth>,
    #[serde(skip)]
    passed: bool,
}

impl HealthReport {
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
pub struct HealthRegistry {
    components: Arc<Mutex<BTreeMap<&'static str, ComponentHealth>>>,
}

impl HealthRegistry {
    /// A house without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the part `name`, failed with the reason "starting" until it reports. Registered
    /// again, the part starts again.
    pub fn register(&self, name: &'static str) -> HealthComponent {
        let part = HealthComponent {
            name,
            health: self.clone(),
        };
        part.set_failed("starting");
        part
    }

    /// For `/healthz`: always passes, for who answers is alive; the parts are told all the same.
    pub fn liveness(&self) -> HealthReport {
        HealthReport {
            passed: true,
            ..self.readiness()
        }
    }

    /// For `/readyz`: passes when there are parts and none has failed.
    pub fn readiness(&self) -> HealthReport {
        let parts = self.lock().clone();
        let status = parts
            .values()
            .map(|state| state.status)
            .max()
            .unwrap_or(HealthStatus::Failed);
        HealthReport {
            status,
            components: parts,
            passed: status != HealthStatus::Failed,
        }
    }

    // A panic while the lock is held cannot leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, ComponentHealth>> {
        self.components
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One part's voice. It keeps its last state when dropped. Cloning shares it.
#[derive(Clone, Debug)]
pub struct HealthComponent {
    name: &'static str,
    health: HealthRegistry,
}

impl HealthComponent {
    /// It does its work.
    pub fn set_ok(&self) {
        self.set(ComponentHealth::ok());
    }

    /// It does its work, which is not all that one would expect: `reason` (a replica without calls).
    pub fn set_ok_with_reason(&self, reason: &str) {
        self.set(ComponentHealth::with_reason(HealthStatus::Ok, reason));
    }

    /// It does its work for callers, but `reason`.
    pub fn set_degraded(&self, reason: &str) {
        self.set(ComponentHealth::with_reason(HealthStatus::Degraded, reason));
    }

    /// It does not do its work because of `reason`, or must get no new calls (drain).
    pub fn set_failed(&self, reason: &str) {
        self.set(ComponentHealth::with_reason(HealthStatus::Failed, reason));
    }

    fn set(&self, state: ComponentHealth) {
        self.health.lock().insert(self.name, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_ready_before_every_component_has_reported() {
        let health = HealthRegistry::new();
        assert!(!health.readiness().passed(), "no parts");
        let (storage, doors) = (health.register("storage"), health.register("doors"));
        storage.set_ok();
        assert!(!health.readiness().passed());
        assert_eq!(
            health.readiness().components["doors"].reason.as_deref(),
            Some("starting")
        );
        doors.set_ok();
        assert!(health.readiness().passed());
        assert_eq!(health.readiness().status, HealthStatus::Ok);
    }

    #[test]
    fn a_degraded_component_still_takes_calls_and_says_why() {
        let health = HealthRegistry::new();
        health.register("doors").set_ok();
        health.register("storage").set_degraded("disk full");
        let report = health.readiness();
        assert!(report.passed());
        assert_eq!(
            report.to_json(),
            r#"{"status":"degraded","parts":{"doors":{"status":"ok"},"storage":{"status":"degraded","reason":"disk full"}}}"#
        );
    }

    #[test]
    fn a_component_that_is_ok_may_say_what_it_is_not_there_for() {
        let health = HealthRegistry::new();
        health
            .register("calls")
            .set_ok_with_reason("takes no calls");
        assert!(health.readiness().passed());
        assert_eq!(
            health.readiness().to_json(),
            r#"{"status":"ok","parts":{"calls":{"status":"ok","reason":"takes no calls"}}}"#
        );
    }

    #[test]
    fn a_failed_component_makes_it_unready_but_not_dead() {
        let health = HealthRegistry::new();
        let doors = health.register("doors");
        doors.set_failed("draining");
        assert!(!health.readiness().passed());
        assert!(health.liveness().passed());
        assert_eq!(health.liveness().status, HealthStatus::Failed);
        doors.set_ok();
        assert!(health.readiness().passed());
    }

    #[test]
    fn a_reason_shows_no_number() {
        let health = HealthRegistry::new();
        health
            .register("storage")
            .set_degraded("row of +14155550100 is odd");
        assert!(!health.readiness().to_json().contains("5550"));
    }
}
