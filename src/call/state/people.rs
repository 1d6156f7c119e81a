//! What is kept and told of the people who use the number: each knows only what is theirs.

use super::{Action, CallState, Now};
use crate::agent::{CallerFacts, Channel};
use crate::call::naming::{NameChange, NameStep};
use calldex_storage::record::{Caller, CallerKind, PhoneNumber};
use calldex_storage::write::{NameGiven, NumberStamped, Write};
use compact_str::CompactString;
use std::sync::Arc;

/// A preference noted in this call.
pub(super) struct Note {
    text: CompactString,
    /// Whose; nobody's as long as it is not known who speaks.
    person: Option<CompactString>,
}

impl CallState {
    /// What the agent may know of the caller at this turn.
    pub(super) fn facts(&self) -> Arc<CallerFacts> {
        let known = self.setting.known();
        let first_call = known.is_none_or(|caller| caller.calls == 0) || !self.naming.is_met();
        // What they may not know that we know is not told either.
        let (calls, last_call_ms) = match first_call {
            true => (0, None),
            false => known.map_or((0, None), |caller| self.calls_before(caller)),
        };
        Arc::new(CallerFacts {
            name: self.naming.name().cloned(),
            first_call,
            calls,
            last_call_ms,
            language: self.language.clone(),
            other_languages: self.other_languages(),
            preferences: self.told_preferences(),
            recap: CompactString::default(),
            asking: self.naming.asking(),
            greeted: self.naming.is_spoken(),
            channel: match self.setting.caller_kind {
                CallerKind::Number => Channel::Phone,
                CallerKind::Withheld | CallerKind::Other => Channel::Withheld,
                CallerKind::Sip | CallerKind::Client => Channel::Internet,
            },
            called: self.setting.called.clone(),
            began_ms: self.began_ms,
        })
    }

    /// How often they called before this call, and when last (Unix milliseconds). What storage knows of a
    /// call that was taken up has this call in it.
    fn calls_before(&self, caller: &Caller) -> (u32, Option<i64>) {
        let last_ms = caller.last_call_at.map(|at| at.saturating_mul(1_000));
        match last_ms {
            Some(last_ms) if last_ms / 1_000 >= self.began_ms / 1_000 => {
                (caller.calls.saturating_sub(1), None)
            }
            last_ms => (caller.calls, last_ms),
        }
    }

    /// Preferences of whoever speaks: from earlier calls only if it is known who that is.
    fn told_preferences(&self) -> Vec<CompactString> {
        let person = self.naming.identified();
        // The record of before this call has them under the name of then.
        let recorded = self.recorded_as.as_ref().or(person);
        let before = recorded
            .filter(|_| person.is_some())
            .zip(self.setting.known());
        let before = before
            .into_iter()
            .flat_map(|(person, caller)| caller.preferences_of(person));
        let before = before.map(|preference| preference.text.clone());
        let theirs = |note: &&Note| note.person.is_none() || note.person.as_ref() == person;
        let noted = self.notes.iter().filter(theirs);
        before.chain(noted.map(|note| note.text.clone())).collect()
    }

    /// What one turn decided about the caller's name, and what follows for notes and language.
    /// `language`: the one the turn was spoken in.
    pub(super) fn take_changes(
        &mut self,
        step: &mut NameStep,
        language: &str,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        if step.another {
            self.part_notes();
            self.leave_language(language, actions);
        }
        for change in std::mem::take(&mut step.changes) {
            self.keep_name(change, now, actions);
        }
        self.claim_notes(now, actions);
    }

    /// Somebody else speaks: what nobody is known to have said before is not theirs.
    pub(super) fn part_notes(&mut self) {
        self.notes.retain(|note| note.person.is_some());
        self.recorded_as = None;
    }

    /// The line's languages but the one that is spoken.
    fn other_languages(&self) -> Vec<CompactString> {
        let languages = self.setting.line.languages.iter();
        let others = languages.filter(|tag| **tag != self.language);
        others.map(|tag| tag.as_str().into()).collect()
    }

    /// Whoever said their name meanwhile is who said what was noted before.
    pub(super) fn claim_notes(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(person) = self.naming.identified().cloned() else {
            return;
        };
        let mut notes = std::mem::take(&mut self.notes);
        for note in notes.iter_mut().filter(|note| note.person.is_none()) {
            note.person = Some(person.clone());
            self.keep_note(note, now, actions);
        }
        self.notes = notes;
    }

    /// Notes a preference of whoever speaks; the result is for the model.
    pub(super) fn note_preference(
        &mut self,
        text: &str,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> &'static str {
        if self.setting.number.is_none() {
            return "not kept: the caller's number is withheld";
        }
        if self.notes.len() >= Caller::PREFERENCES_MAX {
            return "not kept: there are enough notes from this call";
        }
        let note = Note {
            text: text.into(),
            person: self.naming.identified().cloned(),
        };
        self.keep_note(&note, now, actions);
        let kept = note.person.is_some();
        self.notes.push(note);
        match kept && self.setting.vouched {
            true => "noted",
            false => "noted for this call; it is kept once the caller has said their name",
        }
    }

    fn keep_note(&mut self, note: &Note, now: Now, actions: &mut Vec<Action>) {
        let (Some(number), Some(person)) = (self.rememberable(), note.person.clone()) else {
            return;
        };
        let stamp = self.stamp(now);
        actions.push(Action::Record(Write::PreferenceNoted {
            number,
            text: note.text.clone(),
            person: Some(person),
            stamp,
        }));
    }

    /// The number that a choice is remembered for: none that is not vouched for.
    pub(super) fn rememberable(&self) -> Option<PhoneNumber> {
        self.setting.number.clone().filter(|_| self.setting.vouched)
    }

    /// Whether decisions about names are kept: a number that is not vouched for may be given its first
    /// name, and no known one changed.
    pub(super) fn may_name(&self) -> bool {
        let named = |caller: &Caller| caller.name.is_some() || !caller.people.is_empty();
        self.setting.vouched || !self.setting.caller.as_deref().is_some_and(named)
    }

    /// Keeps a decision about the name, where there is a number to keep it under.
    pub(super) fn keep_name(&mut self, change: NameChange, now: Now, actions: &mut Vec<Action>) {
        let Some(number) = self.setting.number.clone() else {
            return;
        };
        if !self.may_name() {
            return;
        }
        let stamp = self.stamp(now);
        let given = |name: CompactString| NameGiven {
            number: number.clone(),
            name,
            stamp: stamp.clone(),
        };
        let stamped = NumberStamped {
            number: number.clone(),
            stamp: stamp.clone(),
        };
        let write = match change {
            NameChange::Heard(name) => Write::NameHeard(given(name)),
            NameChange::Confirmed(name) => Write::NameConfirmed(given(name)),
            NameChange::Corrected { to, from } => {
                actions.push(Action::Record(Write::NameCorrected(given(to.clone()))));
                if let Some(from) = from.filter(|from| self.has_preferences(from)) {
                    self.rename(number, from, to, now, actions);
                }
                return;
            }
            NameChange::PersonAdded(name) => Write::PersonAdded(given(name)),
            NameChange::PersonForgotten(name) => Write::PersonForgotten(given(name)),
            NameChange::PersonRenamed { from, to } => {
                self.rename(number, from, to, now, actions);
                return;
            }
            NameChange::Declined => Write::NameDeclined(stamped),
            NameChange::Forgotten => Write::NameForgotten(stamped),
        };
        actions.push(Action::Record(write));
    }

    /// Whether anything to remember is kept of a person.
    fn has_preferences(&self, person: &CompactString) -> bool {
        let noted = self
            .notes
            .iter()
            .any(|note| note.person.as_ref() == Some(person));
        let known = self.setting.known();
        noted || known.is_some_and(|caller| caller.preferences_of(person).next().is_some())
    }

    fn rename(
        &mut self,
        number: PhoneNumber,
        from: CompactString,
        to: CompactString,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        for note in &mut self.notes {
            if note.person.as_ref() == Some(&from) {
                note.person = Some(to.clone());
            }
        }
        self.recorded_as.get_or_insert_with(|| from.clone());
        let stamp = self.stamp(now);
        actions.push(Action::Record(Write::PersonRenamed {
            number,
            from,
            to,
            stamp,
        }));
    }
}
