//! The two ends of a call, and which of them is the person.

use super::Direction;
use crate::twilio::form::Form;
use crate::twilio::identity::{Identity, Party};
use std::fmt;

/// Who calls and who is called. On an inbound call the person is `From`; on one that was placed for us
/// (`outbound-api`, `outbound-dial`) `From` is our own number and the person is `To`.
#[derive(Clone, PartialEq, Eq)]
pub struct Ends {
    from: Party,
    to: Party,
    direction: Direction,
}

impl Ends {
    /// The ends as a webhook or `setup` names them.
    pub fn new(from: Party, to: Party, direction: Direction) -> Self {
        Self {
            from,
            to,
            direction,
        }
    }

    /// The ends in a webhook's form. `From` and `To` fall back on `Caller` and `Called`, their old names.
    pub fn of_form(form: &Form) -> Self {
        let party = |name, old_name| {
            Party::new(form.said(name).or(form.said(old_name)).unwrap_or_default())
        };
        Self {
            from: party("From", "Caller"),
            to: party("To", "Called"),
            direction: Direction::read(form.get("Direction").unwrap_or_default()),
        }
    }

    /// Whether we placed the call.
    pub fn is_outbound(&self) -> bool {
        matches!(
            self.direction,
            Direction::OutboundApi | Direction::OutboundDial
        )
    }

    /// The person's end as it came.
    pub fn person(&self) -> &Party {
        if self.is_outbound() {
            &self.to
        } else {
            &self.from
        }
    }

    /// Our own end as it came: which of our lines it is.
    pub fn line(&self) -> &Party {
        if self.is_outbound() {
            &self.from
        } else {
            &self.to
        }
    }

    /// What the person's end says about who they are.
    pub fn identity(&self) -> Identity {
        self.person().identity()
    }
}

impl fmt::Debug for Ends {
    /// With the numbers masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends")
            .field("person", &self.identity())
            .field("line", self.line())
            .field("direction", &self.direction)
            .finish()
    }
}
