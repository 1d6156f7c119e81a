//! One turn cut into words: where they stand, how they are written, what the word list knows.

use std::ops::Range;

use super::domain_words;
use super::evidence::{self, Evidence};
use super::extraction::ExtractionContext;
use super::language::Language;
use super::text;
use super::vocabulary::Vocabulary;
use super::word_class::WordClass;
use super::wordlist::WordEntry;

/// Words of one turn that are read; the rest of a longer one is left out.
pub const TURN_WORDS_MAX: usize = 400;

/// So many words may all be without accents where accents are written ("Lan Anh").
const UNACCENTED_WORDS_MAX: usize = 2;

/// The pause written before a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    #[default]
    None,
    /// A comma, colon or dash: a name may still follow its cue, a clause may end.
    Comma,
    /// A full stop, exclamation mark or new line.
    Stop,
    /// The clause before was a question.
    Question,
}

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordCase {
    Lower,
    Capital,
    Upper,
    /// Letters without case, or a capital inside ("McDonald", "iPhone").
    Other,
}

#[derive(Clone, Debug)]
pub struct Token {
    /// Where it stands in the turn's text, in bytes.
    pub span: Range<usize>,
    folded: Range<usize>,
    pub pause: Pause,
    pub word_case: WordCase,
    pub classes: WordClass,
    pub entry: WordEntry,
    pub evidence: Evidence,
    pub has_digits: bool,
    /// One letter, as when spelling.
    pub is_single_letter: bool,
}

impl Token {
    pub fn has_class(&self, roles: WordClass) -> bool {
        self.classes.intersects(roles)
    }

    pub fn is_capital(&self) -> bool {
        self.word_case != WordCase::Lower
    }
}

/// A turn: its text, its words, and the folded words in one buffer.
pub struct TokenizedTurn<'t> {
    pub text: &'t str,
    pub language: Language,
    /// Words of the default persona's world are no names.
    excludes_domain_words: bool,
    /// Names are told from other words by their tones: Vietnamese, written with them.
    has_tones: bool,
    folded: String,
    pub tokens: Vec<Token>,
    /// The pause that ends the turn.
    pub final_pause: Pause,
    /// Capitals tell names from other words here: some words have them and most have not.
    pub has_case: bool,
}

impl<'t> TokenizedTurn<'t> {
    /// Cuts `text` (normalised) into words; hesitations ("uh") are left out.
    pub fn tokenize(
        text: &'t str,
        context: &ExtractionContext<'_>,
        vocabulary: &Vocabulary,
    ) -> Self {
        let mut turn = Self {
            text,
            language: context.language,
            excludes_domain_words: context.excluded.excludes_domain_words(),
            has_tones: context.language == Language::Vietnamese && !is_unaccented(text),
            folded: String::with_capacity(text.len() + 8),
            tokens: Vec::with_capacity(text.len() / 4 + 4),
            final_pause: Pause::None,
            has_case: false,
        };
        turn.tokenize_text(vocabulary);
        turn.has_case = turn.is_case_meaningful();
        turn
    }

    /// The folded form of a word.
    pub fn folded(&self, index: usize) -> &str {
        self.tokens
            .get(index)
            .map_or("", |token| &self.folded[token.folded.clone()])
    }

    /// Whether a clause ends before the word at `index` (or the turn does).
    pub fn pause_before(&self, index: usize) -> Pause {
        self.tokens
            .get(index)
            .map_or(Pause::Stop, |token| token.pause)
    }

    fn tokenize_text(&mut self, vocabulary: &Vocabulary) {
        let mut pause = Pause::None;
        let mut hesitated = false;
        let mut at = 0;
        while let Some(c) = self.text[at..].chars().next() {
            if !c.is_alphanumeric() {
                pause = pause.max(self.pause_of(c, at));
                at += c.len_utf8();
                continue;
            }
            let end = word_end(self.text, at);
            if hesitated && pause == Pause::Comma {
                pause = Pause::None;
            }
            hesitated = !self.push(at..end, pause, vocabulary);
            if !hesitated {
                pause = Pause::None;
            }
            at = end;
            if self.tokens.len() >= TURN_WORDS_MAX {
                break;
            }
        }
        self.final_pause = pause;
    }

    /// Adds a word; false if it was a hesitation, which is left out.
    fn push(&mut self, at: Range<usize>, pause: Pause, vocabulary: &Vocabulary) -> bool {
        let written = &self.text[at.clone()];
        let start = self.folded.len();
        text::fold_into(written, &mut self.folded);
        let folded = &self.folded[start..];
        let mut roles = vocabulary.classes(folded);
        if is_clipped(self.text, &at) {
            roles = roles.union(WordClass::FILLER).union(WordClass::NEVER);
        }
        if roles.intersects(WordClass::HESITATION) {
            self.folded.truncate(start);
            return false;
        }
        let (at, folded) = without_number(self.text, at, folded, self.language);
        let mut word = evidence::look_up_word(folded);
        if !self.excludes_domain_words {
            word = word.without_domain();
            if domain_words::is_brand(folded) {
                roles = WordClass::default();
            }
        }
        let compound = self.has_tones && self.is_compound_part(at.end, vocabulary);
        let toned = self.has_tones && !compound && vocabulary.is_toned_name(&self.text[at.clone()]);
        if toned {
            (roles, word) = (WordClass::default(), WordEntry::default());
        }
        let digits = folded.bytes().any(|byte| byte.is_ascii_digit());
        let symbols = is_symbolic(self.text, &at);
        let roles = if symbols {
            roles.union(WordClass::NEVER)
        } else {
            roles
        };
        let letter = !digits && !symbols && folded.chars().count() == 1;
        let evidence = match toned {
            true => Evidence::Name,
            // Half of a longer word, whose first syllable without tones most names are.
            false if self.language == Language::Vietnamese && compound => {
                evidence::first_name_evidence(word, folded, self.language).max(Evidence::Unknown)
            }
            false => evidence::first_name_evidence(word, folded, self.language),
        };
        let folded = start..start + folded.len();
        let shape = word_case_of(&self.text[at.clone()]);
        self.tokens.push(Token {
            span: at,
            folded,
            pause,
            word_case: shape,
            classes: roles,
            entry: word,
            evidence,
            has_digits: digits,
            is_single_letter: letter,
        });
        true
    }

    /// "Trung tâm" (centre), "Bảo hành" (warranty): a word in small letters, none that stands behind
    /// names, goes on right behind.
    fn is_compound_part(&self, end: usize, vocabulary: &Vocabulary) -> bool {
        let next = self.text[end..].strip_prefix(' ').unwrap_or_default();
        let word = next.split(|c: char| !c.is_alphabetic()).next();
        let word = word.filter(|word| word.starts_with(char::is_lowercase));
        let behind = WordClass::TAIL
            .union(WordClass::STARTER)
            .union(WordClass::FILLER);
        word.is_some_and(|word| !vocabulary.classes(&text::fold(word)).intersects(behind))
    }

    /// A full stop after a title ("Dr.") or an initial ("J.") ends nothing.
    fn pause_of(&self, c: char, at: usize) -> Pause {
        match c {
            ';' | '\u{37e}' if self.language == Language::Greek => Pause::Question,
            ',' | ':' | ';' | '—' | '–' | '、' | '(' | ')' | '…' | '،' | '؛' => {
                Pause::Comma
            }
            '?' | '？' | '؟' => Pause::Question,
            '!' | '\n' | '。' | '！' | '।' | '॥' => Pause::Stop,
            '.' if self.is_abbreviated(at) => Pause::None,
            '.' if is_ellipsis(self.text, at) => Pause::Comma,
            '.' => Pause::Stop,
            _ => Pause::None,
        }
    }

    fn is_abbreviated(&self, at: usize) -> bool {
        self.tokens.last().is_some_and(|last| {
            last.span.end == at
                && (is_abbreviation(&self.folded[last.folded.clone()])
                    || (last.is_single_letter && last.word_case == WordCase::Upper))
        })
    }

    /// Some word has a capital, and function words inside clauses mostly have none (as they have
    /// in a title, or when shouted).
    fn is_case_meaningful(&self) -> bool {
        let inside = self.tokens.iter().skip(1).filter(|token| {
            token.pause == Pause::None
                && token.has_class(WordClass::NEVER)
                && !self.folded[token.folded.clone()].starts_with('i')
        });
        let (low, capital) = inside.fold((0, 0), |(low, capital), token| match token.word_case {
            WordCase::Lower => (low + 1, capital),
            WordCase::Capital | WordCase::Upper => (low, capital + 1),
            WordCase::Other => (low, capital),
        });
        low >= capital && self.tokens.iter().any(Token::is_capital)
    }
}

/// Typed without accents: a sentence of any length has some in a language with tones.
fn is_unaccented(text: &str) -> bool {
    text.is_ascii() && text.split(' ').count() > UNACCENTED_WORDS_MAX
}

/// Apostrophes and hyphens belong to a word between its letters; not between single letters,
/// which are spelled ("K-A-Y").
fn word_end(text: &str, start: usize) -> usize {
    let mut end = start;
    let mut part_chars = 0;
    let mut chars = text[start..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        let next = chars.peek().map(|&(_, next)| next);
        if c.is_alphanumeric() || is_combining_mark(c) {
            part_chars += 1;
        } else if is_apostrophe(c) && next.is_some_and(char::is_alphanumeric) {
        } else if is_hyphen(c) && next.is_some_and(char::is_alphanumeric) {
            if part_chars == 1 && part_is_one_char(&text[start + offset + c.len_utf8()..]) {
                break;
            }
            part_chars = 0;
        } else {
            break;
        }
        end = start + offset + c.len_utf8();
    }
    end
}

fn part_is_one_char(text: &str) -> bool {
    text.chars().nth(1).is_none_or(|c| !c.is_alphanumeric())
}

pub fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '‘' | 'ʼ' | '`' | '´' | '′')
}

pub fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '‐' | '‑')
}

fn is_combining_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

fn word_case_of(written: &str) -> WordCase {
    let upper = written.chars().filter(|c| c.is_uppercase()).count();
    let lower = written.chars().filter(|c| c.is_lowercase()).count();
    let first = written.chars().next().is_some_and(char::is_uppercase);
    match (upper, lower) {
        (0, 0) => WordCase::Other,
        (0, _) => WordCase::Lower,
        (1, _) if first => WordCase::Capital,
        (_, 0) => WordCase::Upper,
        _ if first => WordCase::Capital,
        _ => WordCase::Other,
    }
}

/// "'kay", "'cause": an apostrophe before a word and none behind marks a clipped word, no name.
fn is_clipped(text: &str, at: &Range<usize>) -> bool {
    let before = text[..at.start]
        .chars()
        .next_back()
        .is_some_and(is_apostrophe);
    let after = text[at.end..].chars().next().is_some_and(is_apostrophe);
    before && !after
}

/// "/foo", "@max", "<b>", "foo_bar", "foo()": written on to a sign that nobody says, no name.
fn is_symbolic(text: &str, at: &Range<usize>) -> bool {
    let mut before = text[..at.start].chars().rev();
    let mut after = text[at.end..].chars();
    let (last, last_but_one) = (before.next(), before.next());
    let commanded = last == Some('/') && last_but_one.is_none_or(|c| !c.is_alphanumeric());
    commanded || last.is_some_and(is_sign) || after.next().is_some_and(|c| is_sign(c) || c == '(')
}

fn is_sign(c: char) -> bool {
    matches!(
        c,
        '#' | '@'
            | '\\'
            | '_'
            | '$'
            | '<'
            | '>'
            | '{'
            | '}'
            | '['
            | ']'
            | '='
            | '~'
            | '^'
            | '|'
            | '%'
            | '*'
    )
}

/// Letters of a name that a number may be written on to ("anna1987").
const NUMBERED_LETTERS_MIN: usize = 3;

/// A known name with a number written on to it is read without the number.
fn without_number<'f>(
    text: &str,
    at: Range<usize>,
    folded: &'f str,
    language: Language,
) -> (Range<usize>, &'f str) {
    let is_digit = |c: char| c.is_ascii_digit();
    let letters = folded.trim_end_matches(is_digit);
    let written = text[at.clone()].trim_end_matches(is_digit).len();
    let named = folded.len() - letters.len() == at.len() - written
        && letters.len() < folded.len()
        && letters.chars().count() >= NUMBERED_LETTERS_MIN
        && evidence::first_name_evidence(evidence::look_up_word(letters), letters, language)
            == Evidence::Name;
    if named {
        (at.start..at.start + written, letters)
    } else {
        (at, folded)
    }
}

/// "I'm... Peter": dots in a row are a hesitation.
fn is_ellipsis(text: &str, at: usize) -> bool {
    text[at + 1..].starts_with('.') || text[..at].ends_with('.')
}

/// Titles written with a full stop, in the nine languages.
fn is_abbreviation(folded: &str) -> bool {
    matches!(
        folded,
        "dr" | "mr"
            | "mrs"
            | "ms"
            | "prof"
            | "sr"
            | "sra"
            | "srta"
            | "sig"
            | "st"
            | "dhr"
            | "mevr"
            | "mme"
            | "mlle"
    )
}
