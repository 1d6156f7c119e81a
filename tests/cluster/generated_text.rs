//! What is said in the harness: every word follows from its place, so that whoever reads it back
//! knows whether it is right.

use crate::events::NameOrder;

/// Bytes of a turn of a long-winded call.
const LONG_TURN_BYTES: usize = 6_000;
/// Numbers that callers call from.
pub const CALLERS: u64 = 48;
/// Numbers whose names are decided on every instance at once.
pub const NAMED: u64 = 6;

/// A call's identifier: `life` is the process that makes it.
pub fn call_sid(life: u64, teller: u64, call: u64, long_winded: bool) -> String {
    let kind = if long_winded { "CF" } else { "CA" };
    format!("{kind}{life:05}{teller:02}{call:06}")
}

/// A call that every instance tries to own.
pub fn wanted_call(index: u64) -> String {
    format!("CW{index:05}")
}

/// The words of a turn in its revision.
pub fn of_turn(call: &str, epoch: u32, seq: u32, revision: u32) -> String {
    let place = format!("{call} {epoch} {seq} {revision} ");
    let spread = place
        .bytes()
        .fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 180);
    let length = match call.starts_with("CF") {
        true => LONG_TURN_BYTES + spread,
        false => 20 + spread,
    };
    let mut words = place;
    while words.len() < length {
        words.push_str("gotta catch them all, ");
    }
    words
}

/// A number that calls.
pub fn caller(index: u64) -> String {
    format!("+1555{:07}", 100_000 + index % CALLERS)
}

/// A number whose name is decided again and again.
pub fn named(index: u64) -> String {
    format!("+1666{:07}", 200_000 + index % NAMED)
}

/// The name that a decision of this mark gives.
pub fn of_name(mark: NameOrder) -> String {
    format!("N{}.{}", mark.at_ms, mark.step)
}

/// The mark of the decision that gave `name`.
pub fn mark_of_name(name: &str) -> Option<NameOrder> {
    let (at_ms, step) = name.strip_prefix('N')?.split_once('.')?;
    Some(NameOrder {
        at_ms: at_ms.parse().ok()?,
        step: step.parse().ok()?,
    })
}

#[test]
fn a_name_says_which_decision_gave_it() {
    let mark = NameOrder { at_ms: 17, step: 4 };
    assert_eq!(mark_of_name(&of_name(mark)), Some(mark));
    assert_eq!(mark_of_name("Misty"), None);
}

#[test]
fn each_place_has_words_of_its_own() {
    assert_ne!(of_turn("CA1", 0, 1, 0), of_turn("CA1", 0, 1, 1));
    assert!(of_turn("CF1", 0, 1, 0).len() > LONG_TURN_BYTES);
}
