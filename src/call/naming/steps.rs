//! What each turn about the name comes to.

use super::likeness::{alike, same};
use super::{Manner, NameChange, NameEvent, NameReply, NameStep, Naming};
use calldex_names::{Decision, Extraction, Name};
use compact_str::CompactString;

/// For the model, where a refusal came with something else.
const DECLINED: &str = "The caller does not want to give their name: answer what they said, and do not ask for the \
                        name in this call.";

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
        self.met = met;
        self.spoken = false;
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
        let met = self.people.iter().any(|person| same(person, &first));
        let reply = match met {
            true => NameReply::HelloAgain,
            false => NameReply::NiceToMeet,
        };
        let changes = self.change_person(first);
        let step = self.step(
            changes,
            reply,
            "person_added",
            rest,
            "is another person than before",
        );
        NameStep {
            another: true,
            ..step
        }
    }

    /// The one called `first` speaks from now on, and the one before is one of several.
    pub(super) fn change_person(&mut self, first: CompactString) -> Vec<NameChange> {
        self.people.extend(self.name.take());
        self.provisional = false;
        self.from_before = false;
        self.met = self.people.iter().any(|person| same(person, &first));
        self.spoken = false;
        vec![self.named(first, NameChange::Heard)]
    }

    /// They are not called so, and did not say how.
    pub(super) fn disown(&mut self, rest: bool) -> NameStep {
        let wrong = self.name.take();
        self.identified = None;
        let changes = match wrong {
            // Heard wrongly in this call.
            Some(wrong) if !self.from_before => vec![NameChange::PersonForgotten(wrong)],
            Some(known) => {
                self.people.push(known);
                Vec::new()
            }
            None => Vec::new(),
        };
        self.provisional = false;
        self.from_before = false;
        let asks = !rest && self.asks < self.asks_max;
        NameStep {
            changes,
            reply: asks.then_some(NameReply::AskAgain),
            event: asks.then_some("asked"),
            another: true,
            ..NameStep::default()
        }
    }

    /// The name is another one. `same_person`: it was a mistake about theirs, so that what is kept of
    /// the wrong name is of them.
    pub(super) fn put_right(&mut self, heard: &Extraction, same_person: bool) -> NameStep {
        let usable = heard.decision != Decision::Ignore;
        let Some(name) = heard.name.as_ref().filter(|_| usable) else {
            return self.ask_again();
        };
        let first = CompactString::from(name.spoken());
        let changes = self.replace_name(first, same_person);
        let step = self.step(
            changes,
            NameReply::Corrected,
            "corrected",
            heard.rest,
            "has just corrected their name",
        );
        NameStep {
            another: !same_person,
            ..step
        }
    }

    pub(super) fn replace_name(
        &mut self,
        first: CompactString,
        same_person: bool,
    ) -> Vec<NameChange> {
        let wrong = self.name.take();
        self.provisional = false;
        self.from_before = false;
        self.declined = false;
        self.spoken = false;
        self.met = same_person && self.met || self.people.contains(&first);
        if !self.is_shared() {
            let from = wrong.filter(|_| same_person);
            return vec![self.named(first, |to| NameChange::Corrected { to, from })];
        }
        match wrong {
            Some(from) if same_person => {
                let to = first.clone();
                self.named(first, NameChange::Heard);
                vec![NameChange::PersonRenamed { from, to }]
            }
            // Somebody who was known before this call stays known.
            Some(wrong) if !self.people.contains(&wrong) => vec![
                NameChange::PersonForgotten(wrong),
                self.named(first, NameChange::Heard),
            ],
            _ => vec![self.named(first, NameChange::Heard)],
        }
    }

    pub(super) fn confirm(&mut self, kept: &Name) -> NameStep {
        let first = CompactString::from(kept.spoken());
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
        self.declined = false;
        self.spoken = false;
        let change = self.named(first, NameChange::Confirmed);
        self.step(vec![change], NameReply::NiceToMeet, "confirmed", false, "")
    }

    /// Heard unsurely: asked about once, and only where nothing else is to be answered first.
    pub(super) fn doubt(&mut self, name: &Name, heard: &Extraction, manner: Manner) -> NameStep {
        let about_them = |known: &CompactString| {
            let meant = manner.bare || manner.cued || alike(known, &name.first);
            manner.denied && (meant || !self.from_before)
        };
        let open = self.name.as_ref().is_none_or(about_them) && !self.declined;
        if open && !heard.rest && !self.confirmed_once {
            self.confirmed_once = true;
            self.pending = Some(name.clone());
            return NameStep {
                reply: Some(NameReply::Confirm),
                event: Some("confirm_asked"),
                ..NameStep::default()
            };
        }
        self.unanswered(manner.asked)
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

    /// They would rather not say. It is kept only of a turn that says nothing else: whoever asks
    /// something instead has perhaps only put it off.
    pub(super) fn decline(&mut self, rest: bool) -> NameStep {
        self.declined = true;
        NameStep {
            changes: if rest {
                Vec::new()
            } else {
                vec![NameChange::Declined]
            },
            reply: (!rest).then_some(NameReply::Declined),
            nudge: rest.then(|| DECLINED.to_owned()),
            event: Some("declined"),
            ..NameStep::default()
        }
    }

    pub(super) fn forget(&mut self, rest: bool) -> NameStep {
        let gone = self.name.take().filter(|_| self.is_shared());
        self.provisional = false;
        self.declined = true;
        self.identified = None;
        NameStep {
            changes: vec![gone.map_or(NameChange::Forgotten, NameChange::PersonForgotten)],
            reply: (!rest).then_some(NameReply::Forgotten),
            event: Some("forgotten"),
            another: true,
            ..NameStep::default()
        }
    }

    /// Several people use the number: what is heard is one of them, never instead of another.
    pub(super) fn is_shared(&self) -> bool {
        !self.people.is_empty()
    }

    /// The caller says that they are called `first`; how that is kept.
    pub(super) fn named(
        &mut self,
        first: CompactString,
        alone: impl FnOnce(CompactString) -> NameChange,
    ) -> NameChange {
        self.name = Some(first.clone());
        self.identified = Some(first.clone());
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
}
