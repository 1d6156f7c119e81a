//! A caller as sled holds it: a form marker, a checksum, and JSON of one letter a field without what
//! is not known, since a million of them lie in memory. Whatever does not add up is damage.

use crate::record::{Caller, DecisionMark, NameState, Person, PhoneNumber, Preference};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// The form written now.
const RECORD_VERSION: u8 = 1;
/// Form and checksum.
const HEADER_BYTES: usize = 9;

/// [`Caller`] without its number, which is the key.
#[derive(Serialize, Deserialize)]
struct CallerRecord {
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<CompactString>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    name_state: Option<CompactString>,
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    name_mark: (i64, u32),
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    language: Option<CompactString>,
    #[serde(rename = "k", default, skip_serializing_if = "is_default")]
    language_mark: (i64, u32),
    #[serde(rename = "c", default, skip_serializing_if = "is_default")]
    calls: u32,
    #[serde(rename = "t")]
    times: (i64, i64, Option<i64>),
    #[serde(rename = "r")]
    rev: u64,
    #[serde(rename = "q", default, skip_serializing_if = "is_default")]
    people_mark: (i64, u32),
    #[serde(rename = "p", default, skip_serializing_if = "<[Person]>::is_empty")]
    people: Box<[Person]>,
    #[serde(
        rename = "w",
        default,
        skip_serializing_if = "<[Preference]>::is_empty"
    )]
    preferences: Box<[Preference]>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl CallerRecord {
    fn of(caller: &Caller) -> Self {
        Self {
            name: caller.name.clone(),
            name_state: caller.name_state.as_str().map(CompactString::from),
            name_mark: (caller.name_mark.at_ms, caller.name_mark.step),
            language: caller.language.clone(),
            language_mark: (caller.language_mark.at_ms, caller.language_mark.step),
            calls: caller.calls,
            times: (caller.created_at, caller.updated_at, caller.last_call_at),
            rev: caller.rev,
            people_mark: (caller.people_mark.at_ms, caller.people_mark.step),
            people: caller.people.clone(),
            preferences: caller.preferences.clone(),
        }
    }

    fn into_caller(self, number: PhoneNumber) -> Caller {
        let mark = |(at_ms, step)| DecisionMark { at_ms, step };
        Caller {
            number,
            name: self.name,
            name_state: NameState::parse(self.name_state.as_deref()),
            name_mark: mark(self.name_mark),
            language: self.language,
            language_mark: mark(self.language_mark),
            calls: self.calls,
            created_at: self.times.0,
            updated_at: self.times.1,
            last_call_at: self.times.2,
            rev: self.rev,
            people_mark: mark(self.people_mark),
            people: self.people,
            preferences: self.preferences,
        }
    }
}

/// The bytes of `caller`.
pub(super) fn encode(caller: &Caller) -> Vec<u8> {
    let body =
        serde_json::to_vec(&CallerRecord::of(caller)).expect("a caller is plain text and numbers");
    let mut card = Vec::with_capacity(HEADER_BYTES + body.len());
    card.push(RECORD_VERSION);
    card.extend(keyed_checksum(caller.number.digits(), &body));
    card.extend(body);
    card
}

/// The caller in `bytes`, which must be the one of `key`. `None` is damage, or another form.
pub(super) fn decode(key: u64, bytes: &[u8]) -> Option<Caller> {
    let (head, body) = bytes.split_at_checked(HEADER_BYTES)?;
    if head[0] != RECORD_VERSION || head[1..] != keyed_checksum(key, body) {
        return None;
    }
    let card: CallerRecord = serde_json::from_slice(body).ok()?;
    Some(card.into_caller(PhoneNumber::from_digits(key)?))
}

/// The checksum of a card under its key.
fn keyed_checksum(key: u64, body: &[u8]) -> [u8; 8] {
    (checksum(body) ^ checksum(&key.to_be_bytes())).to_be_bytes()
}

/// FNV-1a, against bits that flipped on disk.
fn checksum(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    bytes.iter().fold(BASIS, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        let mark = DecisionMark { at_ms: 5, step: 2 };
        Caller {
            name: Some("Misty".into()),
            name_state: NameState::Corrected,
            name_mark: mark,
            language: Some("de-DE".into()),
            language_mark: mark,
            calls: 3,
            last_call_at: Some(9),
            rev: 77,
            people_mark: mark,
            people: [Person {
                name: "Brock".into(),
                first_at_ms: 1,
                last_at_ms: 2,
                heard_in_call: 3,
                consecutive_calls: 2,
            }]
            .into(),
            preferences: [Preference {
                mark,
                text: "water".into(),
                person: Some("Misty".into()),
            }]
            .into(),
            ..Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 7)
        }
    }

    #[test]
    fn a_card_comes_back_only_if_every_bit_of_it_is_right() {
        let card = encode(&caller());
        assert_eq!(decode(14_155_550_100, &card), Some(caller()));
        assert_eq!(decode(14_155_550_101, &card), None, "under another number");
        for at in 0..card.len() {
            let mut flipped = card.clone();
            flipped[at] ^= 4;
            assert_eq!(decode(14_155_550_100, &flipped), None, "bit of byte {at}");
            assert_eq!(decode(14_155_550_100, &card[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn what_is_not_known_takes_no_room() {
        let new = Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 7);
        assert!(encode(&new).len() < 40);
        assert_eq!(decode(14_155_550_100, &encode(&new)), Some(new));
    }
}
