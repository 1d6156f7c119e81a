//! The encoding of entries and named values in the log: one byte of version, then MessagePack, with a
//! checksum that covers the key too, so that a damaged row is never read as a valid one.

use super::RaftLogError;
use crate::replication::TypeConfig;
use openraft::Entry;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that is written.
const ROW_VERSION: u8 = 1;

/// `value` as bytes.
pub(super) fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![ROW_VERSION];
    rmp_serde::encode::write(&mut bytes, value)
        .expect("memory takes it, and no map is of unknown length");
    bytes
}

/// What [`to_bytes`] made `bytes` from; `what` names it in the error.
pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, RaftLogError> {
    match bytes.split_first() {
        Some((&ROW_VERSION, body)) => rmp_serde::from_slice(body)
            .map_err(|_| RaftLogError::Damaged(format!("{what} cannot be read"))),
        Some((form, _)) if *form > ROW_VERSION => Err(RaftLogError::Newer),
        _ => Err(RaftLogError::Damaged(format!("{what} is of no known form"))),
    }
}

/// The entry in the row of `index`.
pub(super) fn decode_entry(
    index: u64,
    body: &[u8],
    sum: u32,
) -> Result<Entry<TypeConfig>, RaftLogError> {
    check_row(&index.to_be_bytes(), body, sum, || format!("entry {index}"))?;
    let entry: Entry<TypeConfig> = from_bytes(body, &format!("entry {index}"))?;
    if entry.log_id.index != index {
        return Err(RaftLogError::Damaged(format!(
            "entry {index} says that it is entry {}",
            entry.log_id.index
        )));
    }
    Ok(entry)
}

/// The checksum of a row.
pub(super) fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// Whether a row is what was written.
pub(super) fn check_row(
    key: &[u8],
    body: &[u8],
    sum: u32,
    what: impl FnOnce() -> String,
) -> Result<(), RaftLogError> {
    match checksum(key, body) == sum {
        true => Ok(()),
        false => Err(RaftLogError::Damaged(format!(
            "{} is not what was written",
            what()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::EntryBatches;
    use bytes::Bytes;
    use openraft::{CommittedLeaderId, EntryPayload, LogId};

    fn written() -> (Entry<TypeConfig>, Vec<u8>) {
        let entry = Entry {
            log_id: LogId::new(CommittedLeaderId::new(3, 9), 7),
            payload: EntryPayload::Normal(EntryBatches(vec![Bytes::from_static(b"{\"form\":1}")])),
        };
        let body = to_bytes(&entry);
        (entry, body)
    }

    #[test]
    fn an_entry_comes_back_as_it_was_with_its_batches_as_raw_bytes() {
        let (before, body) = written();
        assert!(body.windows(10).any(|part| part == b"{\"form\":1}"));
        let sum = checksum(&7_u64.to_be_bytes(), &body);
        assert_eq!(decode_entry(7, &body, sum).unwrap(), before);
    }

    #[test]
    fn a_changed_bit_or_another_place_is_noticed() {
        let (_, mut body) = written();
        let sum = checksum(&7_u64.to_be_bytes(), &body);
        assert!(matches!(
            decode_entry(8, &body, sum),
            Err(RaftLogError::Damaged(_))
        ));
        let last = body.len() - 1;
        body[last] ^= 1;
        assert!(matches!(
            decode_entry(7, &body, sum),
            Err(RaftLogError::Damaged(_))
        ));
    }

    #[test]
    fn a_later_form_is_said_to_be_later() {
        let (_, mut body) = written();
        body[0] = ROW_VERSION + 1;
        let sum = checksum(&7_u64.to_be_bytes(), &body);
        assert!(matches!(
            decode_entry(7, &body, sum),
            Err(RaftLogError::Newer)
        ));
    }
}
