//! The stable form of a batch of writes: JSON under a version marker, so that an entry of an older
//! log is still read and one of a newer log is refused instead of misread.

use super::Write;
use serde::{Deserialize, Serialize};

/// Version of the form that [`encode`] writes.
pub const FORM: u32 = 1;

#[derive(Serialize)]
struct Sealed<'a> {
    form: u32,
    writes: &'a [Write],
}

#[derive(Deserialize)]
struct Form {
    form: u32,
}

#[derive(Deserialize)]
struct Opened {
    writes: Vec<Write>,
}

/// The bytes were no batch that this version can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later version.
    #[error("a batch of writes in form {0}, this version reads up to {FORM}")]
    Newer(u32),
    /// Damaged, or something else altogether.
    #[error("not a batch of writes")]
    Damaged,
}

/// `writes` as bytes.
pub fn encode(writes: &[Write]) -> Vec<u8> {
    serde_json::to_vec(&Sealed { form: FORM, writes })
        .expect("writes hold nothing that JSON cannot say")
}

/// The writes that [`encode`] made `bytes` from. The error carries none of the content.
pub fn decode(bytes: &[u8]) -> Result<Vec<Write>, DecodeError> {
    let Form { form } = serde_json::from_slice(bytes).map_err(|_| DecodeError::Damaged)?;
    if form > FORM {
        return Err(DecodeError::Newer(form));
    }
    let opened: Opened = serde_json::from_slice(bytes).map_err(|_| DecodeError::Damaged)?;
    Ok(opened.writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Role, Turn};

    fn batch() -> Vec<Write> {
        let turn = Turn::new(Role::Caller, "hello", 5, 0, 1);
        vec![Write::TurnAppended {
            call_sid: "CA1".into(),
            turn,
        }]
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        assert_eq!(decode(&encode(&batch())).unwrap(), batch());
    }

    #[test]
    fn a_newer_form_is_refused_by_its_number() {
        let newer = br#"{"form":2,"writes":[{"write":"something_new"}]}"#;
        assert!(matches!(decode(newer), Err(DecodeError::Newer(2))));
    }

    #[test]
    fn the_form_of_version_one_is_still_read() {
        let stored = br#"{"form":1,"writes":[{"write":"turn_appended","call_sid":"CA1","turn":{"role":"user","content":"hello","at":5,"kind":"speech","epoch":0,"seq":1}}]}"#;
        assert_eq!(decode(stored).unwrap(), batch());
    }
}
