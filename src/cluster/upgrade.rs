//! Raising the level in use (`calldex_storage::Levels`) once every member reads a higher one: by itself
//! after `cluster.finish_upgrade_after_s`, or when an operator says so. Only the primary does it, by a
//! write that every instance applies at the same place of the log.

use super::exchange::Exchange;
use super::wire::{Finished, Taken};
use calldex_observability::worker::{Progress, Round};
use calldex_storage::Levels;
use calldex_storage::write::{Write, encode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it looks.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// What one member reads, as the primary knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reader {
    /// Who, in words.
    name: String,
    /// None while it does not answer.
    reads: Option<Levels>,
}

/// Somebody has to answer, or to go, before it is known which level all read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NotKnown(String);

/// The highest level that all of `members` read.
fn common(members: &[Reader]) -> Result<u32, NotKnown> {
    let mut level = Levels::OWN.max;
    for member in members {
        let reads = member.reads.ok_or_else(|| {
            NotKnown(format!(
                "{} does not answer: bring it back, or remove it with `calldex cluster remove`",
                member.name
            ))
        })?;
        level = level.min(reads.max);
    }
    Ok(level)
}

/// Since when all members have read a level that is not in use yet.
#[derive(Debug, Default)]
pub(super) struct Settling(Option<(u32, Instant)>);

impl Settling {
    /// All members read `level`, which is not in use: for how long they have.
    fn observe(&mut self, level: u32, now: Instant) -> Duration {
        match self.0 {
            Some((before, since)) if before == level => now.saturating_duration_since(since),
            _ => {
                self.0 = Some((level, now));
                Duration::ZERO
            }
        }
    }

    /// Somebody does not read it, or it is in use, or this instance is not primary.
    fn forget(&mut self) {
        self.0 = None;
    }
}

/// Raises the level if its time has come.
pub(super) async fn round(exchange: Arc<Exchange>, settling: Arc<Mutex<Settling>>) -> Round {
    if is_due(&exchange, &mut lock(&settling)) {
        let finished = finish(&exchange).await;
        tracing::debug!(?finished, "the level was to be raised");
        if let Finished::Refused { why } | Finished::Wait { why } = finished {
            return Err(why);
        }
    }
    Ok(Progress::Done)
}

fn is_due(exchange: &Exchange, settling: &mut Settling) -> bool {
    if exchange.leading().is_none() {
        settling.forget();
        return false;
    }
    // Who does not answer for a moment has not gone back to an earlier build.
    let Ok(level) = common(&readers(exchange)) else {
        return false;
    };
    let in_use = exchange.storage.level();
    if level <= in_use {
        settling.forget();
        return false;
    }
    let patience = Duration::from_secs(exchange.section.finish_upgrade_after_s);
    let settled = settling.observe(level, Instant::now());
    if settled.is_zero() {
        tracing::info!(
            level,
            in_use,
            seconds = patience.as_secs(),
            "all members read a new level: it comes into use in so many seconds, or by `calldex cluster finish-upgrade`; until then the upgrade can be taken back"
        );
    }
    settled >= patience
}

fn lock(settling: &Mutex<Settling>) -> MutexGuard<'_, Settling> {
    settling.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises the level to the highest that all members read, now.
pub(super) async fn finish(exchange: &Arc<Exchange>) -> Finished {
    if exchange.leading().is_none() {
        return Finished::Elsewhere(exchange.whereabouts());
    }
    // Nobody is admitted meanwhile who does not read it.
    let _one_at_a_time = exchange.changing.lock().await;
    let members = readers(exchange);
    let level = match common(&members) {
        Ok(level) => level,
        Err(NotKnown(why)) => return Finished::Refused { why },
    };
    let in_use = exchange.storage.level();
    if level <= in_use {
        let behind = members.iter().filter(|member| {
            let reads = member.reads.unwrap_or_default();
            Levels::OWN.max > in_use && reads.max <= in_use
        });
        let behind: Vec<&str> = behind.map(|member| member.name.as_str()).collect();
        return match behind.as_slice() {
            [] => Finished::Already { level: in_use },
            behind => Finished::Refused {
                why: format!(
                    "{} read{} no level beyond {in_use}: upgrade first",
                    behind.join(", "),
                    if behind.len() == 1 { "s" } else { "" }
                ),
            },
        };
    }
    let batch = encode(&[Write::LevelRaised { to: level }]);
    match exchange.gatherer.put(batch.into(), 1).await {
        Taken::At(_) => Finished::At { level },
        Taken::Elsewhere(found) => Finished::Elsewhere(found),
        Taken::Busy | Taken::TimedOut => Finished::Wait {
            why: "no majority has answered in time".to_owned(),
        },
        Taken::Refused => Finished::Refused {
            why: "the log does not take it".to_owned(),
        },
    }
}

fn readers(exchange: &Exchange) -> Vec<Reader> {
    let members = exchange.roll().members;
    let others = members
        .into_iter()
        .filter(|listed| listed.node_id != exchange.node_id);
    others
        .map(|listed| {
            let seen = exchange.reach.of(listed.node_id);
            let answering = seen.filter(|seen| seen.is_reachable());
            Reader {
                name: format!("{} (node {})", listed.member.instance, listed.node_id),
                reads: answering.and_then(|seen| Some(seen.pong?.build.reads)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(name: &str, max: Option<u32>) -> Reader {
        Reader {
            name: name.to_owned(),
            reads: max.map(|max| Levels { min: 1, max }),
        }
    }

    #[test]
    fn the_level_is_the_lowest_of_what_all_read_and_not_known_while_one_is_silent() {
        let own = Levels::OWN.max;
        assert_eq!(common(&[]), Ok(own));
        let [one, two] = [reader("one", Some(own + 3)), reader("two", Some(1))];
        assert_eq!(common(&[one.clone(), two]), Ok(1));
        let silent = common(&[one, reader("three", None)]);
        assert!(silent.unwrap_err().0.contains("three does not answer"));
    }

    #[test]
    fn the_wait_begins_anew_when_somebody_has_gone_back() {
        let began = Instant::now();
        let at = |s| began + Duration::from_secs(s);
        let mut settling = Settling::default();
        assert_eq!(settling.observe(2, at(0)), Duration::ZERO);
        assert_eq!(settling.observe(2, at(500)), Duration::from_secs(500));
        settling.forget();
        assert_eq!(settling.observe(2, at(510)), Duration::ZERO);
        assert_eq!(settling.observe(3, at(700)), Duration::ZERO);
    }
}
