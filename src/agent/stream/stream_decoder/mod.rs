//! Turns the data of a stream into events. Pure: no socket, no clock.

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
/// By so many bytes of its beginning an answer is known again.
const CONTENT_START_BYTES: usize = 16;
/// Most bytes of an error in the stream that are read.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Events of a stream that cannot be read before the answer is given up. Fewer are left out.
const MALFORMED_EVENTS_MAX: u8 = 3;

/// How the answer of a provider is to be read.
pub(in crate::agent) struct DecoderOptions<'a> {
    /// The provider's name in the log.
    pub provider: &'a str,
    /// The language of the filter's own words (BCP 47).
    pub language: &'a str,
    /// How many answers of this turn came before; an answer to the results of tools may be empty.
    pub tool_step: u8,
    /// What the request offers. Other tools cannot be called in writing.
    pub built_in_tools: &'a BuiltInTools,
    /// And of the operator's.
    pub configured_tools: &'a Arc<ToolCatalog>,
    /// Thoughts before a lone closing tag are expected of this provider: words are held back until it comes, or
    /// until its bound is met.
    pub expects_unopened_thinking: bool,
}

/// One answer, as far as it has come.
pub(in crate::agent) struct StreamDecoder {
    markup: ChatMarkup,
    speech_filter: SpeechFilter,
    provider: CompactString,
    language: CompactString,
    offered: OfferedToolNames,
    tool_calls: ToolCallBuilder,
    events: VecDeque<ReplyEvent>,
    /// The choice that is read, once one is known; others were not asked for.
    choice: Option<i64>,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    text_pieces: u32,
    /// How the words began that came in pieces, and how many bytes they are: a message that begins
    /// so and is no shorter is a repetition.
    content_start: CompactString,
    content_bytes: usize,
    has_text: bool,
    /// An answer to the results of tools may be empty.
    may_be_empty: bool,
    malformed_events: u8,
    /// Parts that may hold words and were left out.
    dropped_parts: u32,
    /// Chunks of thoughts so far.
    thinking_chunks: u32,
    /// The reply reached its longest length inside of thoughts that no tag opened.
    thinking_truncated: bool,
    /// What an error in the stream said.
    stream_error: String,
    /// The model goes on with the turn of somebody else.
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

    /// Takes the data of one event. `Ok(true)` if it moved the answer on: words, tools or its end,
    /// not thoughts and not keep-alives.
    ///
    /// # Errors
    /// `Protocol` where the provider reports an error, or more is malformed than is forgiven.
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

    /// What an error in the stream said, if there was one: JSON or a text of the server's own. May quote the
    /// request.
    pub(in crate::agent) fn error(&self) -> &str {
        &self.stream_error
    }

    /// Chunks of thoughts so far: a sign of life that is not said.
    pub(in crate::agent) fn thinking_chunks(&self) -> u32 {
        self.thinking_chunks
    }

    /// Takes the data of an event that the server calls an error.
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

    /// Counts and logs data that may hold words and cannot be read.
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
            // The reply is complete, whatever else the model writes.
            return self.end().map(|()| true);
        }
        // Only the first end moves the answer on: repeated, it must not prolong the formalities.
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

    /// The stream is over, by its own word or by its connection's end.
    ///
    /// # Errors
    /// `ConnectionLost` if it ended before the answer did; `Protocol` if there was nothing in it.
    pub(in crate::agent) fn end(&mut self) -> Result<(), ReplyFailure> {
        self.finish(true)
    }

    /// The connection ended without `[DONE]`: fine after a `finish_reason`, else the answer was cut.
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
            // The closing tag would have come later: none of it was meant for the caller.
            self.thinking_truncated = true;
            self.drop_part("thoughts");
            self.markup.drop_held_thinking();
        }
        self.markup.finish(&self.offered);
        self.take_markup_parts();
        let rest = self.speech_filter.finish();
        self.push_text(rest);
        let called = !self.tool_calls.is_empty();
        // What was left out must not become silence.
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

    /// The next event, if one is complete.
    pub(in crate::agent) fn next(&mut self) -> Option<ReplyEvent> {
        self.events.pop_front()
    }

    pub(in crate::agent) fn has_next(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether `Done` was made: nothing more will come.
    pub(in crate::agent) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the model has said that it is done, so that only formalities can follow.
    pub(in crate::agent) fn has_finish_reason(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// Whether thoughts came before a closing tag without an opening one: yes as soon as it was there, no once the
    /// whole reply was without. `None` before it is known.
    pub(in crate::agent) fn unopened_thinking(&self) -> Option<bool> {
        if self.markup.unopened_thinking_seen() || self.thinking_truncated {
            return Some(true);
        }
        (self.closed && self.has_text).then_some(false)
    }

    /// The provider's count of tokens, once it has told one.
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

    /// Something that may hold words is left out, for `reason`: counted each time, logged once.
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
                "a part of the model's reply was left out"
            );
        }
    }
}

/// What a `finish_reason` says.
enum FinishSignal {
    /// The answer goes on: some gateways then say `""` or `"null"` in every chunk.
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
