//! What each turn about the name comes to.

use super::CallerNameDialogue;
use super::name_matching::{is_same_name, is_similar_name};
use super::types::{NameChange, NameEvent, NameEvidence, NameReply, NameStep};
use calldex_names::{Extraction, Name, NameDecision};
use compact_str::CompactString;

/// For the model, where a refusal came with something else.
const DECLINED_INSTRUCTION: &str = "The caller does not want to give their name: answer what they said, and do not ask for the \
                        name in this call.";

impl CallerNameDialogue {
    pub(super) fn first_capture(
        &mut self,
        first: CompactString,
        heard: &Extraction,
        asked: bool,
    ) -> NameStep {
        let met = self
            .other_people
            .iter()
            .any(|person| is_same_name(person, &first));
        let event = if asked { "captured" } else { "volunteered" };
        let reply = if met {
            NameReply::WelcomeBack
        } else {
            NameReply::Welcome
        };
        self.declined = false;
        self.unconfirmed = !self.is_shared();
        self.is_known_person = met;
        self.name_spoken = false;
        let change = self.set_name(first, NameChange::Heard);
        self.new_step(
            vec![change],
            reply,
            event,
            heard.has_more,
            "has just said their name",
        )
    }

    pub(super) fn confirm_known(&mut self, rest: bool) -> NameStep {
        let name = self.name.clone().unwrap_or_default();
        self.unconfirmed = false;
        let change = self.set_name(name, NameChange::Confirmed);
        NameStep {
            changes: vec![change],
            reply: (!rest).then_some(NameReply::WelcomeBack),
            metric_event: Some("confirmed"),
            ..NameStep::default()
        }
    }

    /// Somebody else than the one known from before: from now on the number is shared.
    pub(super) fn change_to_other_person(&mut self, first: CompactString, rest: bool) -> NameStep {
        let met = self
            .other_people
            .iter()
            .any(|person| is_same_name(person, &first));
        let reply = match met {
            true => NameReply::WelcomeBack,
            false => NameReply::Welcome,
        };
        let changes = self.change_person(first);
        let step = self.new_step(
            changes,
            reply,
            "person_added",
            rest,
            "is another person than before",
        );
        NameStep {
            speaker_changed: true,
            ..step
        }
    }

    /// The one called `first` speaks from now on, and the one before is one of several.
    pub(super) fn change_person(&mut self, first: CompactString) -> Vec<NameChange> {
        self.other_people.extend(self.name.take());
        self.unconfirmed = false;
        self.from_earlier_calls = false;
        self.is_known_person = self
            .other_people
            .iter()
            .any(|person| is_same_name(person, &first));
        self.name_spoken = false;
        vec![self.set_name(first, NameChange::Heard)]
    }

    /// They are not called so, and did not say how.
    pub(super) fn reject_name(&mut self, rest: bool) -> NameStep {
        let wrong = self.name.take();
        self.identified = None;
        let changes = match wrong {
            // Heard wrongly in this call.
            Some(wrong) if !self.from_earlier_calls => vec![NameChange::PersonForgotten(wrong)],
            Some(known) => {
                self.other_people.push(known);
                Vec::new()
            }
            None => Vec::new(),
        };
        self.unconfirmed = false;
        self.from_earlier_calls = false;
        let asks = !rest && self.times_asked < self.asks_max;
        NameStep {
            changes,
            reply: asks.then_some(NameReply::AskAgain),
            metric_event: asks.then_some("asked"),
            speaker_changed: true,
            ..NameStep::default()
        }
    }

    /// The name is another one. `same_person`: it was a mistake about theirs, so that what is kept of
    /// the wrong name is of them.
    pub(super) fn correct(&mut self, heard: &Extraction, same_person: bool) -> NameStep {
        let usable = heard.decision != NameDecision::Ignore;
        let Some(name) = heard.name.as_ref().filter(|_| usable) else {
            return self.ask_again();
        };
        let first = CompactString::from(name.form_of_address());
        let changes = self.replace_name(first, same_person);
        let step = self.new_step(
            changes,
            NameReply::Corrected,
            "corrected",
            heard.has_more,
            "has just corrected their name",
        );
        NameStep {
            speaker_changed: !same_person,
            ..step
        }
    }

    pub(super) fn replace_name(
        &mut self,
        first: CompactString,
        same_person: bool,
    ) -> Vec<NameChange> {
        let wrong = self.name.take();
        self.unconfirmed = false;
        self.from_earlier_calls = false;
        self.declined = false;
        self.name_spoken = false;
        self.is_known_person =
            same_person && self.is_known_person || self.other_people.contains(&first);
        if !self.is_shared() {
            let from = wrong.filter(|_| same_person);
            return vec![self.set_name(first, |to| NameChange::Corrected { to, from })];
        }
        match wrong {
            Some(from) if same_person => {
                let to = first.clone();
                self.set_name(first, NameChange::Heard);
                vec![NameChange::PersonRenamed { from, to }]
            }
            // Somebody who was known before this call stays known.
            Some(wrong) if !self.other_people.contains(&wrong) => vec![
                NameChange::PersonForgotten(wrong),
                self.set_name(first, NameChange::Heard),
            ],
            _ => vec![self.set_name(first, NameChange::Heard)],
        }
    }

    pub(super) fn confirm(&mut self, kept: &Name) -> NameStep {
        let first = CompactString::from(kept.form_of_address());
        if let Some(known) = self
            .name
            .clone()
            .filter(|known| self.from_earlier_calls && !is_same_name(known, &first))
        {
            // They said no to the name from before, and yes to this one: somebody else.
            if !is_similar_name(&known, &first) {
                return self.change_to_other_person(first, false);
            }
        }
        self.unconfirmed = false;
        self.declined = false;
        self.name_spoken = false;
        let change = self.set_name(first, NameChange::Confirmed);
        self.new_step(vec![change], NameReply::Welcome, "confirmed", false, "")
    }

    /// Heard unsurely: asked about once, and only where nothing else is to be answered first.
    pub(super) fn confirm_uncertain(
        &mut self,
        name: &Name,
        heard: &Extraction,
        evidence: NameEvidence,
    ) -> NameStep {
        let about_them = |known: &CompactString| {
            let meant =
                evidence.is_only_name || evidence.has_cue || is_similar_name(known, &name.first);
            evidence.denied && (meant || !self.from_earlier_calls)
        };
        let open = self.name.as_ref().is_none_or(about_them) && !self.declined;
        if open && !heard.has_more && !self.asked_to_confirm {
            self.asked_to_confirm = true;
            self.pending_confirmation = Some(name.clone());
            return NameStep {
                reply: Some(NameReply::Confirm),
                metric_event: Some("confirm_asked"),
                ..NameStep::default()
            };
        }
        self.ask_name_later(evidence.asked)
    }

    /// The question was answered with something else: that comes first, then the name again.
    pub(super) fn ask_name_later(&mut self, asked: bool) -> NameStep {
        let open = asked && self.name.is_none() && !self.declined;
        NameStep {
            ask_name_after: open && self.times_asked < self.asks_max,
            verify_with_model: open,
            ..NameStep::default()
        }
    }

    pub(super) fn ask_again(&mut self) -> NameStep {
        if self.times_asked >= self.asks_max.max(1) {
            return NameStep::default();
        }
        NameStep {
            reply: Some(NameReply::AskAgain),
            metric_event: Some("asked"),
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
            turn_instruction: rest.then(|| DECLINED_INSTRUCTION.to_owned()),
            metric_event: Some("declined"),
            ..NameStep::default()
        }
    }

    pub(super) fn forget(&mut self, rest: bool) -> NameStep {
        let gone = self.name.take().filter(|_| self.is_shared());
        self.unconfirmed = false;
        self.declined = true;
        self.identified = None;
        NameStep {
            changes: vec![gone.map_or(NameChange::Forgotten, NameChange::PersonForgotten)],
            reply: (!rest).then_some(NameReply::Forgotten),
            metric_event: Some("forgotten"),
            speaker_changed: true,
            ..NameStep::default()
        }
    }

    /// Several people use the number: what is heard is one of them, never instead of another.
    pub(super) fn is_shared(&self) -> bool {
        !self.other_people.is_empty()
    }

    /// The caller says that they are called `first`; how that is kept.
    pub(super) fn set_name(
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

    pub(super) fn new_step(
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
            turn_instruction: rest.then(|| self.name_instruction(what)),
            metric_event: Some(event),
            ..NameStep::default()
        }
    }

    pub(super) fn name_instruction(&self, what: &str) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        format!("The caller {what}: {name}. Say their name once, then answer.")
    }
}
