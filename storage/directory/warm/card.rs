//! A caller as sled holds it: a form marker, a checksum, JSON. Whatever does not add up is damage.

use crate::record::Caller;

/// The form written now.
const FORM: u8 = 1;
/// Form and checksum.
const HEAD_BYTES: usize = 9;

/// The bytes of `caller`.
pub(super) fn write(caller: &Caller) -> Vec<u8> {
    let body = serde_json::to_vec(caller).expect("a caller is plain text and numbers");
    let mut card = Vec::with_capacity(HEAD_BYTES + body.len());
    card.push(FORM);
    card.extend(checksum(&body).to_be_bytes());
    card.extend(body);
    card
}

/// The caller in `bytes`, which must be the one of `key`. `None` is damage, or another form.
pub(super) fn read(key: u64, bytes: &[u8]) -> Option<Caller> {
    let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
    if head[0] != FORM || head[1..] != checksum(body).to_be_bytes() {
        return None;
    }
    serde_json::from_slice(body)
        .ok()
        .filter(|caller: &Caller| caller.number.digits() == key)
}

/// FNV-1a, against bits that flipped on disk.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    bytes.iter().fold(BASIS, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PhoneNumber;

    #[test]
    fn a_card_comes_back_only_if_every_bit_of_it_is_right() {
        let caller = Caller::new(PhoneNumber::parse("+14155550100").unwrap(), 7);
        let card = write(&caller);
        assert_eq!(read(14_155_550_100, &card), Some(caller));
        assert_eq!(read(14_155_550_101, &card), None, "under another number");
        for at in 0..card.len() {
            let mut flipped = card.clone();
            flipped[at] ^= 4;
            assert_eq!(read(14_155_550_100, &flipped), None, "bit of byte {at}");
            assert_eq!(read(14_155_550_100, &card[..at]), None, "cut at {at}");
        }
    }
}
