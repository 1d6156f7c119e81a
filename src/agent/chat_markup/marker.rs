//! The tokens and tags of chat templates, as they stand in text.

/// Longest control token, and longest tag with its attributes; what is longer was none.
const TOKEN_BYTES_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 256;
/// What DeepSeek puts before the names of its tags.
const PREFIXES: [&str; 2] = ["｜DSML｜", "|DSML|"];

/// What stands at the start of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// None of them.
    No,
    /// Perhaps one of them, when more has come.
    Perhaps,
    /// So many bytes are one of them.
    Marker(usize, Kind),
}

/// What a token or tag means for what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Silent,
    /// A part of what surrounds it: `<|constrain|>`.
    Inner,
    ThoughtBegins,
    ThoughtEnds,
    /// The name of a role follows.
    Role,
    /// A role that is not the model's: what follows is not its reply.
    OtherRole,
    /// The header of a channel follows, up to `<|message|>` (harmony).
    Channel,
    Message,
    /// A tool call follows, up to a tag of this name, or up to the next token where there is none.
    Call(String),
    /// The result of a tool follows, as the model imagines it.
    Result(String),
    /// The end of a call that was begun by a tag of this name.
    CallEnds(String),
}

const THOUGHTS: [&str; 18] = [
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "scratchpad",
    "inner_monologue",
    "analysis",
    "internal",
    "seed:think",
    "mm:think",
    "longcat_think",
    "antthinking",
    "begin_of_thought",
    "start_of_thought",
    "start_thinking",
    "begin_of_thinking",
];
const THOUGHT_ENDS: [&str; 4] = [
    "end_of_thought",
    "end_thinking",
    "end_of_thinking",
    "end_thought",
];
const CALLS: [&str; 21] = [
    "tool_call",
    "tool_calls",
    "toolcall",
    "function",
    "function_call",
    "function_calls",
    "functioncall",
    "invoke",
    "tool_use",
    "tool_code",
    "minimax:tool_call",
    "seed:tool_call",
    "longcat_tool_call",
    "start_function_call",
    "tool_call_begin",
    "tool_call_start",
    "python_tag",
    "python_start",
    "start_action",
    "action_start",
    "xai:function_call",
];
const RESULTS: [&str; 4] = [
    "tool_response",
    "tool_result",
    "tool_results",
    "function_results",
];
const OTHER_ROLES: [&str; 13] = [
    "user",
    "human",
    "system",
    "developer",
    "tool",
    "observation",
    "environment",
    "ipython",
    "user_token",
    "system_token",
    "tool_token",
    "function",
    "functions",
];
const OWN_ROLES: [&str; 6] = ["assistant", "model", "bot", "chatbot", "gpt", "ai"];
const ROLE_HEADERS: [&str; 7] = [
    "start",
    "im_start",
    "turn",
    "start_header_id",
    "start_of_role",
    "start_of_turn",
    "header_start",
];
const INNER: [&str; 9] = [
    "constrain",
    "tool_sep",
    "tool_call_argument_begin",
    "tool_call_argument_end",
    "plugin",
    "interpreter",
    "\"",
    "escape",
    "call_id",
];
/// Tags that mean nothing besides.
const SILENT_TAGS: [&str; 11] = [
    "s",
    "bos",
    "eos",
    "pad",
    "unk",
    "end_of_turn",
    "end_of_utterance",
    "channel",
    "start_of_image",
    "end_function_call",
    "unused95",
];
/// The token before the name of Gemma's channel of thoughts, where it has no name of its own.
const UNNAMED_CHANNEL: &str = "unused94";
/// Tokens in square brackets and in other signs.
const BRACKETS: [(&str, Kind); 34] = [
    ("[INST]", Kind::OtherRole),
    ("[/INST]", Kind::Silent),
    ("[SYSTEM_PROMPT]", Kind::OtherRole),
    ("[/SYSTEM_PROMPT]", Kind::Silent),
    ("[AVAILABLE_TOOLS]", Kind::OtherRole),
    ("[/AVAILABLE_TOOLS]", Kind::Silent),
    ("[TOOL_RESULTS]", Kind::OtherRole),
    ("[/TOOL_RESULTS]", Kind::Silent),
    ("[TOOL_CALLS]", Kind::Call(String::new())),
    ("[/TOOL_CALLS]", Kind::Silent),
    ("[TOOL_CALL]", Kind::Call(String::new())),
    ("[/TOOL_CALL]", Kind::Silent),
    ("[THINK]", Kind::ThoughtBegins),
    ("[/THINK]", Kind::ThoughtEnds),
    ("[BEGIN FINAL RESPONSE]", Kind::ThoughtEnds),
    ("[END FINAL RESPONSE]", Kind::Silent),
    ("◁think▷", Kind::ThoughtBegins),
    ("◁/think▷", Kind::ThoughtEnds),
    ("[PAD]", Kind::Silent),
    ("[UNK]", Kind::Silent),
    ("[SEP]", Kind::Silent),
    ("[CLS]", Kind::Silent),
    ("[MASK]", Kind::Silent),
    ("[BOS]", Kind::Silent),
    ("[EOS]", Kind::Silent),
    ("[EOT]", Kind::Silent),
    ("[gMASK]", Kind::Silent),
    ("[sMASK]", Kind::Silent),
    ("[IMG]", Kind::Silent),
    ("[IMG_END]", Kind::Silent),
    ("[IMG_BREAK]", Kind::Silent),
    ("[PREFIX]", Kind::Silent),
    ("[MIDDLE]", Kind::Silent),
    ("[SUFFIX]", Kind::Silent),
];
/// Tokens that were kept free, each with a number.
const NUMBERED: [&str; 2] = ["[control_", "[unused"];

/// Whether a token or tag may begin with `c`.
pub(super) fn may_begin(c: char) -> bool {
    matches!(c, '<' | '[' | '◁')
}

/// Reads the token or tag that `text` begins with.
pub(super) fn read(text: &str) -> Seen {
    match text.chars().next() {
        Some('<') => angled(text),
        Some('[' | '◁') => bracketed(text),
        _ => Seen::No,
    }
}

/// Whether a role is the model's own; `None` where `name` is no role.
pub(super) fn is_own_role(name: &str) -> Option<bool> {
    if OWN_ROLES.contains(&name) {
        return Some(true);
    }
    OTHER_ROLES.contains(&name).then_some(false)
}

/// Whether `marker` is a token of a template rather than a tag.
pub(super) fn is_token(marker: &str) -> bool {
    let barred = ["<|", "<｜"].iter().any(|bars| marker.starts_with(bars));
    (barred && !marker.contains("DSML"))
        || marker.ends_with("|>")
        || marker.starts_with('[')
        || marker == "</s>"
        || marker.starts_with("<unused")
}

fn bracketed(text: &str) -> Seen {
    let mut perhaps = Seen::No;
    for beginning in NUMBERED {
        let Some(number) = text.strip_prefix(beginning) else {
            if beginning.starts_with(text) {
                perhaps = Seen::Perhaps;
            }
            continue;
        };
        let digits = number.len()
            - number
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        match number[digits..].chars().next() {
            Some(']') if digits > 0 => {
                return Seen::Marker(beginning.len() + digits + 1, Kind::Silent);
            }
            None if number.len() <= TOKEN_BYTES_MAX => return Seen::Perhaps,
            _ => {}
        }
    }
    for (token, kind) in &BRACKETS {
        if text.starts_with(token) {
            return Seen::Marker(token.len(), kind.clone());
        }
        if token.starts_with(text) {
            perhaps = Seen::Perhaps;
        }
    }
    perhaps
}

fn angled(text: &str) -> Seen {
    let body = &text[1..];
    let (slash, named) = match body.strip_prefix('/') {
        Some(rest) => ("/", rest),
        None => ("", body),
    };
    for prefix in PREFIXES {
        if let Some(rest) = named.strip_prefix(prefix) {
            let skipped = text.len() - rest.len();
            return tag(rest, slash, skipped);
        }
        if slash == "/" && !named.is_empty() && prefix.starts_with(named) {
            return Seen::Perhaps;
        }
    }
    if body.starts_with(['|', '｜']) {
        return token(text);
    }
    if body.starts_with("0x") || "0x".starts_with(body) {
        return byte(body);
    }
    tag(named, slash, 1 + slash.len())
}

/// A byte that a tokenizer could not put into a character: `<0x0A>`.
fn byte(body: &str) -> Seen {
    let digits = body.get(2..).unwrap_or_default();
    let plain = |digits: &str| digits.chars().all(|c| c.is_ascii_hexdigit());
    match digits.find('>') {
        Some(2) if plain(&digits[..2]) => Seen::Marker("<0x00>".len(), Kind::Silent),
        None if digits.len() <= 2 && plain(digits) => Seen::Perhaps,
        _ => Seen::No,
    }
}

/// `<|name|>`, with bars of either width, at the end perhaps none.
fn token(text: &str) -> Seen {
    let body = &text[1..];
    if PREFIXES.iter().any(|prefix| prefix.starts_with(body)) {
        return Seen::Perhaps;
    }
    if body.trim_start_matches(['|', '｜']).starts_with(' ') {
        return Seen::No;
    }
    let plain = |c: char| c.is_alphanumeric() || "_-▁/.:\"'|｜ ".contains(c);
    match body.find(|c| !plain(c)) {
        Some(end) if body[end..].starts_with('>') && end <= TOKEN_BYTES_MAX => {
            let name = body[..end]
                .replace('｜', "|")
                .replace('▁', "_")
                .to_lowercase();
            let name = name.trim_matches(['|', ' ']);
            match name.is_empty() {
                true => Seen::No,
                false => Seen::Marker(end + 2, kind_of_token(name)),
            }
        }
        None if body.len() <= TOKEN_BYTES_MAX => Seen::Perhaps,
        _ => Seen::No,
    }
}

fn kind_of_token(name: &str) -> Kind {
    let closes = name.strip_prefix('/');
    match name {
        "channel" => Kind::Channel,
        "message" => Kind::Message,
        _ if INNER.contains(&name) => Kind::Inner,
        _ if ROLE_HEADERS.contains(&name) => Kind::Role,
        _ if OTHER_ROLES.contains(&name) => Kind::OtherRole,
        _ if RESULTS.contains(&name) => Kind::Result(String::new()),
        _ if THOUGHTS.contains(&name) => Kind::ThoughtBegins,
        _ if THOUGHT_ENDS.contains(&name) => Kind::ThoughtEnds,
        // The wrapper of several calls, each with a beginning of its own, is `tool_calls`.
        _ if CALLS.contains(&name) && name != "tool_calls" => Kind::Call(String::new()),
        _ if closes.is_some_and(|name| THOUGHTS.contains(&name)) => Kind::ThoughtEnds,
        _ => Kind::Silent,
    }
}

/// `<name attribute=value>`; `rest` begins with the name, after `skipped` bytes.
fn tag(rest: &str, slash: &str, skipped: usize) -> Seen {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    let Some(end) = rest.find(|c| !in_name(c)) else {
        let name = rest.to_ascii_lowercase();
        let known = names().any(|known| known.starts_with(&name));
        return if known { Seen::Perhaps } else { Seen::No };
    };
    let name = rest[..end].to_ascii_lowercase();
    if !names().any(|known| known == name) {
        return Seen::No;
    }
    if let Some(after) = rest[end..].strip_prefix('|') {
        return match after.chars().next() {
            None => Seen::Perhaps,
            Some('>') if THOUGHTS.contains(&name.as_str()) => {
                Seen::Marker(skipped + end + 2, Kind::ThoughtEnds)
            }
            Some('>') => Seen::Marker(skipped + end + 2, Kind::Silent),
            Some(_) => Seen::No,
        };
    }
    let Some(close) = rest[end..].find(['>', '<', '{', '\n']) else {
        let attributes = rest[end..].starts_with([' ', '=', '/']);
        let short = rest.len() <= TAG_BYTES_MAX;
        return if attributes && short {
            Seen::Perhaps
        } else {
            Seen::No
        };
    };
    let attributes = &rest[end..end + close];
    let attributes = attributes.trim_end_matches([' ', '/']).is_empty()
        || (attributes.starts_with([' ', '=']) && attributes.contains('='));
    // `<function=name{...}` is written without its end, too.
    let len = match rest[end + close..].chars().next() {
        Some('>') if attributes => skipped + end + close + 1,
        Some('{') if name == "function" && attributes => skipped + end + close,
        _ => return Seen::No,
    };
    Seen::Marker(len, kind_of_tag(&name, slash == "/"))
}

fn kind_of_tag(name: &str, closes: bool) -> Kind {
    let known = |names: &[&str]| names.contains(&name);
    match closes {
        true if known(&THOUGHTS) => Kind::ThoughtEnds,
        true if known(&CALLS) || known(&RESULTS) => Kind::CallEnds(name.to_owned()),
        false if known(&THOUGHTS) => Kind::ThoughtBegins,
        false if known(&CALLS) => Kind::Call(name.to_owned()),
        false if known(&RESULTS) => Kind::Result(name.to_owned()),
        false if known(&ROLE_HEADERS) => Kind::Role,
        _ if name == UNNAMED_CHANNEL => Kind::Channel,
        _ if name == "end_function_call" => Kind::CallEnds("start_function_call".to_owned()),
        _ if name == "escape" => Kind::Inner,
        _ => Kind::Silent,
    }
}

/// The names of tags that mean something. (`start` and `turn` are tokens only.)
fn names() -> impl Iterator<Item = &'static str> {
    let headers = ["start_of_turn", "turn", "escape", UNNAMED_CHANNEL];
    THOUGHTS
        .into_iter()
        .chain(CALLS)
        .chain(RESULTS)
        .chain(SILENT_TAGS)
        .chain(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_tags_are_known_by_their_names() {
        for (text, kind) in [
            ("<|im_end|>", Kind::Silent),
            ("<|eot_id|>", Kind::Silent),
            ("<｜end▁of▁sentence｜>", Kind::Silent),
            ("<|fim_middle|>", Kind::Silent),
            ("</s>", Kind::Silent),
            ("<eos>", Kind::Silent),
            ("<end_of_turn>", Kind::Silent),
            ("<turn|>", Kind::Silent),
            ("<channel|>", Kind::Silent),
            ("[/INST]", Kind::Silent),
            ("<|channel|>", Kind::Channel),
            ("<|channel>", Kind::Channel),
            ("<|message|>", Kind::Message),
            ("<|constrain|>", Kind::Inner),
            ("<|\"|>", Kind::Inner),
            ("<|im_start|>", Kind::Role),
            ("<start_of_turn>", Kind::Role),
            ("<|user|>", Kind::OtherRole),
            ("<｜User｜>", Kind::OtherRole),
            ("<think>", Kind::ThoughtBegins),
            ("<Thinking budget=\"3\">", Kind::ThoughtBegins),
            ("<seed:think>", Kind::ThoughtBegins),
            ("◁think▷", Kind::ThoughtBegins),
            ("</think>", Kind::ThoughtEnds),
            ("[/THINK]", Kind::ThoughtEnds),
            ("<|END_THINKING|>", Kind::ThoughtEnds),
            ("<tool_call>", Kind::Call("tool_call".into())),
            ("<function=end_call>", Kind::Call("function".into())),
            ("<invoke name=\"end_call\">", Kind::Call("invoke".into())),
            ("<｜DSML｜invoke name=\"x\">", Kind::Call("invoke".into())),
            ("</｜DSML｜invoke>", Kind::CallEnds("invoke".into())),
            ("<|python_tag|>", Kind::Call(String::new())),
            ("<｜tool▁call▁begin｜>", Kind::Call(String::new())),
            ("<|tool_call>", Kind::Call(String::new())),
            ("[TOOL_CALLS]", Kind::Call(String::new())),
            ("<unused94>", Kind::Channel),
            ("[control_17]", Kind::Silent),
            ("[unused1]", Kind::Silent),
            ("[PAD]", Kind::Silent),
        ] {
            assert_eq!(read(text), Seen::Marker(text.len(), kind), "{text}");
            for (cut, _) in text.char_indices().skip(1) {
                assert_eq!(read(&text[..cut]), Seen::Perhaps, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn other_signs_are_none() {
        for text in [
            "< 5",
            "<5",
            "<b>",
            "<br/>",
            "<3",
            "<thin air>",
            "<|",
            "<||>",
            "<| 5, 6 |>",
            "[see",
            "[1]",
            "<break time=\"1s\"/>",
            "<function of x",
            "[INSTALL]",
            "a",
            "",
        ] {
            let end = read(&format!("{text}\n"));
            assert_eq!(end, Seen::No, "{text}");
        }
        assert_eq!(read(&format!("<|{}", "x".repeat(80))), Seen::No);
    }
}
