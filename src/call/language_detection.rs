//! Which of a few languages a sentence is in, by its script and its small words. Only ever asked to choose
//! among the languages of one line.

use super::language_tags::same_language;

/// Words that are frequent in one language and rare in the others, in lower case.
const FUNCTION_WORDS: &[(&str, &str)] = &[
    (
        "en",
        "the and is are of to with you your can what that this for it i'm it's sure yes hello how would let's here's",
    ),
    (
        "es",
        "el los las es en y con para que una su por puedo claro hola hablemos español muy está qué sí gracias usted tu te del al",
    ),
    (
        "fr",
        "le les est et avec pour que une vous je bien sûr bonjour oui des dans du nous c'est français merci votre puis",
    ),
    (
        "de",
        "der die das ist und mit für sie ich ein eine nicht auf gern natürlich hallo ja sind wir deutsch was kann ihnen",
    ),
    (
        "it",
        "il gli è e con per che una sono certo ciao sì della nel di parliamo italiano posso come cosa tu ti",
    ),
    (
        "pt",
        "o os as é e com para que uma você não claro olá sim posso em do da português falar como seu isso",
    ),
    (
        "pl",
        "jest i z na w nie się to tak proszę dobrze oczywiście cześć po polsku jak czy mogę dla są",
    ),
    (
        "nl",
        "de het een is en met voor je ik van natuurlijk hallo ja niet op zijn we nederlands wat kan dat",
    ),
    (
        "sv",
        "och är det en ett att jag du med för inte på hej ja svenska kan vad vi",
    ),
    (
        "da",
        "og er det en et at jeg du med for ikke på hej ja dansk kan hvad vi",
    ),
    (
        "no",
        "og er det en et å jeg du med for ikke på hei ja norsk kan hva vi",
    ),
    (
        "cs",
        "je a to na se s v že ano ne jak co dobrý den prosím česky můžu jsem",
    ),
    (
        "tr",
        "bir ve bu için ile evet hayır merhaba ne nasıl türkçe tabii mi değil size ben",
    ),
    (
        "vi",
        "là và của tôi bạn có không xin chào vâng tiếng việt được cho với này gì",
    ),
];
/// Letters and signs that only one of these languages writes.
const DISTINCTIVE_CHARS: &[(&str, &str)] = &[
    ("es", "¿¡ñ"),
    ("de", "ß"),
    ("pl", "łżźśęą"),
    ("pt", "ãõ"),
    ("cs", "řěů"),
    ("tr", "ğış"),
    ("vi", "ơưđạảấầẩậắằếềểệọộớờởợụứừữự"),
];
/// Languages by the script that they are written in: first and last character of its blocks.
const SCRIPTS: &[(&str, char, char)] = &[
    ("ru", '\u{0400}', '\u{052f}'),
    ("uk", '\u{0400}', '\u{052f}'),
    ("el", '\u{0370}', '\u{03ff}'),
    ("he", '\u{0590}', '\u{05ff}'),
    ("ar", '\u{0600}', '\u{06ff}'),
    ("hi", '\u{0900}', '\u{097f}'),
    ("th", '\u{0e00}', '\u{0e7f}'),
    ("ko", '\u{ac00}', '\u{d7a3}'),
    ("ja", '\u{3040}', '\u{30ff}'),
    ("ja", '\u{4e00}', '\u{9fff}'),
    ("zh", '\u{4e00}', '\u{9fff}'),
    ("zh", '\u{3400}', '\u{4dbf}'),
];
/// A sign counts as much as this many words, a script as certain.
const DISTINCTIVE_CHAR_SCORE: usize = 2;
const SCRIPT_SCORE: usize = 4;

/// How much of `text` speaks for the language `tag`: one for each of its small words, more for signs and
/// a script of its own.
pub(super) fn language_score(text: &str, tag: &str) -> usize {
    let text = text.to_lowercase();
    let words = table_entry(FUNCTION_WORDS, tag).map_or(0, |known| {
        let is_known = |word: &&str| known.split(' ').any(|own| own == *word);
        words(&text).filter(is_known).count()
    });
    let signs =
        table_entry(DISTINCTIVE_CHARS, tag).is_some_and(|own| text.contains(|c| own.contains(c)));
    let script = SCRIPTS.iter().any(|(language, first, last)| {
        same_language(language, tag) && text.chars().any(|c| (*first..=*last).contains(&c))
    });
    words + usize::from(signs) * DISTINCTIVE_CHAR_SCORE + usize::from(script) * SCRIPT_SCORE
}

/// The words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
}

fn table_entry<'t>(table: &'t [(&str, &'t str)], tag: &str) -> Option<&'t str> {
    table
        .iter()
        .find(|(language, _)| same_language(language, tag))
        .map(|(_, value)| *value)
}
