//! What a write makes of a caller: one pure rule, used by [`super::apply`] on the disk's record and
//! by the directory on the one in memory, so that a name is known before it is durable.

use super::{CallStarted, NameGiven, Stamp, Write};
use crate::record::{Caller, NameState, Person, PhoneNumber, Preference};
use compact_str::CompactString;

/// The caller after `write`, given the caller before. `None` is a number nothing is known of.
/// A write that changes nothing (seen before, older, too weak, about something else) gives the
/// same caller back.
pub fn fold(caller: Option<Caller>, write: &Write) -> Option<Caller> {
    let name = match write {
        Write::CallStarted(start) => return start_call(caller, start),
        Write::CallerErased { .. } => return None,
        Write::NameHeard(given) => Ruling::from_given(given, NameState::Heard),
        Write::NameConfirmed(given) => Ruling::from_given(given, NameState::Confirmed),
        Write::NameCorrected(given) => Ruling::from_given(given, NameState::Corrected),
        Write::NameSettled(given) => return settle(caller, given),
        Write::NameDeclined(stamped) => {
            Ruling::without_name(&stamped.number, &stamped.stamp, false)
        }
        Write::NameForgotten(stamped) => {
            Ruling::without_name(&stamped.number, &stamped.stamp, true)
        }
        Write::PersonAdded(given) => return add_person(caller, given),
        Write::PersonForgotten(given) => return forget_person(caller, given),
        Write::PreferenceNoted {
            number,
            text,
            stamp,
        } => return prefer(caller, number, text, stamp),
        Write::LanguageChosen {
            number,
            language,
            stamp,
        } => {
            return choose_language(caller, number.as_ref(), language, stamp);
        }
        _ => return caller,
    };
    name.on(caller)
}

/// A ruling on the name itself.
struct Ruling<'a> {
    number: &'a PhoneNumber,
    name: Option<CompactString>,
    state: NameState,
    stamp: &'a Stamp,
    /// Whether a settled name gives way.
    strong: bool,
}

impl<'a> Ruling<'a> {
    fn from_given(given: &'a NameGiven, state: NameState) -> Self {
        let name = Some(cut(&given.name, Caller::NAME_CHARS_MAX));
        Self {
            number: &given.number,
            name,
            state,
            stamp: &given.stamp,
            strong: state.is_settled(),
        }
    }

    fn without_name(number: &'a PhoneNumber, stamp: &'a Stamp, strong: bool) -> Self {
        Self {
            number,
            name: None,
            state: NameState::Declined,
            stamp,
            strong,
        }
    }

    fn on(self, caller: Option<Caller>) -> Option<Caller> {
        let mut caller = caller.unwrap_or_else(|| newcomer(self.number, self.stamp));
        let outranked = caller.name_state.is_settled() && !self.strong;
        if outranked || self.stamp.mark() <= caller.name_mark {
            return Some(caller);
        }
        self.rename_person(&mut caller);
        caller.name = self.name;
        caller.name_state = self.state;
        caller.name_mark = self.stamp.mark();
        caller.updated_at = seconds(self.stamp.at_ms);
        Some(caller)
    }

    /// Keeps the list of people in step: a corrected or forgotten name is no other person, a newly
    /// heard one on a shared number may be.
    fn rename_person(&self, caller: &mut Caller) {
        if caller.people.is_empty() {
            return;
        }
        if matches!(self.state, NameState::Corrected | NameState::Declined) {
            let gone = caller.name.clone();
            retain_people(caller, |person| Some(&person.name) != gone.as_ref());
        }
        if let Some(name) = &self.name {
            hear_of(caller, name, self.stamp.at_ms);
        }
        caller.people_mark = caller.people_mark.max(self.stamp.mark());
    }
}

fn newcomer(number: &PhoneNumber, stamp: &Stamp) -> Caller {
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

fn settle(caller: Option<Caller>, given: &NameGiven) -> Option<Caller> {
    let mut caller = caller?;
    let same = caller.name.as_deref() == Some(cut(&given.name, Caller::NAME_CHARS_MAX).as_str());
    if same && caller.name_state == NameState::Heard && given.stamp.mark() > caller.name_mark {
        caller.name_state = NameState::Confirmed;
        caller.name_mark = given.stamp.mark();
        caller.updated_at = seconds(given.stamp.at_ms);
    }
    Some(caller)
}

fn add_person(caller: Option<Caller>, given: &NameGiven) -> Option<Caller> {
    let mut caller = caller.unwrap_or_else(|| newcomer(&given.number, &given.stamp));
    if given.stamp.mark() <= caller.people_mark {
        return Some(caller);
    }
    caller.people_mark = given.stamp.mark();
    let name = cut(&given.name, Caller::NAME_CHARS_MAX);
    let is_alone = caller.people.is_empty();
    match caller.name.clone() {
        None if is_alone => return Ruling::from_given(given, NameState::Heard).on(Some(caller)),
        Some(known) if known == name && is_alone => return Some(caller),
        Some(known) => hear_of(&mut caller, &known, 0),
        None => {}
    }
    hear_of(&mut caller, &name, given.stamp.at_ms);
    caller.updated_at = caller.updated_at.max(seconds(given.stamp.at_ms));
    Some(caller)
}

/// Forgets one of several. If it was the likeliest, the one heard last takes that place.
fn forget_person(caller: Option<Caller>, given: &NameGiven) -> Option<Caller> {
    let mut caller = caller?;
    let mark = given.stamp.mark();
    if mark <= caller.people_mark {
        return Some(caller);
    }
    let gone = cut(&given.name, Caller::NAME_CHARS_MAX);
    let is_likeliest = caller.name.as_ref() == Some(&gone) && mark > caller.name_mark;
    if !is_likeliest && caller.people.iter().all(|person| person.name != gone) {
        // Nobody of that name: no trace is left either, so that a repetition leaves none.
        return Some(caller);
    }
    caller.people_mark = mark;
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

/// Notes that a person was heard at `at_ms`.
fn hear_of(caller: &mut Caller, name: &CompactString, at_ms: i64) {
    let mut people = std::mem::take(&mut caller.people).into_vec();
    match people.iter_mut().find(|person| person.name == *name) {
        Some(person) => person.last_at_ms = person.last_at_ms.max(at_ms),
        None => people.push(Person {
            name: name.clone(),
            first_at_ms: at_ms,
            last_at_ms: at_ms,
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

fn prefer(
    caller: Option<Caller>,
    number: &PhoneNumber,
    text: &CompactString,
    stamp: &Stamp,
) -> Option<Caller> {
    let mut caller = caller.unwrap_or_else(|| newcomer(number, stamp));
    let mark = stamp.mark();
    let oldest = caller.preferences.first().map(|preference| preference.mark);
    let forgotten = caller.preferences.len() >= Caller::PREFERENCES_MAX && oldest > Some(mark);
    if forgotten || caller.preferences.iter().any(|known| known.mark == mark) {
        return Some(caller);
    }
    let text = cut(text, Caller::PREFERENCE_CHARS_MAX);
    let mut preferences = std::mem::take(&mut caller.preferences).into_vec();
    preferences.push(Preference { mark, text });
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
    stamp: &Stamp,
) -> Option<Caller> {
    let Some(number) = number else { return caller };
    let mut caller = caller.unwrap_or_else(|| newcomer(number, stamp));
    if stamp.mark() > caller.language_mark {
        caller.language = Some(language.clone());
        caller.language_mark = stamp.mark();
        caller.updated_at = caller.updated_at.max(seconds(stamp.at_ms));
    }
    Some(caller)
}

/// The first `chars_max` characters.
fn cut(text: &str, chars_max: usize) -> CompactString {
    text.chars().take(chars_max).collect()
}

/// Unix seconds of Unix milliseconds.
pub(super) fn seconds(at_ms: i64) -> i64 {
    at_ms.div_euclid(1000)
}
