//! Languages that do not divide words by spaces (Japanese, Chinese, Thai), or write endings on to
//! them (Korean): clauses are cut at punctuation, cues found inside them.

mod chinese;
mod confidence;
mod cues;
mod division;
mod japanese;
mod korean;
mod lists;
mod phrase;
mod requests;
mod rules;
mod script;
mod thai;
mod written;

use crate::extraction::{Context, Decision, Extraction, Kind, Name};
use crate::language::Language;
use division::Clause;
use rules::{Cue, REFUSAL_END_CHARS_MAX, Rules};

/// Thai nicknames as short as this are everyday words as often (ทราย, sand).
const THAI_BRIEF_CHARS_MAX: usize = 5;
/// Worth a question at most: "Hi Sarah" greets another as often as it answers.
const GREETED_CONFIDENCE_MAX: f32 = 0.7;

/// Where a clause stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// First, or behind greetings only.
    Opening,
    Inside,
    /// Behind a question of the speaker's own, which it may answer.
    Answer,
}

/// A name found in a clause.
struct Found {
    name: Name,
    confidence: f32,
    cue: Cue,
    /// The clause goes on behind the name.
    more: bool,
}

/// Reads one turn of such a language.
pub fn read(turn: &str, context: &Context<'_>) -> Extraction {
    Rules::of(context.language).read(turn, context)
}

/// Whether a text is a word of the language that is no name, or a courtesy.
pub fn is_small_word(text: &str, language: Language) -> bool {
    let rules = Rules::of(language);
    let text = text.trim();
    rules.peel(text).is_empty()
        || [&rules.common, &rules.nouns, &rules.refusals_alone]
            .iter()
            .any(|list| list.contains(&text))
}

impl Rules {
    fn read(&self, turn: &str, context: &Context<'_>) -> Extraction {
        if let Some(wanted) = self.language_wanted(turn) {
            return Extraction {
                language_wanted: Some(wanted),
                rest: true,
                ..Extraction::default()
            };
        }
        let clauses = self.clauses(turn);
        if let Some(at) = clauses.iter().position(|(clause, _)| self.forgets(clause)) {
            return Extraction {
                kind: Kind::Forget,
                confidence: 0.9,
                name: self.unwanted(clauses[at].0, context),
                rest: self.is_more_than(&clauses, at),
                ..Extraction::default()
            };
        }
        let said = clauses
            .iter()
            .filter(|(clause, _)| !self.peel(clause).is_empty());
        let alone = said.count() == 1;
        if let Some(at) = (clauses.iter()).position(|(clause, _)| self.refuses(clause, alone)) {
            return Extraction {
                kind: if context.asked {
                    Kind::Refusal
                } else {
                    Kind::None
                },
                // A refusal that is a question wants an answer.
                rest: !context.asked || clauses[at].1 || self.is_more_than(&clauses, at),
                ..Extraction::default()
            };
        }
        let mut best: Option<(Found, usize)> = None;
        let mut rejected = None;
        let mut greeted = true;
        let mut asked_back = false;
        for (index, (clause, question)) in clauses.iter().enumerate() {
            let (clause, denied) = self.without_denial(clause);
            rejected = denied
                .and_then(|part| self.name_in(part, Cue::Strong, context, true, true))
                .map(|(name, _)| name)
                .or(rejected);
            let spoken = self.peel(clause);
            let place = match (asked_back, greeted) {
                (true, _) => Place::Answer,
                (_, true) => Place::Opening,
                _ => Place::Inside,
            };
            let greeting = clause.len() > spoken.len();
            if !question
                && let Some(found) = self.clause_name(spoken, context, place, greeting)
                && best
                    .as_ref()
                    .is_none_or(|(held, _)| found.confidence > held.confidence)
            {
                best = Some((found, index));
            }
            greeted = greeted && spoken.is_empty();
            asked_back |= question;
        }
        self.finish(turn, &clauses, best, rejected)
    }

    fn finish(
        &self,
        turn: &str,
        clauses: &[Clause<'_>],
        best: Option<(Found, usize)>,
        rejected: Option<Name>,
    ) -> Extraction {
        let said = turn.trim_start();
        let denied = self.denial_starts.iter().any(|no| said.starts_with(no));
        let Some((found, at)) = best else {
            return Extraction {
                kind: if rejected.is_some() {
                    Kind::Correction
                } else {
                    Kind::None
                },
                rejected,
                rest: !said.is_empty(),
                ..Extraction::default()
            };
        };
        Extraction {
            kind: if denied || rejected.is_some() {
                Kind::Correction
            } else {
                Kind::Introduction
            },
            decision: Decision::from_confidence(found.confidence),
            strong: matches!(found.cue, Cue::Strong | Cue::Called),
            rest: found.more || self.is_more_than(clauses, at),
            name: Some(found.name),
            confidence: found.confidence,
            rejected,
            ..Extraction::default()
        }
    }

    /// Whether anything but greetings and courtesies is said in other clauses than that at `at`.
    fn is_more_than(&self, clauses: &[Clause<'_>], at: usize) -> bool {
        let courtesy = |clause: &str| {
            let said = self.peel(clause);
            said.is_empty()
                || self.courtesies.iter().any(|one| said.starts_with(one))
                || self.copula.contains(&said)
        };
        let others = clauses.iter().enumerate().filter(|(index, _)| *index != at);
        { others }.any(|(_, (clause, question))| *question || !courtesy(clause))
    }

    /// "XじゃなくてY": what is said, and what is turned down.
    fn without_denial<'t>(&self, clause: &'t str) -> (&'t str, Option<&'t str>) {
        for cut in &self.denial_cuts {
            if let Some((denied, said)) = clause.split_once(cut) {
                return (said, Some(denied));
            }
        }
        for end in &self.denial_ends {
            if let Some(denied) = clause.strip_suffix(end) {
                return ("", Some(denied));
            }
        }
        (clause, None)
    }

    fn clause_name(
        &self,
        clause: &str,
        context: &Context<'_>,
        place: Place,
        greeting: bool,
    ) -> Option<Found> {
        let (mut said, mut cue) = self.after_cue(clause)?;
        if self.language == Language::Korean {
            said = self.peel(said);
        }
        let (mut more, mut polite) = (false, false);
        if let Some((before, behind)) = self.before_called(said) {
            more = behind.chars().count() > REFUSAL_END_CHARS_MAX;
            said = before;
            cue = Cue::Called;
        } else if let Some(cut) = self.starts_again(said, cue) {
            more = !self.ends(&said[cut..]);
            polite = self.language == Language::Thai;
            said = said[..cut].trim_end();
        }
        if self.language == Language::Japanese
            && let Some(cut) = self.listed_start(said)
        {
            more |= !self.ends(&said[cut..]);
            said = &said[..cut];
        }
        let spoken = said;
        said = self.without_copula(said);
        let ended = polite || said.len() < spoken.len() && self.is_statement(&spoken[said.len()..]);
        let stated = place == Place::Opening && ended;
        if cue == Cue::Plain && !context.asked && !stated {
            return None;
        }
        let greeted = place != Place::Answer && (place == Place::Opening || cue == Cue::Self_);
        let titled = self.without_honorific(said).len() < said.trim_end().len();
        if cue == Cue::Plain && titled && (greeting && self.language == Language::Thai || !ended) {
            return None;
        }
        let (name, mut confidence) = self.name_in(said, cue, context, greeted, ended)?;
        let brief = self.language == Language::Thai && said.chars().count() <= THAI_BRIEF_CHARS_MAX;
        let vocative = greeting && self.language != Language::Japanese;
        if cue == Cue::Plain && !ended && (vocative || brief) {
            confidence = confidence.min(GREETED_CONFIDENCE_MAX);
        }
        Some(Found {
            name,
            confidence,
            cue,
            more,
        })
    }

    fn unwanted(&self, clause: &str, context: &Context<'_>) -> Option<Name> {
        let before = self
            .forgets
            .iter()
            .find_map(|phrase| clause.split_once(phrase.text).map(|(before, _)| before))?;
        let (said, _) = self.after_cue(self.peel(before))?;
        self.name_in(said, Cue::Strong, context, true, true)
            .map(|(name, _)| name)
    }
}
