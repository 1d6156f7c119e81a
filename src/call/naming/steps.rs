//! What each turn about the name comes to.

use super::likeness::{alike, occurs, same};
use super::{NameChange, NameEvent, NameReply, NameStep, Naming};
use crate::call::name::{Decision, Extraction, Name};
use compact_str::CompactString;

impl Naming {
    pub(super) fn first_capture(
        &mut self,
        first: CompactString,
        heard: &Extraction,
        asked: bool,
    ) -> NameStep {
        let met = self.people.iter().any(|person| same(person, &first));
        let event = if asked { "captured" } else { "volunteered" };
        let reply = if met {
            NameReply::HelloAgain
        } else {
            NameReply::NiceToMeet
        };
        self.declined = false;
        self.provisional = !self.is_shared();
        let change = self.named(first, NameChange::Heard);
        self.step(
            vec![change],
            reply,
            event,
            heard.rest,
            "has just said their name",
        )
    }

    pub(super) fn known_again(&mut self, rest: bool) -> NameStep {
        let name = self.name.clone().unwrap_or_default();
        self.provisional = false;
        let change = self.named(name, NameChange::Confirmed);
        NameStep {
            changes: vec![change],
            reply: (!rest).then_some(NameReply::HelloAgain),
            event: Some("confirmed"),
            ..NameStep::default()
        }
    }

    /// Somebody else than the one known from before: from now on the number is shared.
    pub(super) fn another_person(&mut self, first: CompactString, rest: bool) -> NameStep {
        self.people.extend(self.name.take());
        self.provisional = false;
        self.from_before = false;
        let change = self.named(first, NameChange::Heard);
        self.step(
            vec![change],
            NameReply::NiceToMeet,
            "person_added",
            rest,
            "is another person than before",
        )
    }

    pub(super) fn put_right(&mut self, heard: &Extraction) -> NameStep {
        let usable = heard.decision != Decision::Ignore;
        let Some(name) = heard.name.as_ref().filter(|_| usable) else {
            return self.ask_again();
        };
        let first = CompactString::from(name.first.as_str());
        let wrong = self.name.take().filter(|_| self.is_shared());
        let mut changes: Vec<NameChange> =
            wrong.map(NameChange::PersonForgotten).into_iter().collect();
        self.provisional = false;
        self.from_before = false;
        changes.push(self.named(first, NameChange::Corrected));
        self.step(
            changes,
            NameReply::Corrected,
            "corrected",
            heard.rest,
            "has just corrected their name",
        )
    }

    pub(super) fn confirm(&mut self, kept: &Name) -> NameStep {
        let first = CompactString::from(kept.first.as_str());
        if let Some(known) = self
            .name
            .clone()
            .filter(|known| self.from_before && !same(known, &first))
        {
            // They said no to the name from before, and yes to this one: somebody else.
            if !alike(&known, &first) {
                return self.another_person(first, false);
            }
        }
        self.provisional = false;
        let change = self.named(first, NameChange::Confirmed);
        self.step(vec![change], NameReply::NiceToMeet, "confirmed", false, "")
    }

    /// Heard unsurely: asked about once, and only where nothing else is to be answered first.
    pub(super) fn doubt(
        &mut self,
        name: &Name,
        heard: &Extraction,
        asked: bool,
        denied: bool,
    ) -> NameStep {
        let open = (self.name.is_none() || denied) && !self.declined;
        if open && !heard.rest && !self.confirmed_once {
            self.confirmed_once = true;
            self.pending = Some(name.clone());
            return NameStep {
                reply: Some(NameReply::Confirm),
                event: Some("confirm_asked"),
                ..NameStep::default()
            };
        }
        self.unanswered(asked)
    }

    /// The question was answered with something else: that comes first, then the name again.
    pub(super) fn unanswered(&mut self, asked: bool) -> NameStep {
        let open = asked && self.name.is_none() && !self.declined;
        NameStep {
            ask_after: open && self.asks < self.asks_max,
            judge: open,
            ..NameStep::default()
        }
    }

    pub(super) fn ask_again(&mut self) -> NameStep {
        if self.asks >= self.asks_max.max(1) {
            return NameStep::default();
        }
        NameStep {
            reply: Some(NameReply::AskAgain),
            event: Some("asked"),
            ..NameStep::default()
        }
    }

    pub(super) fn decline(&mut self, rest: bool) -> NameStep {
        self.declined = true;
        NameStep {
            changes: vec![NameChange::Declined],
            reply: (!rest).then_some(NameReply::Declined),
            event: Some("declined"),
            ..NameStep::default()
        }
    }

    pub(super) fn forget(&mut self, rest: bool) -> NameStep {
        let gone = self.name.take().filter(|_| self.is_shared());
        self.provisional = false;
        self.declined = true;
        NameStep {
            changes: vec![gone.map_or(NameChange::Forgotten, NameChange::PersonForgotten)],
            reply: (!rest).then_some(NameReply::Forgotten),
            event: Some("forgotten"),
            ..NameStep::default()
        }
    }

    /// Several people use the number: what is heard is one of them, never instead of another.
    pub(super) fn is_shared(&self) -> bool {
        !self.people.is_empty()
    }

    /// The caller is called `first` from now on; how that is kept.
    pub(super) fn named(
        &mut self,
        first: CompactString,
        alone: fn(CompactString) -> NameChange,
    ) -> NameChange {
        self.name = Some(first.clone());
        if self.is_shared() {
            NameChange::PersonAdded(first)
        } else {
            alone(first)
        }
    }

    pub(super) fn step(
        &self,
        changes: Vec<NameChange>,
        reply: NameReply,
        event: NameEvent,
        rest: bool,
        what: &str,
    ) -> NameStep {
        NameStep {
            changes,
            reply: (!rest).then_some(reply),
            nudge: rest.then(|| self.name_nudge(what)),
            event: Some(event),
            ..NameStep::default()
        }
    }

    pub(super) fn name_nudge(&self, what: &str) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        format!("The caller {what}: {name}. Say their name once, then answer.")
    }

    /// A name from the model (a tool, or the judgement in the background): taken only where there
    /// is none yet and the caller really said it.
    pub fn suggest(&mut self, name: &str, transcript: &str) -> Option<NameChange> {
        if self.name.is_some() || self.declined || !occurs(name, transcript) {
            return None;
        }
        self.provisional = !self.is_shared();
        self.pending = None;
        Some(self.named(name.trim().into(), NameChange::Heard))
    }
}
