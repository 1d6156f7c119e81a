//! The messages of a conversation, as they are sent to the model: shared between turns, never changed.

use crate::agent::tools::invocation::ToolCall;
use compact_str::CompactString;
use std::fmt;
use std::sync::Arc;

/// The role of the author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageRole {
    /// A system message for the model between turns ("the caller was interrupted").
    System,
    /// The caller, by voice.
    Caller,
    /// The caller, by the keys of the telephone: `[pressed 1 2]`.
    Dtmf,
    /// The model; only text that the caller heard.
    Agent,
    /// The result of a tool, for the model only.
    Tool,
}

impl MessageRole {
    /// Whether it is the caller, by voice or by keys.
    pub const fn is_caller(self) -> bool {
        matches!(self, MessageRole::Caller | MessageRole::Dtmf)
    }
}

/// One message of a conversation. History is a list of `Arc<Message>`: a turn shares it, no turn copies it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The role of the author.
    pub role: MessageRole,
    /// The text; may be empty where the agent only called tools.
    pub content: CompactString,
    /// The tools the agent called in this message.
    pub tool_calls: Box<[ToolCall]>,
    /// For `MessageRole::Tool`: the id of the call that this answers.
    pub tool_call_id: Option<CompactString>,
}

impl Message {
    fn without_calls(speaker: MessageRole, content: impl Into<CompactString>) -> Arc<Self> {
        Arc::new(Self {
            role: speaker,
            content: content.into(),
            tool_calls: Box::default(),
            tool_call_id: None,
        })
    }

    /// A system message.
    pub fn system(content: impl Into<CompactString>) -> Arc<Self> {
        Self::without_calls(MessageRole::System, content)
    }

    /// Text of the caller.
    pub fn caller(content: impl Into<CompactString>) -> Arc<Self> {
        Self::without_calls(MessageRole::Caller, content)
    }

    /// The keys that the caller pressed, as `[pressed 1 2]`.
    pub fn dtmf(content: impl Into<CompactString>) -> Arc<Self> {
        Self::without_calls(MessageRole::Dtmf, content)
    }

    /// Text of the agent, as far as it was heard.
    pub fn agent(content: impl Into<CompactString>) -> Arc<Self> {
        Self::without_calls(MessageRole::Agent, content)
    }

    /// Text of the agent (may be empty) and the tools that it called. A [`Message::tool_result`] must follow for each
    /// call; a call without one is omitted from the request.
    pub fn agent_with_calls(content: impl Into<CompactString>, calls: Vec<ToolCall>) -> Arc<Self> {
        let content = content.into();
        Arc::new(Self {
            role: MessageRole::Agent,
            content,
            tool_calls: calls.into(),
            tool_call_id: None,
        })
    }

    /// The result of the tool call `tool_call_id`.
    pub fn tool_result(
        tool_call_id: impl Into<CompactString>,
        result: impl Into<CompactString>,
    ) -> Arc<Self> {
        let tool_call_id = Some(tool_call_id.into());
        Arc::new(Self {
            role: MessageRole::Tool,
            content: result.into(),
            tool_calls: Box::default(),
            tool_call_id,
        })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("speaker", &self.role)
            .field("bytes", &self.content.len())
            .field("calls", &self.tool_calls.len())
            .finish_non_exhaustive()
    }
}
