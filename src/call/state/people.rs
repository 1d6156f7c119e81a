//! The stored data of the people who use the number. Each person hears only their own data.

use super::preference_note::PreferenceNote;
use super::{CallAction, CallState, EventTime};
use crate::agent::{CallerChannel, CallerFacts};
use crate::call::caller_name::{NameChange, NameStep};
use calldex_storage::record::{Caller, CallerKind, PhoneNumber};
use calldex_storage::write::{StampedName, StampedNumber, Write};
use compact_str::CompactString;
use std::sync::Arc;

impl CallState {
    /// The facts about the caller for the prompt of this turn.
    pub(super) fn caller_facts(&self) -> Arc<CallerFacts> {
        let known = self.context.trusted_caller();
        let first_call =
            known.is_none_or(|caller| caller.calls == 0) || !self.name_dialogue.is_known_person();
        // What they may not know that we know is not told either.
        let (calls, last_call_ms) = match first_call {
            true => (0, None),
            false => known.map_or((0, None), |caller| self.calls_before(caller)),
        };
        Arc::new(CallerFacts {
            name: self.name_dialogue.name().cloned(),
            first_call,
            previous_calls: calls,
            last_call_ms,
            language: self.language.clone(),
            other_languages: self.other_languages(),
            preferences: self.preferences_for_model(),
            recap: CompactString::default(),
            name_ask_policy: self.name_dialogue.ask_policy(),
            greeted_by_name: self.name_dialogue.has_spoken_name(),
            channel: match self.context.caller_kind {
                CallerKind::Number => CallerChannel::Phone,
                CallerKind::Withheld | CallerKind::Other => CallerChannel::Withheld,
                CallerKind::Sip | CallerKind::Client => CallerChannel::Internet,
            },
            called_number: self.context.called_number.clone(),
            call_started_ms: self.started_unix_ms,
        })
    }

    /// How often they called before this call, and when last (Unix milliseconds). What storage knows of a
    /// call that was taken up has this call in it.
    fn calls_before(&self, caller: &Caller) -> (u32, Option<i64>) {
        let last_ms = caller.last_call_at.map(|at| at.saturating_mul(1_000));
        match last_ms {
            Some(last_ms) if last_ms / 1_000 >= self.started_unix_ms / 1_000 => {
                (caller.calls.saturating_sub(1), None)
            }
            last_ms => (caller.calls, last_ms),
        }
    }

    /// The preferences of the person who speaks; those from earlier calls only if the person is known.
    fn preferences_for_model(&self) -> Vec<CompactString> {
        let person = self.name_dialogue.identified();
        // The record of before this call has them under the name of then.
        let recorded = self.recorded_name.as_ref().or(person);
        let before = recorded
            .filter(|_| person.is_some())
            .zip(self.context.trusted_caller());
        let before = before
            .into_iter()
            .flat_map(|(person, caller)| caller.preferences_of(person));
        let before = before.map(|preference| preference.text.clone());
        let theirs =
            |note: &&PreferenceNote| note.person.is_none() || note.person.as_ref() == person;
        let noted = self.preference_notes.iter().filter(theirs);
        before.chain(noted.map(|note| note.text.clone())).collect()
    }

    /// What one turn decided about the caller's name, and what follows for notes and language.
    /// `language`: the one the turn was spoken in.
    pub(super) fn apply_name_changes(
        &mut self,
        step: &mut NameStep,
        language: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        if step.speaker_changed {
            self.drop_unattributed_notes();
            self.reset_language(language, actions);
        }
        for change in std::mem::take(&mut step.changes) {
            self.record_name_change(change, now, actions);
        }
        self.attribute_notes(now, actions);
    }

    /// Another person speaks: notes without a person are not theirs.
    pub(super) fn drop_unattributed_notes(&mut self) {
        self.preference_notes.retain(|note| note.person.is_some());
        self.recorded_name = None;
    }

    /// The languages of the line without the current one.
    fn other_languages(&self) -> Vec<CompactString> {
        let languages = self.context.line.languages.iter();
        let others = languages.filter(|tag| **tag != self.language);
        others.map(|tag| tag.as_str().into()).collect()
    }

    /// Assigns notes without a person to the person who gave their name since.
    pub(super) fn attribute_notes(&mut self, now: EventTime, actions: &mut Vec<CallAction>) {
        let Some(person) = self.name_dialogue.identified().cloned() else {
            return;
        };
        let mut notes = std::mem::take(&mut self.preference_notes);
        for note in notes.iter_mut().filter(|note| note.person.is_none()) {
            note.person = Some(person.clone());
            self.record_note(note, now, actions);
        }
        self.preference_notes = notes;
    }

    /// Notes a preference of the person who speaks. Returns the result for the model.
    pub(super) fn note_preference(
        &mut self,
        text: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> &'static str {
        if self.context.number.is_none() {
            return "not kept: the caller's number is withheld";
        }
        if self.preference_notes.len() >= Caller::PREFERENCES_MAX {
            return "not kept: there are enough notes from this call";
        }
        let note = PreferenceNote {
            text: text.into(),
            person: self.name_dialogue.identified().cloned(),
        };
        self.record_note(&note, now, actions);
        let kept = note.person.is_some();
        self.preference_notes.push(note);
        match kept && self.context.number_trusted {
            true => "noted",
            false => "noted for this call; it is kept once the caller has said their name",
        }
    }

    fn record_note(
        &mut self,
        note: &PreferenceNote,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let (Some(number), Some(person)) = (self.trusted_number(), note.person.clone()) else {
            return;
        };
        let stamp = self.next_stamp(now);
        actions.push(CallAction::Record(Write::PreferenceNoted {
            number,
            text: note.text.clone(),
            person: Some(person),
            stamp,
        }));
    }

    /// The number to store a choice under, if it is attested.
    pub(super) fn trusted_number(&self) -> Option<PhoneNumber> {
        self.context
            .number
            .clone()
            .filter(|_| self.context.number_trusted)
    }

    /// Whether decisions about names are kept: a number that is not vouched for may be given its first
    /// name, and no known one changed.
    pub(super) fn may_record_name(&self) -> bool {
        let named = |caller: &Caller| caller.name.is_some() || !caller.people.is_empty();
        self.context.number_trusted || !self.context.caller.as_deref().is_some_and(named)
    }

    /// Keeps a decision about the name, where there is a number to keep it under.
    pub(super) fn record_name_change(
        &mut self,
        change: NameChange,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let Some(number) = self.context.number.clone() else {
            return;
        };
        if !self.may_record_name() {
            return;
        }
        let stamp = self.next_stamp(now);
        let given = |name: CompactString| StampedName {
            number: number.clone(),
            name,
            stamp: stamp.clone(),
        };
        let stamped = StampedNumber {
            number: number.clone(),
            stamp: stamp.clone(),
        };
        let write = match change {
            NameChange::Heard(name) => Write::NameHeard(given(name)),
            NameChange::Confirmed(name) => Write::NameConfirmed(given(name)),
            NameChange::Corrected { to, from } => {
                actions.push(CallAction::Record(Write::NameCorrected(given(to.clone()))));
                if let Some(from) = from.filter(|from| self.has_preferences(from)) {
                    self.record_rename(number, from, to, now, actions);
                }
                return;
            }
            NameChange::PersonAdded(name) => Write::PersonAdded(given(name)),
            NameChange::PersonForgotten(name) => Write::PersonForgotten(given(name)),
            NameChange::PersonRenamed { from, to } => {
                self.record_rename(number, from, to, now, actions);
                return;
            }
            NameChange::Declined => Write::NameDeclined(stamped),
            NameChange::Forgotten => Write::NameForgotten(stamped),
        };
        actions.push(CallAction::Record(write));
    }

    /// Whether anything to remember is kept of a person.
    fn has_preferences(&self, person: &CompactString) -> bool {
        let noted = self
            .preference_notes
            .iter()
            .any(|note| note.person.as_ref() == Some(person));
        let known = self.context.trusted_caller();
        noted || known.is_some_and(|caller| caller.preferences_of(person).next().is_some())
    }

    fn record_rename(
        &mut self,
        number: PhoneNumber,
        from: CompactString,
        to: CompactString,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        for note in &mut self.preference_notes {
            if note.person.as_ref() == Some(&from) {
                note.person = Some(to.clone());
            }
        }
        self.recorded_name.get_or_insert_with(|| from.clone());
        let stamp = self.next_stamp(now);
        actions.push(CallAction::Record(Write::PersonRenamed {
            number,
            from,
            to,
            stamp,
        }));
    }
}
