//! What is said in the harness: every word follows from its place, so that whoever reads it back
//! knows whether it is right.

/// The words of a turn in its revision; 20 to 500 bytes.
pub fn of_turn(call_sid: &str, epoch: u32, seq: u32, revision: u32) -> String {
    let place = format!("{call_sid} {epoch} {seq} {revision}");
    let length = 20
        + place
            .bytes()
            .fold(7_usize, |sum, byte| (sum * 31 + byte as usize) % 480);
    let mut words = format!("{place} ");
    while words.len() < length {
        words.push_str("gotta catch them all, ");
    }
    words.truncate(length.max(place.len() + 1));
    words
}

/// The number that calls as `call_sid`, and the name behind it.
pub fn caller_of(round: u64, thread: u64, call: u64) -> (String, String) {
    (
        format!(
            "+1{:03}{:02}{:05}",
            200 + round % 700,
            thread % 100,
            call % 100_000
        ),
        format!("Name{round}x{thread}x{call}"),
    )
}

/// A call's identifier.
pub fn call_sid(round: u64, thread: u64, call: u64) -> String {
    format!("CA{round:04}{thread:02}{call:06}")
}
