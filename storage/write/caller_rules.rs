//! What a write makes of a caller: one pure rule, used by [`super::apply`] on the disk's record and
//! by the directory on the one in memory, so that a name is known before it is durable.

use super::{CallStarted, DecisionStamp, StampedName, Write};
use crate::record::{Caller, NameState, Person, PhoneNumber, Preference};
use compact_str::CompactString;

/// The caller after `write`, given the caller before. `None` is a number nothing is known of.
/// A write that changes nothing (seen before, older, too weak, about something else) gives the
/// same caller back.
pub fn apply_to_caller(caller: Option<Caller>, write: &Write) -> Option<Caller> {
    let name = match write {
        Write::CallStarted(start) => return start_call(caller, start),
        Write::CallerErased { .. } => return None,
        Write::NameHeard(given) => NameUpdate::from_given(given, NameState::Heard),
        Write::NameConfirmed(given) => NameUpdate::from_given(given, NameState::Confirmed),
        Write::NameCorrected(given) => NameUpdate::from_given(given, NameState::Corrected),
        Write::NameSettled(given) => return confirm_heard_name(caller, given),
        Write::NameDeclined(stamped) => {
            NameUpdate::without_name(&stamped.number, &stamped.stamp, false)
        }
        Write::NameForgotten(stamped) => {
            NameUpdate::without_name(&stamped.number, &stamped.stamp, true)
        }
        Write::PersonAdded(given) => return add_person(caller, given),
        Write::PersonForgotten(given) => return forget_person(caller, given),
        Write::PersonRenamed {
            from, to, stamp, ..
        } => return rename_person(caller, from, to, stamp),
        Write::PreferenceNoted {
            number,
            text,
            person,
            stamp,
        } => return add_preference(caller, number, text, person.as_ref(), stamp),
        Write::LanguageChosen {
            number,
            language,
            stamp,
        } => {
            return choose_language(caller, number.as_ref(), language, stamp);
        }
        _ => return caller,
    };
    name.apply_to(caller)
}

/// A ruling on the name itself.
struct NameUpdate<'a> {
    number: &'a PhoneNumber,
    name: Option<CompactString>,
    state: NameState,
    stamp: &'a DecisionStamp,
    /// Whether a settled name gives way.
    replaces_settled: bool,
}

impl<'a> NameUpdate<'a> {
    fn from_given(given: &'a StampedName, state: NameState) -> Self {
        let name = Some(truncate_chars(&given.name, Caller::NAME_CHARS_MAX));
        Self {
            number: &given.number,
            name,
            state,
            stamp: &given.stamp,
            replaces_settled: state.is_settled(),
        }
    }

    fn without_name(
        number: &'a PhoneNumber,
        stamp: &'a DecisionStamp,
        replaces_settled: bool,
    ) -> Self {
        Self {
            number,
            name: None,
            state: NameState::Declined,
            stamp,
            replaces_settled,
        }
    }

    fn apply_to(self, caller: Option<Caller>) -> Option<Caller> {
        let mut caller = caller.unwrap_or_else(|| new_caller(self.number, self.stamp));
        let outranked = caller.name_state.is_settled() && !self.replaces_settled;
        if outranked || self.stamp.mark() <= caller.name_mark {
            return Some(caller);
        }
        self.update_people(&mut caller);
        self.separate_preferences(&mut caller);
        caller.name = self.name;
        caller.name_state = self.state;
        caller.name_mark = self.stamp.mark();
        caller.updated_at = seconds(self.stamp.at_ms);
        Some(caller)
    }

    /// Keeps the list of people in step: a corrected or forgotten name is no other person, a newly
    /// heard one on a shared number may be.
    fn update_people(&self, caller: &mut Caller) {
        if caller.people.is_empty() {
            return;
        }
        if matches!(self.state, NameState::Corrected | NameState::Declined) {
            let gone = caller.name.clone();
            retain_people(caller, |person| Some(&person.name) != gone.as_ref());
        }
        if let Some(name) = &self.name {
            record_person_heard(caller, name, self.stamp.at_ms);
        }
        caller.people_mark = caller.people_mark.max(self.stamp.mark());
    }
}

impl NameUpdate<'_> {
    /// What the person before wanted remembered stays theirs; of one who is forgotten it is gone.
    fn separate_preferences(&self, caller: &mut Caller) {
        if self.name == caller.name {
            return;
        }
        let forgets = self.name.is_none() && self.replaces_settled;
        match caller.name.clone() {
            Some(gone) if forgets => forget_preferences(caller, &gone),
            Some(_) => assign_preferences(caller),
            None => {}
        }
    }
}

/// Preferences that name nobody become those of the only person, before there is another.
fn assign_preferences(caller: &mut Caller) {
    let Some(name) = caller.name.clone().filter(|_| !caller.is_shared()) else {
        return;
    };
    for preference in &mut caller.preferences {
        preference.person.get_or_insert_with(|| name.clone());
    }
}

/// What a forgotten person wanted remembered is forgotten too. Its marks stay, so that a repetition
/// brings nothing back.
fn forget_preferences(caller: &mut Caller, gone: &CompactString) {
    let alone = !caller.is_shared();
    for preference in &mut caller.preferences {
        let theirs = match &preference.person {
            Some(person) => person == gone,
            None => alone,
        };
        if theirs {
            preference.text = CompactString::default();
            preference.person = None;
        }
    }
}

fn new_caller(number: &PhoneNumber, stamp: &DecisionStamp) -> Caller {
    Caller::new(number.clone(), seconds(stamp.at_ms))
}

/// Counts the call. That one call is counted once is for [`super::apply`] to see to, which knows
/// the conversation's row.
fn start_call(caller: Option<Caller>, start: &CallStarted) -> Option<Caller> {
    let Some(number) = &start.number else {
        return caller;
    };
    let at = seconds(start.at_ms);
    let mut caller = caller.unwrap_or_else(|| Caller::new(number.clone(), at));
    caller.calls = caller.calls.saturating_add(1);
    caller.last_call_at = Some(caller.last_call_at.unwrap_or(at).max(at));
    caller.updated_at = caller.updated_at.max(at);
    Some(caller)
}

fn confirm_heard_name(caller: Option<Caller>, given: &StampedName) -> Option<Caller> {
    let mut caller = caller?;
    let same = caller.name.as_deref()
        == Some(truncate_chars(&given.name, Caller::NAME_CHARS_MAX).as_str());
    if same && caller.name_state == NameState::Heard && given.stamp.mark() > caller.name_mark {
        caller.name_state = NameState::Confirmed;
        caller.name_mark = given.stamp.mark();
        caller.updated_at = seconds(given.stamp.at_ms);
    }
    Some(caller)
}

fn add_person(caller: Option<Caller>, given: &StampedName) -> Option<Caller> {
    let mut caller = caller.unwrap_or_else(|| new_caller(&given.number, &given.stamp));
    if given.stamp.mark() <= caller.people_mark {
        return Some(caller);
    }
    caller.people_mark = given.stamp.mark();
    let name = truncate_chars(&given.name, Caller::NAME_CHARS_MAX);
    let is_alone = caller.people.is_empty();
    match caller.name.clone() {
        None if is_alone => {
            return NameUpdate::from_given(given, NameState::Heard).apply_to(Some(caller));
        }
        Some(known) if known == name && is_alone => return Some(caller),
        Some(known) if caller.people.iter().all(|person| person.name != known) => {
            assign_preferences(&mut caller);
            add_only_person(&mut caller, &known);
        }
        _ => {}
    }
    record_person_heard(&mut caller, &name, given.stamp.at_ms);
    caller.updated_at = caller.updated_at.max(seconds(given.stamp.at_ms));
    Some(caller)
}

/// Forgets one of several. If it was the likeliest, the one heard last takes that place.
fn forget_person(caller: Option<Caller>, given: &StampedName) -> Option<Caller> {
    let mut caller = caller?;
    let mark = given.stamp.mark();
    if mark <= caller.people_mark {
        return Some(caller);
    }
    let gone = truncate_chars(&given.name, Caller::NAME_CHARS_MAX);
    let is_likeliest = caller.name.as_ref() == Some(&gone) && mark > caller.name_mark;
    if !is_likeliest && caller.people.iter().all(|person| person.name != gone) {
        // Nobody of that name: no trace is left either, so that a repetition leaves none.
        return Some(caller);
    }
    caller.people_mark = mark;
    forget_preferences(&mut caller, &gone);
    retain_people(&mut caller, |person| person.name != gone);
    if is_likeliest {
        let latest = caller.people.iter().max_by_key(|person| person.last_at_ms);
        caller.name = latest.map(|person| person.name.clone());
        caller.name_state = match caller.name {
            Some(_) => NameState::Heard,
            None => NameState::Declined,
        };
        caller.name_mark = mark;
    }
    caller.updated_at = caller.updated_at.max(seconds(given.stamp.at_ms));
    Some(caller)
}

/// One person is called otherwise from now on, in the list of people, in preferences and as the
/// likeliest. Somebody who is known by the right name already is one with them.
fn rename_person(
    caller: Option<Caller>,
    from: &CompactString,
    to: &CompactString,
    stamp: &DecisionStamp,
) -> Option<Caller> {
    let mut caller = caller?;
    let mark = stamp.mark();
    if mark <= caller.people_mark {
        return Some(caller);
    }
    let to = truncate_chars(to, Caller::NAME_CHARS_MAX);
    let of_wrong = |preference: &Preference| {
        preference.person.as_ref() == Some(from) && preference.mark < mark
    };
    let is_known = caller.people.iter().any(|person| person.name == *from);
    let is_likeliest = caller.name.as_ref() == Some(from) && mark > caller.name_mark;
    // What a later decision about the name made the wrong one's own is not this correction's.
    let is_heir = mark > caller.name_mark && caller.preferences.iter().any(of_wrong);
    if !is_known && !is_likeliest && !is_heir {
        // Nobody of that name: no trace is left either, so that a repetition leaves none.
        return Some(caller);
    }
    caller.people_mark = mark;
    if is_known {
        retain_people(&mut caller, |person| person.name != *from);
        record_person_heard(&mut caller, &to, stamp.at_ms);
    }
    for preference in caller.preferences.iter_mut().filter(|one| of_wrong(one)) {
        preference.person = Some(to.clone());
    }
    if is_likeliest {
        caller.name = Some(to);
        caller.name_mark = mark;
    }
    caller.updated_at = caller.updated_at.max(seconds(stamp.at_ms));
    Some(caller)
}

/// The only person so far becomes one of several.
fn add_only_person(caller: &mut Caller, name: &CompactString) {
    let mut people = std::mem::take(&mut caller.people).into_vec();
    people.push(Person {
        name: name.clone(),
        first_at_ms: 0,
        last_at_ms: 0,
        heard_in_call: caller.calls,
        consecutive_calls: 0,
    });
    caller.people = people.into();
}

/// Notes that a person was heard at `at_ms`, in the number's latest call.
fn record_person_heard(caller: &mut Caller, name: &CompactString, at_ms: i64) {
    let call = caller.calls;
    let mut people = std::mem::take(&mut caller.people).into_vec();
    for other in people.iter_mut().filter(|person| person.name != *name) {
        other.consecutive_calls = 0;
    }
    match people.iter_mut().find(|person| person.name == *name) {
        Some(person) => {
            person.last_at_ms = person.last_at_ms.max(at_ms);
            let again = person.heard_in_call == call && person.consecutive_calls > 0;
            person.consecutive_calls = person.consecutive_calls.saturating_add(u32::from(!again));
            person.heard_in_call = call;
        }
        None => people.push(Person {
            name: name.clone(),
            first_at_ms: at_ms,
            last_at_ms: at_ms,
            heard_in_call: call,
            consecutive_calls: 1,
        }),
    }
    if people.len() > Caller::PEOPLE_MAX {
        let likeliest = caller.name.as_ref();
        let longest_unheard = (0..people.len())
            .filter(|&index| Some(&people[index].name) != likeliest)
            .min_by_key(|&index| people[index].last_at_ms);
        longest_unheard.map(|index| people.remove(index));
    }
    // As they are read from the database, where the order decides between two who were last heard in
    // one millisecond: it must not matter whether this caller is read anew in between.
    people
        .sort_by(|one, other| (one.first_at_ms, &one.name).cmp(&(other.first_at_ms, &other.name)));
    caller.people = people.into();
}

fn retain_people(caller: &mut Caller, keep: impl Fn(&Person) -> bool) {
    let mut people = std::mem::take(&mut caller.people).into_vec();
    people.retain(keep);
    caller.people = people.into();
}

fn add_preference(
    caller: Option<Caller>,
    number: &PhoneNumber,
    text: &CompactString,
    person: Option<&CompactString>,
    stamp: &DecisionStamp,
) -> Option<Caller> {
    let mut caller = caller.unwrap_or_else(|| new_caller(number, stamp));
    let mark = stamp.mark();
    let oldest = caller.preferences.first().map(|preference| preference.mark);
    let forgotten = caller.preferences.len() >= Caller::PREFERENCES_MAX && oldest > Some(mark);
    if forgotten || caller.preferences.iter().any(|known| known.mark == mark) {
        return Some(caller);
    }
    let text = truncate_chars(text, Caller::PREFERENCE_CHARS_MAX);
    let mut preferences = std::mem::take(&mut caller.preferences).into_vec();
    let person = person.map(|name| truncate_chars(name, Caller::NAME_CHARS_MAX));
    preferences.push(Preference { mark, text, person });
    preferences.sort_by_key(|preference| preference.mark);
    if preferences.len() > Caller::PREFERENCES_MAX {
        preferences.remove(0);
    }
    caller.preferences = preferences.into();
    caller.updated_at = caller.updated_at.max(seconds(stamp.at_ms));
    Some(caller)
}

fn choose_language(
    caller: Option<Caller>,
    number: Option<&PhoneNumber>,
    language: &CompactString,
    stamp: &DecisionStamp,
) -> Option<Caller> {
    let Some(number) = number else { return caller };
    let mut caller = caller.unwrap_or_else(|| new_caller(number, stamp));
    if stamp.mark() > caller.language_mark {
        caller.language = Some(language.clone());
        caller.language_mark = stamp.mark();
        caller.updated_at = caller.updated_at.max(seconds(stamp.at_ms));
    }
    Some(caller)
}

/// The first `chars_max` characters.
fn truncate_chars(text: &str, chars_max: usize) -> CompactString {
    text.chars().take(chars_max).collect()
}

/// Unix seconds of Unix milliseconds.
pub(super) fn seconds(at_ms: i64) -> i64 {
    at_ms.div_euclid(1000)
}
