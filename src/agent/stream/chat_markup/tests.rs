//! What is said, called and left out of what models write.

use super::held_text::HELD_BYTES_MAX;
use super::*;
use crate::agent::BuiltInTools;
use proptest::prelude::*;

/// What came of a text.
#[derive(Debug, Default, PartialEq)]
struct MarkupResult {
    text: String,
    /// The offered tools that were called, with their arguments.
    calls: Vec<(String, String)>,
    dropped: usize,
    other_turn_started: bool,
    unopened_thinking: bool,
}

/// Reads `text`, cut at `cuts` (fractions of its characters in 0..=255), holding back or not.
fn read_in_pieces(text: &str, cuts: &[u8], holds_thoughts: bool) -> MarkupResult {
    let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
    let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let cut = |cut: &u8| {
        boundaries
            .get(usize::from(*cut) * boundaries.len() / 256)
            .copied()
    };
    let mut at: Vec<usize> = cuts.iter().filter_map(cut).collect();
    at.sort_unstable();
    at.push(text.len());
    let mut markup = ChatMarkup::new(holds_thoughts);
    let mut read = MarkupResult::default();
    let mut from = 0;
    for to in at {
        let token = &text[from..to];
        if markup.passes_through(token, &offered) {
            read.text.push_str(token);
        } else {
            markup.push(token, &offered);
        }
        from = to;
        drain(&mut markup, &mut read, &offered);
    }
    markup.finish(&offered);
    drain(&mut markup, &mut read, &offered);
    read.unopened_thinking = markup.unopened_thinking_seen();
    read
}

fn drain(markup: &mut ChatMarkup, read: &mut MarkupResult, offered: &OfferedToolNames) {
    while let Some(part) = markup.next() {
        match part {
            MarkupPart::Text(words) => read.text.push_str(&words),
            MarkupPart::ToolCall { name, arguments } => {
                let name = offered.resolve(&name).unwrap().to_owned();
                read.calls.push((name, arguments));
            }
            MarkupPart::Dropped(_) => read.dropped += 1,
            MarkupPart::OtherRoleTurn => read.other_turn_started = true,
        }
    }
}

/// Reads `text` whole and character by character, which must be the same.
fn read(text: &str) -> MarkupResult {
    let whole = read_in_pieces(text, &[], false);
    let every: Vec<u8> = (0..=255).collect();
    let pieces = read_in_pieces(text, &every, false);
    assert_eq!(whole, pieces, "{text}");
    whole
}

fn said(text: &str) -> String {
    read(text).text
}

#[test]
fn control_tokens_are_silent() {
    for (written, expected) in [
        ("Onix is a rock.<|im_end|>", "Onix is a rock."),
        ("Onix is a rock.<|eot_id|>\n", "Onix is a rock.\n"),
        ("Onix<｜end▁of▁sentence｜>", "Onix"),
        (
            "<s>Onix is</s> a rock.<end_of_turn><eos>",
            "Onix is a rock.",
        ),
        ("<|assistant|>\nOnix", "\nOnix"),
        ("<|im_start|>assistant\nOnix<|im_end|>", "\nOnix"),
        ("<start_of_turn>model\nOnix<end_of_turn>", "\nOnix"),
        (
            "<|start_header_id|>assistant<|end_header_id|>\n\nOnix",
            "\n\nOnix",
        ),
        ("[INST] Onix [/INST] is a rock", " Onix  is a rock"),
        ("Onix<|im_e", "Onix"),
        ("Onix<unused94> is<unused95> a rock.", "Onix is a rock."),
        ("<unused94>thought\nhm<unused95>Onix", "Onix"),
        ("Onix<|reserved_special_token_7|>", "Onix"),
        ("Onix [control_8][PAD][unused1][UNK]", "Onix "),
        ("<|START_RESPONSE|>Onix<|END_RESPONSE|>", "Onix"),
        (
            "[BEGIN FINAL RESPONSE]\nOnix\n[END FINAL RESPONSE]",
            "\nOnix\n",
        ),
    ] {
        assert_eq!(said(written), expected, "{written}");
    }
}

#[test]
fn what_looks_a_little_like_it_is_said() {
    for plain in [
        "if 3 < 5 and 5 > 3 and a <b and <i>c</i> <| d",
        "See [the Pokédex](https://a.b/c) and [1] or [INSTALL] it",
        "A set is {1, 2} and {\"type\": \"rock\"} or {\"name\": \"Onix\", \"weak\": [\"water\"]}",
        "{\"name\": \"Onix\", \"type\": \"rock\"}",
        "{",
        "{\"",
        "```\nlet a = 5;\n```",
        "``",
        "end the call? end_call is a tool, and set_name too, like end_call",
        "Action: speak slowly.\nCall: me\nThoughtful, (not set)",
        "I note it. Sets are ends.",
        "analysis of Onix",
        "analysis",
        "end\nset\nprint me",
        "functools is a module",
        "[end_call] and [x](y)",
        "<function of time>",
        "◁ left",
    ] {
        let read = read(plain);
        assert_eq!(read.text, plain);
        assert_eq!((read.calls.len(), read.dropped), (0, 0), "{plain}");
    }
}

#[test]
fn the_next_turn_is_not_ours() {
    for (written, expected) in [
        ("Onix.<|im_end|>\n<|im_start|>user\nAnd Abra?", "Onix.\n"),
        (
            "Onix.<end_of_turn>\n<start_of_turn>user\nAnd Abra?",
            "Onix.\n",
        ),
        (
            "Onix.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd?",
            "Onix.",
        ),
        ("Onix.<|user|>And Abra?", "Onix."),
        ("Onix.<｜User｜>And Abra?", "Onix."),
        ("Onix.</s>[INST] And Abra? [/INST]", "Onix."),
        ("<|start|>functions.x to=assistant<|message|>x", ""),
    ] {
        let read = read(written);
        assert_eq!(
            (read.text.as_str(), read.other_turn_started),
            (expected, true),
            "{written}"
        );
    }
}

#[test]
fn thoughts_are_silent() {
    for (written, expected) in [
        ("<think>hm <b> </no></think>Onix", "Onix"),
        ("<thinking>hm</thinking>\nOnix", "\nOnix"),
        ("<reasoning>hm</reasoning>Onix", "Onix"),
        ("<thought>hm</thought>Onix", "Onix"),
        ("<seed:think>hm</seed:think>Onix", "Onix"),
        ("◁think▷hm◁/think▷Onix", "Onix"),
        ("[THINK]hm[/THINK]Onix", "Onix"),
        ("<|START_THINKING|>hm<|END_THINKING|>Onix", "Onix"),
        ("<|thinking|>hm<|/thinking|>Onix", "Onix"),
        ("<|begin_of_thought|>hm<|end_of_thought|>Onix", "Onix"),
        ("<|channel>thought\nhm<channel|>Onix", "Onix"),
        ("Onix <think>hm</think>is a rock", "Onix is a rock"),
        ("<think>hm", ""),
    ] {
        let read = read(written);
        assert_eq!(
            (read.text.as_str(), read.unopened_thinking),
            (expected, false),
            "{written}"
        );
    }
}

#[test]
fn channels_of_harmony_are_told_apart() {
    for written in [
        "<|channel|>analysis<|message|>The caller <wants> x.<|end|><|start|>assistant<|channel|>final<|message|>Onix<|return|>",
        "<|channel|>commentary<|message|>{\"a\": 1}<|end|><|start|>assistant<|channel|>final<|message|>Onix",
        "<|channel|>final<|message|>Onix<|end|>",
        "<|channel|>final <|constrain|>text<|message|>Onix<|return|>",
        "<|start|>assistant<|channel|>final<|message|>Onix",
        "<|message|>Onix<|end|>",
        "analysisWe need to say Onix.assistantfinalOnix",
        "analysisWe need it.assistantcommentary to=functions.x json{}assistantfinalOnix",
    ] {
        assert_eq!(said(written), "Onix", "{written}");
    }
    for written in [
        "<|channel|>commentary to=functions.end_call <|constrain|>json<|message|>{\"farewell\":\"Bye\"}<|call|>",
        "<|start|>assistant to=functions.end_call<|channel|>commentary json<|message|>{\"farewell\":\"Bye\"}<|call|>",
        "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=end_call<|message|>{\"farewell\":\"Bye\"}",
    ] {
        let read = read(written);
        assert_eq!(read.text, "", "{written}");
        let bye = ("end_call".to_owned(), "{\"farewell\":\"Bye\"}".to_owned());
        assert_eq!(read.calls, [bye], "{written}");
    }
}

#[test]
fn a_lone_closing_tag_is_remembered_and_waited_for() {
    let written = "The caller wants Onix. 3 < 5 [x]\n</think>\n\nOnix.";
    let first = read(written);
    assert!(first.unopened_thinking);
    let every: Vec<u8> = (0..=255).collect();
    for cuts in [&every[..], &[]] {
        let next = read_in_pieces(written, cuts, true);
        assert_eq!(
            (next.text.as_str(), next.unopened_thinking),
            ("\n\nOnix.", true)
        );
        // Without thoughts the words come at the end.
        let plain = read_in_pieces("Onix is a rock.", cuts, true);
        assert_eq!(
            (plain.text.as_str(), plain.unopened_thinking),
            ("Onix is a rock.", false)
        );
        let opened = read_in_pieces("<think>hm</think>Onix", cuts, true);
        assert_eq!(
            (opened.text.as_str(), opened.unopened_thinking),
            ("Onix", false)
        );
    }
}

#[test]
fn a_reply_that_begins_as_thoughts_do_is_held_back_without_having_been_seen_before() {
    let every: Vec<u8> = (0..=255).collect();
    for written in [
        "The caller wants Onix. 3 < 5 [x]\n</think>\n\nOnix.",
        "Okay, the user asks for a type. Answer shortly.\n</think>\n\nOnix.",
        "好的，用户问的是大岩蛇。\n</think>\n\nOnix.",
        "Okay.</think>\n\nOnix.",
    ] {
        for cuts in [&every[..], &[]] {
            let read = read_in_pieces(written, cuts, false);
            assert_eq!(
                (read.text.as_str(), read.unopened_thinking),
                ("\n\nOnix.", true),
                "{written}"
            );
        }
    }
    // Without a closing tag they were words after all.
    assert_eq!(
        said("Okay, the user of a Pokédex sees Onix."),
        "Okay, the user of a Pokédex sees Onix."
    );
    assert_eq!(said("Okay"), "Okay");
}

#[test]
fn thoughts_that_come_apart_leave_nothing_to_be_held_back() {
    let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
    let mut markup = ChatMarkup::new(true);
    markup.push("Onix", &offered);
    assert_eq!(markup.next(), None);
    markup.thinking_is_separate(&offered);
    assert_eq!(markup.next(), Some(MarkupPart::Text("Onix".into())));
    assert!(markup.passes_through(" is a rock", &offered));
}

#[test]
fn what_is_held_back_is_bounded() {
    let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
    let mut markup = ChatMarkup::new(true);
    let word = "word ".repeat(100);
    let mut pushed = 0;
    while markup.next().is_none() {
        markup.push(&word, &offered);
        pushed += word.len();
        assert!(pushed <= HELD_BYTES_MAX + word.len());
    }
    assert!(markup.passes_through("at once", &offered));
}

#[test]
fn a_written_call_is_carried_out() {
    for written in [
        r#"{"name": "end_call", "arguments": {"farewell": "Bye"}}"#,
        r#"{"name": "functions.end_call", "parameters": {"farewell": "Bye"}}"#,
        r#"{ "type": "function", "function": {"name": "end_call", "arguments": "{\"farewell\": \"Bye\"}"}}"#,
        r#"[{"name": "end_call", "arguments": {"farewell": "Bye"}}]"#,
        "{'name': 'end_call', 'arguments': {'farewell': 'Bye'}}",
        "```json\n{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}\n```",
        "```\n[{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}]\n```",
        "```tool_code\nprint(default_api.end_call(farewell=\"Bye\"))\n```",
        "<tool_call>\n{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}",
        "```xml\n<tool_call>{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}</tool_call>\n```",
        "<tool_call>\n<function=end_call>\n<parameter=farewell>\nBye\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>end_call\n<arg_key>farewell</arg_key>\n<arg_value>Bye</arg_value>\n</tool_call>",
        "<function=end_call>{\"farewell\": \"Bye\"}</function>",
        "<function=end_call{\"farewell\": \"Bye\"}</function>",
        "<function_calls><invoke name=\"end_call\"><parameter name=\"farewell\">Bye</parameter></invoke></function_calls>",
        "<invoke name=\"end_call\"><parameter name=\"farewell\">Bye</parameter></invoke>",
        "<minimax:tool_call>\n<invoke name=\"end_call\">\n<parameter name=\"farewell\">Bye</parameter>\n</invoke>\n</minimax:tool_call>",
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"end_call\">\n<｜DSML｜parameter name=\"farewell\" string=\"true\">Bye</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>end_call\n```json\n{\"farewell\": \"Bye\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.end_call:0<|tool_call_argument_begin|>{\"farewell\": \"Bye\"}<|tool_call_end|><|tool_calls_section_end|>",
        "<|tool_call|>[{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}]<|/tool_call|>",
        "<|tool_call>call:end_call{farewell:<|\"|>Bye<|\"|>}<tool_call|>",
        "<start_function_call>call:end_call{farewell:<escape>Bye<escape>}<end_function_call>",
        "<|tool_call_start|>[end_call(farewell=\"Bye\")]<|tool_call_end|>",
        "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"end_call\", \"parameters\": {\"farewell\": \"Bye\"}}]<|END_ACTION|>",
        "<|python_tag|>{\"name\": \"end_call\", \"parameters\": {\"farewell\": \"Bye\"}}<|eom_id|>",
        "[TOOL_CALLS][{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}]</s>",
        "[TOOL_CALLS]end_call[ARGS]{\"farewell\": \"Bye\"}",
        "functools[{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}]",
        "end_call(farewell=\"Bye\")",
        "[end_call(farewell=\"Bye\")]",
        "default_api.end_call(farewell='Bye')",
        "Action: end_call\nAction Input: {\"farewell\": \"Bye\"}",
        "**Action:** `end_call`\n**Action Input:** {\"farewell\": \"Bye\"}",
        "Action: end_call(farewell=\"Bye\")",
        "Thought: They are done.\nAction: end_call\nAction Input: {\"farewell\": \"Bye\"}",
        "Tool call: end_call {\"farewell\": \"Bye\"}",
        "Function call: {\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye\"}}",
    ] {
        for around in [("", ""), ("So long.\n", ""), ("<think>hm</think>", "")] {
            let text = format!("{}{written}{}", around.0, around.1);
            let read = read(&text);
            assert_eq!(read.calls.len(), 1, "{text}");
            assert_eq!(read.calls[0].0, "end_call", "{text}");
            let arguments: serde_json::Value = serde_json::from_str(&read.calls[0].1).unwrap();
            assert_eq!(
                arguments,
                serde_json::json!({ "farewell": "Bye" }),
                "{text}"
            );
            let words = around.0.trim_start_matches("<think>hm</think>").trim();
            assert_eq!(read.text.trim(), words, "{text}");
            assert_eq!(read.dropped, 0, "{text}");
        }
    }
}

#[test]
fn words_in_an_object_are_words() {
    for written in [
        "{\"response\": \"Onix is a rock.\"}",
        "{\"type\": \"text\", \"text\": \"Onix is a rock.\"}",
        "```json\n{\"answer\": \"Onix is a rock.\"}\n```",
        "<|channel|>analysis We need x<|channel|>final Onix is a rock.",
        "Onix is<0x20> a rock.",
    ] {
        assert_eq!(said(written).trim(), "Onix is a rock.", "{written}");
    }
}

#[test]
fn words_beside_a_written_call_stay() {
    for written in [
        "Good. {\"name\": \"end_call\", \"arguments\": {}} Goodbye.",
        "Good. <tool_call>{\"name\": \"end_call\", \"arguments\": {}}</tool_call> Goodbye.",
        "Good. [TOOL_CALLS][{\"name\": \"end_call\", \"arguments\": {}}] Goodbye.",
        "Good. <tool_call>{\"name\": \"end_call\", \"arguments\": {}}\nGoodbye.",
        "Good.\n```json\n{\"name\": \"end_call\", \"arguments\": {}}\n```\nGoodbye.",
        "Good.\nend_call()\nGoodbye.",
        "Good. end_call() Goodbye.",
        "Good. default_api.end_call(farewell=\"x\") Goodbye.",
        "Good.\nAction: end_call\nGoodbye.",
        "Good.\nend_call\nGoodbye.",
        "Good.\n[end_call]\nGoodbye.",
        "Good. end_call\nGoodbye.",
        "Good. Goodbye. end_call",
        "Good. Goodbye. end_call.",
        "Good. Goodbye.\n*end_call*",
        "Good.\nThought: done.\nAction: end_call\nAction Input: none\nFinal Answer: Goodbye.",
    ] {
        let read = read(written);
        let words: Vec<&str> = read.text.split_whitespace().collect();
        assert_eq!(
            (words, read.calls.len()),
            (vec!["Good.", "Goodbye."], 1),
            "{written}"
        );
    }
}

#[test]
fn several_written_calls_are_carried_out() {
    for written in [
        "<tool_call>{\"name\": \"end_call\"}</tool_call>\n<tool_call>{\"name\": \"hand_over\"}</tool_call>",
        "<tool_call>{\"name\": \"end_call\"}<tool_call>{\"name\": \"hand_over\"}",
        "[TOOL_CALLS]end_call[ARGS]{}[TOOL_CALLS]hand_over[ARGS]{}",
        "{\"name\": \"end_call\", \"arguments\": {}}\n{\"name\": \"hand_over\", \"arguments\": {}}",
        "[end_call(), hand_over(reason=\"a, (b)\")]",
    ] {
        let read = read(written);
        assert_eq!((read.calls.len(), read.text.trim()), (2, ""), "{written}");
    }
}

#[test]
fn a_call_that_is_not_offered_is_left_out() {
    for written in [
        "{\"name\": \"launch\", \"arguments\": {}}",
        "<tool_call>{\"name\": \"launch\", \"arguments\": {}}</tool_call>",
        "<tool_call>nonsense</tool_call>",
        "<function=launch>{}</function>",
        "[TOOL_CALL]\n{tool => \"launch\", args => {\n  --x \"y\"\n}}\n[/TOOL_CALL]",
        "<tool_response>{\"found\": true}</tool_response>",
        "Action: launch_rocket",
        "Action: launch_rocket\nAction Input: {\"a\": 1}",
        // Cut off by the longest reply.
        "{\"name\": \"end_call\", \"arguments\": {\"fare",
        "<tool_call>{\"name\": \"end_call\", \"argum",
        "end_call(farewell=\"By",
        "```json\n{\"name\": \"end_call\", \"argum",
    ] {
        let read = read(written);
        let (said, calls) = (read.text.trim(), read.calls.len());
        assert_eq!((said, calls, read.dropped), ("", 0, 1), "{written}");
    }
    let long = format!(
        "<tool_call>{}</tool_call>Hi",
        "x".repeat(2 * CALL_BYTES_MAX)
    );
    let read = read_in_pieces(&long, &[10, 90, 200], false);
    assert_eq!((read.text.as_str(), read.dropped), ("Hi", 1));
}

/// Text rich in markup.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,4}",
        r#"[<>|/\[\]{}`"':(), \n=]{1,4}"#,
        proptest::sample::select(vec![
            "<think>",
            "</think>",
            "<|im_end|>",
            "<|im_start|>",
            "assistant",
            "user",
            "\n",
            "<tool_call>",
            "</tool_call>",
            "{\"name\": \"end_call\", \"arguments\": {}}",
            "{\"name\": ",
            "end_call(",
            "```json\n",
            "```",
            "[TOOL_CALLS]",
            "<|channel|>",
            "analysis",
            "final",
            "<|message|>",
            "<|end|>",
            "<｜DSML｜invoke name=\"x\">",
            "◁think▷",
            "functools[",
            "print(",
            " to=functions.end_call",
            "<function=end_call>",
            "</function>",
            "Onix",
            "assistantfinal",
            "<|python_tag|>",
            "farewell=\"x\")",
            "[INST]",
            "é",
            "｜",
            "</s>",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_cuts_between_tokens_do_not_matter(
        text in markup(),
        cuts in proptest::collection::vec(any::<u8>(), 0..24),
        holds in any::<bool>(),
    ) {
        let (whole, pieces) = (read_in_pieces(&text, &[], holds), read_in_pieces(&text, &cuts, holds));
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn plain_text_passes_at_once(words in proptest::collection::vec("[A-Zé][a-zéß'-]{0,8}[,.]?", 1..12)) {
        let mut markup = ChatMarkup::new(false);
        let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
        markup.push("It", &offered);
        prop_assert_eq!(markup.next(), Some(MarkupPart::Text("It".into())));
        for word in words {
            let token = format!(" {word}");
            prop_assert!(markup.passes_through(&token, &offered));
        }
    }
}
