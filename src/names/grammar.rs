//! Cue phrases and word roles of one language, compiled once, matched against a turn's words.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::domain_words;
use super::language::Language;
use super::language_data::{self, CuePhrases, LanguageFile};
use super::text;
use super::token::{Pause, TokenizedTurn};

/// What a word may do around a name; a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordClass(u32);

impl WordClass {
    /// Said before the answer: "yes", "well", "hi", "sure".
    pub const FILLER: WordClass = WordClass(1);
    /// Said after the name: "please", "thanks", "speaking".
    pub const TAIL: WordClass = WordClass(1 << 1);
    /// Begins the next clause after a name: "and", "i", "what".
    pub const STARTER: WordClass = WordClass(1 << 2);
    /// "Dr", "Mrs".
    pub const TITLE: WordClass = WordClass(1 << 3);
    /// Inside a surname: "van", "de", "von".
    pub const PARTICLE: WordClass = WordClass(1 << 4);
    /// Never a name after a cue: "not", "a", "from".
    pub const NEVER: WordClass = WordClass(1 << 5);
    /// "wife", "son", "friend".
    pub const RELATION: WordClass = WordClass(1 << 6);
    /// Left out of the turn: "uh", "um".
    pub const HESITATION: WordClass = WordClass(1 << 7);
    /// Of a courtesy or introduction: not worth an answer of its own.
    pub const COURTESY: WordClass = WordClass(1 << 8);
    /// "first", "full", "given" before "name".
    pub const NAME_KIND: WordClass = WordClass(1 << 9);
    /// "no", "nope".
    pub const NO: WordClass = WordClass(1 << 11);
    /// "actually", "sorry", "I mean": the next name replaces the last.
    pub const RETRACT: WordClass = WordClass(1 << 12);
    /// Months and weekdays.
    pub const CALENDAR: WordClass = WordClass(1 << 13);
    /// Letters' names of the radio alphabet.
    pub const PHONETIC: WordClass = WordClass(1 << 14);
    /// "hi", "hello", "good morning".
    pub const GREETING: WordClass = WordClass(1 << 15);
    /// What a caller gives besides the name: "account", "number", "reservation".
    pub const DETAIL: WordClass = WordClass(1 << 10);

    /// "name": what a refusal is about.
    pub const NAME_NOUN: WordClass = WordClass(1 << 16);

    /// Begins a question: "why", "do".
    pub const QUESTION: WordClass = WordClass(1 << 17);

    /// "thanks", "bye": a name right behind is spoken to.
    pub const PARTING: WordClass = WordClass(1 << 18);

    /// A title by which somebody is addressed: "Mr", "Mrs".
    pub const ADDRESS: WordClass = WordClass(1 << 19);
    /// "first", "given" before "name".
    pub const FIRST_KIND: WordClass = WordClass(1 << 20);
    /// "last", "family" before "name".
    pub const LAST_KIND: WordClass = WordClass(1 << 21);

    pub fn intersects(self, other: WordClass) -> bool {
        self.0 & other.0 != 0
    }

    /// The class of that name in a language file.
    pub fn from_name(class: &str) -> Option<WordClass> {
        Some(match class {
            "filler" => WordClass::FILLER,
            "tail" => WordClass::TAIL,
            "starter" => WordClass::STARTER,
            "title" => WordClass::TITLE,
            "particle" => WordClass::PARTICLE,
            "never" => WordClass::NEVER,
            "relation" => WordClass::RELATION,
            "hesitation" => WordClass::HESITATION,
            "courtesy" => WordClass::COURTESY,
            "name_kind" => WordClass::NAME_KIND,
            "no" => WordClass::NO,
            "retract" => WordClass::RETRACT,
            "calendar" => WordClass::CALENDAR,
            "phonetic" => WordClass::PHONETIC,
            "greeting" => WordClass::GREETING,
            "detail" => WordClass::DETAIL,
            "name_noun" => WordClass::NAME_NOUN,
            "question" => WordClass::QUESTION,
            "address" => WordClass::ADDRESS,
            "first_kind" => WordClass::FIRST_KIND,
            "last_kind" => WordClass::LAST_KIND,
            "parting" => WordClass::PARTING,
            _ => return None,
        })
    }

    /// Both sets.
    pub const fn union(self, other: WordClass) -> WordClass {
        WordClass(self.0 | other.0)
    }
}

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
#[derive(Debug, Default)]
pub struct Grammar {
    classes: HashMap<&'static str, WordClass>,
    phrases: HashMap<&'static str, Vec<CuePhrase>>,
    /// Vietnamese: first names that only their tones tell from other words, in lower case.
    toned_names: HashSet<String>,
}

impl Grammar {
    /// The grammar of a language, compiled at its first use (well under a millisecond).
    pub fn of(language: Language) -> &'static Grammar {
        static GRAMMARS: [OnceLock<Grammar>; Language::COUNT] =
            [const { OnceLock::new() }; Language::COUNT];
        GRAMMARS[language as usize].get_or_init(|| compile(language))
    }

    pub fn classes(&self, folded: &str) -> WordClass {
        self.classes.get(folded).copied().unwrap_or_default()
    }

    /// Whether a word is a first name as it is written: "Huy" is one, "hủy" (cancel) is none.
    pub fn is_toned_name(&self, written: &str) -> bool {
        !self.toned_names.is_empty() && self.toned_names.contains(&written.to_lowercase())
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

/// Hesitations, titles and particles that recognisers write alike in every language of the Latin
/// script.
const UNIVERSAL: [(WordClass, &str); 3] = [
    (
        WordClass::HESITATION,
        "uh uhm umm uhh uhhh ehm hmm hm mm mmm mhm mh ah euh ahm hmmm ummm yyy eee eem",
    ),
    (WordClass::TITLE, "dr mr mrs ms doctor prof professor"),
    (
        WordClass::PARTICLE,
        "van von der den de la le da di del della dos das du bin ibn al el ter ten zu mac mc o st san d l",
    ),
];

fn compile(language: Language) -> Grammar {
    let mut grammar = Grammar::default();
    for (role, words) in UNIVERSAL {
        grammar.add_words(role, words);
    }
    grammar.add_words(WordClass::TITLE, domain_words::BRAND);
    let file = language
        .data()
        .unwrap_or_else(|| language_data::data_of(Language::English));
    for (class, words) in &file.words {
        grammar.add_words(WordClass::from_name(class).unwrap_or_default(), words);
    }
    if language == Language::Vietnamese {
        grammar.toned_names = toned_names(file);
    }
    for (act, phrases) in phrases_by_kind(&file.phrases) {
        for line in language_data::lines(phrases) {
            grammar.add_phrase(leak_folded(line), act);
        }
    }
    grammar
}

/// The file's first names, without those that are words in the same spelling.
fn toned_names(file: &LanguageFile) -> HashSet<String> {
    let lower = |text: &str| text.to_lowercase();
    let words: String = file
        .words
        .values()
        .map(|words| lower(words) + " ")
        .collect();
    let words: HashSet<&str> = words.split_whitespace().collect();
    let names = file.first_names.split_whitespace().map(lower);
    names
        .filter(|name| !words.contains(name.as_str()))
        .collect()
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

/// Folded as turns are, for the life of the process: a grammar is compiled once.
fn leak_folded(line: &str) -> &'static str {
    text::fold(line).leak()
}

impl Grammar {
    fn add_words(&mut self, role: WordClass, words: &str) {
        for word in leak_folded(words).split_whitespace() {
            let roles = self.classes.entry(word).or_default();
            *roles = roles.union(role);
        }
    }

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
