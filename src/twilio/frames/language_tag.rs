//! Language tags as Twilio takes them: BCP-47, or `multi` for automatic detection.

/// Characters of a tag at most (BCP-47, 4.4.1: buffers of 35 hold every ordinary one).
const TAG_CHARS_MAX: usize = 35;

/// A well-formed tag: `en`, `en-US`, `zh-Hant-TW`, `multi`. A provider may not
/// support it (error 64106).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Takes `text`, trimmed, if it is a primary language of two or three letters with subtags
    /// of one to eight letters or digits, or `multi`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut subtags = text.split('-');
        let primary = subtags.next().unwrap_or_default();
        let language =
            (2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_alphabetic());
        let shaped = |tag: &str| {
            (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let well_formed = text.len() <= TAG_CHARS_MAX && language && subtags.all(shaped);
        (well_formed || text == "multi").then(|| Self(text.to_owned()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::LanguageTag;

    #[test]
    fn well_formed_tags_are_taken_and_others_are_not() {
        for tag in ["en", "en-US", "zh-Hant-TW", "es-419", "multi", " sv-SE "] {
            assert_eq!(LanguageTag::parse(tag).unwrap().as_str(), tag.trim());
        }
        for bad in [
            "",
            "e",
            "english",
            "en_US",
            "en-",
            "en--US",
            "multi-x",
            "1n",
            "en-US\"",
            "en-aaaaaaaaa",
        ] {
            assert!(LanguageTag::parse(bad).is_none(), "{bad}");
        }
    }
}
