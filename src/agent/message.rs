//! What was said, as the model is told of it: shared between turns, never changed.

use super::tools::ToolCall;
use compact_str::CompactString;
use std::fmt;
use std::sync::Arc;

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The house: a remark for the model between turns ("the caller was interrupted").
    System,
    /// The person on the phone.
    Caller,
    /// The same, with the keys of the telephone: `[pressed 1 2]`.
    Keys,
    /// The model, as far as the caller heard it.
    Agent,
    /// The result of a tool, for the model only.
    Tool,
}

impl Speaker {
    /// Whether it is the person on the phone, by voice or by keys.
    pub const fn is_caller(self) -> bool {
        matches!(self, Speaker::Caller | Speaker::Keys)
    }
}

/// One message of a conversation. History is a list of `Arc<Message>`: a turn shares it, no turn copies it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub speaker: Speaker,
    /// The words; may be empty where the agent only called tools.
    pub content: CompactString,
    /// The tools the agent called in this message.
    pub calls: Box<[ToolCall]>,
    /// For `Speaker::Tool`: the id of the call that this answers.
    pub tool_call_id: Option<CompactString>,
}

impl Message {
    fn plain(speaker: Speaker, content: impl Into<CompactString>) -> Arc<Self> {
        Arc::new(Self {
            speaker,
            content: content.into(),
            calls: Box::default(),
            tool_call_id: None,
        })
    }

    /// A remark of the house.
    pub fn system(content: impl Into<CompactString>) -> Arc<Self> {
        Self::plain(Speaker::System, content)
    }

    /// What the caller said.
    pub fn caller(content: impl Into<CompactString>) -> Arc<Self> {
        Self::plain(Speaker::Caller, content)
    }

    /// The keys that the caller pressed, as `[pressed 1 2]`.
    pub fn keys(content: impl Into<CompactString>) -> Arc<Self> {
        Self::plain(Speaker::Keys, content)
    }

    /// What the agent said, as heard.
    pub fn agent(content: impl Into<CompactString>) -> Arc<Self> {
        Self::plain(Speaker::Agent, content)
    }

    /// What the agent said (maybe nothing) and the tools it called with it. Each call wants its
    /// [`Message::tool`] right after; a call without one is left out of the request.
    pub fn agent_calling(content: impl Into<CompactString>, calls: Vec<ToolCall>) -> Arc<Self> {
        let content = content.into();
        Arc::new(Self {
            speaker: Speaker::Agent,
            content,
            calls: calls.into(),
            tool_call_id: None,
        })
    }

    /// What came of the tool call `tool_call_id`.
    pub fn tool(
        tool_call_id: impl Into<CompactString>,
        result: impl Into<CompactString>,
    ) -> Arc<Self> {
        let tool_call_id = Some(tool_call_id.into());
        Arc::new(Self {
            speaker: Speaker::Tool,
            content: result.into(),
            calls: Box::default(),
            tool_call_id,
        })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("speaker", &self.speaker)
            .field("bytes", &self.content.len())
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}
