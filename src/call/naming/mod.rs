//! Who is speaking: asked, heard, confirmed, corrected, declined. A pure workflow around the
//! extractor; it decides what is kept and what is said, and says nothing itself.

mod asking;
mod likeness;
mod steps;
mod suggestion;
#[cfg(test)]
mod tests;

pub use asking::asks_for_name;
pub use suggestion::{NameVerdict, Said};

use crate::agent::NameAsking;
use calldex_names::{
    self as name, Answer, Confirmation, Context, Decision, Excluded, Extraction, Kind, Language,
    Name, denied, is_nameable, says_goodbye,
};
use compact_str::CompactString;
use likeness::{Complaint, alike, complaint, is_only, same};

/// What is to be kept about the caller's name.
#[derive(Clone, PartialEq, Eq)]
pub enum NameChange {
    /// Heard once.
    Heard(CompactString),
    /// Said yes to.
    Confirmed(CompactString),
    /// Put right by the caller.
    Corrected {
        /// The right name.
        to: CompactString,
        /// The wrong one, where it was the same person's: what they want remembered goes with them.
        from: Option<CompactString>,
    },
    /// Somebody else on the same number.
    PersonAdded(CompactString),
    /// One of several people on the number is called otherwise.
    PersonRenamed {
        /// The wrong name.
        from: CompactString,
        /// The right one.
        to: CompactString,
    },
    /// One of several people on the number is not called so (any more).
    PersonForgotten(CompactString),
    /// Not told.
    Declined,
    /// To be forgotten.
    Forgotten,
}

/// What is said about it, before or instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameReply {
    /// "Nice to meet you": the turn was nothing but the name.
    NiceToMeet,
    /// "Hello again": a name that was known.
    HelloAgain,
    /// "Thank you, I've got it now".
    Corrected,
    /// "Was that Kay?"
    Confirm,
    /// "Sorry. What is your name?"
    AskAgain,
    /// "No problem."
    Declined,
    /// "I won't call you that again."
    Forgotten,
}

/// A step of the workflow that operators count (label `event` of `calldex_names_total`).
pub type NameEvent = &'static str;

/// What one turn of the caller comes to.
#[derive(Default)]
pub struct NameStep {
    /// To be kept, in order, if the caller has a number.
    pub changes: Vec<NameChange>,
    /// To be said at once; without it the agent answers the turn.
    pub reply: Option<NameReply>,
    /// To be told to the agent for its answer.
    pub nudge: Option<String>,
    /// After the answer the name is to be asked for.
    pub ask_after: bool,
    /// The model may know better: asked in the background.
    pub judge: bool,
    /// Somebody else speaks from now on.
    pub another: bool,
    /// To be counted.
    pub event: Option<NameEvent>,
    /// The turn was nothing but the wish for a language: its primary subtag (BCP 47).
    pub language_wanted: Option<&'static str>,
}

/// What is known of the caller as the call begins.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NameStart {
    /// The name from earlier calls.
    pub name: Option<CompactString>,
    /// The greeting said it.
    pub said: bool,
    /// The greeting said it to the only person known on a number, who confirmed it in a call before:
    /// whoever does not deny it is that person.
    pub identifies: bool,
    /// Who else uses the number.
    pub people: Vec<CompactString>,
}

/// The workflow's state in one call.
pub struct Naming {
    name: Option<CompactString>,
    /// The name came from earlier calls.
    from_before: bool,
    /// The number was known to be used by somebody of that name.
    met: bool,
    /// We have said the name in this call.
    spoken: bool,
    /// Who speaks, if they said so in this call, or were greeted by name and did not deny it.
    identified: Option<CompactString>,
    /// People known on this number besides `name`.
    people: Vec<CompactString>,
    /// The last thing we said asked for the name.
    asked: bool,
    /// It did before the caller's last turn.
    just_asked: bool,
    asks: u32,
    asks_max: u32,
    declined: bool,
    /// "Was that Kay?" has been said, and this was Kay.
    pending: Option<Name>,
    confirmed_once: bool,
    /// Heard in this call, not yet confirmed.
    provisional: bool,
    /// The last thing we said had the name in it: the caller may put it right.
    read_back: bool,
    /// What the last turn took, for when nothing was said before the next.
    taken: Option<Taken>,
}

/// What was asked of the caller when a turn of theirs began.
#[derive(Clone)]
struct Taken {
    asked: bool,
    read_back: bool,
    pending: Option<Name>,
    confirmed_once: bool,
}

/// How a name came up in a turn.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// We had asked for it.
    asked: bool,
    /// We had just said the name we know.
    read_back: bool,
    /// The turn turns down the name we know.
    denied: bool,
    /// The caller says that their own name was wrong.
    mistaken: bool,
    /// It came with words that say whose it is ("this is X", "my name is X"), not as a bare word.
    cued: bool,
    /// Somebody presents themselves by it ("this is X", "I'm X").
    presented: bool,
    /// The turn says nothing else.
    bare: bool,
}

impl Naming {
    /// For a call that begins with `start`. `declined`: the caller would not say in an earlier call.
    /// The name is asked for at most `asks_max` times.
    pub fn new(start: NameStart, declined: bool, asks_max: u32) -> Self {
        let known = start.name.is_some();
        Self {
            from_before: known,
            met: known,
            read_back: known && start.said,
            spoken: known && start.said,
            identified: start.name.clone().filter(|_| start.identifies),
            name: start.name,
            people: start.people,
            asked: false,
            just_asked: false,
            asks: 0,
            asks_max,
            declined,
            pending: None,
            confirmed_once: false,
            provisional: false,
            taken: None,
        }
    }

    /// The name was heard earlier in this call, by a process before this one.
    pub fn heard_before(&mut self) {
        self.from_before = false;
        self.provisional = true;
    }

    /// The caller went on before anything was said: what their last turn took is open again.
    pub fn reconsider(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.asked = taken.asked;
            self.read_back = taken.read_back;
            self.pending = taken.pending;
            self.confirmed_once = taken.confirmed_once;
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
    pub fn is_met(&self) -> bool {
        self.met || self.people.is_empty()
    }

    /// Whether we have said the caller's name in this call.
    pub fn is_spoken(&self) -> bool {
        self.spoken && self.name.is_some()
    }

    /// Whether the name may be asked for, or was.
    pub fn asking(&self) -> NameAsking {
        if self.declined {
            NameAsking::Closed
        } else if self.asked || self.just_asked {
            NameAsking::JustAsked
        } else if self.asks > 0 {
            NameAsking::Closed
        } else {
            NameAsking::Open
        }
    }

    /// The agent just asked for the name.
    pub fn ask(&mut self) {
        self.asked = true;
        self.asks += 1;
    }

    /// The agent just said the caller's name.
    pub fn read_back(&mut self) {
        self.read_back = true;
        self.spoken = true;
    }

    /// Whether the workflow waits for an answer about the name.
    pub fn is_waiting(&self) -> bool {
        self.asked || self.pending.is_some()
    }

    /// The name asked about in "Was that Kay?".
    pub fn pending(&self) -> Option<String> {
        self.pending.as_ref().map(Name::spoken)
    }

    /// The name that counts as confirmed when the call ends now.
    pub fn settled(&self) -> Option<&CompactString> {
        self.name.as_ref().filter(|_| self.provisional)
    }

    /// Takes one finished turn of the caller.
    pub fn hear(&mut self, text: &str, language: &str, excluded: &Excluded) -> NameStep {
        self.taken = Some(Taken {
            asked: self.asked,
            read_back: self.read_back,
            pending: self.pending.clone(),
            confirmed_once: self.confirmed_once,
        });
        self.just_asked = self.is_waiting();
        let asked = std::mem::take(&mut self.asked);
        let read_back = std::mem::take(&mut self.read_back);
        let context = Context {
            asked,
            language: Language::from_tag(language),
            excluded,
        };
        if let Some(pending) = self.pending.take()
            && let Some(step) = self.hear_confirmation(&pending, text, context)
        {
            return step;
        }
        let manner = Manner {
            asked,
            read_back,
            ..Manner::default()
        };
        if let Some(step) = self.hear_denial(text, context, manner) {
            return step;
        }
        let heard = name::extract(text, &context);
        if asked && let Some(wanted) = heard.language_wanted {
            return NameStep {
                language_wanted: Some(wanted),
                // The question was not understood: that it was asked before counts for nothing.
                ask_after: self.name.is_none() && !self.declined,
                ..NameStep::default()
            };
        }
        if heard.decision == Decision::Ignore
            && let Some(respelled) = self.respelled(text, context)
        {
            return self.put_right(&respelled, true);
        }
        let cued = is_cued(text, &heard, context);
        let presented = cued && is_presented(text, context);
        let manner = Manner {
            cued,
            presented,
            ..manner
        };
        let mut step = self.weigh(&heard, manner);
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
        context: Context<'_>,
        manner: Manner,
    ) -> Option<NameStep> {
        let answer = name::answer(text, context.language);
        let turned_down = self.name.as_deref().and_then(|known| denied(known, text));
        let complaint = complaint(text, context.language).filter(|_| self.name.is_some());
        let rest_of = |disowns: bool| {
            let complaint = complaint.filter(|complaint| complaint.disowns == disowns);
            complaint.map(|Complaint { rest, .. }| rest)
        };
        let disowned = turned_down.or_else(|| rest_of(true));
        if disowned.is_some() || manner.read_back && matches!(answer, Answer::No | Answer::NoBut(_))
        {
            // Whoever denies the name is told nothing of its person until they say who they are.
            self.identified = None;
        }
        let mistaken = rest_of(false);
        let rest = match answer {
            _ if mistaken.is_some() => mistaken,
            Answer::NoBut(rest) if manner.read_back => Some(rest),
            _ => disowned,
        }?;
        let asked = Context {
            asked: true,
            ..context
        };
        let heard = name::extract(rest, &asked);
        if heard.decision == Decision::Ignore || heard.kind == Kind::Other {
            return self.turn_down(text, turned_down?, context);
        }
        let said = heard.name.as_ref();
        let said = said.map_or("", |name| name.full.as_ref().unwrap_or(&name.first));
        let manner = Manner {
            denied: true,
            mistaken: mistaken.is_some(),
            cued: disowned.is_some() || is_cued(rest, &heard, context),
            bare: is_only(said, rest),
            ..manner
        };
        Some(self.weigh(&heard, manner))
    }

    /// "I'm not Misty", and no other name: from now on they are not called so. Nothing if the turn says
    /// more about names than that.
    fn turn_down(&mut self, text: &str, rest: &str, context: Context<'_>) -> Option<NameStep> {
        let heard = name::extract(text, &context);
        let more = matches!(heard.kind, Kind::Forget | Kind::Refusal)
            || heard.decision != Decision::Ignore;
        let rest = rest.contains(char::is_alphanumeric);
        (!more).then(|| self.disown(rest))
    }

    /// "Actually, it's Marc with a c": the known name, spelled otherwise, at whatever time.
    fn respelled(&self, text: &str, context: Context<'_>) -> Option<Extraction> {
        let known = self.name.as_deref()?;
        let answered = Context {
            asked: true,
            ..context
        };
        let heard = name::extract(text, &answered);
        let first = heard.name.as_ref()?.first.as_str();
        let other = alike(known, first) && !same(known, first);
        (other && !heard.rest && heard.decision != Decision::Ignore).then_some(heard)
    }

    /// The answer to "Was that Kay?"; nothing if it was none.
    fn hear_confirmation(
        &mut self,
        pending: &Name,
        text: &str,
        context: Context<'_>,
    ) -> Option<NameStep> {
        let answered = Context {
            asked: true,
            ..context
        };
        // The same check that a name from the model passes, whoever has asked about it.
        let can_be = |name: &Name| {
            let is_nameable = |part: &str| is_nameable(part, context.language, context.excluded);
            is_nameable(&name.spoken()) && name.full.as_deref().is_none_or(is_nameable)
        };
        match name::confirm(pending, text, &answered) {
            Confirmation::Kept(kept) if !can_be(&kept) => Some(self.ask_again()),
            Confirmation::Corrected(heard) if !heard.name.as_ref().is_none_or(can_be) => {
                Some(self.ask_again())
            }
            Confirmation::Kept(kept) => Some(self.confirm(&kept)),
            Confirmation::Corrected(heard) => Some(self.put_right(&heard, false)),
            Confirmation::Denied => Some(self.ask_again()),
            Confirmation::Refused => Some(self.decline(false)),
            Confirmation::Unclear => None,
        }
    }

    fn weigh(&mut self, heard: &Extraction, manner: Manner) -> NameStep {
        match (heard.kind, heard.decision, &heard.name) {
            (Kind::Forget, _, _) => self.forget(heard.rest),
            (Kind::Refusal, _, _) if manner.asked => self.decline(heard.rest),
            (Kind::Introduction | Kind::Correction, Decision::Capture, Some(name)) => {
                self.capture(name, heard, manner)
            }
            (Kind::Introduction | Kind::Correction, Decision::Confirm, Some(name)) => {
                self.doubt(name, heard, manner)
            }
            _ => self.unanswered(manner.asked),
        }
    }

    fn capture(&mut self, name: &Name, heard: &Extraction, manner: Manner) -> NameStep {
        let first = CompactString::from(name.spoken());
        let Some(known) = self.name.clone() else {
            return self.first_capture(first, heard, manner.asked);
        };
        if same(&known, &first) {
            return self.known_again(heard.rest);
        }
        let alike = alike(&known, &first);
        let replaced = manner.mistaken || heard.rejected.is_some();
        // A name from earlier calls was right then: whoever turns it down for quite another one is
        // somebody else, if they say so. One heard in this call was heard wrongly, if it is put right as
        // soon as we say it. "This is Ben" says it too, right after we called them Ann.
        let introduced = (heard.strong || manner.read_back) && heard.kind == Kind::Introduction;
        let other = !alike && !replaced;
        let stranger = self.from_before && other;
        let takes_over = manner.presented && other && !manner.read_back;
        if heard.another_person
            || takes_over
            || stranger && manner.cued && (manner.denied || introduced)
        {
            return self.another_person(first, heard.rest);
        }
        if stranger && manner.denied {
            // "No, Iris please" may be about anything; "No. Iris." is asked about.
            return match manner.bare {
                true => self.doubt(name, heard, manner),
                false => self.unanswered(manner.asked),
            };
        }
        // A weak capture never overwrites a name.
        if manner.denied || alike || heard.strong || heard.kind == Kind::Correction {
            // Of one from before, who can say that it is the same person?
            return self.put_right(heard, alike || replaced && !self.from_before);
        }
        NameStep::default()
    }
}

/// Whether the name in `text` came with words that say whose it is: it would have been found without
/// a question.
fn is_cued(text: &str, heard: &Extraction, context: Context<'_>) -> bool {
    if heard.strong || heard.another_person {
        return true;
    }
    let unasked = Context {
        asked: false,
        ..context
    };
    let plain = name::extract(text, &unasked);
    plain.decision == Decision::Capture && plain.name == heard.name
}

/// Whether somebody presents themselves in `text` ("this is X", "I'm X"). The extractor says so of a
/// turn that begins with a "no".
fn is_presented(text: &str, context: Context<'_>) -> bool {
    let no = match context.language {
        Language::German => "nein",
        Language::French => "non",
        Language::Portuguese => "não",
        Language::Polish => "nie",
        Language::Dutch => "nee",
        Language::Japanese => return false,
        _ => "no",
    };
    name::extract(&format!("{no}, {text}"), &context).another_person
}

/// Whether somebody who was greeted as `name` denied it in these turns, of which the first answered
/// the greeting.
pub fn is_denied<'t>(name: &str, turns: impl Iterator<Item = &'t str>, language: &str) -> bool {
    let language = Language::from_tag(language);
    let disowns = |text| complaint(text, language).is_some_and(|complaint| complaint.disowns);
    let mut turns = turns.enumerate();
    turns.any(|(index, text)| {
        let no = matches!(name::answer(text, language), Answer::No | Answer::NoBut(_));
        index == 0 && no || denied(name, text).is_some() || disowns(text)
    })
}
