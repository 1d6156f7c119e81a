//! Who is speaking: asked, heard, confirmed, corrected, declined. A pure workflow around the
//! extractor; it decides what is kept and what is said, and says nothing itself.

mod likeness;
mod steps;

use super::name::{
    self, Answer, Confirmation, Context, Decision, Excluded, Extraction, Kind, Language, Name,
};
use compact_str::CompactString;
use likeness::{alike, complaint, denied, same, says_goodbye};

/// What is to be kept about the caller's name.
#[derive(Clone, PartialEq, Eq)]
pub enum NameChange {
    /// Heard once.
    Heard(CompactString),
    /// Said yes to.
    Confirmed(CompactString),
    /// Put right by the caller.
    Corrected(CompactString),
    /// Somebody else on the same number.
    PersonAdded(CompactString),
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
    /// To be counted.
    pub event: Option<NameEvent>,
}

/// The workflow's state in one call.
pub struct Naming {
    name: Option<CompactString>,
    /// The name came from earlier calls.
    from_before: bool,
    /// People known on this number, where the greeting could not choose.
    people: Vec<CompactString>,
    /// The last thing we said asked for the name.
    asked: bool,
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

impl Naming {
    /// For a call greeted as `name` (from earlier calls) or not at all, on a number that `people`
    /// share. `declined`: the caller would not say in an earlier call.
    pub fn new(
        name: Option<CompactString>,
        people: Vec<CompactString>,
        declined: bool,
        asks_max: u32,
    ) -> Self {
        Self {
            from_before: name.is_some(),
            read_back: name.is_some(),
            name,
            people,
            asked: false,
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

    /// Whether the name need not be asked for (again): this call has, or the caller will not say.
    pub fn is_settled(&self) -> bool {
        self.asks > 0 || self.declined
    }

    /// The agent just asked for the name.
    pub fn ask(&mut self) {
        self.asked = true;
        self.asks += 1;
    }

    /// The agent just said the caller's name.
    pub fn read_back(&mut self) {
        self.read_back = true;
    }

    /// Whether the workflow waits for an answer about the name.
    pub fn is_waiting(&self) -> bool {
        self.asked || self.pending.is_some()
    }

    /// The name asked about in "Was that Kay?".
    pub fn pending(&self) -> Option<&str> {
        self.pending.as_ref().map(|name| name.first.as_str())
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
        let asked = std::mem::take(&mut self.asked);
        let read_back = std::mem::take(&mut self.read_back);
        let context = Context {
            asked,
            language: Language::from_tag(language),
            excluded,
        };
        if let Some(pending) = self.pending.take() {
            let answered = Context {
                asked: true,
                ..context
            };
            if let Some(step) = self.hear_confirmation(&pending, text, &answered) {
                return step;
            }
        }
        let denied = match name::answer(text, context.language) {
            Answer::NoBut(rest) if read_back => Some(rest),
            _ => {
                let turned_down = self.name.as_deref().and_then(|name| denied(name, text));
                turned_down.or_else(|| complaint(text))
            }
        };
        // "No, it's Anna" after a greeting by name, and "not Mark, Marc with a c" at any time, answer
        // a question nobody had to ask.
        if let Some(rest) = denied {
            let heard = name::extract(
                rest,
                &Context {
                    asked: true,
                    ..context
                },
            );
            if heard.decision != Decision::Ignore && heard.kind != Kind::Other {
                return self.weigh(&heard, asked, true, read_back);
            }
        }
        let heard = name::extract(text, &context);
        if heard.decision == Decision::Ignore
            && let Some(respelled) = self.respelled(text, context)
        {
            return self.put_right(&respelled);
        }
        let mut step = self.weigh(&heard, asked, denied.is_some(), read_back);
        if step.reply == Some(NameReply::Declined) && says_goodbye(text) {
            // "No thanks, bye" is no invitation to go on.
            step.reply = None;
        }
        step
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
        context: &Context<'_>,
    ) -> Option<NameStep> {
        match name::confirm(pending, text, context) {
            Confirmation::Kept(kept) => Some(self.confirm(&kept)),
            Confirmation::Corrected(heard) => Some(self.put_right(&heard)),
            Confirmation::Denied => Some(self.ask_again()),
            Confirmation::Refused => Some(self.decline(false)),
            Confirmation::Unclear => None,
        }
    }

    /// `denied`: the turn began by turning down the name we had said.
    fn weigh(
        &mut self,
        heard: &Extraction,
        asked: bool,
        denied: bool,
        read_back: bool,
    ) -> NameStep {
        match (heard.kind, heard.decision, &heard.name) {
            (Kind::Forget, _, _) => self.forget(heard.rest),
            (Kind::Refusal, _, _) if asked => self.decline(heard.rest),
            (Kind::Introduction | Kind::Correction, Decision::Capture, Some(name)) => {
                self.capture(name, heard, asked, denied, read_back)
            }
            (Kind::Introduction | Kind::Correction, Decision::Confirm, Some(name)) => {
                self.doubt(name, heard, asked, denied)
            }
            _ => self.unanswered(asked),
        }
    }

    fn capture(
        &mut self,
        name: &Name,
        heard: &Extraction,
        asked: bool,
        denied: bool,
        read_back: bool,
    ) -> NameStep {
        let first = CompactString::from(name.first.as_str());
        let Some(known) = self.name.clone() else {
            return self.first_capture(first, heard, asked);
        };
        if same(&known, &first) {
            return self.known_again(heard.rest);
        }
        let alike = alike(&known, &first);
        // A name from earlier calls was right then: whoever turns it down for quite another one is
        // somebody else. One heard in this call was heard wrongly.
        // "This is Ben" says it too, right after we called them Ann.
        let introduced = (heard.strong || read_back) && heard.kind == Kind::Introduction;
        let settled = self.from_before && !alike && heard.rejected.is_none();
        if heard.another_person || (settled && (denied || introduced)) {
            return self.another_person(first, heard.rest);
        }
        // A weak capture never overwrites a name.
        if denied || alike || heard.strong || heard.kind == Kind::Correction {
            return self.put_right(heard);
        }
        NameStep::default()
    }
}
