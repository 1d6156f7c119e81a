//! The two parties of a call: the remote one, a person, and the local one, our number.

use super::CallDirection;
use crate::twilio::form::Form;
use crate::twilio::identity::{CallerIdentity, RawAddress};
use std::fmt;

/// The calling and the called address. On an inbound call the person is `From`; on one that was placed for us
/// (`outbound-api`, `outbound-dial`) `From` is our own number and the person is `To`.
#[derive(Clone, PartialEq, Eq)]
pub struct CallParties {
    from: RawAddress,
    to: RawAddress,
    direction: CallDirection,
}

impl CallParties {
    /// The ends as a webhook or `setup` names them.
    pub fn new(from: RawAddress, to: RawAddress, direction: CallDirection) -> Self {
        Self {
            from,
            to,
            direction,
        }
    }

    /// The ends in a webhook's form. `From` and `To` fall back on `Caller` and `Called`, their old names.
    pub fn from_form(form: &Form) -> Self {
        let party = |name, old_name| {
            RawAddress::new(
                form.non_blank(name)
                    .or(form.non_blank(old_name))
                    .unwrap_or_default(),
            )
        };
        Self {
            from: party("From", "Caller"),
            to: party("To", "Called"),
            direction: CallDirection::parse(form.get("Direction").unwrap_or_default()),
        }
    }

    /// Whether we placed the call.
    pub fn is_outbound(&self) -> bool {
        matches!(
            self.direction,
            CallDirection::OutboundApi | CallDirection::OutboundDial
        )
    }

    /// The address of the person, unparsed.
    pub fn remote_address(&self) -> &RawAddress {
        if self.is_outbound() {
            &self.to
        } else {
            &self.from
        }
    }

    /// Our own address, unparsed: it selects the line.
    pub fn local_address(&self) -> &RawAddress {
        if self.is_outbound() {
            &self.from
        } else {
            &self.to
        }
    }

    /// The identity of the person.
    pub fn remote_identity(&self) -> CallerIdentity {
        self.remote_address().identity()
    }
}

impl fmt::Debug for CallParties {
    /// With the numbers masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallParties")
            .field("remote", &self.remote_identity())
            .field("local", self.local_address())
            .field("direction", &self.direction)
            .finish()
    }
}
