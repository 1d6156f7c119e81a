//! What the caller says, and what recognition makes of it on the way.

use std::time::Duration;

/// Time between two partial prompts (docs/protocol.md 4.2: 200-300 ms).
pub const PARTIAL_EVERY_MS: u64 = 260;
/// Time from the last partial to the final prompt (recorded: 0.1-1.7 s).
pub const FINAL_AFTER_MS: u64 = 480;
/// The same after two words at most.
pub const FINAL_AFTER_SHORT_MS: u64 = 100;
/// The same where the caller stops in mid-sentence.
pub const FINAL_AFTER_UNFINISHED_MS: u64 = 1_700;
/// How long one character takes to say.
const CHARACTER_MS: u64 = 65;
/// Partials of one utterance at most.
const PARTIALS_MAX: usize = 64;

/// Partial prompts on the way to the final one; sent only where the TwiML says `partialPrompts="true"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Partials {
    /// The utterance growing word by word, with a last word that is often revised by the next partial.
    #[default]
    Growing,
    /// None at all.
    Silent,
    /// Exactly these.
    Given(Vec<String>),
}

/// One utterance of the caller: a text and how it comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// The final prompt.
    pub text: String,
    pub partials: Partials,
    /// `lang` of the prompt; `None`: the session's language, shortened as on the wire (`en`).
    pub lang: Option<String>,
    /// From the first sound to the final prompt, in Twilio's time; `None`: by the length of the text.
    pub lasts: Option<Duration>,
}

impl Utterance {
    /// Said at a natural pace.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            partials: Partials::Growing,
            lang: None,
            lasts: None,
        }
    }

    /// Said in no time: the final prompt goes out at once, without partials.
    pub fn at_once(text: impl Into<String>) -> Self {
        Self {
            partials: Partials::Silent,
            lasts: Some(Duration::ZERO),
            ..Self::new(text)
        }
    }

    /// From the first sound to the final prompt.
    pub fn duration(&self) -> Duration {
        self.lasts.unwrap_or_else(|| {
            let characters = self.text.chars().count() as u64;
            Duration::from_millis(characters * CHARACTER_MS) + self.final_after()
        })
    }

    /// From the last partial to the final prompt: soon after a word or two, late where the sentence is not finished.
    pub fn final_after(&self) -> Duration {
        let text = self.text.trim();
        let finished = text.ends_with(['.', '!', '?', '。', '！', '？']);
        Duration::from_millis(if text.split_whitespace().count() <= 2 {
            FINAL_AFTER_SHORT_MS
        } else if finished {
            FINAL_AFTER_MS
        } else {
            FINAL_AFTER_UNFINISHED_MS
        })
    }

    /// The partial prompts in order, at most 64.
    pub fn partial_texts(&self) -> Vec<String> {
        match &self.partials {
            Partials::Silent => Vec::new(),
            Partials::Given(texts) => texts.iter().take(PARTIALS_MAX).cloned().collect(),
            Partials::Growing => growing(&self.text),
        }
    }
}

impl From<&str> for Utterance {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Utterance {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Each partial is the utterance so far; every other one has misheard the end of its last word.
fn growing(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let stride = words.len().div_ceil(PARTIALS_MAX).max(1);
    let mut texts = Vec::new();
    for heard in (stride..words.len()).step_by(stride) {
        let mut so_far = words[..heard].join(" ");
        if texts.len() % 2 == 1 {
            so_far = mishear(&so_far);
        }
        texts.push(so_far);
    }
    texts.push(text.trim().to_owned());
    texts
}

/// Drops the end of the last word where it is long enough to be misheard.
fn mishear(so_far: &str) -> String {
    let start = so_far.rfind(' ').map_or(0, |at| at + 1);
    let last: Vec<char> = so_far[start..].chars().collect();
    if last.len() < 4 {
        return so_far.to_owned();
    }
    let kept: String = last[..last.len() - 2].iter().collect();
    format!("{}{kept}", &so_far[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_grow_and_the_last_one_is_the_final_text() {
        let said = Utterance::new("It's Hannah Fourie from the clinic.");
        let texts = said.partial_texts();
        assert_eq!(
            texts.last().map(String::as_str),
            Some("It's Hannah Fourie from the clinic.")
        );
        assert!(texts.len() >= 4);
    }

    #[test]
    fn an_earlier_word_is_revised_by_a_later_partial() {
        let texts = Utterance::new("one hundred twenty thousand").partial_texts();
        let revised = texts
            .windows(2)
            .any(|pair| !pair[1].starts_with(&format!("{} ", pair[0])) && pair[1] != pair[0]);
        assert!(revised, "{texts:?}");
    }

    #[test]
    fn an_utterance_at_once_has_no_partials_and_takes_no_time() {
        let said = Utterance::at_once("Yes.");
        assert!(said.partial_texts().is_empty());
        assert_eq!(said.duration(), Duration::ZERO);
    }

    #[test]
    fn a_long_speech_has_a_bounded_number_of_partials() {
        let texts = Utterance::new("word ".repeat(1000)).partial_texts();
        assert!(texts.len() <= PARTIALS_MAX + 1);
    }
}
