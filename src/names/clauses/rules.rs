//! A language's phrases, compiled once, and what is cut off a clause by them.

use std::sync::OnceLock;

use super::prefiltered_phrase::{GAP_MARK, PrefilteredPhrase};
use crate::language::Language;
use crate::language_data;
use crate::language_data::ClausePhrases;

/// What stands behind a refusal in its clause at most: politeness, endings.
pub(super) const REFUSAL_END_CHARS_MAX: usize = 8;
/// Syllables of a Korean, characters of a Chinese family and given name at most.
pub(super) const FAMILY_CHARS_MAX: usize = 2;
pub(super) const GIVEN_CHARS_MAX: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClauseCue {
    Strong,
    NameBefore,
    OwnPerson,
    Plain,
}

/// A language's phrases, longest first, so that the first match is the longest.
pub(super) struct ClauseRules {
    pub(super) language: Language,
    pub(super) fillers: Vec<&'static str>,
    pub(super) own_person: Vec<&'static str>,
    pub(super) own_person_ends: Vec<&'static str>,
    pub(super) own_name: Vec<PrefilteredPhrase>,
    pub(super) called: Vec<PrefilteredPhrase>,
    pub(super) copula: Vec<&'static str>,
    pub(super) honorifics: Vec<&'static str>,
    pub(super) other_persons: Vec<&'static str>,
    pub(super) objects: Vec<&'static str>,
    pub(super) refusals: Vec<PrefilteredPhrase>,
    pub(super) refusals_alone: Vec<&'static str>,
    pub(super) forgets: Vec<PrefilteredPhrase>,
    pub(super) common: Vec<&'static str>,
    pub(super) nouns: Vec<&'static str>,
    pub(super) noun_endings: Vec<&'static str>,
    pub(super) questions: Vec<&'static str>,
    pub(super) starters: Vec<&'static str>,
    pub(super) denial_cuts: Vec<&'static str>,
    pub(super) denial_ends: Vec<&'static str>,
    pub(super) denial_starts: Vec<&'static str>,
    pub(super) courtesies: Vec<&'static str>,
    pub(super) particles: Vec<&'static str>,
    pub(super) family_names: Vec<&'static str>,
    /// The language's words for languages, with the tag of each.
    pub(super) language_words: Vec<(&'static str, &'static str)>,
    /// What stands around them where a language is asked for.
    pub(super) language_request_words: Vec<&'static str>,
}

impl ClauseRules {
    pub(super) fn of(language: Language) -> &'static Self {
        static RULES: [OnceLock<ClauseRules>; Language::COUNT] =
            [const { OnceLock::new() }; Language::COUNT];
        RULES[language as usize].get_or_init(|| {
            static NONE: OnceLock<ClausePhrases> = OnceLock::new();
            let clauses = language.data().and_then(|file| file.clauses.as_ref());
            Self::new(
                language,
                clauses.unwrap_or_else(|| NONE.get_or_init(ClausePhrases::default)),
            )
        })
    }

    fn new(language: Language, clauses: &'static ClausePhrases) -> Self {
        Self {
            language,
            fillers: longest_first(&clauses.fillers),
            own_person: longest_first(&clauses.own_person),
            own_person_ends: longest_first(&clauses.own_person_ends),
            own_name: phrases(&clauses.own_name),
            called: phrases(&clauses.called),
            copula: longest_first(&clauses.copula),
            honorifics: longest_first(&clauses.honorifics),
            other_persons: longest_first(&clauses.others),
            objects: longest_first(&clauses.objects),
            refusals: phrases(&clauses.refusals),
            refusals_alone: longest_first(&clauses.refusals_alone),
            forgets: phrases(&clauses.forgets),
            common: longest_first(&clauses.common),
            nouns: longest_first(&clauses.nouns),
            noun_endings: longest_first(&clauses.noun_endings),
            questions: longest_first(&clauses.questions),
            starters: longest_first(&clauses.starters),
            denial_cuts: longest_first(&clauses.denial_cuts),
            denial_ends: longest_first(&clauses.denial_ends),
            denial_starts: longest_first(&clauses.denial_starts),
            courtesies: longest_first(&clauses.courtesies),
            particles: longest_first(&clauses.particles),
            family_names: longest_first(&clauses.family_names),
            language_words: language_words(language),
            language_request_words: language_request_words(language),
        }
    }

    pub(super) fn without_fillers<'t>(&self, clause: &'t str) -> &'t str {
        let mut rest = clause;
        loop {
            let shorter = self.fillers.iter().find_map(|filler| {
                let shorter = rest.strip_prefix(filler)?;
                self.is_separate_word(filler, shorter).then_some(shorter)
            });
            match shorter {
                Some(shorter) => rest = shorter.trim_start_matches([' ', '　', 'ー']),
                None => return rest,
            }
        }
    }

    /// Korean words end at a space: 응 is no part of 응우옌, nor あ of あおい.
    pub(super) fn is_separate_word(&self, word: &str, behind: &str) -> bool {
        let joined = match self.language {
            Language::Korean => false,
            Language::Japanese => word.chars().count() > 1,
            _ => true,
        };
        joined || behind.is_empty() || behind.starts_with(' ')
    }

    /// Nothing but "is" and politeness.
    pub(super) fn is_politeness_only(&self, behind: &str) -> bool {
        let mut rest = behind.trim();
        while let Some(shorter) = without_prefix(rest, &self.copula) {
            rest = shorter.trim_start();
        }
        rest.is_empty()
    }

    /// Nothing but politeness and endings.
    pub(super) fn is_sentence_ending(&self, behind: &str) -> bool {
        let behind = behind.trim();
        behind.chars().count() <= REFUSAL_END_CHARS_MAX || self.copula.contains(&behind)
    }

    pub(super) fn is_about_own_name(&self, before: &str) -> bool {
        let mut rest = before.trim();
        loop {
            let lists = [
                &self.objects,
                &self.own_person,
                &self.own_person_ends,
                &self.fillers,
            ];
            let shorter = lists
                .iter()
                .flat_map(|list| list.iter())
                .find_map(|word| rest.strip_prefix(word));
            match shorter {
                Some(shorter) => rest = shorter.trim_start(),
                None => return rest.is_empty(),
            }
        }
    }
}

fn longest_first(text: &'static str) -> Vec<&'static str> {
    let mut lines: Vec<&str> = language_data::lines(text).collect();
    lines.sort_by(|a, b| longest_first_order(a, b));
    lines
}

fn longest_first_order(a: &str, b: &str) -> std::cmp::Ordering {
    b.len().cmp(&a.len()).then_with(|| a.cmp(b))
}

/// Whether `word` is one of `list`, which is in the order of [`longest_first`].
pub(super) fn is_in(list: &[&str], word: &str) -> bool {
    list.binary_search_by(|line| longest_first_order(line, word))
        .is_ok()
}

/// Whether `part` stands in `text`: both are short, so that looking at every place is the fastest.
pub(super) fn contains(text: &str, part: &str) -> bool {
    let mut places = text.as_bytes().windows(part.len().max(1));
    part.is_empty() || places.any(|place| place == part.as_bytes())
}

/// The rest behind the longest of the phrases that the text begins with.
pub(super) fn without_prefix<'t>(text: &'t str, longest_first: &[&str]) -> Option<&'t str> {
    longest_first
        .iter()
        .find_map(|phrase| text.strip_prefix(phrase))
}

fn phrases(text: &'static str) -> Vec<PrefilteredPhrase> {
    longest_first(text)
        .into_iter()
        .map(PrefilteredPhrase::new)
        .collect()
}

/// Whether the parts of a phrase, divided by [`GAP_MARK`], stand in the text in their order.
pub(super) fn contains_in_order(text: &str, phrase: &str) -> bool {
    let mut rest = text;
    phrase.split(GAP_MARK).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The file's words for languages, longest first.
pub(super) fn language_words(language: Language) -> Vec<(&'static str, &'static str)> {
    let mut tongues: Vec<(&str, &str)> = (language.data().iter())
        .flat_map(|file| &file.languages)
        .flat_map(|(tag, words)| {
            words
                .split_whitespace()
                .map(move |word| (word, tag.as_str()))
        })
        .collect();
    tongues.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    tongues
}

/// What stands around a language's name in a request, longest first.
pub(super) fn language_request_words(language: Language) -> Vec<&'static str> {
    let words = language.data().map_or("", |file| &file.language_request);
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words
}
