//! The language of the call: changed by the model's tool, by the caller's wish, or by the language that
//! recognition reports.

use super::{CallAction, CallState, EventTime};
use crate::call::language_names::native_names;
use crate::call::language_tags::same_language;
use crate::call::phrases::fill_languages;
use calldex_storage::record::TurnKind;
use calldex_storage::write::Write;
use compact_str::CompactString;

/// A caller who says this many words in another language has changed to it; fewer may be a name, or
/// misheard, until they say more in it.
const OTHER_LANGUAGE_WORDS_MIN: usize = 3;
/// The same where a language writes no spaces, in characters.
const OTHER_LANGUAGE_CHARS_MIN: usize = 8;
/// For the model, where the line has no sentence of ours in the language that the caller asked for.
const LANGUAGE_SWITCHED_INSTRUCTION: &str = "The caller has just asked to go on in this language, and the call was switched to it. Say so in \
                        one short sentence in this language, and ask what they would like to know.";

impl CallState {
    /// The caller asked for a language, by its primary subtag (BCP 47). The call is switched to it where the
    /// line has it, and a sentence is said in it; else they are told which languages there are.
    /// `ask_name`: their name is still to be asked for.
    pub(super) fn offer_language(
        &mut self,
        wanted: &str,
        ask_name: bool,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        // "Which one would you like?" is a question already.
        let mut ask_name = ask_name;
        let text = match self.offered_language(wanted) {
            Some(tag) => {
                self.change_language(tag, now, actions);
                if !self.context.line.phrases.has_language(&self.language) {
                    self.request_reply(
                        Some(LANGUAGE_SWITCHED_INSTRUCTION.to_owned()),
                        ask_name,
                        now,
                        actions,
                    );
                    return;
                }
                self.phrases().language_switched.clone()
            }
            None => {
                let languages = &self.context.line.languages;
                ask_name &= languages.len() <= 1;
                let template = if languages.len() > 1 {
                    &self.phrases().languages_offered
                } else {
                    &self.phrases().only_language
                };
                fill_languages(template, &native_names(languages))
            }
        };
        let asks = ask_name && self.name_dialogue.name().is_none();
        let text = match asks {
            true => format!("{text} {}", self.phrases().ask_name),
            false => text,
        };
        self.record_name_asked(asks, actions);
        self.say(&text, TurnKind::Speech, now, actions);
    }

    /// The model's tool; the result is for the model.
    pub(super) fn switch_language(
        &mut self,
        code: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) -> &'static str {
        match self.offered_language(code) {
            None => "that language is not set up on this line",
            Some(tag) if tag == self.language => "the call is in that language already",
            Some(tag) => {
                self.change_language(tag, now, actions);
                "switched: go on in that language"
            }
        }
    }

    /// A recogniser that understands any language says which one it heard: the call follows the caller to
    /// one that the line has. It names the language only (`en`), which is never taken for another region's.
    pub(super) fn follow_language(
        &mut self,
        text: &str,
        heard: &str,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        let line = &self.context.line;
        if heard.is_empty() || !line.relay.transcribes_any_language() {
            return;
        }
        let before = self.heard_language.replace(heard.into());
        if same_language(heard, &self.language) {
            return;
        }
        let again = before.is_some_and(|before| same_language(&before, heard));
        let says_much = text.split_whitespace().count() >= OTHER_LANGUAGE_WORDS_MIN
            || (!text.is_ascii() && text.chars().count() >= OTHER_LANGUAGE_CHARS_MIN);
        if (again || says_much)
            && let Some(tag) = self.offered_language(heard)
        {
            self.change_language(tag, now, actions);
        }
    }

    /// The line's own spelling of a language it has: that tag; else the call's own, or the line's first, of
    /// the same language.
    fn offered_language(&self, code: &str) -> Option<CompactString> {
        let line = &self.context.line;
        let is_it = |tag: &&String| tag.eq_ignore_ascii_case(code);
        if !line.languages.iter().any(|tag| is_it(&tag)) && same_language(&self.language, code) {
            return Some(self.language.clone());
        }
        line.language_like(code).map(CompactString::from)
    }

    fn change_language(
        &mut self,
        tag: CompactString,
        now: EventTime,
        actions: &mut Vec<CallAction>,
    ) {
        if tag == self.language {
            return;
        }
        self.language = tag;
        let stamp = self.next_stamp(now);
        let number = self.trusted_number();
        actions.push(CallAction::Record(Write::LanguageChosen {
            number,
            language: self.language.clone(),
            stamp,
        }));
        self.send_language(actions);
    }

    /// Somebody else speaks, and not the language that was chosen before: the line's own is spoken. It is
    /// nobody's choice and not remembered.
    pub(super) fn reset_language(&mut self, spoken: &str, actions: &mut Vec<CallAction>) {
        let own = CompactString::from(self.context.line.language.as_str());
        if spoken.is_empty() || same_language(spoken, &self.language) || own == self.language {
            return;
        }
        self.language = own;
        self.send_language(actions);
    }

    fn send_language(&self, actions: &mut Vec<CallAction>) {
        let line = &self.context.line;
        actions.push(CallAction::SetLanguage {
            tts_language: line.tts_language(&self.language),
            transcription_language: line.transcription_language(&self.language),
        });
    }
}
