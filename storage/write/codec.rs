//! The stable encoding of a batch of writes: JSON with an encoding version, so that an entry of an older log
//! can be read, and one of a newer log is refused instead of misread.
//!
//! The format version in use (`crate::format_version`) decides which encodings may be written: every
//! instance can read them. [`for_format_version`] says what becomes of a write of a later one:
//!
//! | write | first format version | below it |
//! |---|---|---|
//! | `level_raised` | | raises the format version: written by the primary, once all members read the new one |
//! | `call_noted` (`next-version`) | the next release's | skipped: nothing else depends on the note |
//! | all others | 1 | |

use super::Write;
use crate::format_version::FORMAT_VERSION;
#[cfg(feature = "next-version")]
use crate::format_version::NEXT_FORMAT_VERSION;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;

/// The latest encoding version that this build reads. [`encode_batch`] writes the earliest one that can
/// express the batch, so that older instances, which refuse what they would misread, stop only where they
/// must.
///
/// 1: as first released. 2: claims of calls may carry a condition (`expected`), and need not count as
/// a return (`returned`). 3: preferences may name their person, and people may be renamed. From there
/// on each format version adds one: 4 is that of format version 2.
pub const ENCODING_VERSION: u32 = encoding_version_at(FORMAT_VERSION);
/// The latest encoding version of format version 1.
const FIRST_FORMAT_ENCODING_VERSION: u32 = 3;

/// The latest encoding version that may be written at format version `level`.
pub const fn encoding_version_at(format_version: u32) -> u32 {
    FIRST_FORMAT_ENCODING_VERSION + format_version - 1
}

/// What is written for `write` at format version `level`; `None` where it is skipped, see the module.
pub fn for_format_version(write: Write, format_version: u32) -> Option<Write> {
    match write {
        Write::FormatVersionRaised { .. } => Some(write),
        write => {
            (encoding_version_of(&write) <= encoding_version_at(format_version)).then_some(write)
        }
    }
}

/// Whether a batch of encoding version `form` may go into the log at format version `level`: only a write
/// that raises the format version may be ahead of it.
pub fn is_allowed_at(format_version: u32, writes: &[Write]) -> bool {
    let is_raise = |write: &Write| matches!(write, Write::FormatVersionRaised { .. });
    writes.iter().all(|write| {
        is_raise(write) || encoding_version_of(write) <= encoding_version_at(format_version)
    })
}
/// The encoding version of batches without later additions.
const FIRST_ENCODING_VERSION: u32 = 1;

/// The earliest encoding version that can express `write`: an instance that reads only earlier ones would
/// apply it differently (a claim without its condition, a preference without its person).
fn encoding_version_of(write: &Write) -> u32 {
    match write {
        Write::CallResumed(claim) if claim.is_conditional() => 2,
        Write::PersonRenamed { .. }
        | Write::PreferenceNoted {
            person: Some(_), ..
        } => 3,
        Write::FormatVersionRaised { to } => encoding_version_at(*to),
        #[cfg(feature = "next-version")]
        Write::CallNoted { .. } => encoding_version_at(NEXT_FORMAT_VERSION),
        _ => FIRST_ENCODING_VERSION,
    }
}

/// The id of a proposal: with it the instance that made a batch sees in the log that it was committed. A
/// batch without one was made by an older version, or is not proposed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct ProposalId {
    /// The node that proposes it.
    pub node_id: u64,
    /// Which start of that node.
    pub start: u64,
    /// The number of the proposal since that start; one that is proposed again keeps its number.
    pub number: u64,
}

impl From<[u64; 3]> for ProposalId {
    fn from([node_id, start, number]: [u64; 3]) -> Self {
        Self {
            node_id,
            start,
            number,
        }
    }
}

impl From<ProposalId> for [u64; 3] {
    fn from(origin: ProposalId) -> Self {
        [origin.node_id, origin.start, origin.number]
    }
}

#[derive(Serialize)]
struct EncodedBatch<'a, W> {
    #[serde(rename = "form")]
    encoding_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "origin")]
    proposal_id: Option<ProposalId>,
    writes: &'a [W],
}

/// What is read first; versions without proposal ids ignore it.
#[derive(Deserialize)]
struct BatchHeader {
    #[serde(rename = "form")]
    encoding_version: u32,
    #[serde(default)]
    #[serde(rename = "origin")]
    proposal_id: Option<ProposalId>,
}

#[derive(Deserialize)]
struct BatchBody {
    writes: Vec<Write>,
}

/// Why the bytes cannot be decoded by this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later version.
    #[error("a batch of writes in form {0}, this version reads up to {ENCODING_VERSION}")]
    Newer(u32),
    /// A batch with a write that this version does not know: a later one wrote it under a wrong encoding
    /// version.
    #[error("a batch of writes in form {0}, with one that this version does not know")]
    Unknown(u32),
    /// Damaged, or something else altogether.
    #[error("not a batch of writes")]
    Damaged,
}

/// `writes` as bytes.
pub fn encode_batch<W: Borrow<Write> + Serialize>(writes: &[W]) -> Vec<u8> {
    encode_proposal(None, writes)
}

/// As [`encode_batch`], with the id of the proposal.
pub fn encode_proposal<W: Borrow<Write> + Serialize>(
    origin: Option<ProposalId>,
    writes: &[W],
) -> Vec<u8> {
    let forms = writes
        .iter()
        .map(|write| encoding_version_of(write.borrow()));
    let form = forms.max().unwrap_or(FIRST_ENCODING_VERSION);
    let sealed = EncodedBatch {
        encoding_version: form,
        proposal_id: origin,
        writes,
    };
    serde_json::to_vec(&sealed).expect("writes hold nothing that JSON cannot say")
}

/// The writes that [`encode_batch`] made `bytes` from. The error carries none of the content.
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<Write>, DecodeError> {
    Ok(decode_proposal(bytes)?.1)
}

/// As [`decode_batch`], with the id of the proposal if the batch has one.
pub fn decode_proposal(bytes: &[u8]) -> Result<(Option<ProposalId>, Vec<Write>), DecodeError> {
    let BatchHeader {
        encoding_version: form,
        proposal_id: origin,
    } = serde_json::from_slice(bytes).map_err(|_| DecodeError::Damaged)?;
    if form > ENCODING_VERSION {
        return Err(DecodeError::Newer(form));
    }
    let opened: Result<BatchBody, _> = serde_json::from_slice(bytes);
    let opened = opened.map_err(|error| match error.is_data() {
        // Valid JSON: a later version applies it, so it must not be rejected here.
        true => DecodeError::Unknown(form),
        false => DecodeError::Damaged,
    })?;
    Ok((origin, opened.writes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Turn, TurnRole};

    fn batch() -> Vec<Write> {
        let turn = Turn::new(TurnRole::Caller, "hello", 5, 0, 1);
        vec![Write::TurnAppended {
            call_sid: "CA1".into(),
            turn,
        }]
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        assert_eq!(decode_batch(&encode_batch(&batch())).unwrap(), batch());
    }

    #[test]
    fn a_batch_says_which_proposal_it_is_and_older_ones_are_still_read() {
        let origin = ProposalId {
            node_id: u64::MAX,
            start: 3,
            number: 7,
        };
        let bytes = encode_proposal(Some(origin), &batch());
        assert_eq!(decode_proposal(&bytes).unwrap(), (Some(origin), batch()));
        assert_eq!(
            decode_proposal(&encode_batch(&batch())).unwrap(),
            (None, batch())
        );
    }

    #[test]
    fn a_newer_form_is_refused_by_its_number() {
        let form = ENCODING_VERSION + 1;
        let newer = format!(r#"{{"form":{form},"writes":[{{"write":"something_new"}}]}}"#);
        let read = decode_batch(newer.as_bytes());
        assert!(matches!(read, Err(DecodeError::Newer(found)) if found == form));
    }

    #[test]
    fn who_does_not_read_a_level_does_not_read_the_write_that_raises_it() {
        let raised = |to| [Write::FormatVersionRaised { to }];
        assert_eq!(
            decode_batch(&encode_batch(&raised(FORMAT_VERSION))).unwrap(),
            raised(FORMAT_VERSION)
        );
        let beyond = decode_batch(&encode_batch(&raised(FORMAT_VERSION + 1)));
        assert!(matches!(beyond, Err(DecodeError::Newer(_))));
    }

    #[test]
    fn what_level_1_says_is_what_was_said_before_there_were_levels() {
        let [write] = &batch()[..] else {
            panic!("one write")
        };
        assert_eq!(for_format_version(write.clone(), 1), Some(write.clone()));
        assert!(encode_batch(&[claim(Some(0), true)]).starts_with(b"{\"form\":2,"));
        assert!(is_allowed_at(1, &[claim(Some(0), true), write.clone()]));
    }

    #[cfg(feature = "next-version")]
    #[test]
    fn a_note_is_written_once_its_level_is_in_use_and_left_out_before() {
        let note = Write::CallNoted {
            call_sid: "CA1".into(),
            note: "12 s".into(),
        };
        let (before, next) = (NEXT_FORMAT_VERSION - 1, NEXT_FORMAT_VERSION);
        assert_eq!(for_format_version(note.clone(), before), None);
        assert!(!is_allowed_at(before, std::slice::from_ref(&note)));
        assert_eq!(for_format_version(note.clone(), next), Some(note.clone()));
        assert!(is_allowed_at(next, &[note]));
    }

    #[test]
    fn a_write_that_is_not_known_is_told_from_damage() {
        let unknown = br#"{"form":1,"writes":[{"write":"something_new"}]}"#;
        assert!(matches!(
            decode_batch(unknown),
            Err(DecodeError::Unknown(1))
        ));
        let cut = &unknown[..unknown.len() - 1];
        assert!(matches!(decode_batch(cut), Err(DecodeError::Damaged)));
    }

    #[test]
    fn the_form_of_version_one_is_still_read() {
        let stored = br#"{"form":1,"writes":[{"write":"turn_appended","call_sid":"CA1","turn":{"role":"user","content":"hello","at":5,"kind":"speech","epoch":0,"seq":1}}]}"#;
        assert_eq!(decode_batch(stored).unwrap(), batch());
    }
    fn claim(expected: Option<u32>, returned: bool) -> Write {
        Write::CallResumed(crate::write::CallResumed {
            call_sid: "CA1".into(),
            session_id: "VX1".into(),
            epoch: 1,
            at_ms: 5,
            instance: "one".into(),
            expected,
            returned,
        })
    }

    #[test]
    fn a_claim_with_a_condition_is_kept_from_those_who_would_ignore_it() {
        for (expected, returned, form) in [(None, true, 1), (Some(0), true, 2), (None, false, 2)] {
            let writes = [claim(expected, returned)];
            let bytes = encode_batch(&writes);
            assert!(bytes.starts_with(format!("{{\"form\":{form},").as_bytes()));
            assert_eq!(decode_batch(&bytes).unwrap(), writes);
        }
    }

    #[test]
    fn a_claim_of_the_first_form_has_no_condition_and_counts() {
        let stored = br#"{"form":1,"writes":[{"write":"call_resumed","call_sid":"CA1","session_id":"VX1","epoch":1,"at_ms":5,"instance":"one"}]}"#;
        assert_eq!(decode_batch(stored).unwrap(), [claim(None, true)]);
    }

    #[test]
    fn a_preference_of_the_first_form_is_nobodys_and_one_with_a_person_is_form_3() {
        let stored = br#"{"form":1,"writes":[{"write":"preference_noted","number":"+14155550100","text":"water","stamp":{"call_sid":"CA1","step":1,"at_ms":5}}]}"#;
        let read = decode_batch(stored).unwrap();
        let [Write::PreferenceNoted { person: None, .. }] = &read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(encode_batch(&read), stored);
        let mut newer = read;
        if let Write::PreferenceNoted { person, .. } = &mut newer[0] {
            *person = Some("Misty".into());
        }
        let bytes = encode_batch(&newer);
        assert!(bytes.starts_with(b"{\"form\":3,"));
        assert_eq!(decode_batch(&bytes).unwrap(), newer);
    }
}
