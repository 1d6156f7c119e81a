//! Languages that do not divide words by spaces (Japanese, Chinese, Thai), or write endings on to
//! them (Korean): clauses are cut at punctuation, cues found inside them.

mod chinese;
mod confidence;
mod cues;
mod japanese;
mod korean;
mod name_lists;
mod name_parts;
mod prefiltered_phrase;
mod requests;
mod rules;
mod script;
mod segmentation;
mod thai;

use crate::extraction::{Extraction, ExtractionContext, Name, NameDecision, NameIntent};
use crate::language::Language;
use rules::{ClauseCue, ClauseRules, REFUSAL_END_CHARS_MAX};
use segmentation::Clause;

/// Thai nicknames as short as this are everyday words as often (ทราย, sand).
const THAI_BRIEF_CHARS_MAX: usize = 5;
/// Worth a question at most: "Hi Sarah" greets another as often as it answers.
const GREETED_CONFIDENCE_MAX: f32 = 0.7;

/// Where a clause stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClausePosition {
    /// First, or behind greetings only.
    Opening,
    Inside,
    /// Behind a question of the speaker's own, which it may answer.
    AfterQuestion,
}

/// A name found in a clause.
struct ClauseName {
    name: Name,
    confidence: f32,
    cue: ClauseCue,
    /// The clause goes on behind the name.
    has_more: bool,
}

/// Reads one turn of such a language.
pub fn extract_from_turn(turn: &str, context: &ExtractionContext<'_>) -> Extraction {
    ClauseRules::of(context.language).extract(turn, context)
}

/// Whether a text is a word of the language that is no name, or a courtesy.
pub fn is_function_word(text: &str, language: Language) -> bool {
    let rules = ClauseRules::of(language);
    let text = text.trim();
    rules.without_fillers(text).is_empty()
        || [&rules.common, &rules.nouns, &rules.refusals_alone]
            .iter()
            .any(|list| list.contains(&text))
}

impl ClauseRules {
    fn extract(&self, turn: &str, context: &ExtractionContext<'_>) -> Extraction {
        if let Some(wanted) = self.requested_language(turn) {
            return Extraction {
                requested_language: Some(wanted),
                has_more: true,
                ..Extraction::default()
            };
        }
        let clauses = self.split_clauses(turn);
        if let Some(at) = clauses
            .iter()
            .position(|(clause, _)| self.is_forget_request(clause))
        {
            return Extraction {
                intent: NameIntent::Forget,
                confidence: 0.9,
                name: self.name_to_forget(clauses[at].0, context),
                has_more: self.has_more_than(&clauses, at),
                ..Extraction::default()
            };
        }
        let said = clauses
            .iter()
            .filter(|(clause, _)| !self.without_fillers(clause).is_empty());
        let alone = said.count() == 1;
        if let Some(at) = (clauses.iter()).position(|(clause, _)| self.is_refusal(clause, alone)) {
            return Extraction {
                intent: if context.name_asked {
                    NameIntent::Refusal
                } else {
                    NameIntent::None
                },
                // A refusal that is a question wants an answer.
                has_more: !context.name_asked || clauses[at].1 || self.has_more_than(&clauses, at),
                ..Extraction::default()
            };
        }
        let mut best: Option<(ClauseName, usize)> = None;
        let mut rejected = None;
        let mut greeted = true;
        let mut asked_back = false;
        for (index, (clause, question)) in clauses.iter().enumerate() {
            let (clause, denied) = self.without_denial(clause);
            rejected = denied
                .and_then(|part| self.name_in(part, ClauseCue::Strong, context, true, true))
                .map(|(name, _)| name)
                .or(rejected);
            let spoken = self.without_fillers(clause);
            let place = match (asked_back, greeted) {
                (true, _) => ClausePosition::AfterQuestion,
                (_, true) => ClausePosition::Opening,
                _ => ClausePosition::Inside,
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
        self.extraction_of_best(turn, &clauses, best, rejected)
    }

    fn extraction_of_best(
        &self,
        turn: &str,
        clauses: &[Clause<'_>],
        best: Option<(ClauseName, usize)>,
        rejected: Option<Name>,
    ) -> Extraction {
        let said = turn.trim_start();
        let denied = self.denial_starts.iter().any(|no| said.starts_with(no));
        let Some((found, at)) = best else {
            return Extraction {
                intent: if rejected.is_some() {
                    NameIntent::Correction
                } else {
                    NameIntent::None
                },
                rejected_name: rejected,
                has_more: !said.is_empty(),
                ..Extraction::default()
            };
        };
        Extraction {
            intent: if denied || rejected.is_some() {
                NameIntent::Correction
            } else {
                NameIntent::Introduction
            },
            decision: NameDecision::from_confidence(found.confidence),
            has_explicit_cue: matches!(found.cue, ClauseCue::Strong | ClauseCue::NameBefore),
            has_more: found.has_more || self.has_more_than(clauses, at),
            name: Some(found.name),
            confidence: found.confidence,
            rejected_name: rejected,
            ..Extraction::default()
        }
    }

    /// Whether anything but greetings and courtesies is said in other clauses than that at `at`.
    fn has_more_than(&self, clauses: &[Clause<'_>], at: usize) -> bool {
        let courtesy = |clause: &str| {
            let said = self.without_fillers(clause);
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
        context: &ExtractionContext<'_>,
        place: ClausePosition,
        greeting: bool,
    ) -> Option<ClauseName> {
        let (mut said, mut cue) = self.after_cue(clause)?;
        if self.language == Language::Korean {
            said = self.without_fillers(said);
        }
        let (mut more, mut polite) = (false, false);
        if let Some((before, behind)) = self.split_at_called(said) {
            more = behind.chars().count() > REFUSAL_END_CHARS_MAX;
            said = before;
            cue = ClauseCue::NameBefore;
        } else if let Some(cut) = self.next_sentence_start(said, cue) {
            more = !self.is_sentence_ending(&said[cut..]);
            polite = self.language == Language::Thai;
            said = said[..cut].trim_end();
        }
        if self.language == Language::Japanese
            && let Some(cut) = self.listed_name_end(said)
        {
            more |= !self.is_sentence_ending(&said[cut..]);
            said = &said[..cut];
        }
        let spoken = said;
        said = self.without_copula(said);
        let ended = polite || said.len() < spoken.len() && self.is_statement(&spoken[said.len()..]);
        let stated = place == ClausePosition::Opening && ended;
        if cue == ClauseCue::Plain && !context.name_asked && !stated {
            return None;
        }
        let greeted = place != ClausePosition::AfterQuestion
            && (place == ClausePosition::Opening || cue == ClauseCue::OwnPerson);
        let titled = self.without_honorific(said).len() < said.trim_end().len();
        if cue == ClauseCue::Plain
            && titled
            && (greeting && self.language == Language::Thai || !ended)
        {
            return None;
        }
        let (name, mut confidence) = self.name_in(said, cue, context, greeted, ended)?;
        let brief = self.language == Language::Thai && said.chars().count() <= THAI_BRIEF_CHARS_MAX;
        let vocative = greeting && self.language != Language::Japanese;
        if cue == ClauseCue::Plain && !ended && (vocative || brief) {
            confidence = confidence.min(GREETED_CONFIDENCE_MAX);
        }
        Some(ClauseName {
            name,
            confidence,
            cue,
            has_more: more,
        })
    }

    fn name_to_forget(&self, clause: &str, context: &ExtractionContext<'_>) -> Option<Name> {
        let before = self
            .forgets
            .iter()
            .find_map(|phrase| clause.split_once(phrase.text).map(|(before, _)| before))?;
        let (said, _) = self.after_cue(self.without_fillers(before))?;
        self.name_in(said, ClauseCue::Strong, context, true, true)
            .map(|(name, _)| name)
    }
}
