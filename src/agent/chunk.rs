//! A chunk of a streamed answer, borrowed from the bytes that came: no tree and, for a token
//! without escapes, no copy. Also reads a whole answer, where a server does not stream.

use super::reply::Usage;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// `chat.completion.chunk`, or `chat.completion`.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    /// Only one choice is ever asked for.
    #[serde(borrow, default, rename = "choices", deserialize_with = "first")]
    pub choice: Option<Choice<'a>>,
    #[serde(default)]
    pub usage: Option<Usage>,
    #[serde(default)]
    pub error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    /// In a stream.
    #[serde(borrow, default)]
    pub delta: Option<Delta<'a>>,
    /// In a whole answer.
    #[serde(borrow, default)]
    pub message: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub tool_calls: Option<Vec<CallDelta<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct CallDelta<'a> {
    #[serde(default)]
    pub index: Option<u32>,
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
pub(super) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub arguments: Option<Text<'a>>,
}

/// A text, borrowed where it has no escapes. (serde borrows a `Cow` only outside of an `Option`.)
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Words)
    }
}

/// The first element of a list, without a `Vec`; `None` for an empty list and for null.
fn first<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct First<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for First<T> {
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
    deserializer.deserialize_any(First(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(json: &str) -> Option<Cow<'_, str>> {
        let chunk: Chunk<'_> = serde_json::from_str(json).unwrap();
        chunk.choice?.delta?.content.map(|text| text.0)
    }

    #[test]
    fn a_token_is_borrowed_unless_it_has_escapes() {
        let plain = content(r#"{"choices":[{"index":0,"delta":{"content":" Pokémon"}}]}"#);
        assert!(matches!(plain, Some(Cow::Borrowed(" Pokémon"))));
        let escaped = content(r#"{"choices":[{"delta":{"content":"\"Pok\u00e9mon\"\n"}}]}"#);
        assert!(matches!(escaped, Some(Cow::Owned(text)) if text == "\"Pokémon\"\n"));
    }

    #[test]
    fn what_servers_leave_out_or_add_is_tolerated() {
        for json in [
            "{}",
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
            r#"{"choices":null,"usage":null,"error":null,"x_groq":{"id":[1,2]}}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}},{"delta":{"content":"second"}}]}"#,
        ] {
            assert_eq!(content(json), None, "{json}");
        }
    }
}
