//! The dialogue about the caller's name: asked, heard, confirmed, corrected, declined. It uses the name
//! extractor and returns what to store and what to say.

mod name_matching;
mod name_questions;
mod steps;
mod suggestion;
#[cfg(test)]
mod tests;
mod types;

pub use name_questions::asks_for_name;
pub use types::{
    CallerWords, InitialCallerName, NameChange, NameEvent, NameReply, NameStep, NameSuggestion,
};

use crate::agent::NameAskPolicy;
use calldex_names::{
    self as name, Confirmation, ExcludedWords, Extraction, ExtractionContext, Language, Name,
    NameDecision, NameIntent, YesNo, is_plausible_name, says_goodbye, text_after_denied_name,
};
use compact_str::CompactString;
use name_matching::{
    WrongNameComplaint, is_only_name, is_same_name, is_similar_name, wrong_name_complaint,
};
use types::NameEvidence;

/// The state of the dialogue in one call.
pub struct CallerNameDialogue {
    name: Option<CompactString>,
    /// The name came from earlier calls.
    from_earlier_calls: bool,
    /// A person of that name was known on the number before this call.
    is_known_person: bool,
    /// The agent has said the name in this call.
    name_spoken: bool,
    /// The person who speaks, if they gave their name in this call, or were greeted by it and did not deny it.
    identified: Option<CompactString>,
    /// People known on this number besides `name`.
    other_people: Vec<CompactString>,
    /// The agent's last words asked for the name.
    asked: bool,
    /// The agent's words before the caller's last turn asked for the name.
    just_asked: bool,
    times_asked: u32,
    asks_max: u32,
    declined: bool,
    /// The name in the question "Was that Kay?", which is not answered.
    pending_confirmation: Option<Name>,
    asked_to_confirm: bool,
    /// The name was heard in this call and not confirmed.
    unconfirmed: bool,
    /// The agent's last words held the name: the caller may correct it.
    read_back: bool,
    /// The open questions before the caller's last turn, to restore them if nothing was said since.
    before_turn: Option<QuestionState>,
}

/// The questions that were open when a turn of the caller began.
#[derive(Clone)]
struct QuestionState {
    asked: bool,
    read_back: bool,
    pending_confirmation: Option<Name>,
    asked_to_confirm: bool,
}

impl CallerNameDialogue {
    /// For a call that begins with `start`. `declined`: the caller would not say in an earlier call.
    /// The name is asked for at most `asks_max` times.
    pub fn new(start: InitialCallerName, declined: bool, asks_max: u32) -> Self {
        let known = start.name.is_some();
        Self {
            from_earlier_calls: known,
            is_known_person: known,
            read_back: known && start.greeted_by_name,
            name_spoken: known && start.greeted_by_name,
            identified: start.name.clone().filter(|_| start.identifies_caller),
            name: start.name,
            other_people: start.other_people,
            asked: false,
            just_asked: false,
            times_asked: 0,
            asks_max,
            declined,
            pending_confirmation: None,
            asked_to_confirm: false,
            unconfirmed: false,
            before_turn: None,
        }
    }

    /// The name was heard earlier in this call, by a process before this one.
    pub fn mark_heard_in_call(&mut self) {
        self.from_earlier_calls = false;
        self.unconfirmed = true;
    }

    /// The caller went on before anything was said: what their last turn took is open again.
    pub fn restore_question(&mut self) {
        if let Some(taken) = self.before_turn.take() {
            self.asked = taken.asked;
            self.read_back = taken.read_back;
            self.pending_confirmation = taken.pending_confirmation;
            self.asked_to_confirm = taken.asked_to_confirm;
        }
    }

    /// The caller's name as far as this call knows.
    pub fn name(&self) -> Option<&CompactString> {
        self.name.as_ref()
    }

    /// Who speaks, if that is known well enough to tell them what is theirs.
    pub fn identified(&self) -> Option<&CompactString> {
        self.identified.as_ref()
    }

    /// Whether the number was known to be used by somebody of that name.
    pub fn is_known_person(&self) -> bool {
        self.is_known_person || self.other_people.is_empty()
    }

    /// Whether we have said the caller's name in this call.
    pub fn has_spoken_name(&self) -> bool {
        self.name_spoken && self.name.is_some()
    }

    /// Whether the name may be asked for, or was.
    pub fn ask_policy(&self) -> NameAskPolicy {
        if self.declined {
            NameAskPolicy::DoNotAsk
        } else if self.asked || self.just_asked {
            NameAskPolicy::JustAsked
        } else if self.times_asked > 0 {
            NameAskPolicy::DoNotAsk
        } else {
            NameAskPolicy::MayAsk
        }
    }

    /// The agent just asked for the name.
    pub fn mark_asked(&mut self) {
        self.asked = true;
        self.times_asked += 1;
    }

    /// The agent just said the caller's name.
    pub fn mark_read_back(&mut self) {
        self.read_back = true;
        self.name_spoken = true;
    }

    /// Whether the workflow waits for an answer about the name.
    pub fn awaits_answer(&self) -> bool {
        self.asked || self.pending_confirmation.is_some()
    }

    /// The name asked about in "Was that Kay?".
    pub fn pending_confirmation(&self) -> Option<String> {
        self.pending_confirmation
            .as_ref()
            .map(Name::form_of_address)
    }

    /// The name that counts as confirmed when the call ends now.
    pub fn name_to_confirm(&self) -> Option<&CompactString> {
        self.name.as_ref().filter(|_| self.unconfirmed)
    }

    /// Takes one finished turn of the caller.
    pub fn hear(&mut self, text: &str, language: &str, excluded: &ExcludedWords) -> NameStep {
        self.before_turn = Some(QuestionState {
            asked: self.asked,
            read_back: self.read_back,
            pending_confirmation: self.pending_confirmation.clone(),
            asked_to_confirm: self.asked_to_confirm,
        });
        self.just_asked = self.awaits_answer();
        let asked = std::mem::take(&mut self.asked);
        let read_back = std::mem::take(&mut self.read_back);
        let context = ExtractionContext {
            name_asked: asked,
            language: Language::from_tag(language),
            excluded,
        };
        if let Some(pending) = self.pending_confirmation.take()
            && let Some(step) = self.hear_confirmation(&pending, text, context)
        {
            return step;
        }
        let evidence = NameEvidence {
            asked,
            read_back,
            ..NameEvidence::default()
        };
        if let Some(step) = self.hear_denial(text, context, evidence) {
            return step;
        }
        let heard = name::extract(text, &context);
        if asked && let Some(wanted) = heard.requested_language {
            return NameStep {
                requested_language: Some(wanted),
                // The question was not understood: that it was asked before counts for nothing.
                ask_name_after: self.name.is_none() && !self.declined,
                ..NameStep::default()
            };
        }
        if heard.decision == NameDecision::Ignore
            && let Some(respelled) = self.corrected_spelling(text, context)
        {
            return self.correct(&respelled, true);
        }
        let cued = has_name_cue(text, &heard, context);
        let presented = cued && introduces_self(text, context);
        let evidence = NameEvidence {
            has_cue: cued,
            introduces_self: presented,
            ..evidence
        };
        let mut step = self.decide(&heard, evidence);
        if step.reply == Some(NameReply::Declined) && says_goodbye(text) {
            // "No thanks, bye" is no invitation to go on.
            step.reply = None;
        }
        step
    }

    /// "No, it's Anna" after a greeting by name, and "not Mark, Marc with a c" at any time, answer a
    /// question nobody had to ask. Nothing where the turn denies no name, or is about something else.
    fn hear_denial(
        &mut self,
        text: &str,
        context: ExtractionContext<'_>,
        evidence: NameEvidence,
    ) -> Option<NameStep> {
        let answer = name::parse_yes_no(text, context.language);
        let turned_down = self
            .name
            .as_deref()
            .and_then(|known| text_after_denied_name(known, text));
        let complaint =
            wrong_name_complaint(text, context.language).filter(|_| self.name.is_some());
        let rest_of = |denies_own_name: bool| {
            let complaint =
                complaint.filter(|complaint| complaint.denies_own_name == denies_own_name);
            complaint.map(|WrongNameComplaint { rest, .. }| rest)
        };
        let disowned = turned_down.or_else(|| rest_of(true));
        if disowned.is_some()
            || evidence.read_back && matches!(answer, YesNo::No | YesNo::NoWithText(_))
        {
            // Whoever denies the name is told nothing of its person until they say who they are.
            self.identified = None;
        }
        let mistaken = rest_of(false);
        let rest = match answer {
            _ if mistaken.is_some() => mistaken,
            YesNo::NoWithText(rest) if evidence.read_back => Some(rest),
            _ => disowned,
        }?;
        let asked = ExtractionContext {
            name_asked: true,
            ..context
        };
        let heard = name::extract(rest, &asked);
        if heard.decision == NameDecision::Ignore || heard.intent == NameIntent::OtherPerson {
            return self.hear_rejection(text, turned_down?, context);
        }
        let said = heard.name.as_ref();
        let said = said.map_or("", |name| name.full.as_ref().unwrap_or(&name.first));
        let evidence = NameEvidence {
            denied: true,
            says_own_name_wrong: mistaken.is_some(),
            has_cue: disowned.is_some() || has_name_cue(rest, &heard, context),
            is_only_name: is_only_name(said, rest),
            ..evidence
        };
        Some(self.decide(&heard, evidence))
    }

    /// "I'm not Misty", and no other name: from now on they are not called so. Nothing if the turn says
    /// more about names than that.
    fn hear_rejection(
        &mut self,
        text: &str,
        rest: &str,
        context: ExtractionContext<'_>,
    ) -> Option<NameStep> {
        let heard = name::extract(text, &context);
        let more = matches!(heard.intent, NameIntent::Forget | NameIntent::Refusal)
            || heard.decision != NameDecision::Ignore;
        let rest = rest.contains(char::is_alphanumeric);
        (!more).then(|| self.reject_name(rest))
    }

    /// "Actually, it's Marc with a c": the known name, spelled otherwise, at whatever time.
    fn corrected_spelling(&self, text: &str, context: ExtractionContext<'_>) -> Option<Extraction> {
        let known = self.name.as_deref()?;
        let answered = ExtractionContext {
            name_asked: true,
            ..context
        };
        let heard = name::extract(text, &answered);
        let first = heard.name.as_ref()?.first.as_str();
        let other = is_similar_name(known, first) && !is_same_name(known, first);
        (other && !heard.has_more && heard.decision != NameDecision::Ignore).then_some(heard)
    }

    /// The answer to "Was that Kay?"; nothing if it was none.
    fn hear_confirmation(
        &mut self,
        pending: &Name,
        text: &str,
        context: ExtractionContext<'_>,
    ) -> Option<NameStep> {
        let answered = ExtractionContext {
            name_asked: true,
            ..context
        };
        // The same check that a name from the model passes, whoever has asked about it.
        let can_be = |name: &Name| {
            let is_nameable =
                |part: &str| is_plausible_name(part, context.language, context.excluded);
            is_nameable(&name.form_of_address()) && name.full.as_deref().is_none_or(is_nameable)
        };
        match name::parse_confirmation(pending, text, &answered) {
            Confirmation::Confirmed(kept) if !can_be(&kept) => Some(self.ask_again()),
            Confirmation::Corrected(heard) if !heard.name.as_ref().is_none_or(can_be) => {
                Some(self.ask_again())
            }
            Confirmation::Confirmed(kept) => Some(self.confirm(&kept)),
            Confirmation::Corrected(heard) => Some(self.correct(&heard, false)),
            Confirmation::Denied => Some(self.ask_again()),
            Confirmation::Refused => Some(self.decline(false)),
            Confirmation::Unclear => None,
        }
    }

    fn decide(&mut self, heard: &Extraction, evidence: NameEvidence) -> NameStep {
        match (heard.intent, heard.decision, &heard.name) {
            (NameIntent::Forget, _, _) => self.forget(heard.has_more),
            (NameIntent::Refusal, _, _) if evidence.asked => self.decline(heard.has_more),
            (
                NameIntent::Introduction | NameIntent::Correction,
                NameDecision::Capture,
                Some(name),
            ) => self.capture(name, heard, evidence),
            (
                NameIntent::Introduction | NameIntent::Correction,
                NameDecision::Confirm,
                Some(name),
            ) => self.confirm_uncertain(name, heard, evidence),
            _ => self.ask_name_later(evidence.asked),
        }
    }

    fn capture(&mut self, name: &Name, heard: &Extraction, evidence: NameEvidence) -> NameStep {
        let first = CompactString::from(name.form_of_address());
        let Some(known) = self.name.clone() else {
            return self.first_capture(first, heard, evidence.asked);
        };
        if is_same_name(&known, &first) {
            return self.confirm_known(heard.has_more);
        }
        let alike = is_similar_name(&known, &first);
        let replaced = evidence.says_own_name_wrong || heard.rejected_name.is_some();
        // A name from earlier calls was right then: whoever turns it down for quite another one is
        // somebody else, if they say so. One heard in this call was heard wrongly, if it is put right as
        // soon as we say it. "This is Ben" says it too, right after we called them Ann.
        let introduced = (heard.has_explicit_cue || evidence.read_back)
            && heard.intent == NameIntent::Introduction;
        let other = !alike && !replaced;
        let stranger = self.from_earlier_calls && other;
        let takes_over = evidence.introduces_self && other && !evidence.read_back;
        if heard.is_another_person
            || takes_over
            || stranger && evidence.has_cue && (evidence.denied || introduced)
        {
            return self.change_to_other_person(first, heard.has_more);
        }
        if stranger && evidence.denied {
            // "No, Iris please" may be about anything; "No. Iris." is asked about.
            return match evidence.is_only_name {
                true => self.confirm_uncertain(name, heard, evidence),
                false => self.ask_name_later(evidence.asked),
            };
        }
        // A weak capture never overwrites a name.
        if evidence.denied
            || alike
            || heard.has_explicit_cue
            || heard.intent == NameIntent::Correction
        {
            // Of one from before, who can say that it is the same person?
            return self.correct(heard, alike || replaced && !self.from_earlier_calls);
        }
        NameStep::default()
    }
}

/// Whether the name in `text` came with words that say whose it is: it would have been found without
/// a question.
fn has_name_cue(text: &str, heard: &Extraction, context: ExtractionContext<'_>) -> bool {
    if heard.has_explicit_cue || heard.is_another_person {
        return true;
    }
    let unasked = ExtractionContext {
        name_asked: false,
        ..context
    };
    let plain = name::extract(text, &unasked);
    plain.decision == NameDecision::Capture && plain.name == heard.name
}

/// Whether somebody presents themselves in `text` ("this is X", "I'm X"). The extractor says so of a
/// turn that begins with a "no".
fn introduces_self(text: &str, context: ExtractionContext<'_>) -> bool {
    let no = match context.language {
        Language::German => "nein",
        Language::French => "non",
        Language::Portuguese => "não",
        Language::Polish => "nie",
        Language::Dutch => "nee",
        Language::Japanese => return false,
        _ => "no",
    };
    name::extract(&format!("{no}, {text}"), &context).is_another_person
}

/// Whether somebody who was greeted as `name` denied it in these turns, of which the first answered
/// the greeting.
pub fn denies_name<'t>(name: &str, turns: impl Iterator<Item = &'t str>, language: &str) -> bool {
    let language = Language::from_tag(language);
    let denies_own_name = |text| {
        wrong_name_complaint(text, language).is_some_and(|complaint| complaint.denies_own_name)
    };
    let mut turns = turns.enumerate();
    turns.any(|(index, text)| {
        let no = matches!(
            name::parse_yes_no(text, language),
            YesNo::No | YesNo::NoWithText(_)
        );
        index == 0 && no || text_after_denied_name(name, text).is_some() || denies_own_name(text)
    })
}
