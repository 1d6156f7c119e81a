//! The embedded word list: what is known of a folded word, without allocation or start-up work.
//!
//! Built by `wordlist/build.py`; the format is described in `wordlist/README.md`.

use super::language::Language;

static WORDS: &[u8] = include_bytes!("wordlist/words.bin");

const MAGIC: &[u8; 8] = b"CDXWORD1";
const HEADER_BYTES: usize = 20;
const VALUE_BYTES: usize = 8;
const OFFSET_BYTES: usize = 4;
const ENTRY_BYTES: usize = 5;
/// Longest folded word looked up; longer ones are unknown.
pub const WORD_BYTES_MAX: usize = 64;

/// What the list knows of one word; all zero for a word that is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordEntry(u64);

impl WordEntry {
    const STOP: u64 = 1 << 9;
    const PROPER: u64 = 1 << 12;
    const SPECIES: u64 = 1 << 13;
    const DOMAIN: u64 = 1 << 14;
    const ADJECTIVE: u64 = 1 << 15;
    const VERB: u64 = 1 << 16;
    const NOUN: u64 = 1 << 17;
    const PLACE: u64 = 1 << 51;
    const FIRST_SHIFT: u32 = 18;
    const ABROAD_LANGUAGES: u32 = 9;
    const COMMON_SHIFT: u32 = 28;

    /// Looks up a word folded by [`fold`](super::text::fold).
    #[must_use]
    pub fn look_up(folded: &str) -> Self {
        if folded.len() > WORD_BYTES_MAX {
            return Self::default();
        }
        find_value(folded.as_bytes()).map_or_else(Self::default, Self)
    }

    /// Twice the binary logarithm of how often it was given as a first name in the US, 0 if never
    /// (or once).
    #[must_use]
    pub fn first_name_half_logs(self) -> i32 {
        ((self.0 & 63) as i32 - 1).max(0)
    }

    /// English frequency as a common word: 1 the most frequent .. 7 rare, 0 not a common word.
    #[must_use]
    pub fn frequency_band(self) -> usize {
        (self.0 >> 6 & 7) as usize
    }

    #[must_use]
    pub fn is_stop_word(self) -> bool {
        self.0 & Self::STOP != 0
    }

    /// Surname: 3 frequent in the US, 2 in its census, 1 in another country's list, 0 not known.
    #[must_use]
    pub fn surname_rank(self) -> u64 {
        self.0 >> 10 & 3
    }

    /// A country, its capital, a state or a province.
    #[must_use]
    pub fn is_place(self) -> bool {
        self.0 & Self::PLACE != 0
    }

    /// Written with a capital only (places, peoples, brands, and names).
    #[must_use]
    pub fn is_proper_noun(self) -> bool {
        self.0 & Self::PROPER != 0
    }

    /// A species of the default persona's world, in English, Spanish, French, German or Japanese.
    #[must_use]
    pub fn is_species(self) -> bool {
        self.0 & Self::SPECIES != 0
    }

    /// A species, move, item, ability or type of that world.
    #[must_use]
    pub fn is_domain(self) -> bool {
        self.0 & (Self::SPECIES | Self::DOMAIN) != 0
    }

    /// The same word where that world is not the line's.
    #[must_use]
    pub fn without_domain(self) -> Self {
        Self(self.0 & !(Self::SPECIES | Self::DOMAIN))
    }

    #[must_use]
    pub fn is_adjective(self) -> bool {
        self.0 & Self::ADJECTIVE != 0
    }

    #[must_use]
    pub fn is_verb(self) -> bool {
        self.0 & Self::VERB != 0
    }

    #[must_use]
    pub fn is_noun(self) -> bool {
        self.0 & Self::NOUN != 0
    }

    /// In a list of first names of that language's countries; of a language without a list of its
    /// own: of any country that does not speak English.
    #[must_use]
    pub fn is_first_name_in(self, language: Language) -> bool {
        match language {
            Language::Other => false,
            _ if language.has_word_lists() => {
                self.0 >> (Self::FIRST_SHIFT + language as u32) & 1 != 0
            }
            _ => self.is_first_name_abroad(),
        }
    }

    /// In any country's list of first names.
    #[must_use]
    pub fn is_first_name_anywhere(self) -> bool {
        self.0 >> Self::FIRST_SHIFT & ((1 << (Self::ABROAD_LANGUAGES + 1)) - 1) != 0
    }

    /// In a list of first names of a country that does not speak English.
    #[must_use]
    pub fn is_first_name_abroad(self) -> bool {
        self.0 >> (Self::FIRST_SHIFT + 1) & ((1 << Self::ABROAD_LANGUAGES) - 1) != 0
    }

    /// A common word of that language (English: any band).
    #[must_use]
    pub fn is_common_word_in(self, language: Language) -> bool {
        match language {
            Language::English | Language::Other => self.frequency_band() != 0,
            _ => self.0 >> (Self::COMMON_SHIFT + language as u32 - 1) & 1 != 0,
        }
    }

    /// Given as a first name anywhere.
    #[must_use]
    pub fn is_first_name(self) -> bool {
        self.first_name_half_logs() > 0 || self.is_first_name_anywhere()
    }
}

fn find_value(word: &[u8]) -> Option<u64> {
    let (bucket_bits, values) = header();
    let hashed = hash(word);
    let bucket = (hashed >> (64 - bucket_bits)) as usize;
    let wanted = (hashed >> 16) as u32 & 0x00ff_ffff;
    let offsets_at = HEADER_BYTES + values * VALUE_BYTES;
    let entries_at = offsets_at + ((1 << bucket_bits) + 1) * OFFSET_BYTES;
    let first = u32_at(offsets_at + bucket * OFFSET_BYTES)? as usize;
    let last = u32_at(offsets_at + (bucket + 1) * OFFSET_BYTES)? as usize;
    let entries = WORDS.get(entries_at + first * ENTRY_BYTES..entries_at + last * ENTRY_BYTES)?;
    let code = entries.chunks_exact(ENTRY_BYTES).find_map(|entry| {
        let print = u32::from_le_bytes([entry[0], entry[1], entry[2], 0]);
        (print == wanted).then(|| u16::from_le_bytes([entry[3], entry[4]]) as usize)
    })?;
    let value_at = HEADER_BYTES + code * VALUE_BYTES;
    let value = WORDS.get(value_at..value_at + VALUE_BYTES)?;
    Some(u64::from_le_bytes(value.try_into().ok()?))
}

/// Bits of the bucket's number, and how many distinct values there are.
fn header() -> (u32, usize) {
    debug_assert_eq!(&WORDS[..MAGIC.len()], MAGIC);
    (
        u32_at(8).unwrap_or(1).clamp(1, 32),
        u32_at(12).unwrap_or(0) as usize,
    )
}

fn u32_at(at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(WORDS.get(at..at + 4)?.try_into().ok()?))
}

/// FNV-1a with a final mix, as in `build.py`.
fn hash(word: &[u8]) -> u64 {
    let mut value = word.iter().fold(0xcbf2_9ce4_8422_2325_u64, |value, byte| {
        (value ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    value ^= value >> 32;
    value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value ^ (value >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequent_name_has_a_count_and_no_band() {
        let misty = WordEntry::look_up("misty");
        assert!(misty.first_name_half_logs() >= 32, "{misty:?}");
        assert!(WordEntry::look_up("jennifer").first_name_half_logs() > 40);
        assert_eq!(WordEntry::look_up("jennifer").frequency_band(), 0);
    }

    #[test]
    fn common_words_species_and_surnames_are_told_apart() {
        assert_eq!(WordEntry::look_up("the").frequency_band(), 1);
        assert!(WordEntry::look_up("pikachu").is_species());
        assert!(WordEntry::look_up("dracaufeu").is_species());
        assert!(WordEntry::look_up("thundershock").is_domain());
        assert_eq!(WordEntry::look_up("smith").surname_rank(), 3);
        assert!(WordEntry::look_up("giuseppe").is_first_name_in(Language::Italian));
        assert!(WordEntry::look_up("ridiculous").is_adjective());
        assert!(WordEntry::look_up("gracias").is_common_word_in(Language::Spanish));
    }

    #[test]
    fn a_word_that_is_not_listed_is_all_zero() {
        for word in ["qzxvbn", "", "\u{0}", &"a".repeat(500)] {
            assert_eq!(WordEntry::look_up(word), WordEntry::default(), "{word:?}");
        }
    }
}
