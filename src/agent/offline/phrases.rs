//! What the script says and understands, by language. English is spoken in full; Spanish, French
//! and German say honestly that there is no model, and understand a goodbye and the wish for a person.

use super::species::Species;

/// What the caller wants, as far as the script understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Goodbye,
    Person,
    Greeting,
}

/// One language of the script. `{name}` is a comma and the name, or nothing.
pub(super) struct Phrases {
    /// Said once a call, before the first answer.
    pub notice: &'static str,
    pub hello: &'static str,
    /// `None`: the persona's own sentence, which is in the operator's language.
    pub nice_to_meet_you: Option<&'static str>,
    pub farewell: &'static str,
    pub connecting: &'static str,
    /// Where no call can be handed over.
    pub nobody: &'static str,
    pub no_model: &'static str,
    /// `{name}`, `{types}`; and the word between two types.
    types: &'static str,
    and: &'static str,
    english_types: bool,
    goodbyes: &'static [&'static str],
    persons: &'static [&'static str],
    greetings: &'static [&'static str],
}

static ENGLISH: Phrases = Phrases {
    notice: "Just so you know, I am the offline agent, a small script without a language model. ",
    hello: "Hello{name}! Ask me for the type of a well-known Pokémon, such as Pikachu or Charizard.",
    nice_to_meet_you: None,
    farewell: "Goodbye{name}! Thank you for calling.",
    connecting: "One moment, I will connect you with a person.",
    nobody: "I am sorry, there is nobody I could connect you with. Is there anything else?",
    no_model: "I cannot answer that without a real model. To get one, set OPENAI_API_KEY and start me again. Until \
               then, ask me for the type of a well-known Pokémon.",
    types: "{name} is {types}. That is all I know about it while I am offline.",
    and: " and ",
    english_types: true,
    goodbyes: &[
        "bye",
        "goodbye",
        "good bye",
        "bye bye",
        "see you",
        "hang up",
        "that is all",
        "thats all",
        "that will be all",
        "nothing else",
        "have a nice day",
        "have a good day",
    ],
    persons: &[
        "a human",
        "human being",
        "a person",
        "real person",
        "a representative",
        "an operator",
        "somebody real",
        "someone real",
        "real human",
        "a supervisor",
        "a manager",
        "your boss",
        "talk to someone",
        "speak to someone",
    ],
    greetings: &[
        "hello",
        "hi",
        "hey",
        "good morning",
        "good afternoon",
        "good evening",
    ],
};

static SPANISH: Phrases = Phrases {
    notice: "Le aviso de que soy el agente sin conexión, un pequeño programa sin modelo de lenguaje. ",
    hello: "¡Hola{name}! En español todavía no sé responder: para eso hay que configurar OPENAI_API_KEY.",
    nice_to_meet_you: Some("¡Mucho gusto, {name}!"),
    farewell: "¡Adiós{name}! Gracias por llamar.",
    connecting: "Un momento, le comunico con una persona.",
    nobody: "Lo siento, no hay nadie con quien comunicarle. ¿Algo más?",
    no_model: "No puedo responder a eso sin un modelo de verdad. Para tener uno, configure OPENAI_API_KEY y vuelva a \
               iniciarme.",
    types: "{name}: {types}. Sin conexión no sé nada más.",
    and: " y ",
    english_types: false,
    goodbyes: &[
        "adios",
        "hasta luego",
        "chao",
        "chau",
        "eso es todo",
        "nada mas",
    ],
    persons: &[
        "una persona",
        "un humano",
        "un agente",
        "un operador",
        "persona real",
    ],
    greetings: &["hola", "buenos dias", "buenas tardes", "buenas noches"],
};

static FRENCH: Phrases = Phrases {
    notice: "Je vous préviens, je suis l'agent hors ligne, un petit programme sans modèle de langue. ",
    hello: "Bonjour{name} ! Je ne sais pas encore répondre en français : pour cela, il faut régler OPENAI_API_KEY.",
    nice_to_meet_you: Some("Enchanté, {name} !"),
    farewell: "Au revoir{name} ! Merci de votre appel.",
    connecting: "Un instant, je vous passe une personne.",
    nobody: "Je suis désolé, il n'y a personne à qui vous passer. Autre chose ?",
    no_model: "Je ne peux pas répondre à cela sans un vrai modèle. Pour en avoir un, réglez OPENAI_API_KEY et \
               redémarrez-moi.",
    types: "{name} : {types}. Hors ligne, je n'en sais pas plus.",
    and: " et ",
    english_types: false,
    goodbyes: &[
        "au revoir",
        "a bientot",
        "salut a plus",
        "cest tout",
        "bonne journee",
    ],
    persons: &[
        "une personne",
        "un humain",
        "un conseiller",
        "un operateur",
        "quelquun de reel",
    ],
    greetings: &["bonjour", "bonsoir", "salut"],
};

static GERMAN: Phrases = Phrases {
    notice: "Nur damit Sie es wissen: Ich bin der Offline-Agent, ein kleines Programm ohne Sprachmodell. ",
    hello: "Hallo{name}! Auf Deutsch kann ich noch nicht antworten: Dafür muss OPENAI_API_KEY gesetzt werden.",
    nice_to_meet_you: Some("Freut mich, {name}!"),
    farewell: "Auf Wiederhören{name}! Danke für Ihren Anruf.",
    connecting: "Einen Moment, ich verbinde Sie mit einem Menschen.",
    nobody: "Es tut mir leid, es ist niemand da, mit dem ich Sie verbinden könnte. Noch etwas?",
    no_model: "Das kann ich ohne ein richtiges Modell nicht beantworten. Dafür muss OPENAI_API_KEY gesetzt und ich neu \
               gestartet werden.",
    types: "{name}: {types}. Mehr weiß ich ohne Verbindung nicht.",
    and: " und ",
    english_types: false,
    goodbyes: &[
        "tschuss",
        "auf wiedersehen",
        "auf wiederhoren",
        "das war alles",
        "das ist alles",
    ],
    persons: &[
        "einem menschen",
        "ein mensch",
        "einen menschen",
        "einem mitarbeiter",
        "echte person",
        "einer person",
    ],
    greetings: &["hallo", "guten morgen", "guten tag", "guten abend"],
};

impl Phrases {
    /// English for every language that has none of its own.
    pub(super) fn of(language: &str) -> &'static Phrases {
        match language
            .get(..2)
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "es" => &SPANISH,
            "fr" => &FRENCH,
            "de" => &GERMAN,
            _ => &ENGLISH,
        }
    }

    /// What `heard` asks for. A goodbye counts only at the end, or where little else was said:
    /// "what type is Goodbye" is no farewell. English is understood in every language.
    pub(super) fn wish(&self, heard: &[String]) -> Option<Wish> {
        let wish = self.own_wish(heard);
        wish.or_else(|| ENGLISH.own_wish(heard))
    }

    fn own_wish(&self, heard: &[String]) -> Option<Wish> {
        if self
            .persons
            .iter()
            .any(|phrase| position(heard, phrase).is_some())
        {
            return Some(Wish::Person);
        }
        let parting = |phrase: &&&str| {
            position(heard, phrase).is_some_and(|end| end == heard.len() || heard.len() <= 6)
        };
        if super::species::named_in(heard).is_none() && self.goodbyes.iter().find(parting).is_some()
        {
            return Some(Wish::Goodbye);
        }
        self.greetings
            .iter()
            .any(|phrase| position(heard, phrase).is_some())
            .then_some(Wish::Greeting)
    }

    /// The types of a species, in a sentence.
    pub(super) fn types_of(&self, species: &Species) -> String {
        let types = species.types.join(self.and);
        let article = if species.types[0].starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        let types = if self.english_types {
            format!("{article} {types} type Pokémon")
        } else {
            types
        };
        self.types
            .replace("{name}", species.name)
            .replace("{types}", &types)
    }
}

/// The number of words up to the end of `phrase` in `heard`, at its last occurrence.
fn position(heard: &[String], phrase: &str) -> Option<usize> {
    let phrase: Vec<_> = phrase.split(' ').collect();
    let at = heard
        .windows(phrase.len())
        .rposition(|window| window == phrase)?;
    Some(at + phrase.len())
}
