//! Classifies the start of a reply without an opening tag: thinking of a reasoning model, or text for the caller.
//!
//! Some chat templates put the opening tag of the thinking into the prompt (DeepSeek-R1, QwQ, Qwen3-Thinking). A server
//! without a reasoning parser (vLLM, SGLang) then sends the thinking as text, up to a lone closing tag.

/// Longest start that is classified, in bytes.
const WINDOW_BYTES_MAX: usize = 200;
/// Starts of thinking that hardly occur in text for a caller.
const THINKING_STARTS: [&str; 38] = [
    "hmm",
    "the user",
    "the caller",
    "the human",
    "user asks",
    "user is asking",
    "user wants",
    "caller asks",
    "caller is asking",
    "caller wants",
    "okay, so i ",
    "okay so i ",
    "okay, let's see",
    "alright, so ",
    "let's see",
    "let me think",
    "let me recall",
    "i need to",
    "i should",
    "i have to",
    "we need to",
    "we should",
    "we have to",
    "we are asked",
    "der nutzer",
    "der benutzer",
    "der anrufer",
    "l'utilisateur",
    "l'appelant",
    "l'utente",
    "el usuario",
    "o usuário",
    "de gebruiker",
    "пользователь",
    "用户",
    "嗯",
    "ユーザー",
    "사용자",
];
/// Possible starts of thinking; the rest of the sentence decides.
const AMBIGUOUS_STARTS: [&str; 12] = [
    "okay",
    "ok,",
    "ok ",
    "alright",
    "all right",
    "well,",
    "so ",
    "so, ",
    "first,",
    "wait",
    "let me",
    "好的",
];
/// Words about the caller, or of a model to itself.
const THINKING_PHRASES: [&str; 33] = [
    "the user",
    "the caller",
    "user's",
    "they're asking",
    "they are asking",
    "they want",
    "they asked",
    "i should",
    "i need to",
    "i have to",
    "i must",
    "i'll answer",
    "i will answer",
    "i recall",
    "we need to",
    "we should",
    "we have to",
    "we must",
    "let me think",
    "let me recall",
    "let me remember",
    "let's see",
    "figure out",
    "system prompt",
    "der nutzer",
    "der benutzer",
    "der anrufer",
    "l'utilisateur",
    "l'appelant",
    "el usuario",
    "用户",
    "ユーザー",
    "사용자",
];
/// Ends of a sentence.
const SENTENCE_ENDS: [char; 7] = ['.', '!', '?', '\n', '。', '！', '？'];

/// The classification of the start of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyStart {
    /// Text for the caller.
    Text,
    /// Undecided until more text arrives.
    Undecided,
    /// Thinking.
    Thinking,
}

/// Classifies the start of a reply. More text does not change a result other than `Undecided`.
pub(super) fn classify_start(text: &str) -> ReplyStart {
    let text = text.trim_start();
    let window = &text[..text.floor_char_boundary(WINDOW_BYTES_MAX)];
    let window = window.to_lowercase().replace('’', "'");
    if THINKING_STARTS
        .iter()
        .any(|known| window.starts_with(known))
    {
        return ReplyStart::Thinking;
    }
    let Some(opener) = AMBIGUOUS_STARTS
        .iter()
        .find(|known| window.starts_with(**known))
    else {
        let may_begin = |known: &&str| known.starts_with(window.as_str());
        let undecided = THINKING_STARTS
            .iter()
            .chain(&AMBIGUOUS_STARTS)
            .any(may_begin);
        return if undecided {
            ReplyStart::Undecided
        } else {
            ReplyStart::Text
        };
    };
    // After "Okay." the next sentence decides.
    let rest = window[opener.len()..]
        .trim_start_matches(|c| c == ' ' || c == ',' || SENTENCE_ENDS.contains(&c));
    let end = rest.find(SENTENCE_ENDS);
    let sentence = &rest[..end.unwrap_or(rest.len())];
    if THINKING_PHRASES
        .iter()
        .any(|aside| sentence.contains(aside))
    {
        return ReplyStart::Thinking;
    }
    match end.is_some() || text.len() >= WINDOW_BYTES_MAX {
        true => ReplyStart::Text,
        false => ReplyStart::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_told_from_words_by_their_beginning() {
        for thoughts in [
            "Okay, the user asks for a type.",
            "Okay, so I need to figure out what type Onix is.",
            "Alright, the caller wants to know about Onix.",
            "\n\nHmm, again a type. Answer.",
            "The caller wants Onix.",
            "We need to answer in one sentence.",
            "First, I should recall what Onix is.",
            "Okay. The user asks again.",
            "好的，用户问的是大岩蛇。",
            "Okay, der Nutzer fragt nach Onix.",
            "L’utilisateur demande le type.",
        ] {
            assert_eq!(classify_start(thoughts), ReplyStart::Thinking, "{thoughts}");
        }
        for words in [
            "Onix is a rock type.",
            "Okay, Onix is a rock type.",
            "Okay. Onix is a rock type.",
            "Let me look that up.",
            "The type of Onix is rock.",
            "So, Onix it is!",
            "I think it is rock.",
            "Well, it is long, and heavy, and it lives in caves",
            "1",
        ] {
            let whole = format!("{words} {}", "It lives in caves. ".repeat(12));
            assert_eq!(classify_start(&whole), ReplyStart::Text, "{words}");
        }
        for undecided in [
            "",
            " ",
            "O",
            "Ok",
            "Okay",
            "Okay,",
            "Okay, Onix is",
            "The ",
            "Let me look",
        ] {
            assert_eq!(
                classify_start(undecided),
                ReplyStart::Undecided,
                "{undecided}"
            );
        }
    }

    #[test]
    fn what_is_decided_stays_decided() {
        let openers = AMBIGUOUS_STARTS.iter().chain(&THINKING_STARTS);
        for opener in openers {
            for aside in [
                "",
                " the user's",
                ". I should",
                " of Onix, a rock. The user",
                "é.",
            ] {
                let whole = format!("{opener}{aside} and so on, {}", "é".repeat(100));
                let mut decided = ReplyStart::Undecided;
                for (at, c) in whole.char_indices() {
                    let now = classify_start(&whole[..at + c.len_utf8()]);
                    assert!(
                        decided == ReplyStart::Undecided || decided == now,
                        "{whole} at {at}"
                    );
                    decided = now;
                }
                assert_eq!(decided, classify_start(&whole), "{whole}");
            }
        }
    }
}
