//! Whether something the agent said asks for the caller's name.

/// How a language asks for a name.
struct NameQuestions {
    /// BCP-47, the first part.
    language: &'static str,
    /// What asks for a name wherever it stands in a question, in lower case.
    question_phrases: &'static [&'static str],
    /// What a question about the name has in it, in lower case.
    name_words: &'static [&'static str],
}

const fn name_questions(
    language: &'static str,
    phrases: &'static [&'static str],
    words: &'static [&'static str],
) -> NameQuestions {
    NameQuestions {
        language,
        question_phrases: phrases,
        name_words: words,
    }
}

/// English stands first: it is what a language without an entry falls back to.
const QUESTIONS_BY_LANGUAGE: &[NameQuestions] = &[
    name_questions(
        "en",
        &[
            "your name",
            "your first name",
            "should i call you",
            "shall i call you",
            "i address you",
            "am i speaking with",
            "am i speaking to",
            "am i talking to",
            "am i talking with",
            "who is calling",
            "who's calling",
        ],
        &["name", "call you"],
    ),
    name_questions(
        "es",
        &[
            "tu nombre",
            "su nombre",
            "te llamas",
            "se llama usted",
            "con quién hablo",
        ],
        &["nombre", "llama"],
    ),
    name_questions(
        "fr",
        &[
            "votre nom",
            "votre prénom",
            "ton nom",
            "ton prénom",
            "comment vous appel",
            "comment tu t'appel",
            "comment t'appel",
            "à qui ai-je",
        ],
        &["nom", "prénom", "appel"],
    ),
    name_questions(
        "de",
        &[
            "ihr name",
            "ihren namen",
            "dein name",
            "deinen namen",
            "wie heißen sie",
            "heißt du",
            "sie nennen",
            "dich nennen",
            "mit wem spreche",
        ],
        &["name", "heiß", "nennen"],
    ),
    name_questions(
        "it",
        &[
            "tuo nome",
            "suo nome",
            "ti chiami",
            "lei si chiama",
            "con chi parlo",
        ],
        &["nome", "chiam"],
    ),
    name_questions(
        "pt",
        &[
            "seu nome",
            "teu nome",
            "você se chama",
            "te chamas",
            "com quem falo",
            "com quem eu falo",
        ],
        &["nome", "cham"],
    ),
    name_questions(
        "pl",
        &[
            "twoje imię",
            "pani imię",
            "pana imię",
            "masz na imię",
            "się nazywasz",
            "z kim rozmawiam",
        ],
        &["imię", "imien", "nazyw"],
    ),
    name_questions(
        "nl",
        &[
            "je naam",
            "jouw naam",
            "uw naam",
            "heet je",
            "heet u",
            "met wie spreek",
        ],
        &["naam", "heet", "noemen"],
    ),
    name_questions("ja", &["お名前", "どちら様", "どなた"], &["名前", "呼び"]),
    name_questions(
        "sv",
        &["ditt namn", "heter du", "vem talar jag"],
        &["namn", "heter"],
    ),
    name_questions(
        "da",
        &["dit navn", "hedder du", "hvem taler jeg"],
        &["navn", "hedder"],
    ),
    name_questions(
        "no",
        &["ditt navn", "heter du", "navnet ditt"],
        &["navn", "heter"],
    ),
    name_questions(
        "nb",
        &["ditt navn", "heter du", "navnet ditt"],
        &["navn", "heter"],
    ),
    name_questions(
        "cs",
        &["vaše jméno", "tvoje jméno", "jmenujete", "jmenuješ"],
        &["jmén", "jmenuj"],
    ),
    name_questions(
        "uk",
        &["ваше ім", "вас звати", "тебе звати"],
        &["ім'я", "ім’я", "звати"],
    ),
    name_questions(
        "ru",
        &["ваше имя", "вас зовут", "тебя зовут"],
        &["имя", "зовут"],
    ),
    name_questions(
        "tr",
        &["adınız", "adın ne", "isminiz"],
        &["adın", "ismin", "isim"],
    ),
    name_questions(
        "el",
        &["το όνομά σας", "το όνομά σου", "σας λένε", "σε λένε"],
        &["όνομ", "λένε"],
    ),
    name_questions("he", &["שמך", "השם שלך", "קוראים לך"], &["שם", "קוראים"]),
    name_questions("ar", &["اسمك"], &["اسم"]),
    name_questions("hi", &["आपका नाम"], &["नाम"]),
    name_questions("ko", &["성함", "이름이"], &["이름", "성함"]),
    name_questions(
        "zh",
        &["您的名字", "你的名字", "您贵姓", "怎么称呼", "叫什么"],
        &["名字", "称呼", "贵姓"],
    ),
    name_questions(
        "vi",
        &["tên bạn", "tên của", "tên là gì", "quý danh"],
        &["tên"],
    ),
];

/// Where a question ends.
const QUESTION_MARKS: [char; 5] = ['?', '？', ';', '؟', '。'];

/// Whether `said`, in `language` (BCP-47), asks for the caller's name: a question in it uses a phrase
/// that asks for it; or, where the agent was `told` to ask, it ends in a question about a name.
pub fn asks_for_name(said: &str, language: &str, told: bool) -> bool {
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    let own = QUESTIONS_BY_LANGUAGE
        .iter()
        .find(|one| one.language.eq_ignore_ascii_case(primary))
        .unwrap_or(&QUESTIONS_BY_LANGUAGE[0]);
    let said = said.to_lowercase();
    let asked = sentences(&said).filter(|sentence| is_question(sentence, own.language));
    let holds = |sentence: &str, words: &[&str]| words.iter().any(|word| sentence.contains(word));
    let mut last = None;
    for sentence in asked {
        if holds(sentence, own.question_phrases) {
            return true;
        }
        last = Some(sentence);
    }
    told && last
        .is_some_and(|last| said.trim_end().ends_with(last.trim()) && holds(last, own.name_words))
}

/// The sentences of `text`, each with its end.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['.', '!', '?', '。', '！', '？', '؟', ';'])
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
}

fn is_question(sentence: &str, language: &str) -> bool {
    let marked = sentence.ends_with(QUESTION_MARKS);
    match language {
        // A Japanese question needs no mark.
        "ja" => {
            marked
                && (sentence.ends_with(['?', '？'])
                    || sentence.ends_with("か。")
                    || sentence.ends_with("ください。"))
        }
        // A Greek one is marked by what elsewhere is a semicolon.
        "el" => marked,
        _ => marked && !sentence.ends_with([';', '。']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_for_the_name_is_one_in_every_language_shipped() {
        for (language, said) in [
            (
                "en-US",
                "Pikachu is electric. By the way, may I have your name?",
            ),
            ("en", "Who am I speaking with? I can look it up then."),
            ("es-MX", "Por cierto, ¿cómo te llamas?"),
            ("fr", "Au fait, puis-je avoir votre prénom ?"),
            ("de-DE", "Übrigens, wie heißen Sie?"),
            ("it", "A proposito, come ti chiami?"),
            ("pt-BR", "A propósito, qual é o seu nome?"),
            ("nl", "Trouwens, hoe heet je?"),
            ("ja", "ところで、お名前をお聞かせください。"),
            ("ru", "Кстати, как вас зовут?"),
            ("tr", "Bu arada, adınız nedir?"),
        ] {
            assert!(asks_for_name(said, language, false), "{language}: {said}");
        }
    }

    #[test]
    fn the_word_for_name_counts_only_where_the_agent_was_told_to_ask() {
        let said = "Before we go on, what name should I use?";
        assert!(asks_for_name(said, "en", true) && !asks_for_name(said, "en", false));
    }

    #[test]
    fn other_questions_and_statements_ask_for_no_name() {
        for said in [
            "Your name is safe with me.",
            "What type is it?",
            "Its name is Pikachu. Is there more?",
            "",
        ] {
            assert!(!asks_for_name(said, "en", true), "{said}");
        }
    }

    #[test]
    fn our_own_questions_are_recognised() {
        let phrase_catalog = crate::call::phrases::PhraseCatalog::default();
        for language in ["en", "es", "fr", "de", "it", "pt", "pl", "nl", "ja"] {
            let phrases = phrase_catalog.for_language(language);
            for question in [&phrases.ask_name, &phrases.greet_new] {
                assert!(
                    asks_for_name(question, language, true),
                    "{language}: {question}"
                );
            }
        }
    }
}
