//! The cue phrases of one language, compiled once and matched against a turn's words.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::language::Language;
use super::language_data::{self, CuePhrases};
use super::token::{Pause, TokenizedTurn};
use super::vocabulary::{Vocabulary, leak_folded};
use super::word_class::WordClass;

/// What a phrase announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CueKind {
    /// "my name is X".
    Strong,
    /// "my name X", "name X": only what looks like a name.
    Strict,
    /// "call me X": wins over the full name said before.
    CallMe,
    /// "I'm X".
    Medium,
    /// "here speaks X": as `Medium`, at a clause's start.
    Speaking,
    /// "this is X": as `Medium`; after "no", another person speaks.
    Present,
    /// "it's X": when asked, or with an ending ("it's X calling").
    Asked,
    /// "under the name X".
    Booking,
    /// "under X", "on behalf of X".
    BookingWeak,
    /// "this is his wife X".
    AnotherPerson,
    /// "his name is X", "my son X".
    Other,
    /// "not X".
    Reject,
    /// "X is my name", "X speaking".
    Ending,
    /// "forget my name", "don't call me that".
    Forget,
    /// "don't call me X": a name must follow.
    ForgetNamed,
    /// "I'd rather not give my name": to the end of its clause.
    Refuse,
    /// "skip", "no thanks": a refusal only where it is the whole turn.
    RefuseAlone,
    /// Looks like a cue and is none: "call me back".
    Block,
    /// "nice to meet you": peeled and not worth an answer.
    Courtesy,
}

#[derive(Debug)]
enum PhraseElement {
    Words(Vec<&'static str>),
    Class(WordClass),
    Possessive,
    Any,
}

#[derive(Debug)]
struct CuePhrase {
    /// After the first word, which the index holds; true: may be missing.
    rest: Vec<(PhraseElement, bool)>,
    kind: CueKind,
}

/// A compiled language.
#[derive(Debug)]
pub struct Grammar {
    vocabulary: Vocabulary,
    phrases: HashMap<&'static str, Vec<CuePhrase>>,
}

impl Grammar {
    /// The grammar of a language, compiled at its first use (well under a millisecond).
    pub fn of(language: Language) -> &'static Grammar {
        static GRAMMARS: [OnceLock<Grammar>; Language::COUNT] =
            [const { OnceLock::new() }; Language::COUNT];
        GRAMMARS[language as usize].get_or_init(|| compile(language))
    }

    /// The words of the language, without its phrases.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The classes of a folded word.
    pub fn classes(&self, folded: &str) -> WordClass {
        self.vocabulary.classes(folded)
    }

    /// The longest phrase that begins at a word, and the word after it.
    pub fn longest_cue_at(&self, turn: &TokenizedTurn<'_>, at: usize) -> Option<(CueKind, usize)> {
        let mut best = None;
        for phrase in self.phrases.get(turn.folded(at))? {
            if let Some(end) = match_rest(&phrase.rest, turn, at + 1)
                && best.is_none_or(|(_, longest)| end > longest)
                && (phrase.kind.crosses_pause() || !pauses_inside(turn, at, end))
            {
                best = Some((phrase.kind, end));
            }
        }
        best
    }
}

impl CueKind {
    /// "no, soy Ana" is not "no soy Ana": what denies holds together without a pause.
    fn crosses_pause(self) -> bool {
        !matches!(
            self,
            Self::Reject | Self::Forget | Self::ForgetNamed | Self::Block
        )
    }
}

fn pauses_inside(turn: &TokenizedTurn<'_>, at: usize, end: usize) -> bool {
    (at + 1..end).any(|index| turn.pause_before(index) != Pause::None)
}

fn match_rest(
    rest: &[(PhraseElement, bool)],
    turn: &TokenizedTurn<'_>,
    at: usize,
) -> Option<usize> {
    let Some(((element, optional), rest)) = rest.split_first() else {
        return Some(at);
    };
    let joined = turn.pause_before(at) <= Pause::Comma;
    if joined
        && element.matches(turn, at)
        && let Some(end) = match_rest(rest, turn, at + 1)
    {
        return Some(end);
    }
    optional.then(|| match_rest(rest, turn, at)).flatten()
}

impl PhraseElement {
    fn matches(&self, turn: &TokenizedTurn<'_>, at: usize) -> bool {
        match self {
            Self::Words(words) => words.contains(&turn.folded(at)),
            Self::Class(role) => turn
                .tokens
                .get(at)
                .is_some_and(|token| token.has_class(*role)),
            Self::Possessive => turn.folded(at).ends_with("'s"),
            Self::Any => at < turn.tokens.len(),
        }
    }

    fn parse(written: &'static str) -> Self {
        match written {
            "@kind" => Self::Class(WordClass::NAME_KIND),
            "@relation" => Self::Class(WordClass::RELATION),
            "@owner's" => Self::Possessive,
            "@any" => Self::Any,
            _ => Self::Words(written.split('|').collect()),
        }
    }
}

fn compile(language: Language) -> Grammar {
    let file = language
        .data()
        .unwrap_or_else(|| language_data::data_of(Language::English));
    let mut grammar = Grammar {
        vocabulary: Vocabulary::new(language, file),
        phrases: HashMap::new(),
    };
    for (act, phrases) in phrases_by_kind(&file.phrases) {
        for line in language_data::lines(phrases) {
            grammar.add_phrase(leak_folded(line), act);
        }
    }
    grammar
}

/// The phrases by what they announce; of two equally long ones the first here is taken.
fn phrases_by_kind(phrases: &CuePhrases) -> [(CueKind, &str); 19] {
    [
        (CueKind::Strong, &phrases.strong),
        (CueKind::Strict, &phrases.strict),
        (CueKind::CallMe, &phrases.call_me),
        (CueKind::Medium, &phrases.medium),
        (CueKind::Speaking, &phrases.speaking),
        (CueKind::Present, &phrases.present),
        (CueKind::Asked, &phrases.asked),
        (CueKind::Booking, &phrases.booking),
        (CueKind::BookingWeak, &phrases.booking_weak),
        (CueKind::Ending, &phrases.ending),
        (CueKind::Courtesy, &phrases.courtesy),
        (CueKind::AnotherPerson, &phrases.another_person),
        (CueKind::Other, &phrases.other),
        (CueKind::Reject, &phrases.reject),
        (CueKind::Forget, &phrases.forget),
        (CueKind::ForgetNamed, &phrases.forget_named),
        (CueKind::Refuse, &phrases.refuse),
        (CueKind::RefuseAlone, &phrases.refuse_alone),
        (CueKind::Block, &phrases.block),
    ]
}

impl Grammar {
    /// Adds a phrase: words in a row, `a|b` either, `?` may be missing, `@kind`,
    /// `@relation`, `@owner's`, `@any`.
    fn add_phrase(&mut self, line: &'static str, act: CueKind) {
        let mut words = line.split_whitespace();
        let firsts = words.next().unwrap_or_default();
        if firsts.ends_with('?') {
            self.add_phrase(line[firsts.len()..].trim_start(), act);
        }
        for first in firsts.trim_end_matches('?').split('|') {
            let rest = words
                .clone()
                .map(|word| {
                    (
                        PhraseElement::parse(word.trim_end_matches('?')),
                        word.ends_with('?'),
                    )
                })
                .collect();
            self.phrases
                .entry(first)
                .or_default()
                .push(CuePhrase { rest, kind: act });
        }
    }
}
