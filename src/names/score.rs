//! Measures the extractor on labelled turns (JSON lines): the operator's tool for transcripts.
//!
//! A line holds `id, lang, asked, text, name` (string or null), `source, kind` and, where known,
//! `full`, `accept` (other right answers) and `rest` (the turn asks something besides). Unknown
//! fields are ignored; a line that cannot be read is reported with its number and skipped.
//!
//! Every turn has one [`TurnOutcome`]. Kinds that begin with `refusal` and `forget` label turns that are
//! to be refusals and requests to be forgotten; everywhere else those outcomes are faults. Only a plain
//! "no", "nobody", "skip" or "why do you ask" (kind `neg-no`) may be a refusal and need not be one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{
    ExcludedWords, Extraction, ExtractionContext, Language, NameDecision, NameIntent, extract, text,
};

/// Turns that are read before the time is measured, so that the lists are in memory.
const WARM_UP_TURNS: usize = 200;
/// Kinds that are left out if turns are read as answers to the name question: they contain a name that is
/// not the caller's.
const KINDS_NOT_REPLAYED: [&str; 3] = ["neg-othername", "neg-thirdparty", "neg-vocative"];

/// Kind of a turn that may or may not be read as a refusal: a bare "no".
const MAY_REFUSE_KIND: &str = "neg-no";

/// What the table's last column but two says.
const RIGHT_PERCENT: &str = "right%: right of n where the caller gave a name; where nobody did (groups neg...), false of n, \
     so lower is better there. refused, forgot: taken for a refusal or a request to forget the name, and \
     none. lost: a question besides that would not be answered";

/// How to score.
#[derive(Clone, Debug, Default)]
pub struct ScoreOptions {
    /// Print the table as JSON lines, one class a line.
    pub json: bool,
    /// Lower-case every turn first.
    pub lowercase: bool,
    /// Read every turn as if the name had just been asked.
    pub as_asked: bool,
    /// Print one prediction a line instead of the table.
    pub predictions: bool,
    /// The agent's own names and the line's brand words.
    pub excluded: ExcludedWords,
}

/// A labelled turn.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LabelledTurn {
    /// Its id, of any form.
    #[serde(default)]
    pub id: serde_json::Value,
    /// The language, BCP 47.
    #[serde(default)]
    pub lang: String,
    /// The agent had just asked for the name.
    #[serde(default)]
    pub asked: bool,
    /// What was said.
    pub text: String,
    /// The first name that is in it, if one is.
    #[serde(default)]
    pub name: Option<String>,
    /// The full name, if one is in it.
    #[serde(default)]
    pub full: Option<String>,
    /// Other answers that are right.
    #[serde(default)]
    pub accept: Vec<String>,
    /// The turn asks or tells something besides, which must be answered.
    #[serde(default)]
    pub rest: bool,
    /// Where the turn is from.
    #[serde(default)]
    pub source: String,
    /// What it is: `intro`, `answer`, `refusal`, `forget`, `neg...`.
    #[serde(default)]
    pub kind: String,
}

/// A turn with its extraction and how long that took.
#[derive(Clone, Debug)]
pub struct ScoredTurn {
    /// The turn.
    pub turn: LabelledTurn,
    /// What was heard.
    pub extraction: Extraction,
    /// How long it took.
    pub took: Duration,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOutcome {
    /// The name is used at once.
    Captured,
    /// "Was that Kay?"
    AskedBack,
    /// Taken for a refusal to give the name.
    Refused,
    /// Taken for a request to forget the name.
    Forgotten,
    /// A language is asked for.
    Language,
    /// Nothing about a name: the agent answers the turn.
    Nothing,
}

impl TurnOutcome {
    /// In a word, as `--predictions` prints it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::AskedBack => "confirm",
            Self::Refused => "refused",
            Self::Forgotten => "forgotten",
            Self::Language => "language",
            Self::Nothing => "none",
        }
    }

    fn from_extraction(heard: &Extraction) -> Self {
        match (heard.intent, heard.decision) {
            (NameIntent::Forget, _) => Self::Forgotten,
            (NameIntent::Refusal, _) => Self::Refused,
            (_, NameDecision::Capture) => Self::Captured,
            (_, NameDecision::Confirm) => Self::AskedBack,
            _ if heard.requested_language.is_some() => Self::Language,
            _ => Self::Nothing,
        }
    }
}

impl LabelledTurn {
    /// Whether the turn holds something that the agent must answer: it gives no name and is no plain
    /// refusal or request to be forgotten, or is labelled with `rest`.
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        let plain = self.name.is_some()
            || self.is_refusal()
            || self.is_forget()
            || self.kind == MAY_REFUSE_KIND;
        self.rest || !plain
    }

    /// Whether the turn may be read as the answer to a name question: not where it says another
    /// person's name, or calls the agent by one.
    #[must_use]
    pub fn may_be_asked(&self) -> bool {
        !KINDS_NOT_REPLAYED.contains(&self.kind.as_str())
    }

    /// Its language; English where none is given.
    #[must_use]
    pub fn language(&self) -> Language {
        match self.lang.trim() {
            "" => Language::English,
            tag => Language::from_tag(tag),
        }
    }

    /// The group of its kind: `asked`, `volunteered`, or the kind itself.
    #[must_use]
    pub fn group(&self) -> &str {
        group(self)
    }

    fn is_refusal(&self) -> bool {
        self.kind.starts_with("refusal")
    }

    fn is_forget(&self) -> bool {
        self.kind.starts_with("forget")
    }

    /// Taken for a refusal or not, neither is a fault.
    fn may_refuse(&self) -> bool {
        self.is_refusal() || self.kind == "neg-no"
    }
}

/// The counts of one class of turns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassScore {
    /// How many there are.
    pub turns: usize,
    /// Captured, and right.
    pub right: usize,
    /// Captured, and another name.
    pub wrong: usize,
    /// Not captured.
    pub missed: usize,
    /// Of the missed: to be confirmed, and right.
    pub confirmed: usize,
    /// Captured where nobody gave their name.
    pub false_captures: usize,
    /// Taken for a refusal, and none.
    pub refused: usize,
    /// Taken for a request to forget the name, and none.
    pub forgot: usize,
    /// Of the right ones: with a question that would not be answered (label `rest`).
    pub questions_lost: usize,
    took_ns: Vec<u128>,
}

/// Scores `input` and returns the printable report. `now` is a monotonic clock, given by the
/// caller since this crate has none.
#[must_use]
pub fn run(input: &[u8], options: &ScoreOptions, now: impl Fn() -> Duration) -> ScoreReport {
    let (turns, bad_lines) = parse(input);
    let turns_read = turns.len();
    let mut text = String::new();
    for bad in &bad_lines {
        let _ = writeln!(text, "{}", json!({"line": bad.line, "error": bad.reason}));
    }
    let scored = score(turns, options, now);
    if options.predictions {
        for one in &scored {
            let _ = writeln!(text, "{}", prediction(one));
        }
    } else if options.json {
        write_json_lines(&summarize(&scored), &mut text);
    } else {
        write_table(&summarize(&scored), &mut text);
    }
    ScoreReport {
        text,
        turns_read,
        bad_lines,
    }
}

/// The result of [`run`].
#[derive(Clone, Debug)]
pub struct ScoreReport {
    /// The report, bad lines first.
    pub text: String,
    /// Turns that could be read.
    pub turns_read: usize,
    /// Lines that could not be read.
    pub bad_lines: Vec<BadLine>,
}

/// A line that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// Why, without its content.
    pub reason: &'static str,
}

/// The turns of JSON lines, and those lines that cannot be read.
#[must_use]
pub fn parse(input: &[u8]) -> (Vec<LabelledTurn>, Vec<BadLine>) {
    let mut bad_lines = Vec::new();
    let mut turns = Vec::new();
    for (index, line) in input.split(|byte| *byte == b'\n').enumerate() {
        match parse_line(line) {
            Ok(turn) => turns.extend(turn),
            Err(reason) => bad_lines.push(BadLine {
                line: index + 1,
                reason,
            }),
        }
    }
    (turns, bad_lines)
}

/// The turn of one line; none in an empty one.
fn parse_line(line: &[u8]) -> Result<Option<LabelledTurn>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?.trim();
    if line.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(line) {
        Ok(turn) => Ok(Some(turn)),
        Err(error) => Err(match error.classify() {
            serde_json::error::Category::Data => "not a labelled turn (a string `text` is needed)",
            _ => "not JSON",
        }),
    }
}

/// Extracts every turn under the options, timed.
#[must_use]
pub fn score(
    turns: Vec<LabelledTurn>,
    options: &ScoreOptions,
    now: impl Fn() -> Duration,
) -> Vec<ScoredTurn> {
    warm_up(&turns, options);
    let replayed = |turn: &LabelledTurn| !options.as_asked || turn.may_be_asked();
    let mut scored = Vec::with_capacity(turns.len());
    for mut turn in turns.into_iter().filter(replayed) {
        if options.lowercase {
            turn.text = turn.text.to_lowercase();
        }
        let started = now();
        let heard = extract_turn(&turn, options);
        let took = now().saturating_sub(started);
        scored.push(ScoredTurn {
            turn,
            extraction: heard,
            took,
        });
    }
    scored
}

/// Compiles every language's grammar and brings the lists into memory.
fn warm_up(turns: &[LabelledTurn], options: &ScoreOptions) {
    super::warm_up();
    let empty = LabelledTurn::default();
    let greetings = Language::ALL.map(|language| LabelledTurn {
        lang: language.tag().to_owned(),
        ..empty.clone()
    });
    for turn in greetings.iter().chain(turns.iter().take(WARM_UP_TURNS)) {
        std::hint::black_box(extract_turn(turn, options));
    }
}

fn extract_turn(turn: &LabelledTurn, options: &ScoreOptions) -> Extraction {
    let context = ExtractionContext {
        name_asked: turn.asked || options.as_asked,
        language: turn.language(),
        excluded: &options.excluded,
    };
    extract(&turn.text, &context)
}

impl ScoredTurn {
    /// Whether the name heard is one of the right answers, apart from case, accents and
    /// punctuation.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let Some(heard) = &self.extraction.name else {
            return false;
        };
        let accepted = self
            .turn
            .name
            .iter()
            .chain(&self.turn.full)
            .chain(&self.turn.accept);
        accepted.map(|right| comparable(right)).any(|right| {
            right == comparable(&heard.first)
                || heard
                    .full
                    .as_ref()
                    .is_some_and(|full| right == comparable(full))
        })
    }
}

fn comparable(name: &str) -> String {
    text::fold(name)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect()
}

fn prediction(one: &ScoredTurn) -> serde_json::Value {
    let name = one
        .extraction
        .name
        .as_ref()
        .filter(|_| one.extraction.decision != NameDecision::Ignore);
    json!({
        "id": one.turn.id,
        "kind": TurnOutcome::from_extraction(&one.extraction).label(),
        "rest": one.extraction.has_more,
        "language": one.extraction.requested_language,
        "name": name.map(|name| &name.first),
        "full": name.and_then(|name| name.full.as_ref()),
        "confidence": (f64::from(one.extraction.confidence) * 1000.0).round() / 1000.0,
        "decision": decision(one.extraction.decision),
        "us": micros(one.took.as_nanos()),
    })
}

fn decision(decision: NameDecision) -> &'static str {
    match decision {
        NameDecision::Capture => "capture",
        NameDecision::Confirm => "confirm",
        NameDecision::Ignore => "ignore",
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds of one extraction are small"
)]
fn micros(nanoseconds: u128) -> f64 {
    nanoseconds as f64 / 1000.0
}

/// Group, source (`*` for all) and language of a class.
pub type ScoreClass = (String, String, String);

/// Adds the turns up by class, and by group and language over all sources.
#[must_use]
pub fn summarize(scored: &[ScoredTurn]) -> BTreeMap<ScoreClass, ClassScore> {
    let mut tallies = BTreeMap::new();
    for one in scored {
        let (group, lang) = (group(&one.turn), one.turn.lang.clone());
        for source in [one.turn.source.as_str(), "*"] {
            let class = (group.to_owned(), source.to_owned(), lang.clone());
            tallies
                .entry(class)
                .or_insert_with(ClassScore::default)
                .add(one);
        }
        if one.turn.name.is_none() && !one.turn.is_refusal() && !one.turn.is_forget() {
            let class = ("negatives".to_owned(), "*".to_owned(), "*".to_owned());
            tallies
                .entry(class)
                .or_insert_with(ClassScore::default)
                .add(one);
        }
    }
    tallies
}

/// The kind group of a turn.
fn group(turn: &LabelledTurn) -> &str {
    match turn.kind.as_str() {
        "answer" | "answer-homophone" | "answer-lastonly" => "asked",
        "intro" | "callme" => "volunteered",
        "" if turn.name.is_none() => "neg",
        "" if turn.asked => "asked",
        "" => "volunteered",
        kind => kind,
    }
}

impl ClassScore {
    fn add(&mut self, one: &ScoredTurn) {
        self.turns += 1;
        self.took_ns.push(one.took.as_nanos());
        let outcome = TurnOutcome::from_extraction(&one.extraction);
        let (is_refusal, is_forget) = (one.turn.is_refusal(), one.turn.is_forget());
        self.refused += usize::from(outcome == TurnOutcome::Refused && !one.turn.may_refuse());
        self.forgot += usize::from(outcome == TurnOutcome::Forgotten && !is_forget);
        let captured = outcome == TurnOutcome::Captured;
        let right = match outcome {
            TurnOutcome::Refused => is_refusal,
            TurnOutcome::Forgotten => is_forget,
            _ => one.is_right(),
        };
        if one.turn.name.is_none() && !is_refusal && !is_forget {
            self.false_captures += usize::from(captured);
            return;
        }
        let settled = captured || matches!(outcome, TurnOutcome::Refused | TurnOutcome::Forgotten);
        match (settled, right) {
            (true, true) => {
                self.right += 1;
                self.questions_lost += usize::from(one.turn.rest && !one.extraction.has_more);
            }
            (true, false) => self.wrong += 1,
            (false, _) => {
                self.missed += 1;
                self.confirmed += usize::from(right && outcome == TurnOutcome::AskedBack);
            }
        }
    }

    /// The time of one extraction that `per_mille` of a thousand stay under, in microseconds.
    #[must_use]
    pub fn micros(&self, per_mille: usize) -> f64 {
        let mut sorted = self.took_ns.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_mille).div_ceil(1000).saturating_sub(1);
        sorted.get(rank).copied().map_or(0.0, micros)
    }
}

fn write_json_lines(tallies: &BTreeMap<ScoreClass, ClassScore>, report: &mut String) {
    for ((group, source, lang), tally) in tallies {
        let line = json!({
            "group": group, "source": source, "lang": lang, "n": tally.turns, "right": tally.right,
            "wrong": tally.wrong, "missed": tally.missed, "confirm": tally.confirmed,
            "false": tally.false_captures, "refused": tally.refused, "forgot": tally.forgot,
            "lost": tally.questions_lost, "p50_us": tally.micros(500), "p99_us": tally.micros(990),
        });
        let _ = writeln!(report, "{line}");
    }
}

fn write_table(tallies: &BTreeMap<ScoreClass, ClassScore>, report: &mut String) {
    let _ = writeln!(
        report,
        "{:<18} {:<20} {:<4} {:>6} {:>7} {:>6} {:>7} {:>7} {:>6} {:>7} {:>7} {:>8} {:>6} {:>7} {:>5} {:>8} {:>8}",
        "group",
        "source",
        "lang",
        "n",
        "right",
        "wrong",
        "missed",
        "confirm",
        "false",
        "right%",
        "refused",
        "refused%",
        "forgot",
        "forgot%",
        "lost",
        "p50 us",
        "p99 us"
    );
    for ((group, source, lang), tally) in tallies {
        let _ = writeln!(
            report,
            "{group:<18} {source:<20} {lang:<4} {:>6} {:>7} {:>6} {:>7} {:>7} {:>6} {:>7} {:>7} {:>8} {:>6} {:>7} {:>5} {:>8.1} {:>8.1}",
            tally.turns,
            tally.right,
            tally.wrong,
            tally.missed,
            tally.confirmed,
            tally.false_captures,
            right_percent(tally),
            tally.refused,
            percent(tally.refused, tally.turns),
            tally.forgot,
            percent(tally.forgot, tally.turns),
            tally.questions_lost,
            tally.micros(500),
            tally.micros(990),
        );
    }
    if !tallies.is_empty() {
        let _ = writeln!(report, "\n{RIGHT_PERCENT}");
    }
}

fn right_percent(tally: &ClassScore) -> String {
    match tally.right + tally.wrong + tally.missed {
        0 => percent(tally.false_captures, tally.turns),
        named => percent(tally.right, named),
    }
}

/// `part` of `whole` in percent, two decimals.
#[must_use]
pub fn percent(part: usize, whole: usize) -> String {
    let hundredths = (part * 10_000).checked_div(whole).unwrap_or(0);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
