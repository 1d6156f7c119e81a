//! The language in the name of a voice.

use super::setting_value::{SettingValue, non_blank_text};

/// The language where the settings name none (Twilio's default).
pub(super) const DEFAULT_LANGUAGE: &str = "en-US";
/// Any language: of the recogniser, or of the voice.
pub(super) const ANY_LANGUAGE: &str = "multi";

/// The language of a voice whose name contains it (`es-US-Neural2-A`), if that is not the language of
/// `spoken`. Languages whose voices are named by another code than the language count as the same.
pub(super) fn voice_of_another_language<'v>(
    voice: Option<&'v SettingValue>,
    spoken: Option<&SettingValue>,
) -> Option<&'v SettingValue> {
    let voice = voice?;
    let text = non_blank_text(Some(voice))?;
    let spoken = non_blank_text(spoken).unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned());
    if spoken == ANY_LANGUAGE {
        return None;
    }
    let text = text.strip_prefix("Google.").unwrap_or(&text);
    let mut parts = text.split('-');
    let (language, region, rest) = (parts.next()?, parts.next()?, parts.next());
    let names_language = (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && region.len() == 2
        && region.bytes().all(|b| b.is_ascii_uppercase())
        && rest.is_some();
    let primary = spoken.split('-').next().unwrap_or_default();
    (names_language && language_family(language) != language_family(&primary.to_ascii_lowercase()))
        .then_some(voice)
}

fn language_family(language: &str) -> &str {
    match language {
        "cmn" | "yue" => "zh",
        "nb" | "nn" => "no",
        "fil" => "tl",
        "iw" => "he",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_tells_its_language_where_its_name_does() {
        let other = |voice: &str, spoken: &str| {
            voice_of_another_language(Some(&voice.into()), Some(&spoken.into())).is_some()
        };
        assert!(other("en-US-Journey-O", "es-MX"));
        assert!(other("Google.en-US-Neural2-F", "es-MX"));
        assert!(!other("es-US-Neural2-A", "es-MX"));
        assert!(!other("cmn-CN-Wavenet-A", "zh-CN"));
        assert!(!other("Joanna-Neural", "es-MX"));
        assert!(!other("b2htR0pMe28pYwCY9gnP-flash_v2_5-1.05", "es-MX"));
        assert!(!other("en-US-Journey-O", "multi"));
    }
}
