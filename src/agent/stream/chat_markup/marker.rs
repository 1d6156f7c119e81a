//! The control tokens and tags of chat templates, as they appear in text.

/// Longest control token, and longest tag with its attributes, in bytes. Longer text is plain text.
const TOKEN_BYTES_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 256;
/// Prefix of DeepSeek's tag names.
const PREFIXES: [&str; 2] = ["｜DSML｜", "|DSML|"];

/// Whether a text starts with a token or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MarkerMatch {
    /// It does not.
    NoMatch,
    /// Undecided until more text arrives.
    Incomplete,
    /// Its length in bytes, and its kind.
    Marker(usize, MarkerKind),
}

/// The meaning of a token or tag for the text after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MarkerKind {
    /// None.
    Ignored,
    /// It belongs to the text around it: `<|constrain|>`.
    Inner,
    ThinkingStart,
    ThinkingEnd,
    /// The name of a role follows.
    RoleHeader,
    /// A role that is not the model's: the text after it is not the reply.
    OtherRole,
    /// The header of a channel follows, up to `<|message|>` (harmony).
    Channel,
    Message,
    /// A tool call follows, up to a tag of this name, or up to the next token where there is none.
    CallStart(String),
    /// The result of a tool follows, as the model imagines it.
    ToolResult(String),
    /// The end of a call that was started by a tag of this name.
    CallEnd(String),
}

const THINKING_TAGS: [&str; 18] = [
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
const THINKING_END_TOKENS: [&str; 4] = [
    "end_of_thought",
    "end_thinking",
    "end_of_thinking",
    "end_thought",
];
const CALL_TAGS: [&str; 21] = [
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
const RESULT_TAGS: [&str; 4] = [
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
const INNER_TOKENS: [&str; 9] = [
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
/// Further tags, which have no meaning for the text.
const IGNORED_TAGS: [&str; 11] = [
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
/// The token before the name of Gemma's thinking channel, where the token has no name itself.
const UNNAMED_CHANNEL: &str = "unused94";
/// Tokens in square brackets and other delimiters.
const BRACKET_TOKENS: [(&str, MarkerKind); 34] = [
    ("[INST]", MarkerKind::OtherRole),
    ("[/INST]", MarkerKind::Ignored),
    ("[SYSTEM_PROMPT]", MarkerKind::OtherRole),
    ("[/SYSTEM_PROMPT]", MarkerKind::Ignored),
    ("[AVAILABLE_TOOLS]", MarkerKind::OtherRole),
    ("[/AVAILABLE_TOOLS]", MarkerKind::Ignored),
    ("[TOOL_RESULTS]", MarkerKind::OtherRole),
    ("[/TOOL_RESULTS]", MarkerKind::Ignored),
    ("[TOOL_CALLS]", MarkerKind::CallStart(String::new())),
    ("[/TOOL_CALLS]", MarkerKind::Ignored),
    ("[TOOL_CALL]", MarkerKind::CallStart(String::new())),
    ("[/TOOL_CALL]", MarkerKind::Ignored),
    ("[THINK]", MarkerKind::ThinkingStart),
    ("[/THINK]", MarkerKind::ThinkingEnd),
    ("[BEGIN FINAL RESPONSE]", MarkerKind::ThinkingEnd),
    ("[END FINAL RESPONSE]", MarkerKind::Ignored),
    ("◁think▷", MarkerKind::ThinkingStart),
    ("◁/think▷", MarkerKind::ThinkingEnd),
    ("[PAD]", MarkerKind::Ignored),
    ("[UNK]", MarkerKind::Ignored),
    ("[SEP]", MarkerKind::Ignored),
    ("[CLS]", MarkerKind::Ignored),
    ("[MASK]", MarkerKind::Ignored),
    ("[BOS]", MarkerKind::Ignored),
    ("[EOS]", MarkerKind::Ignored),
    ("[EOT]", MarkerKind::Ignored),
    ("[gMASK]", MarkerKind::Ignored),
    ("[sMASK]", MarkerKind::Ignored),
    ("[IMG]", MarkerKind::Ignored),
    ("[IMG_END]", MarkerKind::Ignored),
    ("[IMG_BREAK]", MarkerKind::Ignored),
    ("[PREFIX]", MarkerKind::Ignored),
    ("[MIDDLE]", MarkerKind::Ignored),
    ("[SUFFIX]", MarkerKind::Ignored),
];
/// Reserved tokens, each with a number.
const NUMBERED_TOKENS: [&str; 2] = ["[control_", "[unused"];

/// Whether a token or tag may start with `c`.
pub(super) fn may_begin(c: char) -> bool {
    matches!(c, '<' | '[' | '◁')
}

/// Matches the token or tag at the start of `text`.
pub(super) fn match_marker(text: &str) -> MarkerMatch {
    match text.chars().next() {
        Some('<') => angled(text),
        Some('[' | '◁') => bracketed(text),
        _ => MarkerMatch::NoMatch,
    }
}

/// Whether the role `name` is the model's; `None` where `name` is not a role.
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

fn bracketed(text: &str) -> MarkerMatch {
    let mut perhaps = MarkerMatch::NoMatch;
    for beginning in NUMBERED_TOKENS {
        let Some(number) = text.strip_prefix(beginning) else {
            if beginning.starts_with(text) {
                perhaps = MarkerMatch::Incomplete;
            }
            continue;
        };
        let digits = number.len()
            - number
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        match number[digits..].chars().next() {
            Some(']') if digits > 0 => {
                return MarkerMatch::Marker(beginning.len() + digits + 1, MarkerKind::Ignored);
            }
            None if number.len() <= TOKEN_BYTES_MAX => return MarkerMatch::Incomplete,
            _ => {}
        }
    }
    for (token, kind) in &BRACKET_TOKENS {
        if text.starts_with(token) {
            return MarkerMatch::Marker(token.len(), kind.clone());
        }
        if token.starts_with(text) {
            perhaps = MarkerMatch::Incomplete;
        }
    }
    perhaps
}

fn angled(text: &str) -> MarkerMatch {
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
            return MarkerMatch::Incomplete;
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

/// A byte that the tokenizer could not decode: `<0x0A>`.
fn byte(body: &str) -> MarkerMatch {
    let digits = body.get(2..).unwrap_or_default();
    let plain = |digits: &str| digits.chars().all(|c| c.is_ascii_hexdigit());
    match digits.find('>') {
        Some(2) if plain(&digits[..2]) => MarkerMatch::Marker("<0x00>".len(), MarkerKind::Ignored),
        None if digits.len() <= 2 && plain(digits) => MarkerMatch::Incomplete,
        _ => MarkerMatch::NoMatch,
    }
}

/// `<|name|>`, with ASCII or full-width bars; the closing bar may be missing.
fn token(text: &str) -> MarkerMatch {
    let body = &text[1..];
    if PREFIXES.iter().any(|prefix| prefix.starts_with(body)) {
        return MarkerMatch::Incomplete;
    }
    if body.trim_start_matches(['|', '｜']).starts_with(' ') {
        return MarkerMatch::NoMatch;
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
                true => MarkerMatch::NoMatch,
                false => MarkerMatch::Marker(end + 2, kind_of_token(name)),
            }
        }
        None if body.len() <= TOKEN_BYTES_MAX => MarkerMatch::Incomplete,
        _ => MarkerMatch::NoMatch,
    }
}

fn kind_of_token(name: &str) -> MarkerKind {
    let closes = name.strip_prefix('/');
    match name {
        "channel" => MarkerKind::Channel,
        "message" => MarkerKind::Message,
        _ if INNER_TOKENS.contains(&name) => MarkerKind::Inner,
        _ if ROLE_HEADERS.contains(&name) => MarkerKind::RoleHeader,
        _ if OTHER_ROLES.contains(&name) => MarkerKind::OtherRole,
        _ if RESULT_TAGS.contains(&name) => MarkerKind::ToolResult(String::new()),
        _ if THINKING_TAGS.contains(&name) => MarkerKind::ThinkingStart,
        _ if THINKING_END_TOKENS.contains(&name) => MarkerKind::ThinkingEnd,
        // `tool_calls` wraps several calls, each with a start marker.
        _ if CALL_TAGS.contains(&name) && name != "tool_calls" => {
            MarkerKind::CallStart(String::new())
        }
        _ if closes.is_some_and(|name| THINKING_TAGS.contains(&name)) => MarkerKind::ThinkingEnd,
        _ => MarkerKind::Ignored,
    }
}

/// `<name attribute=value>`; `rest` starts with the name, after `skipped` bytes.
fn tag(rest: &str, slash: &str, skipped: usize) -> MarkerMatch {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    let Some(end) = rest.find(|c| !in_name(c)) else {
        let name = rest.to_ascii_lowercase();
        let known = known_tag_names().any(|known| known.starts_with(&name));
        return if known {
            MarkerMatch::Incomplete
        } else {
            MarkerMatch::NoMatch
        };
    };
    let name = rest[..end].to_ascii_lowercase();
    if !known_tag_names().any(|known| known == name) {
        return MarkerMatch::NoMatch;
    }
    if let Some(after) = rest[end..].strip_prefix('|') {
        return match after.chars().next() {
            None => MarkerMatch::Incomplete,
            Some('>') if THINKING_TAGS.contains(&name.as_str()) => {
                MarkerMatch::Marker(skipped + end + 2, MarkerKind::ThinkingEnd)
            }
            Some('>') => MarkerMatch::Marker(skipped + end + 2, MarkerKind::Ignored),
            Some(_) => MarkerMatch::NoMatch,
        };
    }
    let Some(close) = rest[end..].find(['>', '<', '{', '\n']) else {
        let attributes = rest[end..].starts_with([' ', '=', '/']);
        let short = rest.len() <= TAG_BYTES_MAX;
        return if attributes && short {
            MarkerMatch::Incomplete
        } else {
            MarkerMatch::NoMatch
        };
    };
    let attributes = &rest[end..end + close];
    let attributes = attributes.trim_end_matches([' ', '/']).is_empty()
        || (attributes.starts_with([' ', '=']) && attributes.contains('='));
    // `<function=name{...}` occurs without the closing `>`, too.
    let len = match rest[end + close..].chars().next() {
        Some('>') if attributes => skipped + end + close + 1,
        Some('{') if name == "function" && attributes => skipped + end + close,
        _ => return MarkerMatch::NoMatch,
    };
    MarkerMatch::Marker(len, kind_of_tag(&name, slash == "/"))
}

fn kind_of_tag(name: &str, closes: bool) -> MarkerKind {
    let known = |names: &[&str]| names.contains(&name);
    match closes {
        true if known(&THINKING_TAGS) => MarkerKind::ThinkingEnd,
        true if known(&CALL_TAGS) || known(&RESULT_TAGS) => MarkerKind::CallEnd(name.to_owned()),
        false if known(&THINKING_TAGS) => MarkerKind::ThinkingStart,
        false if known(&CALL_TAGS) => MarkerKind::CallStart(name.to_owned()),
        false if known(&RESULT_TAGS) => MarkerKind::ToolResult(name.to_owned()),
        false if known(&ROLE_HEADERS) => MarkerKind::RoleHeader,
        _ if name == UNNAMED_CHANNEL => MarkerKind::Channel,
        _ if name == "end_function_call" => MarkerKind::CallEnd("start_function_call".to_owned()),
        _ if name == "escape" => MarkerKind::Inner,
        _ => MarkerKind::Ignored,
    }
}

/// The meaning of a tag name. (`start` and `turn` are tokens only.)
fn known_tag_names() -> impl Iterator<Item = &'static str> {
    let headers = ["start_of_turn", "turn", "escape", UNNAMED_CHANNEL];
    THINKING_TAGS
        .into_iter()
        .chain(CALL_TAGS)
        .chain(RESULT_TAGS)
        .chain(IGNORED_TAGS)
        .chain(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_tags_are_known_by_their_names() {
        for (text, kind) in [
            ("<|im_end|>", MarkerKind::Ignored),
            ("<|eot_id|>", MarkerKind::Ignored),
            ("<｜end▁of▁sentence｜>", MarkerKind::Ignored),
            ("<|fim_middle|>", MarkerKind::Ignored),
            ("</s>", MarkerKind::Ignored),
            ("<eos>", MarkerKind::Ignored),
            ("<end_of_turn>", MarkerKind::Ignored),
            ("<turn|>", MarkerKind::Ignored),
            ("<channel|>", MarkerKind::Ignored),
            ("[/INST]", MarkerKind::Ignored),
            ("<|channel|>", MarkerKind::Channel),
            ("<|channel>", MarkerKind::Channel),
            ("<|message|>", MarkerKind::Message),
            ("<|constrain|>", MarkerKind::Inner),
            ("<|\"|>", MarkerKind::Inner),
            ("<|im_start|>", MarkerKind::RoleHeader),
            ("<start_of_turn>", MarkerKind::RoleHeader),
            ("<|user|>", MarkerKind::OtherRole),
            ("<｜User｜>", MarkerKind::OtherRole),
            ("<think>", MarkerKind::ThinkingStart),
            ("<Thinking budget=\"3\">", MarkerKind::ThinkingStart),
            ("<seed:think>", MarkerKind::ThinkingStart),
            ("◁think▷", MarkerKind::ThinkingStart),
            ("</think>", MarkerKind::ThinkingEnd),
            ("[/THINK]", MarkerKind::ThinkingEnd),
            ("<|END_THINKING|>", MarkerKind::ThinkingEnd),
            ("<tool_call>", MarkerKind::CallStart("tool_call".into())),
            (
                "<function=end_call>",
                MarkerKind::CallStart("function".into()),
            ),
            (
                "<invoke name=\"end_call\">",
                MarkerKind::CallStart("invoke".into()),
            ),
            (
                "<｜DSML｜invoke name=\"x\">",
                MarkerKind::CallStart("invoke".into()),
            ),
            ("</｜DSML｜invoke>", MarkerKind::CallEnd("invoke".into())),
            ("<|python_tag|>", MarkerKind::CallStart(String::new())),
            (
                "<｜tool▁call▁begin｜>",
                MarkerKind::CallStart(String::new()),
            ),
            ("<|tool_call>", MarkerKind::CallStart(String::new())),
            ("[TOOL_CALLS]", MarkerKind::CallStart(String::new())),
            ("<unused94>", MarkerKind::Channel),
            ("[control_17]", MarkerKind::Ignored),
            ("[unused1]", MarkerKind::Ignored),
            ("[PAD]", MarkerKind::Ignored),
        ] {
            assert_eq!(
                match_marker(text),
                MarkerMatch::Marker(text.len(), kind),
                "{text}"
            );
            for (cut, _) in text.char_indices().skip(1) {
                assert_eq!(
                    match_marker(&text[..cut]),
                    MarkerMatch::Incomplete,
                    "{text} cut at {cut}"
                );
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
            let end = match_marker(&format!("{text}\n"));
            assert_eq!(end, MarkerMatch::NoMatch, "{text}");
        }
        assert_eq!(
            match_marker(&format!("<|{}", "x".repeat(80))),
            MarkerMatch::NoMatch
        );
    }
}
