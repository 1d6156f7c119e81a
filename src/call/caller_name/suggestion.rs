//! A name suggested by the model: by its tool, or by the verification in the background.

use super::CallerNameDialogue;
use super::name_matching::{is_same_name, is_similar_name, was_said, wrong_name_complaint};
use super::types::{CallerWords, NameChange};
use calldex_names::{ExcludedWords, Language, is_plausible_name, text_after_denied_name};
use compact_str::CompactString;

const REJECTED_NOT_SAID: &str = "not taken: the caller did not say that name";
const REJECTED_NOT_A_NAME: &str =
    "not taken: that is not a name that a caller can have on this line";
const REJECTED_OTHER_NAME_KNOWN: &str =
    "not taken: the caller is known by another name and has not corrected it";

impl CallerNameDialogue {
    /// Takes a name that the model gives, if the caller really said it and it can be a name. It
    /// replaces a name that is known only where the caller corrected that one: it was heard in this
    /// call, is the same name spelled otherwise, or was turned down. Nothing to be kept is no error:
    /// the name is known already.
    ///
    /// # Errors
    /// Why it is not taken, for the model.
    pub fn apply_suggestion(
        &mut self,
        name: &str,
        said: CallerWords<'_>,
        excluded: &ExcludedWords,
    ) -> Result<Vec<NameChange>, &'static str> {
        let name = name.trim();
        if !was_said(name, said.whole_call) {
            return Err(REJECTED_NOT_SAID);
        }
        let language = Language::from_tag(said.language);
        if !is_plausible_name(name, language, excluded) {
            return Err(REJECTED_NOT_A_NAME);
        }
        let first = CompactString::from(name);
        let changes = match self.name.clone() {
            None => self.set_suggested(first),
            Some(known) if is_same_name(&known, name) => Vec::new(),
            Some(known) => {
                let wrong = wrong_name_complaint(said.since_agent_spoke, language)
                    .is_some_and(|one| !one.denies_own_name);
                let alike = is_similar_name(&known, name);
                let denied = text_after_denied_name(&known, said.since_agent_spoke).is_some();
                if !was_said(name, said.since_agent_spoke)
                    || self.from_earlier_calls && !alike && !wrong && !denied
                {
                    return Err(REJECTED_OTHER_NAME_KNOWN);
                }
                if self.from_earlier_calls && !alike && !wrong {
                    self.change_person(first)
                } else {
                    self.replace_name(first, alike || !self.from_earlier_calls)
                }
            }
        };
        self.pending_confirmation = None;
        self.asked = false;
        Ok(changes)
    }

    /// The model hears a refusal where we heard none: the name is not asked for in this call any more.
    /// Nothing is kept beyond it, since the turn said something else too. Whether that is news.
    pub fn mark_declined(&mut self) -> bool {
        let is_news = self.name.is_none() && !self.declined;
        self.declined |= is_news;
        is_news
    }

    fn set_suggested(&mut self, first: CompactString) -> Vec<NameChange> {
        self.declined = false;
        self.unconfirmed = !self.is_shared();
        self.is_known_person = self.other_people.contains(&first);
        self.name_spoken = false;
        vec![self.set_name(first, NameChange::Heard)]
    }
}
