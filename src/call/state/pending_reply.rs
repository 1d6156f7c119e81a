//! A reply that was requested and is not complete.

use super::event_time::EventTime;
use super::tool_records::PendingToolCall;
use crate::agent::{Finish, FinishReason, ToolCall};
use crate::call::language_tagger::LanguageTagger;
use crate::call::playback::TurnSeq;
use calldex_storage::record::TurnUsage;
use compact_str::CompactString;

/// A reply that was requested and is not complete. Its words may be withheld: then nothing is said yet.
pub(super) struct PendingReply {
    /// Its turn, after its first word.
    pub(super) seq: Option<TurnSeq>,
    pub(super) text: String,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) tool_step: u8,
    pub(super) requested_ms: u64,
    /// When a filler is said if no word has come.
    pub(super) filler_due_ms: Option<u64>,
    /// At its end the agent asks for the caller's name.
    pub(super) ask_name_after: bool,
    /// The partial prompt of a preemptive reply, which is withheld until the final prompt.
    pub(super) preemptive_prompt: Option<String>,
    /// The caller interrupted before its first word: it is withheld until it is clear whether they continue.
    pub(super) awaits_interruption: bool,
    /// Its withheld words.
    pub(super) withheld_text: String,
    /// Its completion, if that came while it was withheld.
    pub(super) withheld_finish: Option<Finish>,
    /// The tokens and costs of its model.
    pub(super) usage: Option<TurnUsage>,
    /// The tool calls that it waits for before the next request.
    pub(super) pending_tools: Option<Vec<PendingToolCall>>,
    /// It answers the results of tools, so an empty reply is a failure.
    pub(super) answers_tool_results: bool,
    /// The agent said words before it in the same turn.
    pub(super) has_spoken_before: bool,
    /// It was requested without tools, as the last of its turn.
    pub(super) is_last_tool_step: bool,
    /// Detects the languages of its words, on a line with several languages.
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

    /// The language of its last words, on a line with several languages.
    pub(super) fn last_language(&self) -> Option<&CompactString> {
        self.tagger.as_ref()?.last_language()
    }

    /// Its progress in the turn.
    pub(super) fn turn_progress(&self) -> TurnProgress {
        TurnProgress {
            tool_step: self.tool_step,
            is_last_tool_step: self.is_last_tool_step,
            ask_name_after: self.ask_name_after,
            filler_due_ms: self.filler_due_ms,
            has_spoken_before: self.has_spoken_before,
        }
    }

    /// Whether its words are withheld.
    pub(super) fn is_withheld(&self) -> bool {
        self.preemptive_prompt.is_some() || self.awaits_interruption
    }

    /// Whether it ends within a sentence because the model reported that it did not finish.
    pub(super) fn ends_mid_sentence(&self, ending: FinishReason) -> bool {
        let is_cut = matches!(ending, FinishReason::Length | FinishReason::ContentFilter);
        let is_half = || ending == FinishReason::ContentFilter || !ends_sentence(&self.text);
        is_cut && self.seq.is_some() && self.tool_calls.is_empty() && is_half()
    }

    /// Starts the wait of the caller.
    pub(super) fn start_wait(&mut self, now: EventTime, filler_after_ms: u64) {
        self.requested_ms = now.ms;
        self.filler_due_ms = Some(now.ms + filler_after_ms);
    }
}

/// The progress of a reply in its turn.
#[derive(Clone, Copy)]
pub(super) struct TurnProgress {
    pub(super) tool_step: u8,
    /// It was the last request of the turn.
    pub(super) is_last_tool_step: bool,
    /// After the answer the agent asks for the caller's name.
    pub(super) ask_name_after: bool,
    /// When a filler is said.
    pub(super) filler_due_ms: Option<u64>,
    /// The agent said words before in this turn.
    pub(super) has_spoken_before: bool,
}

/// Whether `text` ends with the end of a sentence.
pub(super) fn ends_sentence(text: &str) -> bool {
    text.trim_end()
        .trim_end_matches(['"', '\'', '”', '’', '»', ')', '」'])
        .ends_with(['.', '?', '!', '…', '。', '？', '！', '।'])
}
