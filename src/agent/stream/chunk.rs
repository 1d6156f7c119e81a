//! A chunk of a streamed response. The usual form is borrowed from the received bytes: no tree is built, and a token
//! without escapes is not copied. Every other form is parsed by [`lenient_chunk`](super::lenient_chunk). Also parses a
//! whole response, where a server does not stream.

use crate::agent::event::Usage;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The content of one chunk, whatever its form was.
#[derive(Default)]
pub(in crate::agent) struct Chunk<'a> {
    /// The number of the choice of this chunk. One choice is requested.
    pub index: Option<i64>,
    /// Text; may be empty.
    pub content: Cow<'a, str>,
    /// Pieces of tool calls.
    pub tool_calls: Vec<ToolCallDelta<'a>>,
    /// Why the model stopped.
    pub finish_reason: Option<Cow<'a, str>>,
    /// The text and the calls are those of the whole response so far, not only the new ones.
    pub is_whole_message: bool,
    /// The token usage that the provider reports.
    pub usage: Option<Usage>,
    /// The chunk contains thinking, which is not spoken.
    pub is_thinking: bool,
    /// The chunk reports an error.
    pub is_error: bool,
    /// Parts that may have contained text and have no known form.
    pub unreadable_parts: u32,
}

/// A piece of a tool call.
#[derive(Default)]
pub(in crate::agent) struct ToolCallDelta<'a> {
    pub index: Option<i64>,
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub arguments: Cow<'a, str>,
}

impl<'a> Chunk<'a> {
    /// Parses the usual form: every field has its specified type, and the first choice has number 0. `None` for any
    /// other form, which may still be a chunk.
    pub(super) fn parse_standard(data: &'a str) -> Option<Self> {
        let wire: WireChunk<'a> = serde_json::from_str(data).ok()?;
        let choice = wire.choice.filter(|choice| choice.index.unwrap_or(0) == 0);
        let (Some(choice), None) = (choice, wire.error) else {
            return None;
        };
        let is_message = choice.delta.is_none() && choice.message.is_some();
        // The text completions API.
        let is_text = choice.text.is_some() && choice.delta.is_none() && !is_message;
        let delta = choice.delta.or(choice.message).unwrap_or_default();
        if is_text || delta.function_call.or(delta.refusal).is_some() {
            return None;
        }
        Some(Self {
            is_thinking: delta.reasoning_content.or(delta.reasoning).is_some(),
            index: choice.index,
            content: delta.content.map_or(Cow::Borrowed(""), |text| text.0),
            tool_calls: delta
                .tool_calls
                .into_iter()
                .flatten()
                .map(ToolCallDelta::from)
                .collect(),
            finish_reason: choice.finish_reason.map(|reason| reason.0),
            is_whole_message: is_message,
            usage: wire.usage.map(Usage::from),
            is_error: false,
            unreadable_parts: 0,
        })
    }
}

/// `chat.completion.chunk`, or `chat.completion`.
#[derive(Deserialize)]
struct WireChunk<'a> {
    #[serde(
        borrow,
        default,
        rename = "choices",
        deserialize_with = "first_element"
    )]
    choice: Option<WireChoice<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    #[serde(default)]
    index: Option<i64>,
    /// In a stream.
    #[serde(borrow, default)]
    delta: Option<WireDelta<'a>>,
    /// In a whole answer.
    #[serde(borrow, default)]
    message: Option<WireDelta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<BorrowedText<'a>>,
    #[serde(default)]
    text: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
struct WireDelta<'a> {
    #[serde(borrow, default)]
    content: Option<BorrowedText<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<WireToolCallDelta<'a>>>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
    #[serde(default)]
    refusal: Option<IgnoredAny>,
    #[serde(default)]
    reasoning_content: Option<IgnoredAny>,
    #[serde(default)]
    reasoning: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WireToolCallDelta<'a> {
    #[serde(default)]
    index: Option<i64>,
    #[serde(borrow, default)]
    id: Option<BorrowedText<'a>>,
    #[serde(borrow)]
    function: WireFunction<'a>,
}

#[derive(Deserialize)]
struct WireFunction<'a> {
    #[serde(borrow, default)]
    name: Option<BorrowedText<'a>>,
    #[serde(borrow, default)]
    arguments: Option<BorrowedText<'a>>,
}

/// `usage`, as specified.
#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u32>,
    #[serde(default)]
    completion_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

impl From<WireUsage> for Usage {
    fn from(counts: WireUsage) -> Self {
        let prompt = counts.prompt_tokens_details;
        let completion = counts.completion_tokens_details;
        Self {
            prompt_tokens: counts.prompt_tokens.unwrap_or(0),
            completion_tokens: counts.completion_tokens.unwrap_or(0),
            cached_tokens: prompt.and_then(|of| of.cached_tokens).unwrap_or(0),
            reasoning_tokens: completion.and_then(|of| of.reasoning_tokens).unwrap_or(0),
        }
    }
}

impl<'a> From<WireToolCallDelta<'a>> for ToolCallDelta<'a> {
    fn from(call: WireToolCallDelta<'a>) -> Self {
        let text = |text: Option<BorrowedText<'a>>| text.map_or(Cow::Borrowed(""), |text| text.0);
        Self {
            index: call.index,
            id: text(call.id),
            name: text(call.function.name),
            arguments: text(call.function.arguments),
        }
    }
}

/// A text, borrowed where it has no escapes. (serde borrows a `Cow` only outside of an `Option`.)
struct BorrowedText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for BorrowedText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = BorrowedText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<BorrowedText<'de>, E> {
                Ok(BorrowedText(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<BorrowedText<'de>, E> {
                Ok(BorrowedText(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The first element of a list, without a `Vec`; `None` for an empty list and for null.
fn first_element<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct FirstElementVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstElementVisitor<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
            let first = list.next_element()?;
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }
    deserializer.deserialize_any(FirstElementVisitor(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(json: &str) -> Option<Cow<'_, str>> {
        Chunk::parse_standard(json).map(|chunk| chunk.content)
    }

    #[test]
    fn a_token_is_borrowed_unless_it_has_escapes() {
        let plain = content(r#"{"choices":[{"index":0,"delta":{"content":" Pokémon"}}]}"#);
        assert!(matches!(plain, Some(Cow::Borrowed(" Pokémon"))));
        let escaped = content(r#"{"choices":[{"delta":{"content":"\"Pok\u00e9mon\"\n"}}]}"#);
        assert!(matches!(escaped, Some(Cow::Owned(text)) if text == "\"Pokémon\"\n"));
    }

    #[test]
    fn what_servers_leave_out_or_add_is_still_the_usual_form() {
        for json in [
            r#"{"choices":[{"delta":{"role":"assistant","content":null,"refusal":null,"tool_calls":null},"logprobs":null}],"usage":null,"error":null,"x_groq":{"id":[1,2]}}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}},{"delta":{"content":"second"}}]}"#,
            r#"{"choices":[{"delta":{"content":""}}],"usage":{"prompt_tokens":null,"prompt_tokens_details":null}}"#,
        ] {
            assert!(matches!(content(json), Some(Cow::Borrowed(""))), "{json}");
        }
    }

    #[test]
    fn the_counts_of_tokens_are_read_with_their_details() {
        let json = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21,
            "prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":5}}}"#;
        let expected = Usage {
            prompt_tokens: 12,
            completion_tokens: 9,
            cached_tokens: 8,
            reasoning_tokens: 5,
        };
        assert_eq!(Chunk::parse_standard(json).unwrap().usage, Some(expected));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_loose_reading() {
        for json in [
            "{}",
            "{\"choices\":[]}",
            r#"{"choices":[{"index":1,"delta":{"content":"second"}}]}"#,
            r#"{"choices":[{"delta":{"content":["a"]}}]}"#,
            r#"{"choices":[{"delta":{"function_call":{"name":"end_call"}}}]}"#,
            r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1.5}}"#,
            r#"{"choices":[{"delta":{"content":"a"}}],"error":{"message":"overloaded"}}"#,
        ] {
            assert!(Chunk::parse_standard(json).is_none(), "{json}");
        }
    }
}
