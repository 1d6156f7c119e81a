//! Who is speaking: asked, heard, confirmed, corrected, declined. A pure workflow around the
//! extractor; it decides what is kept and what is said, and says nothing itself.

use super::name::{
    self, Answer, Confirmation, Context, Decision, Excluded, Extraction, Kind, Language, Name,
};
use compact_str::CompactString;

/// Words right before a name that turn it down.
const DENIALS: [&str; 8] = ["not", "isn't", "isnt", "nicht", "pas", "não", "nie", "niet"];
/// Two names this alike are one name, heard differently (Jaro-Winkler, 0 to 1).
const ALIKE_MIN: f64 = 0.82;

/// How callers say that we have their name wrong; what they say next is the right one.
const COMPLAINTS: [&str; 5] = [
    "my name wrong",
    "not my name",
    "the wrong name",
    "mispronounced my name",
    "misspelled my name",
];

/// How callers take their leave.
const FAREWELLS: [&str; 12] = [
    "bye",
    "goodbye",
    "bye-bye",
    "adiós",
    "adios",
    "tschüss",
    "ciao",
    "arrivederci",
    "tchau",
    "doei",
    "pa",
    "さようなら",
];

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
                return self.weigh(&heard, asked, true);
            }
        }
        let heard = name::extract(text, &context);
        if heard.decision == Decision::Ignore
            && let Some(respelled) = self.respelled(text, context)
        {
            return self.put_right(&respelled);
        }
        let mut step = self.weigh(&heard, asked, denied.is_some());
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
    fn weigh(&mut self, heard: &Extraction, asked: bool, denied: bool) -> NameStep {
        match (heard.kind, heard.decision, &heard.name) {
            (Kind::Forget, _, _) => self.forget(heard.rest),
            (Kind::Refusal, _, _) if asked => self.decline(heard.rest),
            (Kind::Introduction | Kind::Correction, Decision::Capture, Some(name)) => {
                self.capture(name, heard, asked, denied)
            }
            (Kind::Introduction | Kind::Correction, Decision::Confirm, Some(name)) => {
                self.doubt(name, heard, asked, denied)
            }
            _ => self.unanswered(asked),
        }
    }

    fn capture(&mut self, name: &Name, heard: &Extraction, asked: bool, denied: bool) -> NameStep {
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
        let introduced = heard.strong && heard.kind == Kind::Introduction;
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

    fn first_capture(&mut self, first: CompactString, heard: &Extraction, asked: bool) -> NameStep {
        let met = self.people.iter().any(|person| same(person, &first));
        let event = if asked { "captured" } else { "volunteered" };
        let reply = if met {
            NameReply::HelloAgain
        } else {
            NameReply::NiceToMeet
        };
        self.declined = false;
        self.provisional = !self.is_shared();
        let change = self.named(first, NameChange::Heard);
        self.step(
            vec![change],
            reply,
            event,
            heard.rest,
            "has just said their name",
        )
    }

    fn known_again(&mut self, rest: bool) -> NameStep {
        let name = self.name.clone().unwrap_or_default();
        self.provisional = false;
        let change = self.named(name, NameChange::Confirmed);
        NameStep {
            changes: vec![change],
            reply: (!rest).then_some(NameReply::HelloAgain),
            event: Some("confirmed"),
            ..NameStep::default()
        }
    }

    /// Somebody else than the one known from before: from now on the number is shared.
    fn another_person(&mut self, first: CompactString, rest: bool) -> NameStep {
        self.people.extend(self.name.take());
        self.provisional = false;
        self.from_before = false;
        let change = self.named(first, NameChange::Heard);
        self.step(
            vec![change],
            NameReply::NiceToMeet,
            "person_added",
            rest,
            "is another person than before",
        )
    }

    fn put_right(&mut self, heard: &Extraction) -> NameStep {
        let usable = heard.decision != Decision::Ignore;
        let Some(name) = heard.name.as_ref().filter(|_| usable) else {
            return self.ask_again();
        };
        let first = CompactString::from(name.first.as_str());
        let wrong = self.name.take().filter(|_| self.is_shared());
        let mut changes: Vec<NameChange> =
            wrong.map(NameChange::PersonForgotten).into_iter().collect();
        self.provisional = false;
        self.from_before = false;
        changes.push(self.named(first, NameChange::Corrected));
        self.step(
            changes,
            NameReply::Corrected,
            "corrected",
            heard.rest,
            "has just corrected their name",
        )
    }

    fn confirm(&mut self, kept: &Name) -> NameStep {
        let first = CompactString::from(kept.first.as_str());
        if let Some(known) = self
            .name
            .clone()
            .filter(|known| self.from_before && !same(known, &first))
        {
            // They said no to the name from before, and yes to this one: somebody else.
            if !alike(&known, &first) {
                return self.another_person(first, false);
            }
        }
        self.provisional = false;
        let change = self.named(first, NameChange::Confirmed);
        self.step(vec![change], NameReply::NiceToMeet, "confirmed", false, "")
    }

    /// Heard unsurely: asked about once, and only where nothing else is to be answered first.
    fn doubt(&mut self, name: &Name, heard: &Extraction, asked: bool, denied: bool) -> NameStep {
        let open = (self.name.is_none() || denied) && !self.declined;
        if open && !heard.rest && !self.confirmed_once {
            self.confirmed_once = true;
            self.pending = Some(name.clone());
            return NameStep {
                reply: Some(NameReply::Confirm),
                event: Some("confirm_asked"),
                ..NameStep::default()
            };
        }
        self.unanswered(asked)
    }

    /// The question was answered with something else: that comes first, then the name again.
    fn unanswered(&mut self, asked: bool) -> NameStep {
        let open = asked && self.name.is_none() && !self.declined;
        NameStep {
            ask_after: open && self.asks < self.asks_max,
            judge: open,
            ..NameStep::default()
        }
    }

    fn ask_again(&mut self) -> NameStep {
        if self.asks >= self.asks_max.max(1) {
            return NameStep::default();
        }
        NameStep {
            reply: Some(NameReply::AskAgain),
            event: Some("asked"),
            ..NameStep::default()
        }
    }

    fn decline(&mut self, rest: bool) -> NameStep {
        self.declined = true;
        NameStep {
            changes: vec![NameChange::Declined],
            reply: (!rest).then_some(NameReply::Declined),
            event: Some("declined"),
            ..NameStep::default()
        }
    }

    fn forget(&mut self, rest: bool) -> NameStep {
        let gone = self.name.take().filter(|_| self.is_shared());
        self.provisional = false;
        self.declined = true;
        NameStep {
            changes: vec![gone.map_or(NameChange::Forgotten, NameChange::PersonForgotten)],
            reply: (!rest).then_some(NameReply::Forgotten),
            event: Some("forgotten"),
            ..NameStep::default()
        }
    }

    /// Several people use the number: what is heard is one of them, never instead of another.
    fn is_shared(&self) -> bool {
        !self.people.is_empty()
    }

    /// The caller is called `first` from now on; how that is kept.
    fn named(
        &mut self,
        first: CompactString,
        alone: fn(CompactString) -> NameChange,
    ) -> NameChange {
        self.name = Some(first.clone());
        if self.is_shared() {
            NameChange::PersonAdded(first)
        } else {
            alone(first)
        }
    }

    fn step(
        &self,
        changes: Vec<NameChange>,
        reply: NameReply,
        event: NameEvent,
        rest: bool,
        what: &str,
    ) -> NameStep {
        NameStep {
            changes,
            reply: (!rest).then_some(reply),
            nudge: rest.then(|| self.name_nudge(what)),
            event: Some(event),
            ..NameStep::default()
        }
    }

    fn name_nudge(&self, what: &str) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        format!("The caller {what}: {name}. Say their name once, then answer.")
    }

    /// A name from the model (a tool, or the judgement in the background): taken only where there
    /// is none yet and the caller really said it.
    pub fn suggest(&mut self, name: &str, transcript: &str) -> Option<NameChange> {
        if self.name.is_some() || self.declined || !occurs(name, transcript) {
            return None;
        }
        self.provisional = !self.is_shared();
        self.pending = None;
        Some(self.named(name.trim().into(), NameChange::Heard))
    }
}

/// Letters and digits only, lower case, accents as they are: two spellings of one word agree.
fn folded(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// What follows the known name where the caller turns it down: "Marc with a c" of "not Mark, Marc
/// with a c".
fn denied<'t>(known: &str, text: &'t str) -> Option<&'t str> {
    let (mut before, mut rest) = ("", text.trim_start());
    while !rest.is_empty() {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if same(word, known) && DENIALS.contains(&before.to_lowercase().as_str()) {
            return Some(after.trim());
        }
        (before, rest) = (word, after.trim_start());
    }
    None
}

/// What follows a complaint about the name, at whatever time it comes.
fn complaint(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    COMPLAINTS.iter().find_map(|complaint| {
        let at = lower.find(complaint)?;
        Some(&text[at + complaint.len()..])
    })
}

fn says_goodbye(text: &str) -> bool {
    let lower = text.to_lowercase();
    let word = |word: &str| FAREWELLS.contains(&word.trim_matches(|c: char| !c.is_alphanumeric()));
    lower.split_whitespace().any(word)
}

fn same(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

fn alike(one: &str, other: &str) -> bool {
    strsim::jaro_winkler(&folded(one), &folded(other)) >= ALIKE_MIN
}

/// Whether `name` was said in `transcript`: as words, or as letters joined ("J O N").
pub fn occurs(name: &str, transcript: &str) -> bool {
    let wanted = folded(name);
    if wanted.chars().count() < 2 {
        return false;
    }
    let words: Vec<String> = transcript
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .map(folded)
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).any(|start| begins_with(&words[start..], &wanted))
}

/// Whether some first words, joined, are exactly `wanted`.
fn begins_with(words: &[String], wanted: &str) -> bool {
    let mut rest = wanted;
    for word in words {
        match rest.strip_prefix(word.as_str()) {
            Some("") => return true,
            Some(after) => rest = after,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_occurs_as_words_or_as_joined_letters_and_not_inside_a_word() {
        assert!(occurs("Misty", "well, misty I guess"));
        assert!(occurs("Jon", "that's J. O. N."));
        assert!(occurs("Mary Ann", "I'm mary ann"));
        assert!(!occurs("Art", "I want to start"));
        assert!(!occurs("Ash", "hello there"));
        assert!(!occurs("", "anything"));
    }

    #[test]
    fn a_name_is_turned_down_only_by_a_word_that_denies_it() {
        assert_eq!(
            denied("Mark", "Not Mark, Marc with a c."),
            Some("Marc with a c.")
        );
        assert_eq!(
            denied("Jon", "It's not Jon, it's John."),
            Some("it's John.")
        );
        assert_eq!(denied("Jon", "My name isn't Jon."), Some(""));
        for kept in [
            "I'm not sure, Jon said so.",
            "Not Jonathan, please.",
            "Jon. Not Misty.",
        ] {
            assert_eq!(denied("Jon", kept), None, "{kept}");
        }
    }

    #[test]
    fn spellings_of_one_name_are_alike_and_other_names_are_not() {
        assert!(alike("Marc", "Mark") && alike("Anna", "Ana") && alike("Jon", "John"));
        assert!(!alike("Misty", "Brock") && !alike("Ana", "Peter"));
    }

    #[test]
    fn a_suggestion_of_the_model_needs_the_callers_own_word() {
        let mut naming = Naming::new(None, Vec::new(), false, 2);
        assert!(naming.suggest("Misty", "what type is Pikachu").is_none());
        assert!(naming.suggest("Misty", "they call me misty").is_some());
        assert!(naming.suggest("Brock", "my friend brock").is_none());
    }
}
