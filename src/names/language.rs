//! The languages whose introductions are understood.

/// A caller's language, as far as names are concerned.
///
/// `Other` is every language without a file in `languages/`: only an explicit English introduction
/// ("my name is ...") is read there, never a bare answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the languages are named as in English")]
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
    Swedish,
    Danish,
    Norwegian,
    Czech,
    Ukrainian,
    Russian,
    Turkish,
    Greek,
    Hebrew,
    Arabic,
    Hindi,
    Korean,
    Chinese,
    Thai,
    Vietnamese,
    Other,
}

/// A set of languages: bit `n` is the language whose number in [`Language`] is `n`.
pub type LanguageSet = u32;

/// The script of a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the scripts are named as in Unicode")]
pub enum Script {
    Latin,
    Cyrillic,
    Greek,
    Hebrew,
    Arabic,
    Devanagari,
    Hangul,
    /// Chinese characters, and the kana of Japanese.
    Han,
    Thai,
}

impl Language {
    /// Values of the enum: the languages with rules, and `Other`.
    pub(super) const COUNT: usize = Self::ALL.len() + 1;

    /// Every language with rules of its own.
    pub const ALL: [Language; Self::Other as usize] = [
        Language::English,
        Language::Spanish,
        Language::French,
        Language::German,
        Language::Portuguese,
        Language::Italian,
        Language::Polish,
        Language::Japanese,
        Language::Dutch,
        Language::Swedish,
        Language::Danish,
        Language::Norwegian,
        Language::Czech,
        Language::Ukrainian,
        Language::Russian,
        Language::Turkish,
        Language::Greek,
        Language::Hebrew,
        Language::Arabic,
        Language::Hindi,
        Language::Korean,
        Language::Chinese,
        Language::Thai,
        Language::Vietnamese,
    ];

    /// Reads a BCP 47 tag by its primary subtag (`en-US`, `pt_BR`, `PL`); anything else is `Other`.
    /// Norwegian is `no`, `nb` or `nn`; Hebrew also `iw`; Chinese also `cmn` and `yue`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        let primary = primary.to_ascii_lowercase();
        let primary = match primary.as_str() {
            "nb" | "nn" => "no",
            "iw" => "he",
            "cmn" | "yue" => "zh",
            other => other,
        };
        Self::ALL
            .into_iter()
            .find(|language| language.tag() == primary)
            .unwrap_or(Self::Other)
    }

    /// English rules apply.
    pub(super) const fn is_english(self) -> bool {
        matches!(self, Self::English | Self::Other)
    }

    /// Articles and pronouns are joined to a word by an apostrophe ("c'est", "l'amico").
    pub(super) const fn has_elision(self) -> bool {
        matches!(self, Self::French | Self::Italian)
    }

    /// Words are not divided by spaces, or endings are written on to them: cues are found in
    /// clauses, not in words.
    pub(super) const fn is_clause_based(self) -> bool {
        matches!(
            self,
            Self::Japanese | Self::Korean | Self::Chinese | Self::Thai
        )
    }

    /// The languages whose rules were made on labelled turns, with lists of their common words and
    /// first names; the others ask back where these capture.
    pub(super) const fn has_word_lists(self) -> bool {
        (self as u8) <= (Self::Dutch as u8)
    }

    /// The script of the language's own words.
    #[must_use]
    pub const fn script(self) -> Script {
        match self {
            Self::Ukrainian | Self::Russian => Script::Cyrillic,
            Self::Greek => Script::Greek,
            Self::Hebrew => Script::Hebrew,
            Self::Arabic => Script::Arabic,
            Self::Hindi => Script::Devanagari,
            Self::Korean => Script::Hangul,
            Self::Japanese | Self::Chinese => Script::Han,
            Self::Thai => Script::Thai,
            _ => Script::Latin,
        }
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
            Self::Swedish => "sv",
            Self::Danish => "da",
            Self::Norwegian => "no",
            Self::Czech => "cs",
            Self::Ukrainian => "uk",
            Self::Russian => "ru",
            Self::Turkish => "tr",
            Self::Greek => "el",
            Self::Hebrew => "he",
            Self::Arabic => "ar",
            Self::Hindi => "hi",
            Self::Korean => "ko",
            Self::Chinese => "zh",
            Self::Thai => "th",
            Self::Vietnamese => "vi",
            Self::Other => "und",
        }
    }
}

impl Script {
    /// The script of a letter; `None` for signs, digits and scripts without a language here.
    #[must_use]
    pub fn of(c: char) -> Option<Self> {
        Some(match c {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{590}'..='\u{5ff}' => Self::Hebrew,
            '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' => Self::Arabic,
            '\u{900}'..='\u{97f}' => Self::Devanagari,
            '\u{e00}'..='\u{e7f}' => Self::Thai,
            '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}' => Self::Hangul,
            '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' => Self::Han,
            _ => return None,
        })
    }
}
