//! Sockets are files: a process that holds thousands of calls needs a limit for them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, as far as `wanted` needs it, and says how
/// many are open to this process now. `Err`: too few for `wanted`, after all that could be done.
pub(super) fn raise_limit(wanted: u64) -> Result<u64, u64> {
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is `None`.
    let (Some(now), most) = (limit.current, limit.maximum.unwrap_or(u64::MAX)) else {
        return Ok(u64::MAX);
    };
    let mut reached = now;
    let raised = wanted.min(most);
    if raised > now {
        let asked = Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, asked).is_ok() {
            reached = raised;
        }
    }
    if reached >= wanted {
        Ok(reached)
    } else {
        Err(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_up_to_the_hard_limit_and_never_taken_away() {
        let before = getrlimit(Resource::Nofile).current;
        assert!(raise_limit(1).is_ok());
        assert_eq!(
            getrlimit(Resource::Nofile).current,
            before,
            "enough is left alone"
        );
        match getrlimit(Resource::Nofile).maximum {
            Some(most) => {
                assert_eq!(raise_limit(most), Ok(most));
                assert_eq!(raise_limit(most + 1), Err(most));
            }
            None => assert!(raise_limit(1_000_000).is_ok()),
        }
    }
}
