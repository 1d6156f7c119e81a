//! Names spelled letter by letter: "K A Y E", "emm a g o d win", "J as in Juliet", "Erik with a k".

use std::ops::Range;

use super::capitalization;
use super::domain_words;
use super::evidence::{self, Evidence};
use super::extraction::Name;
use super::grammar::CueKind;
use super::name_reader::{NameReader, NameSpan};
use super::text;
use super::token::Pause;
use super::word_class::WordClass;
use super::wordlist::WordEntry;

/// Letters of a spelled name at most.
const LETTERS_MAX: usize = 32;
/// Letters in a row that are a spelling by themselves; two are one behind the heard name.
const LETTERS_MIN: usize = 3;
/// Longest piece a recogniser makes of neighbouring letters ("sh", "emm").
const PIECE_CHARS_MAX: usize = 5;
/// A listed name of this many letters behind one or two letters follows initials: "J R Smith".
const NAME_CHARS_MIN: usize = 4;
/// Letters by which a spelling may differ from the name heard with it.
const EDITS_MAX: usize = 3;
/// A first name inside a spelling is known from this count (half-logs) on.
const KNOWN_HALF_LOGS_MIN: i32 = 14;
/// Letters of a first name that is cut from a spelling without a known surname.
const CUT_LETTERS_MIN: usize = 3;

/// A name read from letters.
#[derive(Clone, Debug)]
pub struct SpelledName {
    pub name: Name,
    pub confidence: f32,
    /// The words the spelling (and the name heard with it) takes.
    pub words: Range<usize>,
}

/// Letters and the words they were read from.
struct LetterRun {
    letters: Vec<char>,
    words: Range<usize>,
    /// Radio alphabet or "as in" was used: certainly a spelling.
    is_explicit: bool,
}

/// Reads a spelling; `heard` is the name a cue (or the bare answer) introduced.
pub fn find_spelling(
    reader: &NameReader<'_>,
    heard: Option<&NameSpan>,
    by_cue: bool,
) -> Option<SpelledName> {
    if let Some(heard) = heard
        && let Some(spelled) = spelling_by_one_letter(reader, heard)
    {
        return Some(spelled);
    }
    if !may_spell(reader) {
        return None;
    }
    if let Some(heard) = heard
        && let Some(run) = longest_run(reader, heard.words.start + 1)
        && !beside_digits(reader, &run.words)
        && let Some(spelled) = spelling_of_heard_name(reader, heard, &run)
    {
        return Some(spelled);
    }
    if by_cue {
        return None;
    }
    let run = longest_run(reader, 0).filter(|run| !beside_digits(reader, &run.words))?;
    if !(reader.name_asked || has_cue_before(reader, run.words.start)) {
        return None;
    }
    spelling_after_name(reader, &run).or_else(|| spelling_alone(reader, &run))
}

/// A cheap look: two letters, or two words of the radio alphabet, stand somewhere.
fn may_spell(reader: &NameReader<'_>) -> bool {
    let tokens = &reader.turn.tokens;
    tokens
        .iter()
        .filter(|token| token.is_single_letter || token.has_class(WordClass::PHONETIC))
        .count()
        >= 2
}

fn longest_run(reader: &NameReader<'_>, from: usize) -> Option<LetterRun> {
    let mut best: Option<LetterRun> = None;
    let mut at = from;
    while at < reader.turn.tokens.len() {
        let run = run_at(reader, at);
        at = run.words.end.max(at + 1);
        let letters = best.as_ref().map_or(1, |best| best.letters.len());
        if run.letters.len() > letters {
            best = Some(run);
        }
    }
    best.filter(|run| run.letters.len() <= LETTERS_MAX)
}

/// The letters from a word on. Pieces of several letters count only among single ones.
fn run_at(reader: &NameReader<'_>, start: usize) -> LetterRun {
    let mut run = LetterRun {
        letters: Vec::new(),
        words: start..start,
        is_explicit: false,
    };
    let (mut singles, mut certain, mut pieces) = (0_usize, 0_usize, 0_usize);
    let mut at = start;
    if is_word(reader, at) && !reader.turn.tokens[at].is_single_letter {
        return run;
    }
    while at < reader.turn.tokens.len() && reader.turn.pause_before(at) <= Pause::Stop {
        let Some((letters, end)) = item(reader, at, &mut run.is_explicit) else {
            break;
        };
        let single = letters.len() == 1 || end > at + 1;
        singles += usize::from(single);
        pieces += usize::from(!single);
        certain += usize::from(single && !is_word(reader, at));
        run.letters.extend(letters);
        at = end;
    }
    if goes_on_as_sentence(reader, start, at) {
        run.letters.pop();
        singles -= 1;
        at -= 1;
    }
    run.words.end = at;
    let only_letters = pieces == 0 && singles >= LETTERS_MIN && certain >= 1;
    if singles < pieces || !(certain >= 2 || only_letters) {
        run.letters.clear();
    }
    run
}

/// "A N N E I have a question": the last letter is the next clause's word.
fn goes_on_as_sentence(reader: &NameReader<'_>, start: usize, end: usize) -> bool {
    let turn = reader.turn;
    let last = end.saturating_sub(1);
    let word = turn.language.is_english() && last > start && turn.folded(last) == "i";
    word && turn.tokens.get(end).is_some_and(|next| {
        next.pause == Pause::None && !next.has_digits && !next.has_class(WordClass::TAIL)
    })
}

/// A letter that is a word as well: "I", "a", "y".
fn is_word(reader: &NameReader<'_>, at: usize) -> bool {
    let words = WordClass::NEVER
        .union(WordClass::STARTER)
        .union(WordClass::FILLER)
        .union(WordClass::COURTESY);
    reader.turn.tokens[at].has_class(words)
}

/// One item of a spelling: its letters and the word after it.
fn item(reader: &NameReader<'_>, at: usize, explained: &mut bool) -> Option<(Vec<char>, usize)> {
    let turn = reader.turn;
    let token = &turn.tokens[at];
    let folded = turn.folded(at);
    let times = match folded {
        "double" | "doppel" | "doble" | "doppia" | "dubbel" => 2,
        "triple" => 3,
        _ => 1,
    };
    if times > 1 {
        let next = turn
            .tokens
            .get(at + 1)
            .filter(|next| next.is_single_letter)?;
        let letter = letter_of(&turn.text[next.span.clone()])?;
        return Some((vec![letter; times], at + 2));
    }
    if token.is_single_letter {
        let letter = letter_of(&turn.text[token.span.clone()])?;
        let end = explained_end(reader, at);
        *explained |= end > at + 1;
        return Some((vec![letter], end));
    }
    if token.has_class(WordClass::PHONETIC) && token.pause <= Pause::Comma {
        *explained = true;
        return Some((vec![folded.chars().next()?], at + 1));
    }
    piece(reader, at).map(|letters| (letters, at + 1))
}

fn letter_of(written: &str) -> Option<char> {
    written.chars().next()?.to_lowercase().next()
}

/// "J as in Juliet", "k for kilo": the word after the explanation.
fn explained_end(reader: &NameReader<'_>, at: usize) -> usize {
    let turn = reader.turn;
    let link = match (turn.folded(at + 1), turn.folded(at + 2)) {
        ("as", "in") => 3,
        ("for" | "like" | "wie" | "como" | "comme" | "come" | "jak" | "de" | "di" | "van", _) => 2,
        _ => return at + 1,
    };
    let explains = turn.folded(at + link).chars().next() == turn.folded(at).chars().next();
    if explains && !turn.folded(at + link).is_empty() {
        at + link + 1
    } else {
        at + 1
    }
}

/// Letters a recogniser joined: a short word that is no function word of an introduction.
fn piece(reader: &NameReader<'_>, at: usize) -> Option<Vec<char>> {
    let token = &reader.turn.tokens[at];
    let written = &reader.turn.text[token.span.clone()];
    let written = written.trim_end_matches(|c: char| c.is_ascii_digit());
    let beside = |index: Option<usize>| {
        index
            .and_then(|index| reader.turn.tokens.get(index))
            .is_some_and(|token| token.is_single_letter)
    };
    let short =
        written.chars().count() <= PIECE_CHARS_MAX && written.chars().all(char::is_alphabetic);
    let (behind, before) = (beside(at.checked_sub(1)), beside(Some(at + 1)));
    let framed = if is_word(reader, at) {
        let certain = |at: usize| !matches!(reader.turn.folded(at), "i" | "a");
        let ends = at + 1 == reader.turn.tokens.len() || !is_word(reader, at + 1);
        behind && certain(at - 1) && (ends || before) || before && certain(at + 1)
    } else {
        behind || before
    };
    let word = token.evidence == Evidence::Name || token.entry.surname_rank() > 1;
    let initials = word
        && !beside(Some(at + 1))
        && written.chars().count() >= NAME_CHARS_MIN
        && before_letters(reader, at) <= 2;
    (short
        && framed
        && !initials
        && !written.is_empty()
        && !token.has_class(WordClass::FILLER.union(WordClass::DETAIL)))
    .then(|| written.to_lowercase().chars().collect())
}

/// How many single letters stand in a row before a word.
fn before_letters(reader: &NameReader<'_>, at: usize) -> usize {
    reader.turn.tokens[..at]
        .iter()
        .rev()
        .take_while(|token| token.is_single_letter)
        .count()
}

/// Letters beside digits are a code, no name.
fn beside_digits(reader: &NameReader<'_>, words: &Range<usize>) -> bool {
    let token = |at: Option<usize>| at.and_then(|at| reader.turn.tokens.get(at));
    let before = token(words.start.checked_sub(1));
    let pure = |at: usize| {
        reader
            .turn
            .folded(at)
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    };
    before.is_some_and(|token| token.has_digits || token.has_class(WordClass::DETAIL))
        || token(Some(words.end)).is_some_and(|token| token.has_digits && pure(words.end))
}

/// A cue ends right before the spelling, or "spelled".
fn has_cue_before(reader: &NameReader<'_>, start: usize) -> bool {
    let ends = |at: usize| {
        reader
            .grammar
            .longest_cue_at(reader.turn, at)
            .is_some_and(|(act, end)| {
                end == start && matches!(act, CueKind::Strong | CueKind::Strict | CueKind::CallMe)
            })
    };
    (start.saturating_sub(4)..start).any(ends)
}

/// The letters spell the name just heard, perhaps otherwise than it was heard.
fn spelling_of_heard_name(
    reader: &NameReader<'_>,
    heard: &NameSpan,
    run: &LetterRun,
) -> Option<SpelledName> {
    let words = heard.words.start..run.words.end;
    let said = heard.words.start..heard.words.end.min(run.words.start);
    let name = capitalization::name_of(reader.turn, said);
    let spelled: String = run.letters.iter().collect();
    let (folded, first) = (text::fold(&spelled), text::fold(&name.first));
    let full: String = name
        .full
        .iter()
        .flat_map(|full| text::fold(full).chars().collect::<Vec<_>>())
        .filter(|c| c.is_alphanumeric())
        .collect();
    if folded == full {
        return Some(SpelledName {
            name,
            confidence: 0.95,
            words,
        });
    }
    let same_start = folded.chars().next() == first.chars().next();
    if same_start && strsim::levenshtein(&folded, &first) <= EDITS_MAX {
        let first = capitalization::capitalised(&spelled, reader.turn.language);
        let surname = name
            .full
            .as_deref()
            .and_then(|full| full.split_once(' '))
            .map(|(_, rest)| rest.to_owned());
        let full = surname.map(|surname| format!("{first} {surname}"));
        return Some(SpelledName {
            name: Name {
                first,
                full,
                title: None,
            },
            confidence: 0.93,
            words,
        });
    }
    let surname = name
        .full
        .as_deref()
        .and_then(|full| full.rsplit_once(' '))
        .map(|(_, last)| text::fold(last));
    let spells_surname = surname
        .as_deref()
        .is_some_and(|surname| strsim::levenshtein(surname, &folded) <= EDITS_MAX);
    spells_surname.then(|| {
        let last = capitalization::capitalised(&spelled, reader.turn.language);
        let full = format!("{} {last}", name.first);
        SpelledName {
            name: Name {
                title: None,
                first: name.first,
                full: Some(full),
            },
            confidence: 0.93,
            words,
        }
    })
}

/// "Fabian K O W A L": a known name, and its surname (or itself) in letters.
fn spelling_after_name(reader: &NameReader<'_>, run: &LetterRun) -> Option<SpelledName> {
    let at = run.words.start.checked_sub(1)?;
    let known = reader.turn.tokens[at].evidence == Evidence::Name && reader.can_be_name(at);
    let heard = NameSpan {
        words: at..at + 1,
        confidence: 0.9,
    };
    if !known || run.letters.len() < LETTERS_MIN {
        return None;
    }
    spelling_of_heard_name(reader, &heard, run).or_else(|| {
        let first = capitalization::name_of(reader.turn, heard.words.clone()).first;
        let spelled: String = run.letters.iter().collect();
        let full = format!(
            "{first} {}",
            capitalization::capitalised(&spelled, reader.turn.language)
        );
        Some(SpelledName {
            name: Name {
                title: None,
                first,
                full: Some(full),
            },
            confidence: 0.82,
            words: at..run.words.end,
        })
    })
}

/// A spelling without a heard name: one first name, or the best cut into first name and surname.
fn spelling_alone(reader: &NameReader<'_>, run: &LetterRun) -> Option<SpelledName> {
    let pair = run.letters.len() < LETTERS_MIN && !run.is_explicit;
    if pair
        && !(has_cue_before(reader, run.words.start)
            && known(reader, &run.letters) >= KNOWN_HALF_LOGS_MIN)
    {
        return None;
    }
    let whole = text::fold(&run.letters.iter().collect::<String>());
    if WordEntry::look_up(&whole).is_species() || domain_words::is_brand(&whole) {
        return None;
    }
    let (cut, confidence) = best_cut(reader, &run.letters);
    let word = |letters: &[char]| {
        let spelled: String = letters.iter().collect();
        capitalization::capitalised(&spelled, reader.turn.language)
    };
    let first = word(&run.letters[..cut]);
    if reader.excluded.contains(&text::fold(&first)) {
        return None;
    }
    let full = (cut < run.letters.len()).then(|| format!("{first} {}", word(&run.letters[cut..])));
    Some(SpelledName {
        name: Name {
            first,
            full,
            title: None,
        },
        confidence: if pair {
            confidence.min(0.7)
        } else {
            confidence
        },
        words: run.words.clone(),
    })
}

/// Where the first name ends, and how sure that is.
fn best_cut(reader: &NameReader<'_>, letters: &[char]) -> (usize, f32) {
    let whole = known(reader, letters);
    if whole >= KNOWN_HALF_LOGS_MIN {
        return (letters.len(), 0.9);
    }
    let surname_min = if reader.turn.language.is_english() {
        2
    } else {
        1
    };
    let mut best = (letters.len(), 0.6, 0);
    for cut in 2..letters.len().saturating_sub(1) {
        let first = known(reader, &letters[..cut]);
        if first < KNOWN_HALF_LOGS_MIN {
            continue;
        }
        let surname = surname_rank(&letters[cut..]);
        let length = i32::try_from(cut).unwrap_or(0);
        let worth = first + length * 5 + surname * 14;
        let sure = surname >= surname_min && cut >= CUT_LETTERS_MIN;
        if worth > best.2 && (sure || cut >= CUT_LETTERS_MIN) {
            best = (cut, if sure { 0.82 } else { 0.6 }, worth);
        }
    }
    (best.0, best.1)
}

/// How well known letters are as a first name, in half-logs.
fn known(reader: &NameReader<'_>, letters: &[char]) -> i32 {
    let folded = text::fold(&letters.iter().collect::<String>());
    let word = WordEntry::look_up(&folded);
    let listed = word.is_first_name_in(reader.turn.language) || word.is_first_name_abroad();
    let evidence = evidence::first_name_evidence(word, &folded, reader.turn.language);
    let half_logs = word.first_name_half_logs().max(if listed { 26 } else { 0 });
    if evidence == Evidence::Common {
        half_logs / 2
    } else {
        half_logs
    }
}

fn surname_rank(letters: &[char]) -> i32 {
    let word = WordEntry::look_up(&text::fold(&letters.iter().collect::<String>()));
    i32::try_from(word.surname_rank()).unwrap_or(0)
}

/// "Erik with a k", "Sara without an h" behind a heard name.
fn spelling_by_one_letter(reader: &NameReader<'_>, heard: &NameSpan) -> Option<SpelledName> {
    let (letter, without, end) = letter_after(reader, heard.words.end)?;
    let name = capitalization::name_of(reader.turn, heard.words.clone());
    let varied = respell_with_letter(&name, letter, without, reader)?;
    Some(SpelledName {
        name: varied,
        confidence: heard.confidence.max(0.9),
        words: heard.words.start..end,
    })
}

/// The letter of "with a k" at a word, whether it is left out, and the word after.
pub fn letter_after(reader: &NameReader<'_>, at: usize) -> Option<(char, bool, usize)> {
    let turn = reader.turn;
    let without = match turn.folded(at) {
        "with" | "con" | "avec" | "mit" | "com" | "z" | "met" => false,
        "without" | "no" | "sin" | "sans" | "ohne" | "sem" | "senza" | "bez" | "zonder" => true,
        _ => return None,
    };
    let article = matches!(
        turn.folded(at + 1),
        "a" | "an" | "the" | "un" | "una" | "une" | "einem" | "um" | "een" | "la" | "le" | "no"
    );
    let mut index = at + 1 + usize::from(article);
    // "a" is both an article and a letter: "with a" at the end is the letter.
    if article
        && !turn
            .tokens
            .get(index)
            .is_some_and(|token| token.is_single_letter)
    {
        index -= 1;
    }
    let token = turn
        .tokens
        .get(index)
        .filter(|token| token.is_single_letter)?;
    Some((
        letter_of(&turn.text[token.span.clone()])?,
        without,
        index + 1,
    ))
}

/// The spelling variant of a name that has (or lacks) a letter, the most frequent of those known.
pub fn respell_with_letter(
    name: &Name,
    letter: char,
    without: bool,
    reader: &NameReader<'_>,
) -> Option<Name> {
    let first: Vec<char> = name.first.to_lowercase().chars().collect();
    let has = first.contains(&letter);
    let forms = match (without, has) {
        (false, true) | (true, false) => return Some(name.clone()),
        (true, true) => left_out(&first, letter),
        (false, false) => put_in(&first, letter),
    };
    let best = forms.into_iter().max_by_key(|form| known(reader, form));
    let best = best.filter(|form| known(reader, form) >= KNOWN_HALF_LOGS_MIN)?;
    let spelled: String = best.iter().collect();
    let first = capitalization::capitalised(&spelled, reader.turn.language);
    let full = name
        .full
        .as_deref()
        .and_then(|full| full.split_once(' '))
        .map(|(_, rest)| format!("{first} {rest}"));
    Some(Name {
        first,
        full,
        title: None,
    })
}

fn left_out(name: &[char], letter: char) -> Vec<Vec<char>> {
    let places = (0..name.len()).filter(|at| name[*at] == letter);
    places
        .map(|at| [&name[..at], &name[at + 1..]].concat())
        .collect()
}

fn put_in(name: &[char], letter: char) -> Vec<Vec<char>> {
    let inserted = (0..=name.len()).map(|at| [&name[..at], &[letter], &name[at..]].concat());
    let replaced = (0..name.len())
        .filter(|at| sounds_alike(name[*at], letter))
        .map(|at| [&name[..at], &[letter], &name[at + 1..]].concat());
    inserted.chain(replaced).collect()
}

/// Letters that are written for one sound in names.
fn sounds_alike(one: char, other: char) -> bool {
    const ALIKE: [&str; 6] = ["ckq", "szc", "iye", "jg", "vw", "oau"];
    ALIKE
        .iter()
        .any(|group| group.contains(one) && group.contains(other))
}
