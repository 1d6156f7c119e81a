//! Turns the data of a stream into events. Pure: no socket, no clock.

#[cfg(test)]
mod tests;

use super::assembly::Assembly;
use super::catalog::ToolCatalog;
use super::chat_markup::{ChatMarkup, Part};
use super::chunk::Chunk;
use super::failure::{Failure, Reason};
use super::loose::Data;
use super::offered::Offered;
use super::reply::{Ending, Finish, ReplyEvent, Usage};
use super::speech::Speech;
use super::tools::ToolSet;
use calldex_observability::catalog;
use compact_str::CompactString;
use std::collections::VecDeque;
use std::sync::Arc;

/// The data that ends a stream.
const DONE: &str = "[DONE]";
/// By so many bytes of its beginning an answer is known again.
const BEGINNING_BYTES: usize = 16;
/// Most bytes of an error in the stream that are read.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Events of a stream that cannot be read before the answer is given up. Fewer are left out.
const MALFORMED_MAX: u8 = 3;

/// How the answer of a provider is to be read.
pub(super) struct Reading<'a> {
    /// The provider's name in the log.
    pub provider: &'a str,
    /// The language of the filter's own words (BCP 47).
    pub language: &'a str,
    /// How many answers of this turn came before; an answer to the results of tools may be empty.
    pub round: u8,
    /// What the request offers. Other tools cannot be called in writing.
    pub tools: &'a ToolSet,
    /// And of the operator's.
    pub own_tools: &'a Arc<ToolCatalog>,
    /// Thoughts before a lone closing tag are expected of this provider: words are held back until it comes, or
    /// until its bound is met.
    pub holds_thoughts: bool,
}

/// One answer, as far as it has come.
pub(super) struct Intake {
    markup: ChatMarkup,
    speech: Speech,
    provider: CompactString,
    language: CompactString,
    offered: Offered,
    assembly: Assembly,
    ready: VecDeque<ReplyEvent>,
    /// The choice that is read, once one is known; others were not asked for.
    choice: Option<i64>,
    ending: Option<Ending>,
    usage: Option<Usage>,
    tokens: u32,
    /// How the words began that came in pieces, and how many bytes they are: a message that begins
    /// so and is no shorter is a repetition.
    beginning: CompactString,
    bytes: usize,
    spoken: bool,
    /// An answer to the results of tools may be empty.
    may_be_empty: bool,
    malformed: u8,
    /// Parts that may hold words and were left out.
    left_out: u32,
    /// Chunks of thoughts so far.
    thoughts: u32,
    /// The reply reached its longest length inside of thoughts that no tag opened.
    thoughts_cut_off: bool,
    /// What an error in the stream said.
    error: String,
    /// The model goes on with the turn of somebody else.
    turn_over: bool,
    closed: bool,
}

impl Intake {
    pub(super) fn new(reading: Reading<'_>) -> Self {
        Self {
            markup: ChatMarkup::new(reading.holds_thoughts),
            speech: Speech::new(reading.language),
            provider: reading.provider.into(),
            language: reading.language.into(),
            offered: Offered::of(reading.tools).with_own(reading.own_tools),
            assembly: Assembly::default(),
            ready: VecDeque::new(),
            choice: None,
            ending: None,
            usage: None,
            tokens: 0,
            beginning: CompactString::default(),
            bytes: 0,
            spoken: false,
            may_be_empty: reading.round > 0,
            malformed: 0,
            left_out: 0,
            thoughts: 0,
            thoughts_cut_off: false,
            error: String::new(),
            turn_over: false,
            closed: false,
        }
    }

    /// Takes the data of one event. `Ok(true)` if it moved the answer on: words, tools or its end,
    /// not thoughts and not keep-alives.
    ///
    /// # Errors
    /// `Protocol` where the provider reports an error, or more is malformed than is forgiven.
    pub(super) fn take(&mut self, data: &str) -> Result<bool, Failure> {
        if data == DONE {
            return self.end().map(|()| true);
        }
        let taken = match Chunk::usual(data) {
            Some(chunk) => self.take_chunk(&chunk),
            None => self.take_loosely(data),
        };
        if taken == Err(Failure::Protocol(Reason::ErrorInStream)) {
            self.note_error(data);
        }
        taken
    }

    fn note_error(&mut self, data: &str) {
        data[..data.floor_char_boundary(ERROR_BYTES_MAX)].clone_into(&mut self.error);
    }

    /// What an error in the stream said, if there was one: JSON or a text of the server's own. May quote the
    /// request.
    pub(super) fn error(&self) -> &str {
        &self.error
    }

    /// Chunks of thoughts so far: a sign of life that is not said.
    pub(super) fn thoughts(&self) -> u32 {
        self.thoughts
    }

    /// Takes the data of an event that the server calls an error.
    ///
    /// # Errors
    /// `Protocol(ErrorInStream)`, if there is anything in it.
    pub(super) fn take_error(&mut self, data: &str) -> Result<bool, Failure> {
        match Data::read(data) {
            Data::Done => self.end().map(|()| true),
            _ if data.trim().is_empty() => Ok(false),
            _ => {
                self.note_error(data);
                Err(Failure::Protocol(Reason::ErrorInStream))
            }
        }
    }

    fn take_loosely(&mut self, data: &str) -> Result<bool, Failure> {
        match Data::read(data) {
            Data::Nothing => Ok(false),
            Data::Done => self.end().map(|()| true),
            Data::Unreadable => self.forgive(),
            Data::Values(values) => {
                let mut moved = false;
                for value in &values {
                    moved |= self.take_chunk(&Chunk::loose(value))?;
                }
                Ok(moved)
            }
        }
    }

    /// Counts and logs data that may hold words and cannot be read.
    ///
    /// # Errors
    /// `Protocol(Malformed)` past [`MALFORMED_MAX`].
    pub(super) fn forgive(&mut self) -> Result<bool, Failure> {
        self.leave_out("malformed");
        self.malformed += 1;
        if self.malformed > MALFORMED_MAX {
            return Err(Failure::Protocol(Reason::Malformed));
        }
        Ok(false)
    }

    fn take_chunk(&mut self, chunk: &Chunk<'_>) -> Result<bool, Failure> {
        if self.closed {
            return Ok(false);
        }
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        if chunk.unread > 0 {
            self.leave_out("unknown_part");
        }
        self.thoughts += u32::from(chunk.thinks);
        if chunk.thinks && chunk.content.is_empty() {
            self.markup.thoughts_come_apart(&self.offered);
            self.take_parts();
        }
        if chunk.failed {
            return Err(Failure::Protocol(Reason::ErrorInStream));
        }
        if let Some(index) = chunk.index
            && *self.choice.get_or_insert(index) != index
        {
            return Ok(false);
        }
        let mut moved = self.take_words(chunk);
        moved |= self.take_calls(chunk);
        let ending = match chunk.finish_reason.as_deref().map(Stop::of) {
            None | Some(Stop::NotYet) => None,
            Some(Stop::Failed) => return Err(Failure::Protocol(Reason::ErrorInStream)),
            Some(Stop::Ended(ending)) => Some(ending),
        };
        if self.turn_over {
            // The reply is complete, whatever else the model writes.
            return self.end().map(|()| true);
        }
        // Only the first end moves the answer on: repeated, it must not prolong the formalities.
        Ok(moved | ending.is_some_and(|ending| self.ending.replace(ending).is_none()))
    }

    fn take_words(&mut self, chunk: &Chunk<'_>) -> bool {
        if chunk.content.is_empty() || (chunk.is_message && self.is_repeated_by(&chunk.content)) {
            return false;
        }
        if !chunk.is_message {
            self.bytes += chunk.content.len();
            if self.beginning.len() < BEGINNING_BYTES {
                self.beginning.push_str(&chunk.content);
            }
        }
        self.tokens += 1;
        if self.markup.passes(&chunk.content, &self.offered) {
            self.say_words(&chunk.content);
        } else {
            self.markup.push(&chunk.content, &self.offered);
            self.take_parts();
        }
        true
    }

    fn take_parts(&mut self) {
        while let Some(part) = self.markup.next() {
            match part {
                Part::Words(words) => self.say_words(&words),
                Part::Call { name, arguments } => self.assembly.add_written(&name, &arguments),
                Part::LeftOut(reason) => self.leave_out(reason),
                Part::OtherTurn => self.turn_over = true,
            }
        }
    }

    fn say_words(&mut self, words: &str) {
        let said = self.speech.push(words);
        self.say(said);
    }

    fn is_repeated_by(&self, message: &str) -> bool {
        let beginning = self.beginning.trim();
        let is_whole = message.trim().len() + BEGINNING_BYTES >= self.bytes;
        !beginning.is_empty() && is_whole && message.trim_start().starts_with(beginning)
    }

    fn take_calls(&mut self, chunk: &Chunk<'_>) -> bool {
        let repeated = chunk.is_message && !self.assembly.is_empty();
        if repeated {
            return false;
        }
        for call in &chunk.calls {
            self.assembly.add(call, &self.offered);
        }
        !chunk.calls.is_empty()
    }

    /// The stream is over, by its own word or by its connection's end.
    ///
    /// # Errors
    /// `Cut` if it ended before the answer did; `Protocol` if there was nothing in it.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        self.end_by(true)
    }

    /// The connection ended without `[DONE]`: fine after a `finish_reason`, else the answer was cut.
    pub(super) fn end_of_body(&mut self) -> Result<(), Failure> {
        let complete = self.ending.is_some();
        self.end_by(complete)
    }

    fn end_by(&mut self, complete: bool) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        if !complete {
            let begun = self.tokens > 0 || !self.assembly.is_empty();
            return Err(if begun {
                Failure::Cut
            } else {
                Failure::Protocol(Reason::Empty)
            });
        }
        if self.ending == Some(Ending::Length) && self.markup.holds_thoughts() {
            // The closing tag would have come later: none of it was meant for the caller.
            self.thoughts_cut_off = true;
            self.leave_out("thoughts");
            self.markup.drop_thoughts();
        }
        self.markup.finish(&self.offered);
        self.take_parts();
        let rest = self.speech.finish();
        self.say(rest);
        let called = !self.assembly.is_empty();
        // What was left out must not become silence.
        let may_be_empty = self.may_be_empty && self.left_out == 0;
        if !self.spoken && !called && !may_be_empty {
            return Err(Failure::Protocol(self.why_empty()));
        }
        let calls = self.assembly.finish(&self.language, &self.offered);
        self.ready.extend(calls.map(ReplyEvent::Tool));
        let ending = self
            .ending
            .unwrap_or(if called { Ending::Tools } else { Ending::Said });
        self.ready.push_back(ReplyEvent::Done(Finish {
            tokens: self.tokens,
            usage: self.usage,
            ending,
            ..Finish::default()
        }));
        self.closed = true;
        Ok(())
    }

    fn why_empty(&self) -> Reason {
        let provider = self.provider.as_str();
        match self.ending {
            Some(Ending::Length) => {
                tracing::warn!(
                    provider,
                    "the model used up its tokens before the first word: raise max_tokens, or lower \
                     reasoning_effort or the model's thinking budget"
                );
                Reason::OutOfTokens
            }
            Some(Ending::Filtered) => {
                tracing::warn!(
                    provider,
                    "the provider's content filter left nothing of the reply"
                );
                Reason::Filtered
            }
            _ => Reason::Empty,
        }
    }

    /// The next event, if one is complete.
    pub(super) fn next(&mut self) -> Option<ReplyEvent> {
        self.ready.pop_front()
    }

    pub(super) fn has_next(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether `Done` was made: nothing more will come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the model has said that it is done, so that only formalities can follow.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether thoughts came before a closing tag without an opening one: yes as soon as it was there, no once the
    /// whole reply was without. `None` before it is known.
    pub(super) fn lone_thoughts(&self) -> Option<bool> {
        if self.markup.lone_thought_seen() || self.thoughts_cut_off {
            return Some(true);
        }
        (self.closed && self.spoken).then_some(false)
    }

    /// The provider's count of tokens, once it has told one.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Pieces of text so far.
    pub(super) fn tokens(&self) -> u32 {
        self.tokens
    }

    fn say(&mut self, text: CompactString) {
        if !text.is_empty() {
            self.spoken |= !text.trim().is_empty();
            self.ready.push_back(ReplyEvent::Token(text));
        }
    }

    /// Something that may hold words is left out, for `reason`: counted each time, logged once.
    fn leave_out(&mut self, reason: &'static str) {
        catalog::MODEL_CHUNKS_DROPPED_TOTAL
            .with(reason)
            .increment(1);
        self.left_out += 1;
        if self.left_out == 1 {
            let provider = self.provider.as_str();
            tracing::warn!(provider, reason, "a part of the model's reply was left out");
        }
    }
}

/// What a `finish_reason` says.
enum Stop {
    /// The answer goes on: some gateways then say `""` or `"null"` in every chunk.
    NotYet,
    Ended(Ending),
    Failed,
}

impl Stop {
    fn of(reason: &str) -> Stop {
        let reason = reason.trim().to_ascii_lowercase();
        Stop::Ended(match reason.as_str() {
            "" | "null" | "none" => return Stop::NotYet,
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
            | "malformed_function_call" => return Stop::Failed,
            "tool_calls" | "tool_call" | "tool_use" | "function_call" => Ending::Tools,
            "length" | "max_tokens" | "max_length" | "model_length" | "max_output_tokens" => {
                Ending::Length
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
            | "refusal" => Ending::Filtered,
            _ => Ending::Said,
        })
    }
}
