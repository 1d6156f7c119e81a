//! Decodes the data of a stream into events. Pure: no socket, no clock.

#[cfg(test)]
mod tests;

use super::chat_markup::{ChatMarkup, MarkupPart};
use super::chunk::Chunk;
use super::lenient_chunk::EventData;
use super::tool_call_builder::ToolCallBuilder;
use crate::agent::event::{Finish, FinishReason, ReplyEvent, Usage};
use crate::agent::reply_failure::{ProtocolError, ReplyFailure};
use crate::agent::speech::SpeechFilter;
use crate::agent::tools::catalog::ToolCatalog;
use crate::agent::tools::invocation::BuiltInTools;
use crate::agent::tools::offered_names::OfferedToolNames;
use calldex_observability::catalog;
use compact_str::CompactString;
use std::collections::VecDeque;
use std::sync::Arc;

/// The data that ends a stream.
const DONE: &str = "[DONE]";
/// Bytes of the start of a text by which a repetition is recognised.
const CONTENT_START_BYTES: usize = 16;
/// Most bytes of an error in the stream that are read.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Invalid events of a stream after which the response fails; fewer are skipped.
const MALFORMED_EVENTS_MAX: u8 = 3;

/// How the response of a provider is decoded.
pub(in crate::agent) struct DecoderOptions<'a> {
    /// The provider's name in the log.
    pub provider: &'a str,
    /// The language of the words that the speech filter inserts (BCP 47).
    pub language: &'a str,
    /// The number of earlier replies of this turn; a reply to tool results may be empty.
    pub tool_step: u8,
    /// The built-in tools that are offered. Other tools cannot be called as text.
    pub built_in_tools: &'a BuiltInTools,
    /// The operator's tools that are offered.
    pub configured_tools: &'a Arc<ToolCatalog>,
    /// Thinking before a lone closing tag is expected of this provider: text is held back until the tag, up to a
    /// bound.
    pub expects_unopened_thinking: bool,
}

/// The state of decoding one response.
pub(in crate::agent) struct StreamDecoder {
    markup: ChatMarkup,
    speech_filter: SpeechFilter,
    provider: CompactString,
    language: CompactString,
    offered: OfferedToolNames,
    tool_calls: ToolCallBuilder,
    events: VecDeque<ReplyEvent>,
    /// The choice that is read, once one is known; others are ignored.
    choice: Option<i64>,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    text_pieces: u32,
    /// The start of the text so far, and its length in bytes: a message with this start that is not shorter is a
    /// repetition.
    content_start: CompactString,
    content_bytes: usize,
    has_text: bool,
    /// A reply to tool results may be empty.
    may_be_empty: bool,
    malformed_events: u8,
    /// Number of parts that may have contained text and were dropped.
    dropped_parts: u32,
    /// Chunks of thinking so far.
    thinking_chunks: u32,
    /// The reply reached its token limit within thinking without an opening tag.
    thinking_truncated: bool,
    /// The text of an error in the stream.
    stream_error: String,
    /// The model continues with the turn of another role.
    other_turn_started: bool,
    closed: bool,
}

impl StreamDecoder {
    pub(in crate::agent) fn new(reading: DecoderOptions<'_>) -> Self {
        Self {
            markup: ChatMarkup::new(reading.expects_unopened_thinking),
            speech_filter: SpeechFilter::new(reading.language),
            provider: reading.provider.into(),
            language: reading.language.into(),
            offered: OfferedToolNames::built_in(reading.built_in_tools)
                .with_configured(reading.configured_tools),
            tool_calls: ToolCallBuilder::default(),
            events: VecDeque::new(),
            choice: None,
            finish_reason: None,
            usage: None,
            text_pieces: 0,
            content_start: CompactString::default(),
            content_bytes: 0,
            has_text: false,
            may_be_empty: reading.tool_step > 0,
            malformed_events: 0,
            dropped_parts: 0,
            thinking_chunks: 0,
            thinking_truncated: false,
            stream_error: String::new(),
            other_turn_started: false,
            closed: false,
        }
    }

    /// Takes the data of one event. `Ok(true)` if it contained text, a tool call or the end of the reply; `Ok(false)` for
    /// thinking and keep-alives.
    ///
    /// # Errors
    /// `Protocol` where the provider reports an error, or after [`MALFORMED_EVENTS_MAX`] invalid events.
    pub(in crate::agent) fn take(&mut self, data: &str) -> Result<bool, ReplyFailure> {
        if data == DONE {
            return self.end().map(|()| true);
        }
        let taken = match Chunk::parse_standard(data) {
            Some(chunk) => self.take_chunk(&chunk),
            None => self.take_lenient(data),
        };
        if taken == Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream)) {
            self.record_stream_error(data);
        }
        taken
    }

    fn record_stream_error(&mut self, data: &str) {
        data[..data.floor_char_boundary(ERROR_BYTES_MAX)].clone_into(&mut self.stream_error);
    }

    /// The text of an error in the stream, empty if there was none: JSON or plain text. It may quote the request.
    pub(in crate::agent) fn error(&self) -> &str {
        &self.stream_error
    }

    /// Chunks of thinking so far.
    pub(in crate::agent) fn thinking_chunks(&self) -> u32 {
        self.thinking_chunks
    }

    /// Takes the data of an event that is named an error.
    ///
    /// # Errors
    /// `Protocol(ErrorInStream)`, if there is anything in it.
    pub(super) fn take_error(&mut self, data: &str) -> Result<bool, ReplyFailure> {
        match EventData::parse(data) {
            EventData::Done => self.end().map(|()| true),
            _ if data.trim().is_empty() => Ok(false),
            _ => {
                self.record_stream_error(data);
                Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream))
            }
        }
    }

    fn take_lenient(&mut self, data: &str) -> Result<bool, ReplyFailure> {
        match EventData::parse(data) {
            EventData::KeepAlive => Ok(false),
            EventData::Done => self.end().map(|()| true),
            EventData::Unreadable => self.skip_malformed(),
            EventData::Values(values) => {
                let mut moved = false;
                for value in &values {
                    moved |= self.take_chunk(&Chunk::parse_lenient(value))?;
                }
                Ok(moved)
            }
        }
    }

    /// Counts and logs data that may contain text and cannot be parsed.
    ///
    /// # Errors
    /// `Protocol(Malformed)` past [`MALFORMED_EVENTS_MAX`].
    pub(super) fn skip_malformed(&mut self) -> Result<bool, ReplyFailure> {
        self.drop_part("malformed");
        self.malformed_events += 1;
        if self.malformed_events > MALFORMED_EVENTS_MAX {
            return Err(ReplyFailure::Protocol(ProtocolError::Malformed));
        }
        Ok(false)
    }

    fn take_chunk(&mut self, chunk: &Chunk<'_>) -> Result<bool, ReplyFailure> {
        if self.closed {
            return Ok(false);
        }
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        if chunk.unreadable_parts > 0 {
            self.drop_part("unknown_part");
        }
        self.thinking_chunks += u32::from(chunk.is_thinking);
        if chunk.is_thinking && chunk.content.is_empty() {
            self.markup.thinking_is_separate(&self.offered);
            self.take_markup_parts();
        }
        if chunk.is_error {
            return Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream));
        }
        if let Some(index) = chunk.index
            && *self.choice.get_or_insert(index) != index
        {
            return Ok(false);
        }
        let mut moved = self.take_content(chunk);
        moved |= self.take_tool_calls(chunk);
        let ending = match chunk.finish_reason.as_deref().map(FinishSignal::parse) {
            None | Some(FinishSignal::Unfinished) => None,
            Some(FinishSignal::Failed) => {
                return Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream));
            }
            Some(FinishSignal::Finished(ending)) => Some(ending),
        };
        if self.other_turn_started {
            // The reply is complete; further text is ignored.
            return self.end().map(|()| true);
        }
        // Only the first finish_reason counts as progress: a repeated one must not extend the deadline of the last events.
        Ok(moved | ending.is_some_and(|ending| self.finish_reason.replace(ending).is_none()))
    }

    fn take_content(&mut self, chunk: &Chunk<'_>) -> bool {
        if chunk.content.is_empty()
            || (chunk.is_whole_message && self.is_repeated_by(&chunk.content))
        {
            return false;
        }
        if !chunk.is_whole_message {
            self.content_bytes += chunk.content.len();
            if self.content_start.len() < CONTENT_START_BYTES {
                self.content_start.push_str(&chunk.content);
            }
        }
        self.text_pieces += 1;
        if self.markup.passes_through(&chunk.content, &self.offered) {
            self.push_content(&chunk.content);
        } else {
            self.markup.push(&chunk.content, &self.offered);
            self.take_markup_parts();
        }
        true
    }

    fn take_markup_parts(&mut self) {
        while let Some(part) = self.markup.next() {
            match part {
                MarkupPart::Text(words) => self.push_content(&words),
                MarkupPart::ToolCall { name, arguments } => {
                    self.tool_calls.add_text_call(&name, &arguments)
                }
                MarkupPart::Dropped(reason) => self.drop_part(reason),
                MarkupPart::OtherRoleTurn => self.other_turn_started = true,
            }
        }
    }

    fn push_content(&mut self, words: &str) {
        let said = self.speech_filter.push(words);
        self.push_text(said);
    }

    fn is_repeated_by(&self, message: &str) -> bool {
        let beginning = self.content_start.trim();
        let is_whole = message.trim().len() + CONTENT_START_BYTES >= self.content_bytes;
        !beginning.is_empty() && is_whole && message.trim_start().starts_with(beginning)
    }

    fn take_tool_calls(&mut self, chunk: &Chunk<'_>) -> bool {
        let repeated = chunk.is_whole_message && !self.tool_calls.is_empty();
        if repeated {
            return false;
        }
        for call in &chunk.tool_calls {
            self.tool_calls.add(call, &self.offered);
        }
        !chunk.tool_calls.is_empty()
    }

    /// The stream has ended, by `[DONE]` or by the end of the body.
    ///
    /// # Errors
    /// `ConnectionLost` if it ended before the reply did; `Protocol` if the reply is empty.
    pub(in crate::agent) fn end(&mut self) -> Result<(), ReplyFailure> {
        self.finish(true)
    }

    /// The body ended without `[DONE]`: the reply is complete after a `finish_reason`, else it was cut off.
    pub(in crate::agent) fn end_of_body(&mut self) -> Result<(), ReplyFailure> {
        let complete = self.finish_reason.is_some();
        self.finish(complete)
    }

    fn finish(&mut self, complete: bool) -> Result<(), ReplyFailure> {
        if self.closed {
            return Ok(());
        }
        if !complete {
            let begun = self.text_pieces > 0 || !self.tool_calls.is_empty();
            return Err(if begun {
                ReplyFailure::ConnectionLost
            } else {
                ReplyFailure::Protocol(ProtocolError::Empty)
            });
        }
        if self.finish_reason == Some(FinishReason::Length) && self.markup.holds_thinking() {
            // The closing tag had not come yet: all of it was thinking.
            self.thinking_truncated = true;
            self.drop_part("thoughts");
            self.markup.drop_held_thinking();
        }
        self.markup.finish(&self.offered);
        self.take_markup_parts();
        let rest = self.speech_filter.finish();
        self.push_text(rest);
        let called = !self.tool_calls.is_empty();
        // A reply of which everything was dropped is a failure, not an empty reply.
        let may_be_empty = self.may_be_empty && self.dropped_parts == 0;
        if !self.has_text && !called && !may_be_empty {
            return Err(ReplyFailure::Protocol(self.empty_reason()));
        }
        let calls = self.tool_calls.finish(&self.language, &self.offered);
        self.events.extend(calls.map(ReplyEvent::Tool));
        let ending = self.finish_reason.unwrap_or(if called {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        });
        self.events.push_back(ReplyEvent::Done(Finish {
            text_pieces: self.text_pieces,
            usage: self.usage,
            finish_reason: ending,
            ..Finish::default()
        }));
        self.closed = true;
        Ok(())
    }

    fn empty_reason(&self) -> ProtocolError {
        let provider = self.provider.as_str();
        match self.finish_reason {
            Some(FinishReason::Length) => {
                tracing::warn!(
                    model = provider,
                    "the model used up its tokens before the first word: raise max_tokens, or lower \
                     reasoning_effort or the model's thinking budget"
                );
                ProtocolError::OutOfTokens
            }
            Some(FinishReason::ContentFilter) => {
                tracing::warn!(
                    model = provider,
                    "the provider's content filter left nothing of the reply"
                );
                ProtocolError::Filtered
            }
            _ => ProtocolError::Empty,
        }
    }

    /// Takes the next complete event.
    pub(in crate::agent) fn next(&mut self) -> Option<ReplyEvent> {
        self.events.pop_front()
    }

    pub(in crate::agent) fn has_next(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether `Done` was produced: no event follows.
    pub(in crate::agent) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a `finish_reason` has arrived, so that only usage and `[DONE]` can follow.
    pub(in crate::agent) fn has_finish_reason(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// Whether thinking ended with a closing tag that had no opening tag: `true` as soon as it came, `false` when the
    /// reply is complete without it, `None` before that.
    pub(in crate::agent) fn unopened_thinking(&self) -> Option<bool> {
        if self.markup.unopened_thinking_seen() || self.thinking_truncated {
            return Some(true);
        }
        (self.closed && self.has_text).then_some(false)
    }

    /// The token usage, once the provider has reported it.
    pub(in crate::agent) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Pieces of text so far.
    pub(in crate::agent) fn text_pieces(&self) -> u32 {
        self.text_pieces
    }

    fn push_text(&mut self, text: CompactString) {
        if !text.is_empty() {
            self.has_text |= !text.trim().is_empty();
            self.events.push_back(ReplyEvent::Token(text));
        }
    }

    /// Records a dropped part that may have contained text: counted each time, logged once per reply.
    fn drop_part(&mut self, reason: &'static str) {
        catalog::MODEL_CHUNKS_DROPPED_TOTAL
            .with(reason)
            .increment(1);
        self.dropped_parts += 1;
        if self.dropped_parts == 1 {
            let provider = self.provider.as_str();
            tracing::warn!(
                model = provider,
                reason,
                "a part of the model's reply was dropped"
            );
        }
    }
}

/// The meaning of a `finish_reason`.
enum FinishSignal {
    /// The response continues: some gateways send `""` or `"null"` in every chunk.
    Unfinished,
    Finished(FinishReason),
    Failed,
}

impl FinishSignal {
    fn parse(reason: &str) -> FinishSignal {
        let reason = reason.trim().to_ascii_lowercase();
        FinishSignal::Finished(match reason.as_str() {
            "" | "null" | "none" => return FinishSignal::Unfinished,
            "error"
            | "abort"
            | "aborted"
            | "failed"
            | "cancelled"
            | "canceled"
            | "timeout"
            | "network_error"
            | "server_error"
            | "insufficient_system_resource"
            | "malformed_function_call" => return FinishSignal::Failed,
            "tool_calls" | "tool_call" | "tool_use" | "function_call" => FinishReason::ToolCalls,
            "length" | "max_tokens" | "max_length" | "model_length" | "max_output_tokens" => {
                FinishReason::Length
            }
            "content_filter"
            | "content_filtered"
            | "content-filter"
            | "safety"
            | "sensitive"
            | "recitation"
            | "blocklist"
            | "prohibited_content"
            | "spii"
            | "guardrail_intervened"
            | "refusal" => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        })
    }
}
