//! What the script says and understands, by language. English is spoken in full; the eight other
//! languages say honestly that there is no model, and understand a goodbye and the wish for a person.

use super::species::Species;

/// What the caller wants, as far as the script understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerIntent {
    Goodbye,
    Handoff,
    Greeting,
}

/// One language of the script. `{name}` is a comma and the name, or nothing.
pub(super) struct ScriptPhrases {
    /// Said once a call, before the first answer.
    pub notice: &'static str,
    pub hello: &'static str,
    /// `None`: the persona's own sentence, which is in the operator's language.
    pub nice_to_meet_you: Option<&'static str>,
    pub farewell: &'static str,
    pub connecting: &'static str,
    /// Where no call can be handed over.
    pub no_person_available: &'static str,
    pub no_model: &'static str,
    /// `{name}`, `{types}`; and the word between two types.
    types: &'static str,
    and: &'static str,
    english_types: bool,
    goodbyes: &'static [&'static str],
    handoff_requests: &'static [&'static str],
    greetings: &'static [&'static str],
}

static ENGLISH: ScriptPhrases = ScriptPhrases {
    notice: "Just so you know, I am the offline agent, a small script without a language model. ",
    hello: "Hello{name}! Ask me for the type of a well-known Pokémon, such as Pikachu or Charizard.",
    nice_to_meet_you: None,
    farewell: "Goodbye{name}! Thank you for calling.",
    connecting: "One moment, I will connect you with a person.",
    no_person_available: "I am sorry, there is nobody I could connect you with. Is there anything else?",
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
    handoff_requests: &[
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

static SPANISH: ScriptPhrases = ScriptPhrases {
    notice: "Le aviso de que soy el agente sin conexión, un pequeño programa sin modelo de lenguaje. ",
    hello: "¡Hola{name}! En español todavía no sé responder: para eso hay que configurar OPENAI_API_KEY.",
    nice_to_meet_you: Some("¡Mucho gusto, {name}!"),
    farewell: "¡Adiós{name}! Gracias por llamar.",
    connecting: "Un momento, le comunico con una persona.",
    no_person_available: "Lo siento, no hay nadie con quien comunicarle. ¿Algo más?",
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
    handoff_requests: &[
        "una persona",
        "un humano",
        "un agente",
        "un operador",
        "persona real",
    ],
    greetings: &["hola", "buenos dias", "buenas tardes", "buenas noches"],
};

static FRENCH: ScriptPhrases = ScriptPhrases {
    notice: "Je vous préviens, je suis l'agent hors ligne, un petit programme sans modèle de langue. ",
    hello: "Bonjour{name} ! Je ne sais pas encore répondre en français : pour cela, il faut régler OPENAI_API_KEY.",
    nice_to_meet_you: Some("Enchanté, {name} !"),
    farewell: "Au revoir{name} ! Merci de votre appel.",
    connecting: "Un instant, je vous passe une personne.",
    no_person_available: "Je suis désolé, il n'y a personne à qui vous passer. Autre chose ?",
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
    handoff_requests: &[
        "une personne",
        "un humain",
        "un conseiller",
        "un operateur",
        "quelquun de reel",
    ],
    greetings: &["bonjour", "bonsoir", "salut"],
};

static GERMAN: ScriptPhrases = ScriptPhrases {
    notice: "Nur damit Sie es wissen: Ich bin der Offline-Agent, ein kleines Programm ohne Sprachmodell. ",
    hello: "Hallo{name}! Auf Deutsch kann ich noch nicht antworten: Dafür muss OPENAI_API_KEY gesetzt werden.",
    nice_to_meet_you: Some("Freut mich, {name}!"),
    farewell: "Auf Wiederhören{name}! Danke für Ihren Anruf.",
    connecting: "Einen Moment, ich verbinde Sie mit einem Menschen.",
    no_person_available: "Es tut mir leid, es ist niemand da, mit dem ich Sie verbinden könnte. Noch etwas?",
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
    handoff_requests: &[
        "einem menschen",
        "ein mensch",
        "einen menschen",
        "einem mitarbeiter",
        "echte person",
        "einer person",
    ],
    greetings: &["hallo", "guten morgen", "guten tag", "guten abend"],
};

static ITALIAN: ScriptPhrases = ScriptPhrases {
    notice: "La avviso: sono l'agente offline, un piccolo programma senza modello linguistico. ",
    hello: "Salve{name}! In italiano non so ancora rispondere: per questo va impostata OPENAI_API_KEY.",
    nice_to_meet_you: Some("Piacere, {name}!"),
    farewell: "Arrivederci{name}! Grazie per aver chiamato.",
    connecting: "Un momento, la metto in contatto con una persona.",
    no_person_available: "Mi dispiace, non c'è nessuno con cui metterla in contatto. Altro?",
    no_model: "Non posso rispondere senza un vero modello. Per averne uno, imposti OPENAI_API_KEY e mi riavvii.",
    types: "{name}: {types}. Senza connessione non so altro.",
    and: " e ",
    english_types: false,
    goodbyes: &[
        "arrivederci",
        "ciao ciao",
        "e tutto",
        "nientaltro",
        "buona giornata",
    ],
    handoff_requests: &[
        "una persona",
        "un umano",
        "un operatore",
        "unoperatrice",
        "persona vera",
    ],
    greetings: &["salve", "ciao", "buongiorno", "buonasera"],
};

static PORTUGUESE: ScriptPhrases = ScriptPhrases {
    notice: "Aviso: sou o agente offline, um pequeno programa sem modelo de linguagem. ",
    hello: "Olá{name}! Em português ainda não sei responder: para isso é preciso configurar OPENAI_API_KEY.",
    nice_to_meet_you: Some("Muito prazer, {name}!"),
    farewell: "Até logo{name}! Obrigado por ligar.",
    connecting: "Um momento, vou passar a ligação para uma pessoa.",
    no_person_available: "Lamento, não há ninguém a quem passar a ligação. Mais alguma coisa?",
    no_model: "Não posso responder a isso sem um modelo de verdade. Para ter um, configure OPENAI_API_KEY e reinicie-me.",
    types: "{name}: {types}. Sem conexão não sei mais nada.",
    and: " e ",
    english_types: false,
    goodbyes: &[
        "adeus",
        "tchau",
        "ate logo",
        "e so isso",
        "e tudo",
        "mais nada",
    ],
    handoff_requests: &[
        "uma pessoa",
        "um humano",
        "um atendente",
        "uma atendente",
        "pessoa real",
    ],
    greetings: &["ola", "oi", "bom dia", "boa tarde", "boa noite"],
};

static POLISH: ScriptPhrases = ScriptPhrases {
    notice: "Uprzedzam: jestem agentem offline, małym programem bez modelu językowego. ",
    hello: "Dzień dobry{name}! Po polsku jeszcze nie umiem odpowiadać: do tego trzeba ustawić OPENAI_API_KEY.",
    nice_to_meet_you: Some("Miło mi, {name}!"),
    farewell: "Do widzenia{name}! Dziękuję za telefon.",
    connecting: "Chwileczkę, połączę z człowiekiem.",
    no_person_available: "Przykro mi, nie ma nikogo, z kim można połączyć. Coś jeszcze?",
    no_model: "Nie odpowiem na to bez prawdziwego modelu. Aby go mieć, proszę ustawić OPENAI_API_KEY i uruchomić mnie \
               ponownie.",
    types: "{name}: {types}. Bez połączenia nic więcej nie wiem.",
    and: " i ",
    english_types: false,
    goodbyes: &[
        "do widzenia",
        "pa pa",
        "to wszystko",
        "nic wiecej",
        "do uslyszenia",
    ],
    handoff_requests: &[
        "z konsultantem",
        "z konsultantka",
        "z pracownikiem",
        "konsultanta",
        "prawdziwa osoba",
    ],
    greetings: &["dzien dobry", "dobry wieczor", "witam", "czesc"],
};

static DUTCH: ScriptPhrases = ScriptPhrases {
    notice: "Even voor de duidelijkheid: ik ben de offline-agent, een klein programma zonder taalmodel. ",
    hello: "Hallo{name}! In het Nederlands kan ik nog niet antwoorden: daarvoor moet OPENAI_API_KEY worden ingesteld.",
    nice_to_meet_you: Some("Aangenaam, {name}!"),
    farewell: "Tot ziens{name}! Bedankt voor het bellen.",
    connecting: "Een ogenblik, ik verbind u door met een medewerker.",
    no_person_available: "Het spijt me, er is niemand met wie ik u kan doorverbinden. Nog iets?",
    no_model: "Dat kan ik zonder echt model niet beantwoorden. Daarvoor moet OPENAI_API_KEY worden ingesteld en moet ik \
               opnieuw worden gestart.",
    types: "{name}: {types}. Meer weet ik zonder verbinding niet.",
    and: " en ",
    english_types: false,
    goodbyes: &[
        "tot ziens",
        "doei",
        "dag dag",
        "dat was alles",
        "dat is alles",
    ],
    handoff_requests: &[
        "een mens",
        "een medewerker",
        "echt persoon",
        "een persoon",
        "iemand spreken",
    ],
    greetings: &["hallo", "goedemorgen", "goedemiddag", "goedenavond", "hoi"],
};

static JAPANESE: ScriptPhrases = ScriptPhrases {
    notice: "お知らせします。私はオフラインのエージェントで、言語モデルを持たない小さなプログラムです。",
    hello: "こんにちは{name}。日本語ではまだお答えできません。OPENAI_API_KEY の設定が必要です。",
    nice_to_meet_you: Some("はじめまして、{name}さん。"),
    farewell: "さようなら{name}。お電話ありがとうございました。",
    connecting: "少々お待ちください。担当者におつなぎします。",
    no_person_available: "申し訳ありません。おつなぎできる者がおりません。ほかにご用はありますか。",
    no_model: "本物のモデルがないと、お答えできません。OPENAI_API_KEY を設定して、もう一度起動してください。",
    types: "{name}は{types}です。オフラインではそれ以上わかりません。",
    and: "と",
    english_types: false,
    goodbyes: &[
        "さようなら",
        "さよなら",
        "失礼します",
        "バイバイ",
        "以上です",
    ],
    handoff_requests: &[
        "人間",
        "担当者",
        "オペレーター",
        "人につないで",
        "人間と話したい",
    ],
    greetings: &["こんにちは", "こんばんは", "おはようございます", "もしもし"],
};

impl ScriptPhrases {
    /// English for every language that has none of its own.
    pub(super) fn for_language(language: &str) -> &'static ScriptPhrases {
        match language
            .get(..2)
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "es" => &SPANISH,
            "fr" => &FRENCH,
            "de" => &GERMAN,
            "it" => &ITALIAN,
            "pt" => &PORTUGUESE,
            "pl" => &POLISH,
            "nl" => &DUTCH,
            "ja" => &JAPANESE,
            _ => &ENGLISH,
        }
    }

    /// What `heard` asks for. A goodbye counts only at the end, or where little else was said:
    /// "what type is Goodbye" is no farewell. English is understood in every language.
    pub(super) fn intent(&self, heard: &[String]) -> Option<CallerIntent> {
        let wish = self.intent_in_language(heard);
        wish.or_else(|| ENGLISH.intent_in_language(heard))
    }

    fn intent_in_language(&self, heard: &[String]) -> Option<CallerIntent> {
        if self
            .handoff_requests
            .iter()
            .any(|phrase| phrase_end(heard, phrase).is_some())
        {
            return Some(CallerIntent::Handoff);
        }
        let parting = |phrase: &&&str| {
            phrase_end(heard, phrase).is_some_and(|end| end == heard.len() || heard.len() <= 6)
        };
        if super::species::named_in(heard).is_none() && self.goodbyes.iter().find(parting).is_some()
        {
            return Some(CallerIntent::Goodbye);
        }
        self.greetings
            .iter()
            .any(|phrase| phrase_end(heard, phrase).is_some())
            .then_some(CallerIntent::Greeting)
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
fn phrase_end(heard: &[String], phrase: &str) -> Option<usize> {
    let phrase: Vec<_> = phrase.split(' ').collect();
    let at = heard
        .windows(phrase.len())
        .rposition(|window| window == phrase)?;
    Some(at + phrase.len())
}
