//! The conversation in memory: what was said and heard, as storage keeps it and as the model is
//! told of it. Each text is held once and shared.

use super::playback::{Cut, TurnSeq};
use crate::agent::catalog::is_built_in;
use crate::agent::{Message, Speaker, ToolCall};
use calldex_storage::record::{Role, Turn, TurnKind, TurnUsage};
use compact_str::CompactString;
use std::sync::Arc;

/// A turn of the caller is cut to this many bytes: a recogniser's sentence is far shorter.
pub const CALLER_BYTES_MAX: usize = 4_000;
/// Results of another process's tools are told up to so many bytes.
const LOST_BYTES_MAX: usize = 2_000;

/// One turn.
struct Entry {
    role: Role,
    kind: TurnKind,
    epoch: u32,
    seq: TurnSeq,
    /// Unix milliseconds.
    at: i64,
    revision: u32,
    interrupted: bool,
    /// Where it was cut off was estimated.
    estimated: bool,
    /// The caller went on with their sentence before this became audible.
    overtaken: bool,
    language: Option<CompactString>,
    /// The model is told no more of its words than so many bytes: what follows is ours.
    told_max: Option<usize>,
    /// What it took of a model.
    usage: Option<Box<TurnUsage>>,
    /// What a tool turn says in storage, where the model is told in another form.
    stored: Option<String>,
    /// The result of a tool that was called for it: it wants an answer.
    data: bool,
    message: Arc<Message>,
}

impl Entry {
    fn turn(&self) -> Turn {
        let content = self.stored.as_deref().unwrap_or(&self.message.content);
        let mut turn =
            Turn::new(self.role, content, self.at, self.epoch, self.seq).of_kind(self.kind);
        turn.revision = self.revision;
        turn.interrupted = self.interrupted;
        turn.estimated = self.estimated;
        turn.language = self.language.clone();
        turn.usage = self.usage.clone();
        turn
    }

    /// Whether the model is told of it: sentences that only filled a gap are not part of the talk.
    fn is_told(&self) -> bool {
        let filler = matches!(
            self.kind,
            TurnKind::Bridge | TurnKind::Apology | TurnKind::Note
        );
        let empty = self.message.content.is_empty() && self.message.calls.is_empty();
        !filler && (!empty || self.message.speaker == Speaker::Tool)
    }
}

impl Entry {
    /// What the model is told of it.
    fn told(&self) -> Arc<Message> {
        let said = &self.message.content;
        match self.told_max {
            Some(bytes_max) if bytes_max < said.len() => {
                let own = &said[..said.floor_char_boundary(bytes_max)];
                Message::agent_calling(own, self.message.calls.to_vec())
            }
            _ => Arc::clone(&self.message),
        }
    }
}

/// All turns of one call, oldest first.
#[derive(Default)]
pub struct Transcript {
    entries: Vec<Entry>,
    epoch: u32,
    next_seq: TurnSeq,
    /// What a reply took of a model that said nothing and called tools: kept with the first of them.
    owed: Option<Box<TurnUsage>>,
}

impl Transcript {
    /// A conversation taken up from storage; what comes now belongs to `epoch`.
    pub fn restored(turns: Vec<Turn>, epoch: u32) -> Self {
        let entries = turns.into_iter().filter_map(restored_entry).collect();
        Self {
            entries,
            epoch,
            next_seq: 0,
            owed: None,
        }
    }

    /// Goes on under a new epoch, after a reconnect.
    pub fn enter(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.next_seq = 0;
    }

    /// The latest epoch that any turn belongs to, or will.
    pub fn last_epoch(&self) -> u32 {
        let last = self.entries.iter().map(|entry| entry.epoch).max();
        last.map_or(self.epoch, |last| last.max(self.epoch))
    }

    /// Turns so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The caller said `text` (or pressed keys).
    pub fn hear(&mut self, text: &str, kind: TurnKind, language: &str, at: i64) -> Turn {
        let text = &text[..text.floor_char_boundary(CALLER_BYTES_MAX)];
        let language = (!language.is_empty()).then(|| language.into());
        self.push(Role::Caller, kind, of_caller(text, kind), language, at)
    }

    /// The agent said all of `text`.
    pub fn say(&mut self, text: &str, kind: TurnKind, at: i64) -> Turn {
        self.push(Role::Agent, kind, Message::agent(text), None, at)
    }

    /// The agent begins to speak: its place in the conversation.
    pub fn begin(&mut self, at: i64) -> TurnSeq {
        self.push(Role::Agent, TurnKind::Speech, Message::agent(""), None, at)
            .seq
    }

    /// The turn begun at `seq` is `text`, which called `calls` beside.
    pub fn finish(
        &mut self,
        seq: TurnSeq,
        text: &str,
        interrupted: bool,
        calls: Vec<ToolCall>,
    ) -> Option<Turn> {
        let entry = self.entry(seq)?;
        entry.message = Message::agent_calling(text, calls);
        entry.interrupted = interrupted;
        Some(entry.turn())
    }

    /// Of the turn begun at `seq` the model is told the first `bytes_max` bytes: what follows are not its words.
    pub fn tell_only(&mut self, seq: TurnSeq, bytes_max: usize) {
        if let Some(entry) = self.entry(seq) {
            entry.told_max = Some(bytes_max);
        }
    }

    /// The turn begun at `seq` took `usage` of a model.
    pub fn spend(&mut self, seq: TurnSeq, usage: Option<TurnUsage>) {
        if let Some(entry) = self.entry(seq) {
            entry.usage = usage.map(Box::new);
        }
    }

    /// A reply that said nothing took `usage` of a model: kept with the first tool that it called.
    pub fn spend_on_tool(&mut self, usage: Option<TurnUsage>) {
        self.owed = usage.map(Box::new);
    }

    /// What came of a tool, told to the model as `result` and kept as `stored`.
    /// `data`: the tool was called for its result, which is still to be answered.
    pub fn tool(
        &mut self,
        call_id: &str,
        result: &str,
        stored: String,
        data: bool,
        at: i64,
    ) -> Turn {
        self.push(
            Role::Tool,
            TurnKind::Tool,
            Message::tool(call_id, result),
            None,
            at,
        );
        let owed = self.owed.take();
        let entry = self.entries.last_mut().expect("was just pushed");
        entry.usage = owed;
        entry.stored = Some(stored);
        entry.data = data;
        entry.turn()
    }

    /// What came of a tool that took its time: the turn to amend, if the call has one.
    pub fn settle_tool(&mut self, call_id: &str, result: &str, stored: String) -> Option<Turn> {
        let of_call = |entry: &&mut Entry| entry.message.tool_call_id.as_deref() == Some(call_id);
        let entry = self.entries.iter_mut().rev().find(of_call)?;
        entry.message = Message::tool(call_id, result);
        entry.stored = Some(stored);
        entry.revision += 1;
        Some(entry.turn())
    }

    /// The turn of `cut` was heard as it says: the turn to amend, if that changes anything.
    pub fn cut(&mut self, cut: &Cut) -> Option<Turn> {
        let entry = self.entry(cut.turn)?;
        let same = entry.message.content.trim() == cut.heard.trim();
        if same && entry.estimated == cut.estimated {
            return None;
        }
        if !same {
            let calls = entry.message.calls.to_vec();
            entry.message = Message::agent_calling(&cut.heard, calls);
            entry.interrupted = !cut.whole;
        }
        entry.estimated = cut.estimated;
        entry.revision += 1;
        Some(entry.turn())
    }

    /// The turn begun at `seq` ends where its hearing was estimated to end.
    pub fn estimate(&mut self, seq: TurnSeq) {
        if let Some(entry) = self.entry(seq) {
            entry.estimated = true;
        }
    }

    /// What the model is told: everything but what only filled a gap.
    pub fn history(&self) -> Vec<Arc<Message>> {
        self.entries
            .iter()
            .filter(|entry| entry.is_told())
            .map(Entry::told)
            .collect()
    }

    /// Whether the caller waits for something: they spoke last, or our answer was cut off.
    pub fn is_unanswered(&self) -> bool {
        self.entries
            .iter()
            .rev()
            .find(|entry| !matches!(entry.kind, TurnKind::Bridge | TurnKind::Note))
            .is_some_and(|entry| match entry.role {
                Role::Caller => true,
                // What a tool gave is an open question only until something was said; what it was called
                // for, until something is said after it.
                Role::Tool => entry.data || !self.has_answered(),
                Role::Agent => entry.interrupted && entry.kind != TurnKind::Greeting,
                Role::System => false,
            })
    }

    /// Whether our last words were cut off in the middle.
    pub fn is_cut_off(&self) -> bool {
        let last = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.kind != TurnKind::Note);
        last.is_some_and(|entry| entry.role == Role::Agent && entry.interrupted)
    }

    /// Whether the agent said something since the caller last spoke.
    pub fn has_answered(&self) -> bool {
        let since = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| entry.role != Role::Caller);
        since
            .filter(|entry| entry.role == Role::Agent && entry.kind == TurnKind::Speech)
            .any(|entry| !entry.message.content.is_empty())
    }

    /// What came of tools that another process called for the caller's last turn, as stored: their calls did
    /// not survive. At most [`LOST_BYTES_MAX`].
    pub fn lost_results(&self) -> Option<String> {
        let since = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| entry.role != Role::Caller);
        let is_lost = |entry: &&Entry| entry.message.tool_call_id.as_deref() == Some("");
        let mut lost: Vec<&str> = since
            .filter(is_lost)
            .map(|entry| entry.message.content.as_str())
            .collect();
        lost.reverse();
        let lost = lost.join(" ");
        let kept = &lost[..lost.floor_char_boundary(LOST_BYTES_MAX)];
        (!kept.is_empty()).then(|| kept.to_owned())
    }

    /// Everything the caller said, a line a turn.
    pub fn caller_words(&self) -> String {
        let said = self
            .entries
            .iter()
            .filter(|entry| entry.role == Role::Caller);
        said.map(|entry| entry.message.content.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The last thing the agent said.
    pub fn last_said(&self) -> &str {
        let said = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.role == Role::Agent);
        said.map_or("", |entry| entry.message.content.as_str())
    }

    /// The caller went on before the turn at `seq` was audible: it parts no sentence in two.
    pub fn overtake(&mut self, seq: TurnSeq) {
        if let Some(entry) = self.entry(seq) {
            entry.overtaken = true;
        }
    }

    /// The caller's turns since the agent was last heard, joined: one sentence may come as two.
    pub fn open_words(&self) -> String {
        let open = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| entry.role == Role::Caller || entry.overtaken)
            .filter(|entry| entry.role == Role::Caller);
        let mut words: Vec<&str> = open.map(|entry| entry.message.content.as_str()).collect();
        words.reverse();
        words.join(" ")
    }

    /// Whether the caller said exactly this among their last `count` turns.
    pub fn heard_lately(&self, text: &str, count: usize) -> bool {
        let said = self
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.role == Role::Caller);
        said.take(count)
            .any(|entry| entry.message.content.trim() == text.trim())
    }

    fn push(
        &mut self,
        role: Role,
        kind: TurnKind,
        message: Arc<Message>,
        language: Option<CompactString>,
        at: i64,
    ) -> Turn {
        let seq = self.next_seq;
        self.next_seq += 1;
        let entry = Entry {
            role,
            kind,
            epoch: self.epoch,
            seq,
            at,
            revision: 0,
            interrupted: false,
            estimated: false,
            overtaken: false,
            language,
            told_max: None,
            usage: None,
            stored: None,
            data: false,
            message,
        };
        let turn = entry.turn();
        self.entries.push(entry);
        turn
    }

    fn entry(&mut self, seq: TurnSeq) -> Option<&mut Entry> {
        let epoch = self.epoch;
        let mut newest_first = self.entries.iter_mut().rev();
        newest_first.find(|entry| entry.seq == seq && entry.epoch == epoch)
    }
}

fn of_caller(text: &str, kind: TurnKind) -> Arc<Message> {
    match kind {
        TurnKind::Dtmf => Message::keys(text),
        _ => Message::caller(text),
    }
}

/// Tool turns are not told again: their call's message did not survive, and what they changed did. That
/// the result of an operator's tool is still to be answered is known all the same.
fn restored_entry(turn: Turn) -> Option<Entry> {
    let data = turn.role == Role::Tool && is_data(&turn.content);
    let message = match turn.role {
        Role::Caller => of_caller(&turn.content, turn.kind),
        Role::Agent => Message::agent(turn.content.as_str()),
        Role::System => Message::system(turn.content.as_str()),
        Role::Tool if data => Message::tool("", turn.content.as_str()),
        Role::Tool => return None,
    };
    Some(Entry {
        role: turn.role,
        kind: turn.kind,
        epoch: turn.epoch,
        seq: turn.seq,
        at: turn.at,
        revision: turn.revision,
        interrupted: turn.interrupted,
        estimated: turn.estimated,
        overtaken: false,
        language: turn.language,
        told_max: None,
        usage: turn.usage,
        stored: None,
        data,
        message,
    })
}

/// Whether a tool turn, as stored, is of a tool of the operator.
fn is_data(stored: &str) -> bool {
    let stored: serde_json::Value = serde_json::from_str(stored).unwrap_or_default();
    stored["tool"]
        .as_str()
        .is_some_and(|name| !is_built_in(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk() -> Transcript {
        let mut talk = Transcript::default();
        talk.say("Hello! May I have your name?", TurnKind::Greeting, 1);
        talk.hear("What type is Pikachu?", TurnKind::Speech, "en", 2);
        talk
    }

    #[test]
    fn a_turn_is_cut_to_what_was_heard() {
        let mut talk = talk();
        let seq = talk.begin(3);
        talk.finish(seq, "Pikachu is electric. It is yellow.", false, Vec::new());
        let cut = Cut {
            turn: seq,
            heard: "Pikachu is electric. It".to_owned(),
            estimated: false,
            whole: false,
        };
        let amended = talk.cut(&cut).unwrap();
        assert_eq!(
            (amended.content.as_str(), amended.revision),
            ("Pikachu is electric. It", 1)
        );
        assert!(amended.interrupted && talk.is_unanswered());
        assert!(talk.cut(&cut).is_none());
        let estimated = Cut {
            estimated: true,
            ..cut
        };
        assert!(talk.cut(&estimated).is_some_and(|turn| turn.estimated));
    }

    #[test]
    fn the_model_is_not_told_of_an_apology_behind_its_words() {
        let mut talk = talk();
        let seq = talk.begin(3);
        talk.tell_only(seq, "Pikachu is".len());
        let turn = talk.finish(seq, "Pikachu is. I'm sorry.", false, Vec::new());
        assert_eq!(turn.unwrap().content, "Pikachu is. I'm sorry.");
        assert_eq!(talk.history().last().unwrap().content, "Pikachu is");
        let cut = Cut {
            turn: seq,
            heard: "Pikachu is. I'm".to_owned(),
            estimated: false,
            whole: false,
        };
        assert_eq!(talk.cut(&cut).unwrap().content, "Pikachu is. I'm");
        assert_eq!(talk.history().last().unwrap().content, "Pikachu is");
    }

    #[test]
    fn the_model_is_not_told_of_bridges_nor_of_what_nobody_heard() {
        let mut talk = talk();
        talk.say("One moment, please.", TurnKind::Bridge, 3);
        let seq = talk.begin(4);
        talk.finish(seq, "", true, Vec::new());
        assert_eq!(talk.history().len(), 2);
    }

    #[test]
    fn two_turns_in_a_row_are_one_sentence() {
        let mut talk = talk();
        talk.hear("And Raichu?", TurnKind::Speech, "en", 3);
        assert_eq!(talk.open_words(), "What type is Pikachu? And Raichu?");
        assert!(talk.heard_lately("What type is Pikachu? ", 2));
    }

    #[test]
    fn an_answer_that_nobody_heard_parts_no_sentence() {
        let mut talk = Transcript::default();
        talk.hear("My name is", TurnKind::Speech, "en", 1);
        let seq = talk.begin(2);
        talk.finish(seq, "Just", true, Vec::new());
        talk.hear("Misty.", TurnKind::Speech, "en", 3);
        assert_eq!(talk.open_words(), "Misty.");
        talk.overtake(seq);
        assert_eq!(talk.open_words(), "My name is Misty.");
    }

    #[test]
    fn a_conversation_goes_on_after_its_process() {
        let mut talk = talk();
        let turns: Vec<Turn> = talk.entries.iter().map(Entry::turn).collect();
        talk = Transcript::restored(turns, 1);
        assert!(talk.is_unanswered());
        let turn = talk.say("It is electric.", TurnKind::Speech, 9);
        assert_eq!((turn.epoch, turn.seq), (1, 0));
        assert_eq!(talk.history().len(), 3);
    }

    #[test]
    fn an_endless_turn_is_bounded() {
        let mut talk = Transcript::default();
        let turn = talk.hear(&"é".repeat(10_000), TurnKind::Speech, "", 1);
        assert!(turn.content.len() <= CALLER_BYTES_MAX);
    }
}
