//! First answers of new callers, from outside: what was kept for the number, whether the model was
//! asked, and what the next call's greeting says.

use crate::fake_model::FakeModel;
use crate::test_server::TestServer;
use calldex_simulator::twilio::Utterance;

/// What is to become of a first answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ExpectedName {
    /// The model answers, and nothing is kept.
    Answered,
    /// "Does not want to say" is kept, nothing is asked.
    Declined,
    /// No name is kept; a question back or an offer is right, too.
    NoName,
    /// The name is kept, and greeted.
    Named(&'static str),
}

use ExpectedName::{Answered, Declined, Named, NoName};

/// Language of the prompt, the words, and what becomes of them.
const TURNS: &[(&str, &str, ExpectedName)] = &[
    ("en", "What do you think about Charizard?", Answered),
    ("en", "What do you know about Snorlax?", Answered),
    ("en", "What do you recommend for a beginner?", Answered),
    ("en", "Does it matter which starter I pick?", Answered),
    ("en", "Do you have information on Mewtwo?", Answered),
    ("en", "Is it necessary to have a moon stone?", Answered),
    ("en", "Why do you need rare candy to evolve?", Answered),
    ("en", "No way is Magikarp useful, right?", Answered),
    ("en", "I forget. We're booked for 6", Answered),
    ("en", "Don't call me, I'll call back", Answered),
    ("en", "I'd rather not say. What type is Pikachu?", Answered),
    ("en", "I'd rather not say my name.", Declined),
    ("en", "That's none of your business", Declined),
    ("de", "Warum ist Pikachu gelb?", Answered),
    ("de", "Ich möchte nicht kämpfen, was tun?", Answered),
    ("nl", "Waarom is Pikachu geel?", Answered),
    ("fr", "Je ne veux pas combattre", Answered),
    ("ja", "名前は言いたくないです", Declined),
    ("en", "Español", NoName),
    ("en", "Spanish please", NoName),
    ("en", "English please", NoName),
    ("de", "Deutsch", NoName),
    ("fr", "Français", NoName),
    ("en", "Russian", NoName),
    ("en", "Hablo español", NoName),
    ("es", "Inglés por favor", NoName),
    ("pt", "Inglês por favor", NoName),
    ("nl", "Engels alsjeblieft", NoName),
    ("en", "Hi Sarah", NoName),
    ("en", "Hey Siri", NoName),
    ("en", "Thanks Alexa", NoName),
    ("ru", "Нет", NoName),
    ("ru", "Добрый день", NoName),
    ("ko", "아니요", NoName),
    ("zh", "不", NoName),
    ("hi", "नहीं", NoName),
    ("ar", "لا", NoName),
    ("cs", "Dobrý den", NoName),
    ("tr", "Anlamıyorum", NoName),
    ("sv", "Vad är Pikachu för typ?", Answered),
    ("en", "Jag heter Åsa", Named("Åsa")),
    ("en", "ich heiße Jürgen", Named("Jürgen")),
    ("ru", "Меня зовут Иван", Named("Иван")),
    ("uk", "Мене звати Олена", Named("Олена")),
    ("da", "Jeg hedder Mette", Named("Mette")),
    ("no", "Jeg heter Ingrid", Named("Ingrid")),
    ("cs", "Jmenuji se Tomáš", Named("Tomáš")),
    ("tr", "Benim adım Mehmet", Named("Mehmet")),
    ("vi", "Tôi tên là Linh", Named("Linh")),
    ("el", "Με λένε Μαρία", Named("Μαρία")),
    ("he", "קוראים לי דוד", Named("דוד")),
    ("ar", "اسمي محمد", Named("محمد")),
    ("ko", "제 이름은 김민수입니다", Named("민수")),
    ("zh", "我叫王小明", Named("小明")),
    ("th", "ผมชื่อสมชายครับ", Named("สมชาย")),
    ("hi", "मेरा नाम राहुल है", Named("राहुल")),
    ("en", "last name Ketchum, first name Ash", Named("Ash")),
    ("en", "van der Berg, Anna", Named("Anna")),
    ("en", "not Bob, Rob", Named("Rob")),
    ("en", "My name is Wednesday", Named("Wednesday")),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_first_answer_becomes_what_it_is() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let mut faults = Vec::new();
    for ((language, text, expected), index) in TURNS.iter().zip(0..) {
        let from = format!("+141555{index:05}");
        let asked_before = model.reply_requests().len();
        let phone = test_server.call(&from).await;
        phone.silence_and_say(language, text).await;
        let reply = phone.hears().await.text;
        phone.hangs_up().await;
        test_server.wait_conversation_closed(phone.call_sid()).await;
        let asked = model.reply_requests().len() > asked_before;
        let kept = test_server.caller(&from);
        let name = kept.as_ref().and_then(|caller| caller.name.clone());
        let state = kept.and_then(|caller| caller.name_state);
        let declined = state.as_deref() == Some("declined");
        let right = match expected {
            Answered => asked && !declined && name.is_none(),
            Declined => !asked && declined && name.is_none(),
            NoName => name.is_none(),
            Named(wanted) => name.as_deref() == Some(*wanted),
        };
        let next = test_server.call(&from).await;
        let greeting = next.first_greeting();
        next.hangs_up().await;
        test_server.wait_conversation_closed(next.call_sid()).await;
        let greeted = match expected {
            Named(wanted) => greeting.contains(wanted),
            _ => !greeting.contains(text),
        };
        if !right || !greeted {
            faults.push(format!(
                "{language} {text:?}: {expected:?}, but name {name:?}, state {state:?}, model asked {asked}, \
                 said {reply:?}, next greeting {greeting:?}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_it_forgets_nobody_and_forget_my_name_does() {
    let test_server = TestServer::start().await;
    let from = "+14155550171";
    let phone = test_server.call(from).await;
    phone.says("My name is Misty.").await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    for harmless in [
        "Forget it",
        "Don't call me, I'll call back.",
        "I forget. We're booked for 6",
    ] {
        let phone = test_server.call(from).await;
        phone.says(harmless).await;
        phone.hangs_up().await;
        test_server.wait_conversation_closed(phone.call_sid()).await;
        let kept = test_server.caller(from).expect("a row for the caller");
        assert_eq!(kept.name.as_deref(), Some("Misty"), "{harmless}");
    }
    let phone = test_server.call(from).await;
    assert!(phone.first_greeting().contains("Misty"));
    phone.says("Please forget my name.").await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    let kept = test_server.caller(from).expect("a row for the caller");
    assert_eq!(kept.name, None);
}

impl crate::test_caller::TestCaller {
    /// Lets the agent finish and says this, in a language of the recogniser's.
    async fn silence_and_say(&self, language: &str, text: &str) {
        self.silence(crate::test_server::WAIT_MAX)
            .await
            .unwrap_or_else(|error| panic!("before {text:?}: {error}"));
        let said = Utterance {
            lang: Some(language.to_owned()),
            ..Utterance::at_once(text)
        };
        self.say(said)
            .await
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
}
