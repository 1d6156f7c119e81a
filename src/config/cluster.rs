//! `[cluster]`: cluster mode.

use crate::settings::ConfigError;
use calldex_observability::redaction::Secret;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::SocketAddr;

/// Characters of the shared secret, at least: what `openssl rand -hex 32` gives twice over.
const SECRET_CHARS_MIN: usize = 32;
/// Different characters in it, at least: of 32 random hexadecimal digits fewer are different once in a
/// million times.
const SECRET_DISTINCT_CHARS_MIN: usize = 8;
/// Heartbeats that fit into the shortest election timeout, at least: one may be lost, one late.
const HEARTBEATS_PER_ELECTION_MIN: u64 = 3;
/// Shortest heartbeat, milliseconds.
const HEARTBEAT_MS_MIN: u64 = 10;
/// Longest election timeout, milliseconds.
const ELECTION_MS_MAX: u64 = 60_000;
/// Smallest bound of the log: a few of the largest entries.
const LOG_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Addresses in `join`, at most.
const JOIN_MAX: usize = 32;

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// The address of the cluster listener. Setting it turns cluster mode on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// How other instances reach that listener, `host:port`; `listen` where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// Doors of other instances, `host:port`: an empty data directory joins through whichever
    /// answers. In a variable: separated by commas.
    #[serde(deserialize_with = "addresses")]
    pub join: Vec<String>,
    /// The same on every instance: who has it is one of them.
    #[serde(skip_serializing)]
    pub secret: Option<Secret>,
    /// A second secret whose holders are accepted, too, while the secret is changed: first the one to come,
    /// then the one before.
    #[serde(skip_serializing)]
    pub secret_accepted: Option<Secret>,
    /// Whether this instance votes; else it keeps a copy and stays a learner.
    pub voter: bool,
    /// The primary's sign of life, in milliseconds.
    pub heartbeat_ms: u64,
    /// Without a sign of life for `election_ms_max` and then between this long ...
    pub election_ms_min: u64,
    /// ... and this long another is elected, in milliseconds.
    pub election_ms_max: u64,
    /// Seconds without an answer after which a member's place is given to an instance that comes with its
    /// name or its address. `calldex cluster remove` does so at once.
    pub replace_after_s: u64,
    /// Seconds from the moment in which all instances run a new version to the one from which they write
    /// what only it reads: so long an upgrade can be taken back. `calldex cluster finalize-upgrade` does
    /// not wait. For an instance alone, too.
    pub finalize_upgrade_after_s: u64,
    /// Bytes of log kept for replicas that fall behind; one that is further behind is sent the whole
    /// database.
    pub log_bytes_max: u64,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            listen: None,
            advertise: None,
            join: Vec::new(),
            secret: None,
            secret_accepted: None,
            voter: true,
            heartbeat_ms: 50,
            election_ms_min: 300,
            election_ms_max: 600,
            replace_after_s: 300,
            finalize_upgrade_after_s: 600,
            log_bytes_max: 256 * 1024 * 1024,
        }
    }
}

impl ClusterSection {
    /// Whether cluster mode is on.
    pub fn is_enabled(&self) -> bool {
        self.listen.is_some()
    }

    /// How the others reach this instance, `host:port`.
    pub fn advertised(&self) -> String {
        match (&self.advertise, self.listen) {
            (Some(address), _) => address.clone(),
            (None, Some(listen)) => listen.to_string(),
            (None, None) => String::new(),
        }
    }

    /// Addresses in `join` that are not this instance's own.
    pub fn peer_addresses(&self) -> Vec<String> {
        let own = self.advertised();
        let listen = self.listen.map(|listen| listen.to_string());
        let is_own = |address: &&String| **address == own || Some(*address) == listen.as_ref();
        let others = self.join.iter().filter(|address| !is_own(address));
        others.cloned().collect()
    }

    pub(super) fn validate(&self) -> Vec<ConfigError> {
        let mut errors = self.validate_timing();
        errors.extend(self.validate_addresses());
        if self.log_bytes_max < LOG_BYTES_MIN {
            let hint = "must be at least 16777216 (16 MiB)";
            errors.push(config_error("log_bytes_max", self.log_bytes_max, hint));
        }
        let Some(listen) = self.listen else {
            return errors;
        };
        errors.extend(self.validate_secrets());
        if listen.ip().is_unspecified() && self.advertise.is_none() {
            let hint = "is no address that others can reach: set cluster.advertise to this \
                          instance's host name or address and port";
            errors.push(config_error("listen", listen, hint));
        }
        if !self.join.is_empty() && self.peer_addresses().is_empty() {
            let hint = "names only this instance: name the others, or leave it out and found a \
                          cluster with `calldex cluster init`";
            errors.push(config_error("join", self.join.join(","), hint));
        }
        errors
    }

    fn validate_timing(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let (heartbeat, min, max) = (
            self.heartbeat_ms,
            self.election_ms_min,
            self.election_ms_max,
        );
        if heartbeat < HEARTBEAT_MS_MIN {
            errors.push(config_error(
                "heartbeat_ms",
                heartbeat,
                "must be at least 10",
            ));
        }
        if min < heartbeat.saturating_mul(HEARTBEATS_PER_ELECTION_MIN) {
            let hint = "must be at least three times cluster.heartbeat_ms, or one late heartbeat \
                          makes the others elect a new primary";
            errors.push(config_error("election_ms_min", min, hint));
        }
        if max <= min {
            let hint = "must be more than cluster.election_ms_min: two candidates that wait equally long \
                          split the votes";
            errors.push(config_error("election_ms_max", max, hint));
        }
        if max > ELECTION_MS_MAX {
            errors.push(config_error(
                "election_ms_max",
                max,
                "must be at most 60000",
            ));
        }
        errors
    }

    fn validate_addresses(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let advertise = self.advertise.iter().map(|address| ("advertise", address));
        let join = self.join.iter().map(|address| ("join", address));
        for (key, address) in advertise.chain(join) {
            if !is_address(address) {
                let hint = "must be host:port, such as calldex-0.calldex:7946";
                errors.push(config_error(key, format!("{address:?}"), hint));
            }
        }
        if self.join.len() > JOIN_MAX {
            let hint = "must be at most 32 addresses: a few that answer are enough";
            errors.push(config_error("join", self.join.len(), hint));
        }
        if self.listen.is_none() && (self.advertise.is_some() || !self.join.is_empty()) {
            let hint = "is missing: set it to the address and port for the other instances, or \
                          leave cluster.advertise and cluster.join out";
            errors.push(config_error("listen", "", hint));
        }
        errors
    }

    fn validate_secrets(&self) -> Vec<ConfigError> {
        let reveal = |secret: &Option<Secret>| {
            let secret = secret.as_ref().map(|secret| secret.reveal().trim());
            secret.unwrap_or_default().to_owned()
        };
        let (own, accepted) = (reveal(&self.secret), reveal(&self.secret_accepted));
        let mut errors: Vec<ConfigError> = validate_secret("secret", &own).into_iter().collect();
        if self.secret_accepted.is_some() {
            errors.extend(validate_secret("secret_accepted", &accepted));
            if own == accepted {
                let hint = "is the same as cluster.secret: set it to the other one while the secret is \
                              changed, or leave it out";
                errors.push(config_error("secret_accepted", "", hint));
            }
        }
        errors
    }
}

/// What is wrong with a secret, if something is. It is attacked at leisure by whoever reaches the port, since
/// the certificate that is made from it is shown before the other side has shown its own: only one that is
/// random withstands that.
fn validate_secret(key: &str, secret: &str) -> Option<ConfigError> {
    let mut different: Vec<char> = secret.chars().collect();
    let chars = different.len();
    different.sort_unstable();
    different.dedup();
    let hint = match chars {
        0 => {
            "is missing: the same on every instance, at least 32 random characters; make one with \
             `openssl rand -hex 32` and set CALLDEX_CLUSTER__SECRET (or CALLDEX_CLUSTER__SECRET_FILE)"
        }
        chars if chars < SECRET_CHARS_MIN => {
            "is too short: at least 32 random characters, such as `openssl rand -hex 32` makes"
        }
        _ if different.len() < SECRET_DISTINCT_CHARS_MIN => {
            "is not random: `openssl rand -hex 32` makes one that cannot be guessed"
        }
        _ => return None,
    };
    Some(config_error(key, "", hint))
}

fn config_error(key: &str, value: impl std::fmt::Display, hint: &str) -> ConfigError {
    ConfigError::new(format!("cluster.{key}"), value, hint)
}

/// `host:port`, `1.2.3.4:port` or `[::1]:port`.
pub fn is_address(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() != 0 && !address.ip().is_unspecified();
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let named = !host.is_empty() && host.len() <= 253 && host.chars().all(is_name);
    named && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// A list, or one text with commas in it: a variable knows no lists.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "addresses, as a list or separated by commas")]
    enum Written {
        List(Vec<String>),
        Text(String),
    }
    let trimmed = |text: &str| text.trim().to_owned();
    Ok(match Written::deserialize(deserializer)? {
        Written::List(list) => list.iter().map(|text| trimmed(text)).collect(),
        Written::Text(text) => split_addresses(&text),
    })
}

/// The addresses of `a:1, b:2`.
pub fn split_addresses(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}
