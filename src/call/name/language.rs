//! The languages whose introductions are understood.

/// A caller's language, as far as names are concerned.
///
/// `Other` is every language without rules of its own: English cues and the universal ones
/// (a bare answer, spelled letters) are used for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    #[default]
    English,
    Spanish,
    French,
    German,
    Portuguese,
    Italian,
    Polish,
    Japanese,
    Dutch,
    Other,
}

impl Language {
    /// Every language with rules of its own.
    pub const ALL: [Language; 9] = [
        Language::English,
        Language::Spanish,
        Language::French,
        Language::German,
        Language::Portuguese,
        Language::Italian,
        Language::Polish,
        Language::Japanese,
        Language::Dutch,
    ];

    /// Reads a BCP 47 tag by its primary subtag (`en-US`, `pt_BR`, `PL`); anything else is `Other`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|language| language.tag().eq_ignore_ascii_case(primary))
            .unwrap_or(Self::Other)
    }

    /// English rules apply.
    pub(super) const fn is_english(self) -> bool {
        matches!(self, Self::English | Self::Other)
    }

    /// Articles and pronouns are joined to a word by an apostrophe ("c'est", "l'amico").
    pub(super) const fn elides(self) -> bool {
        matches!(self, Self::French | Self::Italian)
    }

    /// The primary subtag: `en`, `es`, ...; `und` for `Other` (BCP 47, "undetermined").
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
            Self::French => "fr",
            Self::German => "de",
            Self::Portuguese => "pt",
            Self::Italian => "it",
            Self::Polish => "pl",
            Self::Japanese => "ja",
            Self::Dutch => "nl",
            Self::Other => "und",
        }
    }
}
