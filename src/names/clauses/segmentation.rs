//! A turn is cut into clauses: at punctuation, and at spaces between sentences.

use super::prefiltered_phrase::GAP_MARK;
use super::rules::{ClauseCue, ClauseRules};
use crate::language::Language;

/// Clauses of one turn that are read.
const CLAUSES_MAX: usize = 100;

/// A clause, and whether it is a question.
pub(super) type Clause<'t> = (&'t str, bool);

impl ClauseRules {
    pub(super) fn split_clauses<'t>(&self, turn: &'t str) -> Vec<Clause<'t>> {
        const ENDS: [char; 17] = [
            '。', '、', '！', '？', '!', '?', ',', '.', '，', '．', '；', ';', '：', ':', GAP_MARK,
            '~', '\n',
        ];
        let mut clauses: Vec<Clause<'t>> = Vec::new();
        for part in turn.split_inclusive(ENDS).take(CLAUSES_MAX) {
            let question = part.ends_with(['？', '?']);
            let clause = part.trim_end_matches(ENDS).trim();
            if clause.is_empty() {
                if let Some((_, asked)) = clauses.last_mut() {
                    *asked |= question;
                }
                continue;
            }
            for piece in self.split_at_spaces(clause) {
                clauses.push((piece, self.is_question(piece)));
            }
            if let Some((_, asked)) = clauses.last_mut() {
                *asked |= question;
            }
        }
        clauses
    }

    /// Ends as questions do, and is no name that happens to end so: 유나 + 요.
    fn is_question(&self, clause: &str) -> bool {
        let named = |said: &str| {
            self.is_listed(self.without_copula(said))
                || self.introduces(said)
                || self.language == Language::Japanese && self.listed_name_end(said).is_some()
        };
        self.questions.iter().any(|end| clause.ends_with(end))
            && !named(self.without_fillers(clause))
    }

    /// "我叫王小明请问…吗": what asks stands behind the introduction, nothing written between them.
    fn introduces(&self, said: &str) -> bool {
        self.after_cue(said).is_some_and(|(rest, cue)| {
            self.next_sentence_start(rest, cue).is_some_and(|cut| {
                cue == ClauseCue::Strong
                    || cue == ClauseCue::OwnPerson && self.is_listed(&rest[..cut])
            })
        })
    }

    /// Cuts a clause at the spaces that divide clauses, where no sign is written.
    fn split_at_spaces<'t>(&self, clause: &'t str) -> Vec<&'t str> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for (at, _) in clause.match_indices(' ') {
            let (before, behind) = (clause[start..at].trim(), clause[at..].trim());
            if !before.is_empty() && self.is_clause_boundary(before, behind) {
                pieces.push(before);
                start = at;
            }
        }
        pieces.push(clause[start..].trim());
        pieces
    }

    /// Whether one clause ends before the space and another begins behind it.
    fn is_clause_boundary(&self, before: &str, behind: &str) -> bool {
        let next = behind.split(' ').next().unwrap_or_default();
        let last = before.rsplit(' ').next().unwrap_or_default();
        match self.language {
            Language::Korean | Language::Thai => {
                let ends = (self.copula.iter())
                    .filter(|copula| copula.chars().count() > 1)
                    .any(|copula| last == *copula || self.without_ending(last, copula).is_some());
                let politeness = self.copula.contains(&next);
                let starts = || {
                    self.starters
                        .iter()
                        .any(|starter| behind.starts_with(starter))
                };
                !politeness && (ends || starts())
            }
            Language::Chinese => {
                !last.is_ascii() && last.chars().count() > 1 && next.chars().count() > 1
            }
            _ => false,
        }
    }
}
