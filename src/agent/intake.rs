//! Turns the data of a stream into events. Pure: no socket, no clock.

use super::assembly::Assembly;
use super::chunk::{Choice, Chunk, Delta};
use super::failure::{Failure, Reason};
use super::reply::{Ending, Finish, ReplyEvent, Usage};
use super::speech::Speech;
use compact_str::CompactString;
use std::collections::VecDeque;

/// The data that ends a stream.
const DONE: &str = "[DONE]";
/// Events of a stream that may be no chunk (some servers send "ping") before the answer is given up.
const MALFORMED_MAX: u8 = 3;

/// One answer, as far as it has come.
pub(super) struct Intake {
    speech: Speech,
    language: CompactString,
    assembly: Assembly,
    ready: VecDeque<ReplyEvent>,
    ending: Option<Ending>,
    usage: Option<Usage>,
    tokens: u32,
    spoken: bool,
    /// An answer to the results of tools may be empty.
    may_be_empty: bool,
    malformed: u8,
    closed: bool,
}

impl Intake {
    pub(super) fn new(language: &str, round: u8) -> Self {
        Self {
            speech: Speech::new(language),
            language: language.into(),
            assembly: Assembly::default(),
            ready: VecDeque::new(),
            ending: None,
            usage: None,
            tokens: 0,
            spoken: false,
            may_be_empty: round > 0,
            malformed: 0,
            closed: false,
        }
    }

    /// Takes the data of one event. `Ok(true)` if it moved the answer on: words, tools or its end,
    /// not thoughts and not keep-alives.
    pub(super) fn take(&mut self, data: &str) -> Result<bool, Failure> {
        if data.trim() == DONE {
            return self.end().map(|()| true);
        }
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(data) else {
            return self.forgive();
        };
        if chunk.error.is_some() {
            return Err(Failure::Protocol(Reason::ErrorInStream));
        }
        if chunk.usage.is_some() {
            self.usage = chunk.usage;
        }
        Ok(chunk.choice.is_some_and(|choice| self.take_choice(&choice)))
    }

    fn take_choice(&mut self, choice: &Choice<'_>) -> bool {
        let delta = choice.delta.as_ref().or(choice.message.as_ref());
        let moved = delta.is_some_and(|delta| self.take_delta(delta));
        let ending = choice
            .finish_reason
            .as_ref()
            .and_then(|reason| ending(&reason.0));
        // Only the first end moves the answer on: repeated, it must not prolong the formalities.
        let ended = ending.is_some_and(|ending| self.ending.replace(ending).is_none());
        moved || ended
    }

    fn take_delta(&mut self, delta: &Delta<'_>) -> bool {
        let mut moved = false;
        if let Some(content) = delta
            .content
            .as_ref()
            .filter(|content| !content.0.is_empty())
        {
            self.tokens += 1;
            moved = true;
            let said = self.speech.push(&content.0);
            self.say(said);
        }
        for call in delta.tool_calls.iter().flatten() {
            self.assembly.add(call);
            moved = true;
        }
        moved
    }

    /// The stream is over, by its own word or by its connection's end.
    ///
    /// # Errors
    /// `Cut` if it ended before the answer did; `Protocol(Empty)` if there was nothing in it.
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
        let rest = self.speech.finish();
        self.say(rest);
        let called = !self.assembly.is_empty();
        if !self.spoken && !called && !self.may_be_empty {
            return Err(Failure::Protocol(Reason::Empty));
        }
        self.ready
            .extend(self.assembly.finish(&self.language).map(ReplyEvent::Tool));
        let ending = self
            .ending
            .unwrap_or(if called { Ending::Tools } else { Ending::Said });
        self.ready.push_back(ReplyEvent::Done(Finish {
            tokens: self.tokens,
            usage: self.usage,
            ending,
        }));
        self.closed = true;
        Ok(())
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

    fn forgive(&mut self) -> Result<bool, Failure> {
        self.malformed += 1;
        if self.malformed > MALFORMED_MAX {
            Err(Failure::Protocol(Reason::Malformed))
        } else {
            Ok(false)
        }
    }
}

/// `None` while the answer goes on: some gateways then say `""` or `"null"` in every chunk.
fn ending(reason: &str) -> Option<Ending> {
    Some(match reason.trim() {
        "" | "null" => return None,
        "tool_calls" | "function_call" => Ending::Tools,
        "length" | "max_tokens" => Ending::Length,
        "content_filter" => Ending::Filtered,
        _ => Ending::Said,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Tool;

    fn chunk(content: &str) -> String {
        serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": content } }] })
            .to_string()
    }

    fn finished(reason: &str) -> String {
        serde_json::json!({ "choices": [{ "delta": {}, "finish_reason": reason }] }).to_string()
    }

    fn taken(data: &[&str]) -> (Intake, Result<(), Failure>) {
        let mut intake = Intake::new("en-US", 0);
        let result = data.iter().try_for_each(|data| intake.take(data).map(drop));
        (intake, result)
    }

    fn drained(intake: &mut Intake) -> (String, Vec<Tool>, Option<Finish>) {
        let (mut said, mut tools, mut finish) = (String::new(), Vec::new(), None);
        while let Some(event) = intake.next() {
            match event {
                ReplyEvent::Token(token) => said.push_str(&token),
                ReplyEvent::Tool(call) => tools.push(call.tool),
                ReplyEvent::Done(done) => finish = Some(done),
                ReplyEvent::Failed(failure) => panic!("{failure}"),
            }
        }
        (said, tools, finish)
    }

    #[test]
    fn tokens_come_out_as_they_go_in() {
        let mut intake = Intake::new("en-US", 0);
        for token in ["It", " is", " **", "fire", "**", "."] {
            intake.take(&chunk(token)).unwrap();
        }
        let tokens: Vec<_> = std::iter::from_fn(|| intake.next()).collect();
        let expected = ["It", " is", " ", "fire", "."].map(|token| ReplyEvent::Token(token.into()));
        assert_eq!(tokens, expected);
    }

    #[test]
    fn an_answer_ends_by_done_and_carries_the_usage() {
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":2}}"#;
        let (mut intake, result) = taken(&[
            &chunk("Hi"),
            &chunk(" #"),
            &finished("length"),
            usage,
            "[DONE]",
        ]);
        assert_eq!(result, Ok(()));
        let (said, tools, finish) = drained(&mut intake);
        assert_eq!((said.as_str(), tools.len()), ("Hi ", 0));
        let usage = Some(Usage {
            prompt_tokens: 12,
            completion_tokens: 2,
        });
        assert_eq!(
            finish,
            Some(Finish {
                tokens: 2,
                usage,
                ending: Ending::Length
            })
        );
    }

    #[test]
    fn done_may_be_missing_after_a_finish_reason_only() {
        let (mut intake, _) = taken(&[&chunk("Hi"), &finished("stop")]);
        assert_eq!(intake.end_of_body(), Ok(()));
        let (mut intake, _) = taken(&[&chunk("Hi")]);
        assert_eq!(intake.end_of_body(), Err(Failure::Cut));
        let (mut intake, _) = taken(&[]);
        assert_eq!(intake.end_of_body(), Err(Failure::Protocol(Reason::Empty)));
    }

    #[test]
    fn a_reason_without_a_word_in_it_does_not_end_the_answer() {
        for nothing in ["", " ", "null"] {
            let (mut intake, _) = taken(&[&chunk("Hi"), &finished(nothing)]);
            assert!(!intake.is_ending(), "{nothing:?}");
            assert_eq!(intake.take(&finished(nothing)), Ok(false), "{nothing:?}");
            assert_eq!(intake.end_of_body(), Err(Failure::Cut), "{nothing:?}");
        }
    }

    #[test]
    fn the_first_end_moves_the_answer_on_and_a_repeated_one_does_not() {
        let (mut intake, _) = taken(&[&chunk("Hi")]);
        assert_eq!(intake.take(&finished("length")), Ok(true));
        assert_eq!(intake.take(&finished("length")), Ok(false));
        // Neither takes a later nothing the end back.
        assert_eq!(intake.take(&finished("")), Ok(false));
        assert_eq!(intake.end_of_body(), Ok(()));
        assert_eq!(drained(&mut intake).2.unwrap().ending, Ending::Length);
    }

    #[test]
    fn an_empty_answer_is_a_failure_unless_it_answers_tools() {
        let empty = Err(Failure::Protocol(Reason::Empty));
        assert_eq!(taken(&["[DONE]"]).1, empty);
        assert_eq!(
            taken(&[&chunk(" \n"), &finished("stop"), "[DONE]"]).1,
            empty
        );
        let mut intake = Intake::new("en-US", 1);
        assert_eq!(intake.take("[DONE]"), Ok(true));
        assert_eq!(
            intake.next(),
            Some(ReplyEvent::Done(Finish {
                tokens: 0,
                usage: None,
                ending: Ending::Said
            }))
        );
    }

    #[test]
    fn a_few_events_may_be_no_chunk() {
        let mut intake = Intake::new("en-US", 0);
        for noise in ["ping", "{", "\"x\""] {
            assert_eq!(intake.take(noise), Ok(false));
        }
        assert_eq!(intake.take(&chunk("Hi")), Ok(true));
        assert_eq!(
            intake.take("pong"),
            Err(Failure::Protocol(Reason::Malformed))
        );
    }

    #[test]
    fn an_error_in_the_stream_ends_the_answer() {
        let error = r#"{"error":{"message":"overloaded","type":"server_error","code":null}}"#;
        assert_eq!(
            taken(&[&chunk("Hi"), error]).1,
            Err(Failure::Protocol(Reason::ErrorInStream))
        );
    }

    #[test]
    fn tools_come_after_the_words_and_before_the_end() {
        let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"end_call","arguments":"{\"farewell\":\"**Bye**!\"}"}}]}}]}"#;
        let (mut intake, result) =
            taken(&[&chunk("So long."), call, &finished("tool_calls"), "[DONE]"]);
        assert_eq!(result, Ok(()));
        let events: Vec<_> = std::iter::from_fn(|| intake.next()).collect();
        assert!(
            matches!(&events[..], [ReplyEvent::Token(_), ReplyEvent::Tool(_), ReplyEvent::Done(done)] if done.ending == Ending::Tools)
        );
        let ReplyEvent::Tool(call) = &events[1] else {
            unreachable!()
        };
        assert!(matches!(&call.tool, Tool::EndCall { farewell: Some(words) } if words == "Bye!"));
    }

    #[test]
    fn thoughts_and_keep_alives_do_not_move_the_answer_on() {
        let mut intake = Intake::new("en-US", 0);
        for still in [
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
        ] {
            assert_eq!(intake.take(still), Ok(false));
        }
    }

    #[test]
    fn a_whole_answer_is_read_as_well() {
        let whole = r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"It is *fire*."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":4}}"#;
        let (mut intake, result) = taken(&[whole]);
        assert_eq!((result, intake.end_of_body()), (Ok(()), Ok(())));
        let (said, _, finish) = drained(&mut intake);
        assert_eq!(
            (said.as_str(), finish.unwrap().ending),
            ("It is fire.", Ending::Said)
        );
    }
}
