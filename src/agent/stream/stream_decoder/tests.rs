//! What comes of the data of a stream.

use super::*;
use crate::agent::ToolInvocation;

fn chunk(content: &str) -> String {
    serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": content } }] }).to_string()
}

fn finished(reason: &str) -> String {
    serde_json::json!({ "choices": [{ "delta": {}, "finish_reason": reason }] }).to_string()
}

fn decoder(round: u8) -> StreamDecoder {
    StreamDecoder::new(DecoderOptions {
        provider: "primary",
        language: "en-US",
        tool_step: round,
        built_in_tools: &BuiltInTools::ALL,
        configured_tools: &Default::default(),
        expects_unopened_thinking: false,
    })
}

fn taken(data: &[&str]) -> (StreamDecoder, Result<(), ReplyFailure>) {
    let mut decoder = decoder(0);
    let result = data
        .iter()
        .try_for_each(|data| decoder.take(data).map(drop));
    (decoder, result)
}

fn drained(decoder: &mut StreamDecoder) -> (String, Vec<ToolInvocation>, Option<Finish>) {
    let (mut said, mut tools, mut finish) = (String::new(), Vec::new(), None);
    while let Some(event) = decoder.next() {
        match event {
            ReplyEvent::Token(token) => said.push_str(&token),
            ReplyEvent::Tool(call) => tools.push(call.invocation),
            ReplyEvent::Done(done) => finish = Some(done),
            ReplyEvent::Failed(failure) => panic!("{failure}"),
        }
    }
    (said, tools, finish)
}

#[test]
fn tokens_come_out_as_they_go_in() {
    let mut decoder = decoder(0);
    for token in ["It", " is", " **", "fire", "**", "."] {
        decoder.take(&chunk(token)).unwrap();
    }
    let tokens: Vec<_> = std::iter::from_fn(|| decoder.next()).collect();
    let expected = ["It", " is", " ", "fire", "."].map(|token| ReplyEvent::Token(token.into()));
    assert_eq!(tokens, expected);
}

#[test]
fn an_answer_ends_by_done_and_carries_the_usage() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":2}}"#;
    let (mut decoder, result) = taken(&[
        &chunk("Hi"),
        &chunk(" **"),
        &finished("length"),
        usage,
        "[DONE]",
    ]);
    assert_eq!(result, Ok(()));
    let (said, tools, finish) = drained(&mut decoder);
    assert_eq!((said.as_str(), tools.len()), ("Hi ", 0));
    let usage = Some(Usage {
        prompt_tokens: 12,
        completion_tokens: 2,
        ..Usage::default()
    });
    assert_eq!(
        finish,
        Some(Finish {
            text_pieces: 2,
            usage,
            finish_reason: FinishReason::Length,
            ..Finish::default()
        })
    );
}

#[test]
fn done_may_be_missing_after_a_finish_reason_only() {
    let (mut decoder, _) = taken(&[&chunk("Hi"), &finished("stop")]);
    assert_eq!(decoder.end_of_body(), Ok(()));
    let (mut decoder, _) = taken(&[&chunk("Hi")]);
    assert_eq!(decoder.end_of_body(), Err(ReplyFailure::ConnectionLost));
    let (mut decoder, _) = taken(&[]);
    assert_eq!(
        decoder.end_of_body(),
        Err(ReplyFailure::Protocol(ProtocolError::Empty))
    );
}

#[test]
fn a_reason_without_a_word_in_it_does_not_end_the_answer() {
    for nothing in ["", " ", "null"] {
        let (mut decoder, _) = taken(&[&chunk("Hi"), &finished(nothing)]);
        assert!(!decoder.has_finish_reason(), "{nothing:?}");
        assert_eq!(decoder.take(&finished(nothing)), Ok(false), "{nothing:?}");
        assert_eq!(
            decoder.end_of_body(),
            Err(ReplyFailure::ConnectionLost),
            "{nothing:?}"
        );
    }
}

#[test]
fn the_first_end_moves_the_answer_on_and_a_repeated_one_does_not() {
    let (mut decoder, _) = taken(&[&chunk("Hi")]);
    assert_eq!(decoder.take(&finished("length")), Ok(true));
    assert_eq!(decoder.take(&finished("length")), Ok(false));
    // Neither takes a later nothing the end back.
    assert_eq!(decoder.take(&finished("")), Ok(false));
    assert_eq!(decoder.end_of_body(), Ok(()));
    assert_eq!(
        drained(&mut decoder).2.unwrap().finish_reason,
        FinishReason::Length
    );
}

#[test]
fn an_empty_answer_is_a_failure_unless_it_answers_tools() {
    let empty = Err(ReplyFailure::Protocol(ProtocolError::Empty));
    assert_eq!(taken(&["[DONE]"]).1, empty);
    assert_eq!(
        taken(&[&chunk(" \n"), &finished("stop"), "[DONE]"]).1,
        empty
    );
    let mut decoder = decoder(1);
    assert_eq!(decoder.take("[DONE]"), Ok(true));
    assert_eq!(decoder.next(), Some(ReplyEvent::Done(Finish::default())));
}

#[test]
fn a_few_events_may_be_unreadable() {
    let mut decoder = decoder(0);
    for noise in [
        "{",
        "no such route",
        r#"{"choices":[{"delta":{"content":"po"#,
    ] {
        assert_eq!(decoder.take(noise), Ok(false), "{noise}");
    }
    assert_eq!(decoder.take(&chunk("Hi")), Ok(true));
    assert_eq!(
        decoder.take("{]"),
        Err(ReplyFailure::Protocol(ProtocolError::Malformed))
    );
    assert_eq!(decoder.dropped_parts, 4);
}

#[test]
fn keep_alives_are_not_malformed() {
    let mut decoder = decoder(0);
    for still in [
        "",
        " ",
        ": keep-alive",
        ":OPENROUTER PROCESSING",
        "ping",
        "\"ping\"",
        "[PING]",
        "keep-alive",
        "{}",
        "[]",
        "null",
        r#"{"type":"ping"}"#,
        r#"{"type": "ping"}"#,
        r#"{"id":"x","object":"chat.completion.chunk","choices":[]}"#,
        r#"{"choices":null,"error":null}"#,
        r#"{"choices":[null]}"#,
    ] {
        assert_eq!(decoder.take(still), Ok(false), "{still}");
    }
    assert_eq!((decoder.malformed_events, decoder.dropped_parts), (0, 0));
}

#[test]
fn no_odd_field_costs_a_word() {
    let with = |rest: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{{rest}}}}}]}}"#);
    for odd in [
        with(r#""content":" feed""#).replace("}]}", r#"}],"usage":{"prompt_tokens":null}}"#),
        with(r#""content":" feed""#).replace("}]}", r#"}],"usage":{"prompt_tokens":1.5,"completion_tokens":"2"}}"#),
        with(r#""content":" feed""#).replace("}]}", r#"}],"usage":{"prompt_tokens":-1,"prompt_tokens_details":{"cached_tokens":"x"}}}"#),
        with(r#""content":" feed""#).replace("}]}", r#"}],"usage":[]}"#),
        with(r#""content":" feed""#).replace("}]}", r#"}],"error":null,"id":5,"created":"now"}"#),
        with(r#""content":" feed""#).replace("\"index\":0", r#""index":"0""#),
        with(r#""content":" feed""#).replace("\"index\":0", r#""index":0.0"#),
        with(r#""content":" feed""#).replace("\"index\":0", r#""index":null,"finish_reason":false"#),
        with(r#""content":" feed""#).replace("\"index\":0", r#""index":0,"finish_reason":{},"logprobs":{"content":[NaN]}"#),
        with(r#""content":" feed","tool_calls":{},"function_call":null"#),
        with(r#""content":" feed","tool_calls":[],"role":null"#),
        with(r#""content":[{"type":"text","text":" feed"}]"#),
        with(r#""content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":" fe"},{"type":"output_text","text":"ed"}]"#),
        with(r#""content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"text":{"value":" feed"}}]"#),
        with(r#""content":[{"text":"hm","thought":true}," feed"]"#),
        with(r#""content":{"type":"text","text":" feed"}"#),
        with(r#""content":{"parts":[]},"content":{"content":" feed"}"#),
        with(r#""content":null,"refusal":" feed""#),
        with(r#""content":" feed\ud83d""#),
        with("\"content\":\" feed\u{1}\""),
        r#"{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":" feed"}}]}"#.to_owned(),
        r#"{"choices":[{"index":0,"text":" feed"}]}"#.to_owned(),
        r#"{"choices":{"index":0,"delta":{"content":" feed"}}}"#.to_owned(),
        r#"{"choices":[{"delta":" feed"}]}"#.to_owned(),
        r#"{"choices":[{"delta":null,"message":{"content":" feed"}}]}"#.to_owned(),
        r#"{"message":{"role":"assistant","content":" feed"},"done":false}"#.to_owned(),
        format!("data: {}", chunk(" feed")),
        format!("{}\n{}", chunk(" fe"), chunk("ed")),
        format!("[{}]", chunk(" feed")),
    ] {
        let (mut decoder, result) =
            taken(&[&chunk("Never"), &odd, &chunk(" it poison."), &finished("stop"), "[DONE]"]);
        assert_eq!(result, Ok(()), "{odd}");
        let said = drained(&mut decoder).0;
        assert_eq!(said.trim_end_matches(' '), "Never feed it poison.", "{odd}");
        assert_eq!(decoder.dropped_parts, 0, "{odd}");
    }
}

#[test]
fn what_is_left_out_is_counted() {
    for odd in [
        r#"{"choices":[{"delta":{"content":[{"type":"image_url","image_url":"x"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"tool_use","id":"x"},{"type":"text","text":""}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"po"#,
        r#"{"content":"poison"}"#,
    ] {
        let (mut decoder, result) = taken(&[&chunk("Hi"), odd, &finished("stop")]);
        assert_eq!((result, decoder.dropped_parts), (Ok(()), 1), "{odd}");
        assert_eq!(drained(&mut decoder).0, "Hi", "{odd}");
    }
}

#[test]
fn an_answer_repeated_whole_at_its_end_is_said_once() {
    let last = r#"{"choices":[{"message":{"content":"It is fire.","tool_calls":[{"function":{"name":"end_call","arguments":{}}}]},"finish_reason":"stop"}]}"#;
    let (mut decoder, _) = taken(&[&chunk("It is"), &chunk(" fire."), last, "[DONE]"]);
    let (said, tools, _) = drained(&mut decoder);
    assert_eq!((said.as_str(), tools.len()), ("It is fire.", 1));
    let last =
        r#"{"choices":[{"delta":{},"message":{"content":"It is fire."},"finish_reason":"stop"}]}"#;
    let (mut decoder, _) = taken(&[&chunk("It is fire."), last, "[DONE]"]);
    assert_eq!(drained(&mut decoder).0, "It is fire.");
}

#[test]
fn only_one_choice_is_said() {
    let other = r#"{"choices":[{"index":1,"delta":{"content":"It is water."}}]}"#;
    let (mut decoder, _) = taken(&[&chunk("It is fire."), other, &finished("stop"), "[DONE]"]);
    assert_eq!(drained(&mut decoder).0, "It is fire.");
}

#[test]
fn the_old_form_of_a_call_is_a_call() {
    let (mut decoder, result) = taken(&[
        r#"{"choices":[{"delta":{"function_call":{"name":"end_call","arguments":""}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"{\"farewell\":"}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"\"Bye\"}"}}}]}"#,
        &finished("function_call"),
        "[DONE]",
    ]);
    assert_eq!(result, Ok(()));
    let (_, tools, finish) = drained(&mut decoder);
    assert!(
        matches!(&tools[..], [ToolInvocation::EndCall { farewell: Some(words) }] if words == "Bye")
    );
    assert_eq!(finish.unwrap().finish_reason, FinishReason::ToolCalls);
}

#[test]
fn counts_are_read_as_far_as_they_can_be() {
    for (usage, expected) in [
        (
            r#""usage":{"prompt_tokens":12.0,"completion_tokens":"9"}"#,
            Some((12, 9, 0, 0)),
        ),
        (
            r#""usage":{"prompt_tokens":-3,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":5.0}}"#,
            Some((0, 9, 0, 5)),
        ),
        (
            r#""usage":{"prompt_tokens":12,"completion_tokens":9,"prompt_cache_hit_tokens":8}"#,
            Some((12, 9, 8, 0)),
        ),
        (
            r#""message":{"content":""},"done":true,"prompt_eval_count":12,"eval_count":9"#,
            Some((12, 9, 0, 0)),
        ),
        (r#""usage":{"prompt_tokens":null}"#, None),
        (r#""usage":{}"#, None),
        (r#""usage":"none""#, None),
    ] {
        let (mut decoder, _) = taken(&[&chunk("Hi"), &format!("{{{usage}}}"), "[DONE]"]);
        let usage = drained(&mut decoder).2.unwrap().usage;
        let counts = usage.map(|of| {
            (
                of.prompt_tokens,
                of.completion_tokens,
                of.cached_tokens,
                of.reasoning_tokens,
            )
        });
        assert_eq!(counts, expected, "{usage:?}");
    }
}

#[test]
fn an_error_in_the_stream_ends_the_answer() {
    let failed = Err(ReplyFailure::Protocol(ProtocolError::ErrorInStream));
    for error in [
        r#"{"error":{"message":"overloaded","type":"server_error","code":null}}"#,
        r#"{"error":"overloaded"}"#,
        r#"{"error":{}}"#,
        r#"[{"error":{"code":503,"message":"overloaded"}}]"#,
        r#"{"object":"error","message":"overloaded","code":500}"#,
        r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
        r#"{"detail":"overloaded"}"#,
        r#"{"detail":[{"msg":"overloaded"}]}"#,
        r#"{"message":"Internal server error"}"#,
        r#"{"code":500,"msg":"overloaded"}"#,
        r#"{"errors":["overloaded"]}"#,
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502}}"#,
        r#"{"choices":[],"error":{"message":"overloaded"}}"#,
        &finished("error"),
        &finished("abort"),
        r#"{"choices":[{"delta":{},"finish_reason":{"type":"abort","message":"x"}}]}"#,
    ] {
        let (mut decoder, result) = taken(&[&chunk("Onix is"), error]);
        assert_eq!(result, failed, "{error}");
        assert!(matches!(decoder.next(), Some(ReplyEvent::Token(_))));
    }
    for fine in [
        r#"{"choices":[{"delta":{"content":"Hi"}}],"error":null}"#,
        r#"{"choices":[{"delta":{"content":"Hi"}}],"error":{}}"#,
        r#"{"choices":[{"delta":{"content":"Hi"}}],"error":"","detail":"x","message":"y"}"#,
    ] {
        assert_eq!(taken(&[fine]).1, Ok(()), "{fine}");
    }
}

#[test]
fn reasons_have_many_names() {
    for (reason, expected) in [
        ("\"stop\"", FinishReason::Stop),
        ("\"STOP\"", FinishReason::Stop),
        ("\"eos_token\"", FinishReason::Stop),
        ("true", FinishReason::Stop),
        ("{\"type\":\"length\",\"length\":9}", FinishReason::Length),
        ("\"MAX_TOKENS\"", FinishReason::Length),
        ("\"model_length\"", FinishReason::Length),
        ("\"content_filter\"", FinishReason::ContentFilter),
        ("\"SAFETY\"", FinishReason::ContentFilter),
        ("\"tool_use\"", FinishReason::ToolCalls),
    ] {
        let last = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":{reason}}}]}}"#);
        let (mut decoder, result) = taken(&[&chunk("Hi"), &last]);
        assert_eq!(
            (result, decoder.end_of_body()),
            (Ok(()), Ok(())),
            "{reason}"
        );
        assert_eq!(
            drained(&mut decoder).2.unwrap().finish_reason,
            expected,
            "{reason}"
        );
    }
}

#[test]
fn why_an_answer_is_empty_is_told() {
    for (ending, reason) in [
        ("length", ProtocolError::OutOfTokens),
        ("content_filter", ProtocolError::Filtered),
        ("stop", ProtocolError::Empty),
    ] {
        let thought = r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#;
        let (_, result) = taken(&[thought, &finished(ending), "[DONE]"]);
        let failure = ReplyFailure::Protocol(reason);
        assert_eq!(result, Err(failure));
        assert_eq!(failure.is_transient(), reason == ProtocolError::Empty);
    }
}

#[test]
fn tools_come_after_the_words_and_before_the_end() {
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"end_call","arguments":"{\"farewell\":\"**Bye**!\"}"}}]}}]}"#;
    let (mut decoder, result) =
        taken(&[&chunk("So long."), call, &finished("tool_calls"), "[DONE]"]);
    assert_eq!(result, Ok(()));
    let events: Vec<_> = std::iter::from_fn(|| decoder.next()).collect();
    assert!(
        matches!(&events[..], [ReplyEvent::Token(_), ReplyEvent::Tool(_), ReplyEvent::Done(done)] if done.finish_reason == FinishReason::ToolCalls)
    );
    let ReplyEvent::Tool(call) = &events[1] else {
        unreachable!()
    };
    assert!(
        matches!(&call.invocation, ToolInvocation::EndCall { farewell: Some(words) } if words == "Bye!")
    );
}

#[test]
fn what_a_template_leaks_is_not_spoken() {
    for (tokens, expected) in [
        (
            &["Onix is a rock.", "<|im", "_end|>"][..],
            "Onix is a rock.",
        ),
        (
            &[
                "<|channel|>",
                "analysis",
                "<|message|>",
                "The caller wants",
                "<|end|>",
                "<|start|>",
                "assistant",
                "<|channel|>",
                "final",
                "<|message|>",
                "Onix",
                "<|return|>",
            ],
            "Onix",
        ),
        (
            &[
                "Onix.",
                "<|im_end|>\n",
                "<|im_start|>",
                "user\n",
                "And",
                " Abra?",
            ],
            "Onix.\n",
        ),
        (&["<think>", "hm", "</think>", "Onix"], "Onix"),
    ] {
        let chunks: Vec<String> = tokens.iter().map(|token| chunk(token)).collect();
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let (mut decoder, result) = taken(&chunks);
        assert_eq!((result, decoder.end()), (Ok(()), Ok(())), "{tokens:?}");
        assert_eq!(drained(&mut decoder).0, expected, "{tokens:?}");
    }
}

#[test]
fn a_written_call_is_carried_out_or_left_out() {
    let call = chunk(r#"{"name": "end_call", "arguments": {"farewell": "Bye"}}"#);
    let (mut decoder, _) = taken(&[&call, &finished("stop"), "[DONE]"]);
    let (said, tools, _) = drained(&mut decoder);
    assert_eq!(said, "");
    assert!(
        matches!(&tools[..], [ToolInvocation::EndCall { farewell: Some(words) }] if words == "Bye")
    );
    let unknown = chunk(r#"{"name": "launch", "arguments": {}}"#);
    let (decoder, result) = taken(&[&unknown, &finished("stop"), "[DONE]"]);
    let empty = Err(ReplyFailure::Protocol(ProtocolError::Empty));
    assert_eq!((result, decoder.dropped_parts), (empty, 1));
    // Neither is it silence where an empty answer would be fine.
    let mut decoder = self::decoder(1);
    decoder.take(&unknown).unwrap();
    assert_eq!(decoder.take("[DONE]").map(drop), empty);
}

#[test]
fn thoughts_before_a_lone_closing_tag_are_held_back_where_they_are_expected() {
    let tokens = [
        chunk("The caller"),
        chunk(" wants.</think>"),
        chunk("Onix."),
    ];
    let tokens = tokens.iter().map(String::as_str).chain(["[DONE]"]);
    let (decoder, _) = taken(&tokens.clone().collect::<Vec<_>>());
    assert_eq!(decoder.unopened_thinking(), Some(true));
    let mut decoder = StreamDecoder::new(DecoderOptions {
        provider: "primary",
        language: "en-US",
        tool_step: 0,
        built_in_tools: &BuiltInTools::ALL,
        configured_tools: &Default::default(),
        expects_unopened_thinking: true,
    });
    for data in tokens {
        decoder.take(data).unwrap();
    }
    assert_eq!(drained(&mut decoder).0, "Onix.");
}

#[test]
fn thoughts_that_are_cut_off_before_their_closing_tag_are_not_said() {
    let thought = chunk("Okay, the user asks for a type. Onix is a big snake, so");
    let (mut decoder, result) = taken(&[&thought, &finished("length"), "[DONE]"]);
    assert_eq!(
        result,
        Err(ReplyFailure::Protocol(ProtocolError::OutOfTokens))
    );
    assert_eq!(
        (
            drained(&mut decoder).0.as_str(),
            decoder.unopened_thinking()
        ),
        ("", Some(true))
    );
    // A reply that ended by itself were words.
    let (mut decoder, result) = taken(&[&thought, &finished("stop"), "[DONE]"]);
    assert_eq!((result, decoder.unopened_thinking()), (Ok(()), Some(false)));
    assert!(drained(&mut decoder).0.starts_with("Okay, the user"));
}

#[test]
fn thoughts_and_keep_alives_do_not_move_the_answer_on() {
    let mut decoder = decoder(0);
    for still in [
        r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
    ] {
        assert_eq!(decoder.take(still), Ok(false));
    }
}

#[test]
fn a_whole_answer_is_read_as_well() {
    let whole = r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"It is *fire*."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":4}}"#;
    let (mut decoder, result) = taken(&[whole]);
    assert_eq!((result, decoder.end_of_body()), (Ok(()), Ok(())));
    let (said, _, finish) = drained(&mut decoder);
    assert_eq!(
        (said.as_str(), finish.unwrap().finish_reason),
        ("It is fire.", FinishReason::Stop)
    );
}
