//! What the tier says of itself: which database it was made from, how far, and how it was left.

use super::card::checksum;
use serde::{Deserialize, Serialize};

/// The form of folder and cards.
const FORM: u32 = 1;

/// Written with every batch of cards, in the same step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    pub form: u32,
    /// The database's lineage.
    pub lineage: String,
    /// The change up to which every caller is in.
    pub rev: u64,
    /// The last erasure that was carried out.
    pub erased_rev: u64,
    /// The start of the machine in which it was written.
    pub boot: String,
    /// Whether it was closed in order.
    pub clean: bool,
}

/// Why a tier that was found is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distrust {
    /// Of another database, or ahead of this one (which was then restored from a backup).
    Foreign,
    /// Not closed in order before the machine was started anew: sled may have lost what it said it
    /// had, or it does not know of an erasure.
    Behind,
}

impl Label {
    /// A label for an empty tier of `lineage`.
    pub(super) fn new(lineage: &str, boot: &str) -> Self {
        Self {
            form: FORM,
            lineage: lineage.to_owned(),
            rev: 0,
            erased_rev: 0,
            boot: boot.to_owned(),
            clean: false,
        }
    }

    /// Whether a tier with this label may be used for a database of `lineage` at `rev` whose last
    /// erasure was `erased_rev`.
    pub(super) fn check(
        &self,
        lineage: &str,
        rev: u64,
        erased_rev: u64,
        boot: &str,
    ) -> Result<(), Distrust> {
        if self.form != FORM || self.lineage != lineage || self.rev > rev {
            return Err(Distrust::Foreign);
        }
        let same_boot = !boot.is_empty() && self.boot == boot;
        if !(self.clean || same_boot) || self.erased_rev < erased_rev {
            return Err(Distrust::Behind);
        }
        Ok(())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("a label is plain text and numbers");
        [&checksum(&body).to_be_bytes()[..], &body].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(8)?;
        (head == checksum(body).to_be_bytes()).then(|| serde_json::from_slice(body).ok())?
    }
}

/// What tells one start of this machine from another; empty where the system does not say, which is
/// then taken for another each time.
pub(crate) fn boot_of_machine() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            rev: 5,
            erased_rev: 2,
            ..Label::new("abc", "boot")
        }
    }

    #[test]
    fn a_label_is_believed_for_its_own_database_and_boot_only() {
        assert_eq!(label().check("abc", 5, 2, "boot"), Ok(()));
        assert_eq!(label().check("other", 5, 2, "boot"), Err(Distrust::Foreign));
        assert_eq!(
            label().check("abc", 4, 2, "boot"),
            Err(Distrust::Foreign),
            "the database is older"
        );
        assert_eq!(
            label().check("abc", 9, 2, "next boot"),
            Err(Distrust::Behind)
        );
        assert_eq!(
            label().check("abc", 9, 3, "boot"),
            Err(Distrust::Behind),
            "an erasure was missed"
        );
        let clean = Label {
            clean: true,
            ..label()
        };
        assert_eq!(clean.check("abc", 9, 2, "next boot"), Ok(()));
    }

    #[test]
    fn a_label_comes_back_as_it_was_or_not_at_all() {
        let bytes = label().to_bytes();
        assert_eq!(Label::from_bytes(&bytes), Some(label()));
        assert_eq!(Label::from_bytes(&bytes[1..]), None);
    }
}
