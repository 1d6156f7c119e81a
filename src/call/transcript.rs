//! The transcript of a call in memory, in the form for storage and for the model. Each text is held once and
//! shared.

use super::playback::{HeardText, TurnSeq};
use crate::agent::tools::is_built_in;
use crate::agent::{Message, MessageRole, ToolCall};
use calldex_storage::record::{Turn, TurnKind, TurnRole, TurnUsage};
use compact_str::CompactString;
use std::sync::Arc;

/// A turn of the caller is cut to this many bytes: a recogniser's sentence is far shorter.
pub const CALLER_BYTES_MAX: usize = 4_000;
/// The bytes of lost tool results that the model gets at most.
const LOST_TOOL_RESULTS_BYTES_MAX: usize = 2_000;

/// One turn.
struct TranscriptEntry {
    role: TurnRole,
    kind: TurnKind,
    epoch: u32,
    seq: TurnSeq,
    /// Unix milliseconds.
    at_unix_ms: i64,
    revision: u32,
    interrupted: bool,
    /// Where it was cut off was estimated.
    estimated: bool,
    /// The caller went on with their sentence before this became audible.
    overtaken: bool,
    language: Option<CompactString>,
    /// The bytes of its text that the model gets; the rest are words of the server.
    model_bytes_max: Option<usize>,
    /// The tokens and costs of its model.
    usage: Option<Box<TurnUsage>>,
    /// The text of a tool turn in storage, if the model gets another form.
    stored_content: Option<String>,
    /// It is the result of a tool that was called for data: the model has to answer it.
    is_tool_data: bool,
    message: Arc<Message>,
}

impl TranscriptEntry {
    fn to_turn(&self) -> Turn {
        let content = self
            .stored_content
            .as_deref()
            .unwrap_or(&self.message.content);
        let mut turn = Turn::new(self.role, content, self.at_unix_ms, self.epoch, self.seq)
            .with_kind(self.kind);
        turn.revision = self.revision;
        turn.interrupted = self.interrupted;
        turn.estimated = self.estimated;
        turn.language = self.language.clone();
        turn.usage = self.usage.clone();
        turn
    }

    /// Whether the model is told of it: sentences that only filled a gap are not part of the talk.
    fn is_shown_to_model(&self) -> bool {
        let filler = matches!(
            self.kind,
            TurnKind::Filler | TurnKind::Apology | TurnKind::Note
        );
        let empty = self.message.content.is_empty() && self.message.tool_calls.is_empty();
        !filler && (!empty || self.message.role == MessageRole::Tool)
    }
}

impl TranscriptEntry {
    /// What the model is told of it.
    fn model_message(&self) -> Arc<Message> {
        let said = &self.message.content;
        match self.model_bytes_max {
            Some(bytes_max) if bytes_max < said.len() => {
                let own = &said[..said.floor_char_boundary(bytes_max)];
                Message::agent_with_calls(own, self.message.tool_calls.to_vec())
            }
            _ => Arc::clone(&self.message),
        }
    }
}

/// All turns of one call, oldest first.
#[derive(Default)]
pub struct Transcript {
    entries: Vec<TranscriptEntry>,
    epoch: u32,
    next_seq: TurnSeq,
    /// What a reply took of a model that said nothing and called tools: kept with the first of them.
    deferred_usage: Option<Box<TurnUsage>>,
}

impl Transcript {
    /// A conversation from storage. New turns belong to `epoch`.
    pub fn restored(turns: Vec<Turn>, epoch: u32) -> Self {
        let entries = turns.into_iter().filter_map(restored_entry).collect();
        Self {
            entries,
            epoch,
            next_seq: 0,
            deferred_usage: None,
        }
    }

    /// Continues in a new epoch, after a reconnect.
    pub fn enter_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.next_seq = 0;
    }

    /// The latest epoch that any turn belongs to, or will.
    pub fn last_epoch(&self) -> u32 {
        let last = self.entries.iter().map(|entry| entry.epoch).max();
        last.map_or(self.epoch, |last| last.max(self.epoch))
    }

    /// The number of turns.
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
        self.push(
            TurnRole::Caller,
            kind,
            caller_message(text, kind),
            language,
            at,
        )
    }

    /// The agent said all of `text`.
    pub fn say(&mut self, text: &str, kind: TurnKind, at: i64) -> Turn {
        self.push(TurnRole::Agent, kind, Message::agent(text), None, at)
    }

    /// The agent begins to speak: its place in the conversation.
    pub fn begin_turn(&mut self, at: i64) -> TurnSeq {
        self.push(
            TurnRole::Agent,
            TurnKind::Speech,
            Message::agent(""),
            None,
            at,
        )
        .seq
    }

    /// The turn begun at `seq` is `text`, which called `calls` beside.
    pub fn finish_turn(
        &mut self,
        seq: TurnSeq,
        text: &str,
        interrupted: bool,
        calls: Vec<ToolCall>,
    ) -> Option<Turn> {
        let entry = self.entry(seq)?;
        entry.message = Message::agent_with_calls(text, calls);
        entry.interrupted = interrupted;
        Some(entry.to_turn())
    }

    /// Of the turn begun at `seq` the model is told the first `bytes_max` bytes: what follows are not its words.
    pub fn limit_model_text(&mut self, seq: TurnSeq, bytes_max: usize) {
        if let Some(entry) = self.entry(seq) {
            entry.model_bytes_max = Some(bytes_max);
        }
    }

    /// The turn begun at `seq` took `usage` of a model.
    pub fn set_usage(&mut self, seq: TurnSeq, usage: Option<TurnUsage>) {
        if let Some(entry) = self.entry(seq) {
            entry.usage = usage.map(Box::new);
        }
    }

    /// A reply that said nothing took `usage` of a model: kept with the first tool that it called.
    pub fn defer_usage(&mut self, usage: Option<TurnUsage>) {
        self.deferred_usage = usage.map(Box::new);
    }

    /// What came of a tool, told to the model as `result` and kept as `stored`.
    /// `data`: the tool was called for its result, which is still to be answered.
    pub fn add_tool_turn(
        &mut self,
        call_id: &str,
        result: &str,
        stored: String,
        data: bool,
        at: i64,
    ) -> Turn {
        self.push(
            TurnRole::Tool,
            TurnKind::Tool,
            Message::tool_result(call_id, result),
            None,
            at,
        );
        let owed = self.deferred_usage.take();
        let entry = self.entries.last_mut().expect("was just pushed");
        entry.usage = owed;
        entry.stored_content = Some(stored);
        entry.is_tool_data = data;
        entry.to_turn()
    }

    /// What came of a tool that took its time: the turn to amend, if the call has one.
    pub fn set_tool_result(&mut self, call_id: &str, result: &str, stored: String) -> Option<Turn> {
        let of_call =
            |entry: &&mut TranscriptEntry| entry.message.tool_call_id.as_deref() == Some(call_id);
        let entry = self.entries.iter_mut().rev().find(of_call)?;
        entry.message = Message::tool_result(call_id, result);
        entry.stored_content = Some(stored);
        entry.revision += 1;
        Some(entry.to_turn())
    }

    /// The turn of `truncate_to_heard` was heard as it says: the turn to amend, if that changes anything.
    pub fn truncate_to_heard(&mut self, heard_text: &HeardText) -> Option<Turn> {
        let entry = self.entry(heard_text.turn)?;
        let same = entry.message.content.trim() == heard_text.text.trim();
        if same && entry.estimated == heard_text.estimated {
            return None;
        }
        if !same {
            let calls = entry.message.tool_calls.to_vec();
            entry.message = Message::agent_with_calls(&heard_text.text, calls);
            entry.interrupted = !heard_text.complete;
        }
        entry.estimated = heard_text.estimated;
        entry.revision += 1;
        Some(entry.to_turn())
    }

    /// The turn begun at `seq` ends where its hearing was estimated to end.
    pub fn mark_estimated(&mut self, seq: TurnSeq) {
        if let Some(entry) = self.entry(seq) {
            entry.estimated = true;
        }
    }

    /// What the model is told: everything but what only filled a gap.
    pub fn model_history(&self) -> Vec<Arc<Message>> {
        self.entries
            .iter()
            .filter(|entry| entry.is_shown_to_model())
            .map(TranscriptEntry::model_message)
            .collect()
    }

    /// Whether the caller waits for something: they spoke last, or our answer was cut off.
    pub fn is_unanswered(&self) -> bool {
        self.entries
            .iter()
            .rev()
            .find(|entry| !matches!(entry.kind, TurnKind::Filler | TurnKind::Note))
            .is_some_and(|entry| match entry.role {
                TurnRole::Caller => true,
                // What a tool gave is an open question only until something was said; what it was called
                // for, until something is said after it.
                TurnRole::Tool => entry.is_tool_data || !self.has_answered(),
                TurnRole::Agent => entry.interrupted && entry.kind != TurnKind::Greeting,
                TurnRole::System => false,
            })
    }

    /// Whether our last words were cut off in the middle.
    pub fn is_cut_off(&self) -> bool {
        let last = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.kind != TurnKind::Note);
        last.is_some_and(|entry| entry.role == TurnRole::Agent && entry.interrupted)
    }

    /// Whether the agent said something since the caller last spoke.
    pub fn has_answered(&self) -> bool {
        let since = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| entry.role != TurnRole::Caller);
        since
            .filter(|entry| entry.role == TurnRole::Agent && entry.kind == TurnKind::Speech)
            .any(|entry| !entry.message.content.is_empty())
    }

    /// What came of tools that another process called for the caller's last turn, as stored: their calls did
    /// not survive. At most `LOST_TOOL_RESULTS_BYTES_MAX`.
    pub fn lost_tool_results(&self) -> Option<String> {
        let since = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| entry.role != TurnRole::Caller);
        let is_lost = |entry: &&TranscriptEntry| entry.message.tool_call_id.as_deref() == Some("");
        let mut lost: Vec<&str> = since
            .filter(is_lost)
            .map(|entry| entry.message.content.as_str())
            .collect();
        lost.reverse();
        let lost = lost.join(" ");
        let kept = &lost[..lost.floor_char_boundary(LOST_TOOL_RESULTS_BYTES_MAX)];
        (!kept.is_empty()).then(|| kept.to_owned())
    }

    /// Everything the caller said, a line a turn.
    pub fn caller_words(&self) -> String {
        let said = self
            .entries
            .iter()
            .filter(|entry| entry.role == TurnRole::Caller);
        said.map(|entry| entry.message.content.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The agent's last words.
    pub fn last_said(&self) -> &str {
        let said = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.role == TurnRole::Agent);
        said.map_or("", |entry| entry.message.content.as_str())
    }

    /// The caller went on before the turn at `seq` was audible: it parts no sentence in two.
    pub fn mark_overtaken(&mut self, seq: TurnSeq) {
        if let Some(entry) = self.entry(seq) {
            entry.overtaken = true;
        }
    }

    /// The caller's turns since the agent was last heard, joined: one sentence may come as two.
    pub fn unanswered_words(&self) -> String {
        let open = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| entry.role == TurnRole::Caller || entry.overtaken)
            .filter(|entry| entry.role == TurnRole::Caller);
        let mut words: Vec<&str> = open.map(|entry| entry.message.content.as_str()).collect();
        words.reverse();
        words.join(" ")
    }

    /// Whether the caller said exactly this among their last `count` turns.
    pub fn heard_recently(&self, text: &str, count: usize) -> bool {
        let said = self
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.role == TurnRole::Caller);
        said.take(count)
            .any(|entry| entry.message.content.trim() == text.trim())
    }

    fn push(
        &mut self,
        role: TurnRole,
        kind: TurnKind,
        message: Arc<Message>,
        language: Option<CompactString>,
        at: i64,
    ) -> Turn {
        let seq = self.next_seq;
        self.next_seq += 1;
        let entry = TranscriptEntry {
            role,
            kind,
            epoch: self.epoch,
            seq,
            at_unix_ms: at,
            revision: 0,
            interrupted: false,
            estimated: false,
            overtaken: false,
            language,
            model_bytes_max: None,
            usage: None,
            stored_content: None,
            is_tool_data: false,
            message,
        };
        let turn = entry.to_turn();
        self.entries.push(entry);
        turn
    }

    fn entry(&mut self, seq: TurnSeq) -> Option<&mut TranscriptEntry> {
        let epoch = self.epoch;
        let mut newest_first = self.entries.iter_mut().rev();
        newest_first.find(|entry| entry.seq == seq && entry.epoch == epoch)
    }
}

fn caller_message(text: &str, kind: TurnKind) -> Arc<Message> {
    match kind {
        TurnKind::Dtmf => Message::dtmf(text),
        _ => Message::caller(text),
    }
}

/// Tool turns are not told again: their call's message did not survive, and what they changed did. That
/// the result of an operator's tool is still to be answered is known all the same.
fn restored_entry(turn: Turn) -> Option<TranscriptEntry> {
    let data = turn.role == TurnRole::Tool && is_configured_tool(&turn.content);
    let message = match turn.role {
        TurnRole::Caller => caller_message(&turn.content, turn.kind),
        TurnRole::Agent => Message::agent(turn.content.as_str()),
        TurnRole::System => Message::system(turn.content.as_str()),
        TurnRole::Tool if data => Message::tool_result("", turn.content.as_str()),
        TurnRole::Tool => return None,
    };
    Some(TranscriptEntry {
        role: turn.role,
        kind: turn.kind,
        epoch: turn.epoch,
        seq: turn.seq,
        at_unix_ms: turn.at,
        revision: turn.revision,
        interrupted: turn.interrupted,
        estimated: turn.estimated,
        overtaken: false,
        language: turn.language,
        model_bytes_max: None,
        usage: turn.usage,
        stored_content: None,
        is_tool_data: data,
        message,
    })
}

/// Whether a stored tool turn is of a tool of the operator.
fn is_configured_tool(stored: &str) -> bool {
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
        let seq = talk.begin_turn(3);
        talk.finish_turn(seq, "Pikachu is electric. It is yellow.", false, Vec::new());
        let heard_text = HeardText {
            turn: seq,
            text: "Pikachu is electric. It".to_owned(),
            estimated: false,
            complete: false,
        };
        let amended = talk.truncate_to_heard(&heard_text).unwrap();
        assert_eq!(
            (amended.content.as_str(), amended.revision),
            ("Pikachu is electric. It", 1)
        );
        assert!(amended.interrupted && talk.is_unanswered());
        assert!(talk.truncate_to_heard(&heard_text).is_none());
        let estimated = HeardText {
            estimated: true,
            ..heard_text
        };
        assert!(
            talk.truncate_to_heard(&estimated)
                .is_some_and(|turn| turn.estimated)
        );
    }

    #[test]
    fn the_model_is_not_told_of_an_apology_behind_its_words() {
        let mut talk = talk();
        let seq = talk.begin_turn(3);
        talk.limit_model_text(seq, "Pikachu is".len());
        let turn = talk.finish_turn(seq, "Pikachu is. I'm sorry.", false, Vec::new());
        assert_eq!(turn.unwrap().content, "Pikachu is. I'm sorry.");
        assert_eq!(talk.model_history().last().unwrap().content, "Pikachu is");
        let heard_text = HeardText {
            turn: seq,
            text: "Pikachu is. I'm".to_owned(),
            estimated: false,
            complete: false,
        };
        assert_eq!(
            talk.truncate_to_heard(&heard_text).unwrap().content,
            "Pikachu is. I'm"
        );
        assert_eq!(talk.model_history().last().unwrap().content, "Pikachu is");
    }

    #[test]
    fn fillers_and_unheard_text_are_not_shown_to_the_model() {
        let mut talk = talk();
        talk.say("One moment, please.", TurnKind::Filler, 3);
        let seq = talk.begin_turn(4);
        talk.finish_turn(seq, "", true, Vec::new());
        assert_eq!(talk.model_history().len(), 2);
    }

    #[test]
    fn two_turns_in_a_row_are_one_sentence() {
        let mut talk = talk();
        talk.hear("And Raichu?", TurnKind::Speech, "en", 3);
        assert_eq!(talk.unanswered_words(), "What type is Pikachu? And Raichu?");
        assert!(talk.heard_recently("What type is Pikachu? ", 2));
    }

    #[test]
    fn an_unheard_answer_does_not_split_a_sentence() {
        let mut talk = Transcript::default();
        talk.hear("My name is", TurnKind::Speech, "en", 1);
        let seq = talk.begin_turn(2);
        talk.finish_turn(seq, "Just", true, Vec::new());
        talk.hear("Misty.", TurnKind::Speech, "en", 3);
        assert_eq!(talk.unanswered_words(), "Misty.");
        talk.mark_overtaken(seq);
        assert_eq!(talk.unanswered_words(), "My name is Misty.");
    }

    #[test]
    fn a_conversation_goes_on_after_its_process() {
        let mut talk = talk();
        let turns: Vec<Turn> = talk.entries.iter().map(TranscriptEntry::to_turn).collect();
        talk = Transcript::restored(turns, 1);
        assert!(talk.is_unanswered());
        let turn = talk.say("It is electric.", TurnKind::Speech, 9);
        assert_eq!((turn.epoch, turn.seq), (1, 0));
        assert_eq!(talk.model_history().len(), 3);
    }

    #[test]
    fn an_endless_turn_is_bounded() {
        let mut talk = Transcript::default();
        let turn = talk.hear(&"é".repeat(10_000), TurnKind::Speech, "", 1);
        assert!(turn.content.len() <= CALLER_BYTES_MAX);
    }
}
