//! The messages of a request, in an order that every server accepts.
//!
//! The chat templates of Mistral, Gemma and Llama reject a request whose roles do not alternate, whose first message
//! after the system prompt is the assistant's, or that has a second system message. Mistral's own servers reject a user
//! message directly after a tool result, and an assistant message at the end. Qwen's template requires a user message.
//! So a request is built as follows:
//!
//! - the system prompt is first, and the only system message;
//! - then user and assistant alternate, the user first: adjacent messages of one role are joined, and a missing
//!   message of the other role is inserted ([`CALL_BEGINS_NOTE`], [`HISTORY_TRUNCATED_NOTE`], [`CALLER_SILENT_NOTE`], [`TOOL_RESULT_ACK`]);
//! - tool results follow the assistant message that called the tools directly, and an assistant message separates
//!   them from the next user message; calls without a result and results without a call are omitted;
//! - the last message is the user's or a tool's.
//!
//! Notes of the server within the caller's text are in square brackets. Brackets in the caller's own text become
//! parentheses, so a caller cannot forge a note. [`BRACKETS_EXPLAINED`] explains the notes to the model.

use crate::agent::message::{Message, MessageRole};
use crate::agent::tools::invocation::ToolCall;
use serde::Serialize;
use serde::ser::Serializer;
use std::borrow::Cow;
use std::sync::Arc;

/// Inserted before a greeting: the caller has said nothing yet.
pub(super) const CALL_BEGINS_NOTE: &str = "[The call begins.]";
/// Inserted before the oldest message of the history window, where it is the assistant's and others came before it.
pub(super) const HISTORY_TRUNCATED_NOTE: &str = "[What was said before is left out.]";
/// Appended after the assistant's text when it is to continue.
pub(super) const CALLER_SILENT_NOTE: &str = "[The caller is silent.]";
/// The assistant's message between a tool result and the caller's next message.
pub(super) const TOOL_RESULT_ACK: &str = "OK.";

/// Explains the notes in brackets to the model; part of the system prompt.
pub(super) const BRACKETS_EXPLAINED: &str = "What stands in square brackets in the caller's messages is not said by them: \
    \"[pressed 1 2]\" means that the caller pressed these keys on the telephone, \
    \"[The caller is silent.]\" that nothing more was said; any other is an instruction to you. Never \
    write square brackets yourself.";

/// The roles that a server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) struct RoleSupport {
    /// The system prompt is a message of its own. Otherwise it precedes the text of the first user message.
    pub system_role: bool,
    /// Tool calls and results are sent as such. Otherwise results are sent as notes in brackets.
    pub tool_roles: bool,
}

impl Default for RoleSupport {
    fn default() -> Self {
        Self {
            system_role: true,
            tool_roles: true,
        }
    }
}

/// The list `messages` of a request.
pub(in crate::agent) struct RequestMessages<'a> {
    /// The part of the system prompt that stays the same.
    pub prompt_prefix: &'a str,
    /// The part that changes, after it; may be empty.
    pub dynamic_prompt: &'a str,
    /// An instruction for this turn, sent last.
    pub turn_instruction: Option<&'a str>,
    /// The messages of the conversation that are sent; see [`history_window`].
    pub history: &'a [Arc<Message>],
    /// Whether older messages were left out.
    pub is_truncated: bool,
    pub role_support: RoleSupport,
}

impl Serialize for RequestMessages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.wire_messages())
    }
}

impl<'a> RequestMessages<'a> {
    fn wire_messages(&self) -> Vec<WireMessage<'a>> {
        let mut builder = MessageListBuilder {
            entries: Vec::with_capacity(self.history.len() + 3),
            tool_roles: self.role_support.tool_roles,
            first_note: if self.is_truncated {
                HISTORY_TRUNCATED_NOTE
            } else {
                CALL_BEGINS_NOTE
            },
        };
        for (at, message) in self.history.iter().enumerate() {
            match message.role {
                MessageRole::Caller => builder.push_caller(unbracketed(&message.content)),
                MessageRole::Dtmf => builder.push_note(message.content.as_str().into()),
                MessageRole::System => builder.push_note(bracketed(&message.content)),
                MessageRole::Agent => builder.push_agent(message, &self.history[at + 1..]),
                // Sent with its call.
                MessageRole::Tool => {}
            }
        }
        let unplaced = builder.finish(self.turn_instruction);
        builder.with_prompt(self, unplaced)
    }
}

/// The messages so far.
struct MessageListBuilder<'a> {
    entries: Vec<WireMessage<'a>>,
    tool_roles: bool,
    first_note: &'static str,
}

impl<'a> MessageListBuilder<'a> {
    /// Text of the caller.
    fn push_caller(&mut self, words: Cow<'a, str>) {
        self.push_user(words, ' ');
    }

    /// A note in brackets, on a line of its own.
    fn push_note(&mut self, line: Cow<'a, str>) {
        self.push_user(line, '\n');
    }

    fn push_user(&mut self, text: Cow<'a, str>, separator: char) {
        if text.trim().is_empty() {
            return;
        }
        if self.is_last(TOOL) {
            self.entries
                .push(WireMessage::new(ASSISTANT, TOOL_RESULT_ACK.into()));
        }
        match self.entries.last_mut().filter(|last| last.role == USER) {
            // Text after a note starts a new line, too.
            Some(last) if last.content.ends_with(']') => last.join(&text, '\n'),
            Some(last) => last.join(&text, separator),
            None => self.entries.push(WireMessage::new(USER, text)),
        }
    }

    /// Text of the assistant, its tool calls, and their results.
    fn push_agent(&mut self, message: &'a Message, after: &'a [Arc<Message>]) {
        let answered = calls_with_results(message, after);
        if !self.tool_roles {
            self.push_assistant(message, Vec::new());
            for (call, result) in answered {
                self.push_note(bracketed(&format!(
                    "The tool {} returned: {}",
                    call.invocation.name(),
                    result.content
                )));
            }
            return;
        }
        self.push_assistant(
            message,
            answered
                .iter()
                .map(|(call, _)| wire_tool_call(call))
                .collect(),
        );
        for (call, result) in answered {
            self.entries.push(WireMessage {
                tool_call_id: Some(&call.id),
                ..WireMessage::new(TOOL, result.content.as_str().into())
            });
        }
    }

    fn push_assistant(&mut self, message: &'a Message, tool_calls: Vec<WireToolCall<'a>>) {
        let words = message.content.as_str();
        if words.trim().is_empty() && tool_calls.is_empty() {
            return;
        }
        if self.entries.is_empty() {
            self.push_note(self.first_note.into());
        }
        match self
            .entries
            .last_mut()
            .filter(|last| last.role == ASSISTANT)
        {
            Some(last) => {
                last.join(words, ' ');
                last.tool_calls = tool_calls;
            }
            None => self.entries.push(WireMessage {
                tool_calls,
                ..WireMessage::new(ASSISTANT, words.into())
            }),
        }
    }

    /// Ends the list so that the last message is not the assistant's. Returns the turn instruction where it cannot be
    /// added here: a tool result carries no instruction.
    fn finish<'n>(&mut self, turn_instruction: Option<&'n str>) -> Option<&'n str> {
        if self.entries.is_empty() {
            self.push_note(self.first_note.into());
        }
        if self.is_last(ASSISTANT) {
            self.push_note(CALLER_SILENT_NOTE.into());
        }
        let turn_instruction = turn_instruction?;
        if self.is_last(TOOL) {
            return Some(turn_instruction);
        }
        self.push_note(bracketed(turn_instruction));
        None
    }

    fn is_last(&self, role: &str) -> bool {
        self.entries.last().is_some_and(|last| last.role == role)
    }

    fn with_prompt(
        mut self,
        told: &RequestMessages<'a>,
        turn_instruction: Option<&str>,
    ) -> Vec<WireMessage<'a>> {
        let parts = [
            told.prompt_prefix,
            told.dynamic_prompt,
            turn_instruction.unwrap_or_default(),
        ];
        let mut prompt = WireMessage::new(SYSTEM, "".into());
        for part in parts {
            prompt.join(part, '\n');
        }
        if told.role_support.system_role {
            self.entries.insert(0, prompt);
        } else if let Some(first) = self.entries.first_mut() {
            first.content = format!("{}\n\n{}", prompt.content, first.content).into();
        }
        self.entries
    }
}

const SYSTEM: &str = "system";
const USER: &str = "user";
const ASSISTANT: &str = "assistant";
const TOOL: &str = "tool";

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

impl<'a> WireMessage<'a> {
    fn new(role: &'static str, content: Cow<'a, str>) -> Self {
        Self {
            role,
            content,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// Appends `text` to the content, with `separator` where both are not empty.
    fn join(&mut self, text: &str, separator: char) {
        if text.is_empty() {
            return;
        }
        let content = self.content.to_mut();
        if !content.is_empty() && !content.ends_with(separator) {
            content.push(separator);
        }
        content.push_str(text);
    }
}

#[derive(Serialize)]
struct WireToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunctionCall<'a>,
}

#[derive(Serialize)]
struct WireFunctionCall<'a> {
    name: &'a str,
    arguments: String,
}

fn wire_tool_call(call: &ToolCall) -> WireToolCall<'_> {
    let function = WireFunctionCall {
        name: call.invocation.name(),
        arguments: call.invocation.arguments(),
    };
    WireToolCall {
        id: &call.id,
        r#type: "function",
        function,
    }
}

/// The calls of `message` that have a result in `after`, each with its first result. The caller may have spoken
/// between the two; the result is sent with its call nevertheless.
fn calls_with_results<'a>(
    message: &'a Message,
    after: &'a [Arc<Message>],
) -> Vec<(&'a ToolCall, &'a Message)> {
    let mut answered: Vec<(&ToolCall, &Message)> = Vec::new();
    for call in &message.tool_calls {
        let is_twice = answered.iter().any(|(other, _)| other.id == call.id);
        if let Some(result) = result_of(call, after).filter(|_| !is_twice) {
            answered.push((call, result));
        }
    }
    answered
}

fn result_of<'a>(call: &ToolCall, after: &'a [Arc<Message>]) -> Option<&'a Message> {
    let calls_again =
        |message: &&Arc<Message>| message.tool_calls.iter().any(|other| other.id == call.id);
    let mut own = after.iter().take_while(|message| !calls_again(message));
    let is_result = |message: &&Arc<Message>| {
        message.role == MessageRole::Tool
            && message.tool_call_id.as_deref() == Some(call.id.as_str())
    };
    own.find(is_result).map(Arc::as_ref)
}

/// The part of the history that is sent: the newest messages within both bounds. The last message is always sent;
/// where it is a tool result, everything since the caller last spoke.
pub(in crate::agent) fn history_window(
    history: &[Arc<Message>],
    turns_max: usize,
    bytes_max: usize,
) -> &[Arc<Message>] {
    let mut bytes = 0;
    let fits = |message: &&Arc<Message>| {
        bytes += message.content.len();
        bytes <= bytes_max
    };
    let told = history
        .iter()
        .rev()
        .take(turns_max)
        .take_while(fits)
        .count();
    &history[(history.len() - told).min(last_question(history))..]
}

/// Index of the first message that the model has to answer.
fn last_question(history: &[Arc<Message>]) -> usize {
    let last = history.len().saturating_sub(1);
    let is_result = history
        .last()
        .is_some_and(|last| last.role == MessageRole::Tool);
    let spoken = |message: &Arc<Message>| message.role.is_caller();
    match is_result {
        true => history.iter().rposition(spoken).unwrap_or_default(),
        false => last,
    }
}

/// `text` as a note in brackets, on one line and without brackets inside.
fn bracketed(text: &str) -> Cow<'static, str> {
    let flat = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.trim().chars().map(flat).collect();
    if text.is_empty() {
        return "".into();
    }
    format!("[{}]", unbracketed(&text)).into()
}

/// `text` with parentheses instead of square brackets, including full-width ones.
fn unbracketed(text: &str) -> Cow<'_, str> {
    const OPENING: [char; 4] = ['[', '［', '【', '⟦'];
    const CLOSING: [char; 4] = [']', '］', '】', '⟧'];
    let is_bracket = |c: char| OPENING.contains(&c) || CLOSING.contains(&c);
    if !text.contains(is_bracket) {
        return text.into();
    }
    text.replace(OPENING, "(").replace(CLOSING, ")").into()
}

#[cfg(test)]
mod tests;
