//! Marks a reply's sentences with the language they are in, where that is not the language of the call, so
//! that no voice reads what it cannot pronounce. Holds back as little as a decision needs.

use super::language_detection::{language_score, words};
use compact_str::CompactString;

/// A sentence is held back for this many characters at most; what is not clear by then is in the language
/// of the sentence before it.
const PENDING_CHARS_MAX: usize = 48;
/// Small words that decide for another language than the one expected, before its sentence is complete.
const SWITCH_SCORE_MIN: usize = 2;

/// One reply being marked.
pub(super) struct LanguageTagger {
    /// The languages of the line.
    languages: Vec<CompactString>,
    /// The one that the voice speaks now.
    voice_language: CompactString,
    /// The last one decided.
    current: CompactString,
    /// Words of a sentence that is not decided.
    pending: String,
    is_decided: bool,
    has_spoken: bool,
}

/// Words, and their language where it is not the voice's.
pub(super) type TaggedText = (String, Option<CompactString>);

impl LanguageTagger {
    /// For a reply of a call that is held in `voice` on a line with these languages; `None` where there is
    /// nothing to tell apart.
    pub(super) fn new(languages: &[String], voice: &CompactString) -> Option<Self> {
        (languages.len() > 1).then(|| Self {
            languages: languages.iter().map(|tag| tag.as_str().into()).collect(),
            voice_language: voice.clone(),
            current: voice.clone(),
            pending: String::new(),
            is_decided: false,
            has_spoken: false,
        })
    }

    /// Takes the next words of the reply; gives what may be spoken now.
    pub(super) fn push(&mut self, text: &str) -> Vec<TaggedText> {
        let mut pieces = Vec::new();
        for c in text.chars() {
            self.pending.push(c);
            let is_end = ends_sentence(c);
            if !self.is_decided && (is_end || !c.is_alphanumeric()) {
                self.decide_language(is_end);
            }
            if is_end {
                self.emit_pending(&mut pieces);
                self.is_decided = false;
            }
        }
        if self.is_decided {
            self.emit_pending(&mut pieces);
        }
        pieces
    }

    /// The reply is complete: what is still held.
    pub(super) fn finish(&mut self) -> Vec<TaggedText> {
        let mut pieces = Vec::new();
        if !self.is_decided {
            self.decide_language(true);
        }
        self.emit_pending(&mut pieces);
        pieces
    }

    /// The language of the last words that were let go.
    pub(super) fn last_language(&self) -> Option<&CompactString> {
        self.has_spoken.then_some(&self.current)
    }

    fn decide_language(&mut self, is_complete: bool) {
        let mut scores: Vec<(usize, &CompactString)> = self
            .languages
            .iter()
            .map(|tag| (language_score(&self.pending, tag), tag))
            .collect();
        // The language expected wins a draw: the sort is stable.
        scores.sort_by_key(|(score, tag)| (std::cmp::Reverse(*score), **tag != self.current));
        let (best, tag) = scores[0];
        let lead = best - scores.get(1).map_or(0, |(score, _)| *score);
        let enough = if *tag == self.current || is_complete {
            1
        } else {
            SWITCH_SCORE_MIN
        };
        let is_full = self.pending.chars().count() >= PENDING_CHARS_MAX;
        let is_clear = lead >= 1 && best >= enough;
        if is_clear {
            self.current = tag.clone();
        }
        self.is_decided = is_clear || is_complete || is_full;
    }

    fn emit_pending(&mut self, pieces: &mut Vec<TaggedText>) {
        if self.pending.is_empty() {
            return;
        }
        self.has_spoken |= words(&self.pending).next().is_some();
        let words = std::mem::take(&mut self.pending);
        let tag = (self.current != self.voice_language).then(|| self.current.clone());
        match pieces.last_mut() {
            Some((before, same)) if *same == tag => before.push_str(&words),
            _ => pieces.push((words, tag)),
        }
    }
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '?' | '!' | '…' | '。' | '？' | '！')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(languages: &[&str], reply: &str) -> Vec<(String, String)> {
        let languages: Vec<String> = languages.iter().map(|tag| (*tag).to_owned()).collect();
        let mut tagger = LanguageTagger::new(&languages, &"en-US".into()).unwrap();
        let mut pieces: Vec<(String, String)> = Vec::new();
        let tokens: Vec<String> = reply.split_inclusive(' ').map(str::to_owned).collect();
        let mut spoken: Vec<TaggedText> =
            tokens.iter().flat_map(|token| tagger.push(token)).collect();
        spoken.extend(tagger.finish());
        for (words, tag) in spoken {
            let tag = tag.map_or_else(|| "-".to_owned(), |tag| tag.to_string());
            match pieces.last_mut() {
                Some((before, same)) if *same == tag => before.push_str(&words),
                _ => pieces.push((words, tag)),
            }
        }
        pieces
    }

    #[test]
    fn words_in_another_language_of_the_line_are_marked() {
        type Pieces = &'static [(&'static str, &'static str)];
        let lines: [(&[&str], &str, Pieces); 7] = [
            (
                &["en-US", "es-MX"],
                "¡Claro! Hablemos en español.",
                &[("¡Claro! Hablemos en español.", "es-MX")],
            ),
            (
                &["en-US", "es-MX"],
                "Sure! ¡Claro! Hablemos en español.",
                &[("Sure!", "-"), (" ¡Claro! Hablemos en español.", "es-MX")],
            ),
            (
                &["en-US", "es-MX", "de-DE"],
                "Natürlich, wir können gern Deutsch sprechen.",
                &[("Natürlich, wir können gern Deutsch sprechen.", "de-DE")],
            ),
            (
                &["en-US", "ja-JP"],
                "はい、日本語で話します。",
                &[("はい、日本語で話します。", "ja-JP")],
            ),
            (
                &["en-US", "es-MX"],
                "Tangela is a grass type. Anything else?",
                &[("Tangela is a grass type. Anything else?", "-")],
            ),
            (&["en-US", "es-MX"], "Pikachu.", &[("Pikachu.", "-")]),
            // Not a language of the line: nothing else can be said about it.
            (
                &["en-US", "es-MX"],
                "Ja, natürlich.",
                &[("Ja, natürlich.", "-")],
            ),
        ];
        for (languages, reply, wanted) in lines {
            let wanted: Vec<(String, String)> = wanted
                .iter()
                .map(|(words, tag)| ((*words).to_owned(), (*tag).to_owned()))
                .collect();
            assert_eq!(tagged(languages, reply), wanted, "{reply}");
        }
    }

    #[test]
    fn an_ordinary_reply_is_hardly_held_back() {
        let languages = ["en-US".to_owned(), "es-MX".to_owned()];
        let mut tagger = LanguageTagger::new(&languages, &"en-US".into()).unwrap();
        assert!(tagger.push("Tangela ").is_empty());
        assert_eq!(tagger.push("is "), [("Tangela is ".to_owned(), None)]);
        assert_eq!(tagger.push("a "), [("a ".to_owned(), None)]);
        assert_eq!(tagger.last_language(), Some(&"en-US".into()));
        let mut long = LanguageTagger::new(&languages, &"en-US".into()).unwrap();
        let names = "Tangela Onix Snorlax Pikachu Bulbasaur Mew Charizard Golem ";
        let spoken: usize = long.push(names).iter().map(|(words, _)| words.len()).sum();
        assert!(spoken >= PENDING_CHARS_MAX, "{spoken}");
    }
}
