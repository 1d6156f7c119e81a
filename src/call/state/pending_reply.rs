//! A reply that was requested and is not complete.

use super::event_time::EventTime;
use super::tool_records::PendingToolCall;
use crate::agent::{Finish, FinishReason, ToolCall};
use crate::call::language_tagger::LanguageTagger;
use crate::call::playback::TurnSeq;
use calldex_storage::record::TurnUsage;
use compact_str::CompactString;

/// A reply that was asked for and is not complete.
pub(super) struct PendingReply {
    /// Its turn, once it has begun to speak.
    pub(super) seq: Option<TurnSeq>,
    pub(super) text: String,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) tool_step: u8,
    pub(super) requested_ms: u64,
    /// When a filler is said, if nothing has come.
    pub(super) filler_due_ms: Option<u64>,
    /// The caller's name is asked for at its end.
    pub(super) ask_name_after: bool,
    /// It was begun on this partial prompt, before the caller had finished, and may not be heard yet.
    pub(super) preemptive_prompt: Option<String>,
    /// The caller interrupted before it spoke, and may go on: it may not be heard yet.
    pub(super) awaits_interruption: bool,
    /// Its words that may not be heard yet.
    pub(super) withheld_text: String,
    /// How it was completed, where it may not be heard yet.
    pub(super) withheld_finish: Option<Finish>,
    /// What it took of a model.
    pub(super) usage: Option<TurnUsage>,
    /// It has called tools that have not all returned: nothing more is said until they have.
    pub(super) pending_tools: Option<Vec<PendingToolCall>>,
    /// It answers what tools returned: silence is no answer.
    pub(super) answers_tool_results: bool,
    /// Words were said before it in the same turn.
    pub(super) has_spoken_before: bool,
    /// It was asked for without tools, as the last of its turn.
    pub(super) is_last_tool_step: bool,
    /// Tells its languages apart, where the line has several.
    pub(super) tagger: Option<LanguageTagger>,
}

impl PendingReply {
    pub(super) fn requested(tool_step: u8, now: EventTime) -> Self {
        Self {
            seq: None,
            text: String::new(),
            tool_calls: Vec::new(),
            tool_step,
            requested_ms: now.ms,
            filler_due_ms: None,
            ask_name_after: false,
            preemptive_prompt: None,
            awaits_interruption: false,
            withheld_text: String::new(),
            withheld_finish: None,
            usage: None,
            pending_tools: None,
            answers_tool_results: false,
            has_spoken_before: false,
            is_last_tool_step: false,
            tagger: None,
        }
    }

    /// The language of the last words that were spoken of it, where the line has several.
    pub(super) fn last_language(&self) -> Option<&CompactString> {
        self.tagger.as_ref()?.last_language()
    }

    /// Where in the turn it stands.
    pub(super) fn turn_progress(&self) -> TurnProgress {
        TurnProgress {
            tool_step: self.tool_step,
            is_last_tool_step: self.is_last_tool_step,
            ask_name_after: self.ask_name_after,
            filler_due_ms: self.filler_due_ms,
            has_spoken_before: self.has_spoken_before,
        }
    }

    /// Whether what comes of it is kept back.
    pub(super) fn is_withheld(&self) -> bool {
        self.preemptive_prompt.is_some() || self.awaits_interruption
    }

    /// Whether it ends in half a sentence, by the model's own word that it did not finish.
    pub(super) fn ends_mid_sentence(&self, ending: FinishReason) -> bool {
        let is_cut = matches!(ending, FinishReason::Length | FinishReason::ContentFilter);
        let is_half = || ending == FinishReason::ContentFilter || !ends_sentence(&self.text);
        is_cut && self.seq.is_some() && self.tool_calls.is_empty() && is_half()
    }

    /// The caller waits from now on.
    pub(super) fn start_wait(&mut self, now: EventTime, filler_after_ms: u64) {
        self.requested_ms = now.ms;
        self.filler_due_ms = Some(now.ms + filler_after_ms);
    }
}

/// Where in the caller's turn a reply stands.
#[derive(Clone, Copy)]
pub(super) struct TurnProgress {
    pub(super) tool_step: u8,
    /// It was the last request of the turn.
    pub(super) is_last_tool_step: bool,
    /// The caller's name is to be asked for after the answer.
    pub(super) ask_name_after: bool,
    /// When a filler is said.
    pub(super) filler_due_ms: Option<u64>,
    /// Words were said in this turn before.
    pub(super) has_spoken_before: bool,
}

/// Whether `text` ends with the end of a sentence.
pub(super) fn ends_sentence(text: &str) -> bool {
    text.trim_end()
        .trim_end_matches(['"', '\'', '”', '’', '»', ')', '」'])
        .ends_with(['.', '?', '!', '…', '。', '？', '！', '।'])
}
