//! Cue phrases and word roles of one language, compiled once, matched against a turn's words.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::domain;
use super::language::Language;
use super::languages::{self, LanguageFile, Phrases};
use super::text;
use super::token::{Break, Turn};

/// What a word may do around a name; a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role(u32);

impl Role {
    /// Said before the answer: "yes", "well", "hi", "sure".
    pub const FILLER: Role = Role(1);
    /// Said after the name: "please", "thanks", "speaking".
    pub const TAIL: Role = Role(1 << 1);
    /// Begins the next clause after a name: "and", "i", "what".
    pub const STARTER: Role = Role(1 << 2);
    /// "Dr", "Mrs".
    pub const TITLE: Role = Role(1 << 3);
    /// Inside a surname: "van", "de", "von".
    pub const PARTICLE: Role = Role(1 << 4);
    /// Never a name after a cue: "not", "a", "from".
    pub const NEVER: Role = Role(1 << 5);
    /// "wife", "son", "friend".
    pub const RELATION: Role = Role(1 << 6);
    /// Left out of the turn: "uh", "um".
    pub const HESITATION: Role = Role(1 << 7);
    /// Of a courtesy or introduction: not worth an answer of its own.
    pub const COURTESY: Role = Role(1 << 8);
    /// "first", "full", "given" before "name".
    pub const NAME_KIND: Role = Role(1 << 9);
    /// "no", "nope".
    pub const NO: Role = Role(1 << 11);
    /// "actually", "sorry", "I mean": the next name replaces the last.
    pub const RETRACT: Role = Role(1 << 12);
    /// Months and weekdays.
    pub const CALENDAR: Role = Role(1 << 13);
    /// Letters' names of the radio alphabet.
    pub const PHONETIC: Role = Role(1 << 14);
    /// "hi", "hello", "good morning".
    pub const GREETING: Role = Role(1 << 15);
    /// What a caller gives besides the name: "account", "number", "reservation".
    pub const DETAIL: Role = Role(1 << 10);

    /// "name": what a refusal is about.
    pub const NAME_NOUN: Role = Role(1 << 16);

    /// Begins a question: "why", "do".
    pub const QUESTION: Role = Role(1 << 17);

    /// "thanks", "bye": a name right behind is spoken to.
    pub const PARTING: Role = Role(1 << 18);

    /// A title by which somebody is addressed: "Mr", "Mrs".
    pub const ADDRESS: Role = Role(1 << 19);
    /// "first", "given" before "name".
    pub const FIRST_KIND: Role = Role(1 << 20);
    /// "last", "family" before "name".
    pub const LAST_KIND: Role = Role(1 << 21);

    pub fn intersects(self, other: Role) -> bool {
        self.0 & other.0 != 0
    }

    /// The class of that name in a language file.
    pub fn named(class: &str) -> Option<Role> {
        Some(match class {
            "filler" => Role::FILLER,
            "tail" => Role::TAIL,
            "starter" => Role::STARTER,
            "title" => Role::TITLE,
            "particle" => Role::PARTICLE,
            "never" => Role::NEVER,
            "relation" => Role::RELATION,
            "hesitation" => Role::HESITATION,
            "courtesy" => Role::COURTESY,
            "name_kind" => Role::NAME_KIND,
            "no" => Role::NO,
            "retract" => Role::RETRACT,
            "calendar" => Role::CALENDAR,
            "phonetic" => Role::PHONETIC,
            "greeting" => Role::GREETING,
            "detail" => Role::DETAIL,
            "name_noun" => Role::NAME_NOUN,
            "question" => Role::QUESTION,
            "address" => Role::ADDRESS,
            "first_kind" => Role::FIRST_KIND,
            "last_kind" => Role::LAST_KIND,
            "parting" => Role::PARTING,
            _ => return None,
        })
    }

    /// Both sets.
    pub const fn or(self, other: Role) -> Role {
        Role(self.0 | other.0)
    }
}

/// What a phrase announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
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
enum Element {
    Words(Vec<&'static str>),
    Role(Role),
    Possessive,
    Any,
}

#[derive(Debug)]
struct Phrase {
    /// After the first word, which the index holds; true: may be missing.
    rest: Vec<(Element, bool)>,
    act: Act,
}

/// A compiled language.
#[derive(Debug, Default)]
pub struct Grammar {
    roles: HashMap<&'static str, Role>,
    phrases: HashMap<&'static str, Vec<Phrase>>,
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

    pub fn roles(&self, folded: &str) -> Role {
        self.roles.get(folded).copied().unwrap_or_default()
    }

    /// Whether a word is a first name as it is written: "Huy" is one, "hủy" (cancel) is none.
    pub fn is_toned_name(&self, written: &str) -> bool {
        !self.toned_names.is_empty() && self.toned_names.contains(&written.to_lowercase())
    }

    /// The longest phrase that begins at a word, and the word after it.
    pub fn match_at(&self, turn: &Turn<'_>, at: usize) -> Option<(Act, usize)> {
        let mut best = None;
        for phrase in self.phrases.get(turn.folded(at))? {
            if let Some(end) = match_rest(&phrase.rest, turn, at + 1)
                && best.is_none_or(|(_, longest)| end > longest)
                && (phrase.act.crosses_pause() || !pauses_inside(turn, at, end))
            {
                best = Some((phrase.act, end));
            }
        }
        best
    }
}

impl Act {
    /// "no, soy Ana" is not "no soy Ana": what denies holds together without a pause.
    fn crosses_pause(self) -> bool {
        !matches!(
            self,
            Self::Reject | Self::Forget | Self::ForgetNamed | Self::Block
        )
    }
}

fn pauses_inside(turn: &Turn<'_>, at: usize, end: usize) -> bool {
    (at + 1..end).any(|index| turn.pause_before(index) != Break::None)
}

fn match_rest(rest: &[(Element, bool)], turn: &Turn<'_>, at: usize) -> Option<usize> {
    let Some(((element, optional), rest)) = rest.split_first() else {
        return Some(at);
    };
    let joined = turn.pause_before(at) <= Break::Comma;
    if joined
        && element.matches(turn, at)
        && let Some(end) = match_rest(rest, turn, at + 1)
    {
        return Some(end);
    }
    optional.then(|| match_rest(rest, turn, at)).flatten()
}

impl Element {
    fn matches(&self, turn: &Turn<'_>, at: usize) -> bool {
        match self {
            Self::Words(words) => words.contains(&turn.folded(at)),
            Self::Role(role) => turn.tokens.get(at).is_some_and(|token| token.is(*role)),
            Self::Possessive => turn.folded(at).ends_with("'s"),
            Self::Any => at < turn.tokens.len(),
        }
    }

    fn read(written: &'static str) -> Self {
        match written {
            "@kind" => Self::Role(Role::NAME_KIND),
            "@relation" => Self::Role(Role::RELATION),
            "@owner's" => Self::Possessive,
            "@any" => Self::Any,
            _ => Self::Words(written.split('|').collect()),
        }
    }
}

/// Hesitations, titles and particles that recognisers write alike in every language of the Latin
/// script.
const UNIVERSAL: [(Role, &str); 3] = [
    (
        Role::HESITATION,
        "uh uhm umm uhh uhhh ehm hmm hm mm mmm mhm mh ah euh ahm hmmm ummm yyy eee eem",
    ),
    (Role::TITLE, "dr mr mrs ms doctor prof professor"),
    (
        Role::PARTICLE,
        "van von der den de la le da di del della dos das du bin ibn al el ter ten zu mac mc o st san d l",
    ),
];

fn compile(language: Language) -> Grammar {
    let mut grammar = Grammar::default();
    for (role, words) in UNIVERSAL {
        grammar.add_words(role, words);
    }
    grammar.add_words(Role::TITLE, domain::BRAND);
    let file = language
        .file()
        .unwrap_or_else(|| languages::of(Language::English));
    for (class, words) in &file.words {
        grammar.add_words(Role::named(class).unwrap_or_default(), words);
    }
    if language == Language::Vietnamese {
        grammar.toned_names = toned_names(file);
    }
    for (act, phrases) in acts(&file.phrases) {
        for line in languages::lines(phrases) {
            grammar.add(folded(line), act);
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
fn acts(phrases: &Phrases) -> [(Act, &str); 19] {
    [
        (Act::Strong, &phrases.strong),
        (Act::Strict, &phrases.strict),
        (Act::CallMe, &phrases.call_me),
        (Act::Medium, &phrases.medium),
        (Act::Speaking, &phrases.speaking),
        (Act::Present, &phrases.present),
        (Act::Asked, &phrases.asked),
        (Act::Booking, &phrases.booking),
        (Act::BookingWeak, &phrases.booking_weak),
        (Act::Ending, &phrases.ending),
        (Act::Courtesy, &phrases.courtesy),
        (Act::AnotherPerson, &phrases.another_person),
        (Act::Other, &phrases.other),
        (Act::Reject, &phrases.reject),
        (Act::Forget, &phrases.forget),
        (Act::ForgetNamed, &phrases.forget_named),
        (Act::Refuse, &phrases.refuse),
        (Act::RefuseAlone, &phrases.refuse_alone),
        (Act::Block, &phrases.block),
    ]
}

/// Folded as turns are, for the life of the process: a grammar is compiled once.
fn folded(line: &str) -> &'static str {
    text::fold(line).leak()
}

impl Grammar {
    fn add_words(&mut self, role: Role, words: &str) {
        for word in folded(words).split_whitespace() {
            let roles = self.roles.entry(word).or_default();
            *roles = roles.or(role);
        }
    }

    /// Adds a phrase: words in a row, `a|b` either, `?` may be missing, `@kind`,
    /// `@relation`, `@owner's`, `@any`.
    fn add(&mut self, line: &'static str, act: Act) {
        let mut words = line.split_whitespace();
        let firsts = words.next().unwrap_or_default();
        if firsts.ends_with('?') {
            self.add(line[firsts.len()..].trim_start(), act);
        }
        for first in firsts.trim_end_matches('?').split('|') {
            let rest = words
                .clone()
                .map(|word| {
                    (
                        Element::read(word.trim_end_matches('?')),
                        word.ends_with('?'),
                    )
                })
                .collect();
            self.phrases
                .entry(first)
                .or_default()
                .push(Phrase { rest, act });
        }
    }
}
