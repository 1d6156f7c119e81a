//! One scripted answer of the model, and everything that can be wrong with it.

use std::time::Duration;

/// How long a stall lasts where none is said: longer than any server waits.
const STALL_FOREVER: Duration = Duration::from_secs(3600);

/// A function call that the model streams in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedToolCall {
    pub id: String,
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// How the bytes of a stream are laid on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireLayout {
    /// Lines end in CR LF.
    pub crlf: bool,
    /// Writes so many bytes at a time, which also splits UTF-8 characters and line ends; 0 writes whole events.
    pub split_bytes: usize,
    /// Comment lines, unknown fields and empty lines between the events.
    pub junk: bool,
}

/// A scripted answer. Times are real.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Content deltas in order.
    pub tokens: Vec<String>,
    pub tool_calls: Vec<ScriptedToolCall>,
    /// From the request to the first delta.
    pub first_token: Duration,
    /// Between two deltas.
    pub gap: Duration,
    /// Falls silent for a time after so many deltas (0: before the first).
    pub stall: Option<(usize, Duration)>,
    /// Drops the connection after so many deltas (0: after the head).
    pub cut_after: Option<usize>,
    /// Sends a chunk that is no JSON after so many deltas.
    pub garble_after: Option<usize>,
    /// Answers with this status and no stream.
    pub status: Option<u16>,
    /// `Retry-After`, with `status`.
    pub retry_after: Option<String>,
    /// Body, with `status`; empty: an error object as OpenAI writes it.
    pub body: String,
    /// Closes the connection without any answer.
    pub hang_up: bool,
    pub finish_reason: String,
    /// Ends the stream without `[DONE]`.
    pub no_done: bool,
    pub wire: WireLayout,
}

impl Completion {
    /// Says a text, a word a token, at once.
    pub fn says(text: &str) -> Self {
        Self {
            tokens: words(text),
            tool_calls: Vec::new(),
            first_token: Duration::ZERO,
            gap: Duration::ZERO,
            stall: None,
            cut_after: None,
            garble_after: None,
            status: None,
            retry_after: None,
            body: String::new(),
            hang_up: false,
            finish_reason: "stop".into(),
            no_done: false,
            wire: WireLayout::default(),
        }
    }

    /// Says so many words.
    pub fn words(count: usize) -> Self {
        const STOCK: &str =
            "The berries here are sweet and the tall grass is full of small surprises today.";
        let stock = words(STOCK);
        let mut made = Self::says("");
        made.tokens = (0..count)
            .map(|at| stock[at % stock.len()].clone())
            .collect();
        if count > stock.len() {
            // A second round starts a new sentence and needs its space.
            for token in made
                .tokens
                .iter_mut()
                .skip(stock.len())
                .step_by(stock.len())
            {
                token.insert(0, ' ');
            }
        }
        made
    }

    /// Exactly these deltas.
    pub fn deltas<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Self {
        let mut made = Self::says("");
        made.tokens = tokens.into_iter().map(Into::into).collect();
        made
    }

    /// Calls a function; `arguments` is JSON text.
    pub fn calls(name: &str, arguments: &str) -> Self {
        Self::says("").and_calls(name, arguments)
    }

    /// Calls a function after what it says.
    pub fn and_calls(mut self, name: &str, arguments: &str) -> Self {
        self.tool_calls.push(ScriptedToolCall {
            id: format!("call_{}_{}", name, self.tool_calls.len()),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        });
        self.finish_reason = "tool_calls".into();
        self
    }

    /// Answers with an HTTP error.
    pub fn status(status: u16) -> Self {
        let mut made = Self::says("");
        made.status = Some(status);
        made
    }

    /// Accepts the request and never answers.
    pub fn silence() -> Self {
        Self::says("").stall_after(0, STALL_FOREVER)
    }

    /// Closes the connection without an answer.
    pub fn hangs_up() -> Self {
        let mut made = Self::says("");
        made.hang_up = true;
        made
    }

    pub fn first_token_ms(mut self, ms: u64) -> Self {
        self.first_token = Duration::from_millis(ms);
        self
    }

    pub fn gap_ms(mut self, ms: u64) -> Self {
        self.gap = Duration::from_millis(ms);
        self
    }

    /// Falls silent for `pause` after `tokens` deltas.
    pub fn stall_after(mut self, tokens: usize, pause: Duration) -> Self {
        self.stall = Some((tokens, pause));
        self
    }

    /// Drops the connection after `tokens` deltas.
    pub fn cut_after(mut self, tokens: usize) -> Self {
        self.cut_after = Some(tokens);
        self
    }

    /// A chunk that is no JSON after `tokens` deltas.
    pub fn garble_after(mut self, tokens: usize) -> Self {
        self.garble_after = Some(tokens);
        self
    }

    pub fn retry_after(mut self, value: &str) -> Self {
        self.retry_after = Some(value.to_owned());
        self
    }

    pub fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    pub fn finish_reason(mut self, reason: &str) -> Self {
        self.finish_reason = reason.to_owned();
        self
    }

    pub fn wire(mut self, wire: WireLayout) -> Self {
        self.wire = wire;
        self
    }

    /// Everything it says.
    pub fn text(&self) -> String {
        self.tokens.concat()
    }
}

/// Words with the space before each, so that they string together to the text.
fn words(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let body = rest.trim_start();
        let lead = rest.len() - body.len();
        let end = body
            .find(char::is_whitespace)
            .map_or(rest.len(), |at| lead + at);
        tokens.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_text_string_together_to_it() {
        for text in [
            "",
            "Hello",
            "Hello there. How are you?",
            " led by a space",
            "two  spaces, é and 日本",
        ] {
            assert_eq!(Completion::says(text).text(), text);
        }
    }

    #[test]
    fn a_number_of_words_is_that_number_of_tokens() {
        let long = Completion::words(40);
        assert_eq!(long.tokens.len(), 40);
        assert!(!long.text().contains(".The"));
    }
}
