//! A name from the model: by its tool, or by the judgement in the background.

use super::likeness::{alike, complaint, occurs, same};
use super::{NameChange, Naming};
use calldex_names::{Excluded, Language, denied, is_nameable};
use compact_str::CompactString;

const NOT_SAID: &str = "not taken: the caller did not say that name";
const NO_NAME: &str = "not taken: that is not a name that a caller can have on this line";
const KNOWN_OTHERWISE: &str =
    "not taken: the caller is known by another name and has not corrected it";

/// What the model makes of an answer to the question for the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameVerdict<'a> {
    /// The caller's own name.
    Own(&'a str),
    /// They would rather not say it.
    Refused,
    /// Neither, or the model does not know.
    Nothing,
}

/// What the caller said, for a name that must occur in it.
#[derive(Clone, Copy)]
pub struct Said<'t> {
    /// In the whole call.
    pub all: &'t str,
    /// Since the agent last spoke.
    pub latest: &'t str,
    /// BCP-47.
    pub language: &'t str,
}

impl Naming {
    /// Takes a name that the model gives, if the caller really said it and it can be a name. It
    /// replaces a name that is known only where the caller corrected that one: it was heard in this
    /// call, is the same name spelled otherwise, or was turned down. Nothing to be kept is no error:
    /// the name is known already.
    ///
    /// # Errors
    /// Why it is not taken, for the model.
    pub fn suggest(
        &mut self,
        name: &str,
        said: Said<'_>,
        excluded: &Excluded,
    ) -> Result<Vec<NameChange>, &'static str> {
        let name = name.trim();
        if !occurs(name, said.all) {
            return Err(NOT_SAID);
        }
        let language = Language::from_tag(said.language);
        if !is_nameable(name, language, excluded) {
            return Err(NO_NAME);
        }
        let first = CompactString::from(name);
        let changes = match self.name.clone() {
            None => self.take_suggested(first),
            Some(known) if same(&known, name) => Vec::new(),
            Some(known) => {
                let wrong = complaint(said.latest, language).is_some_and(|one| !one.disowns);
                let alike = alike(&known, name);
                let denied = denied(&known, said.latest).is_some();
                if !occurs(name, said.latest) || self.from_before && !alike && !wrong && !denied {
                    return Err(KNOWN_OTHERWISE);
                }
                if self.from_before && !alike && !wrong {
                    self.change_person(first)
                } else {
                    self.replace_name(first, alike || !self.from_before)
                }
            }
        };
        self.pending = None;
        self.asked = false;
        Ok(changes)
    }

    /// The model hears a refusal where we heard none: the name is not asked for in this call any more.
    /// Nothing is kept beyond it, since the turn said something else too. Whether that is news.
    pub fn refuse(&mut self) -> bool {
        let is_news = self.name.is_none() && !self.declined;
        self.declined |= is_news;
        is_news
    }

    fn take_suggested(&mut self, first: CompactString) -> Vec<NameChange> {
        self.declined = false;
        self.provisional = !self.is_shared();
        self.met = self.people.contains(&first);
        self.spoken = false;
        vec![self.named(first, NameChange::Heard)]
    }
}
