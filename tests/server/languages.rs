//! Lines with several languages: the TwiML, the frames, the sentences.

use crate::fake_model::{FakeModel, prompt};
use crate::raw_call::{RawCall, declared};
use crate::test_server::{LINE, TestServer, TestServerBuilder};
use calldex_simulator::model::Completion;
use calldex_simulator::twilio::Dial;
use serde_json::Value;

const ERIKA: &str = "+14155550156";
const SPANISH_TOO: &str = "[twilio.relay]\nvoice = \"en-US-Journey-O\"\ntts_provider = \"Google\"\n\
                           speech_model = \"flux\"\n\
                           [[twilio.relay.languages]]\ncode = \"es-MX\"\nvoice = \"es-US-Neural2-A\"\n\
                           tts_provider = \"Google\"\n";

fn bilingual(model: &FakeModel) -> TestServerBuilder {
    TestServer::builder().with_model(model).config(SPANISH_TOO)
}

fn tools(model: &FakeModel) -> String {
    model.last_reply_request().body["tools"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_can_be_switched_to_another_language_and_back_in_the_lines_own_voice() {
    let model = FakeModel::start().await;
    let test_server = bilingual(&model).start().await;
    let phone = test_server.call(ERIKA).await;
    phone.says("My name is Erika").await;
    let words = "¡Claro! Hablemos en español.";
    model.next(Completion::says(words).and_calls("switch_language", "{\"code\":\"es\"}"));
    phone.says_it("¿Podemos hablar en español?").await;
    let reply = phone.hears().await;
    assert_eq!(
        (reply.text.as_str(), reply.lang.as_deref()),
        (words, Some("es-MX"))
    );
    let switch = crate::test_server::wait_for("a language frame", || {
        let mut frames = phone.log().into_iter().filter_map(|entry| entry.json());
        frames.find(|frame| frame["type"] == "language")
    })
    .await;
    assert_eq!(switch["ttsLanguage"], "es-MX");
    assert!(
        tools(&model).contains("[\"en-US\",\"es-MX\"]"),
        "{}",
        tools(&model)
    );
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;

    let sid = "CA0000000000000000000000000000e501";
    let call = RawCall::new(&test_server, sid, Dial::new(ERIKA, LINE));
    let relay = call.voice_webhook().await;
    let is_spanish = |relay: &calldex_simulator::twilio::twiml::Connect| {
        assert_eq!(relay.attribute("language"), Some("es-MX"));
        assert_eq!(relay.attribute("voice"), Some("es-US-Neural2-A"));
        assert_eq!(relay.attribute("speechModel"), None);
        assert_eq!(declared(relay, "en-US", "voice"), Some("en-US-Journey-O"));
        assert_eq!(declared(relay, "en-US", "speechModel"), Some("flux"));
        assert_eq!(declared(relay, "es-MX", "voice"), Some("es-US-Neural2-A"));
    };
    is_spanish(&relay);
    let mut socket = call.opens(&relay, "RINGING").await;
    test_server
        .wait_turn_stored(sid, "Hola de nuevo, Erika")
        .await;
    // The same after every return.
    drop(socket);
    let keys = [
        ("CallStatus", "in-progress"),
        ("SessionStatus", "failed"),
        ("ErrorCode", "64105"),
    ];
    let relay = call.connects("/twilio/action", &keys).await;
    is_spanish(&relay);
    socket = call.opens(&relay, "IN_PROGRESS").await;
    model.next(Completion::calls("switch_language", "{\"code\":\"en\"}"));
    model.next(Completion::says("Of course, in English."));
    socket.says("In English, please, if you can.").await;
    let frames = socket.hears("Of course, in English.").await;
    let position = |wanted: &dyn Fn(&Value) -> bool| frames.iter().position(wanted);
    let switched =
        position(&|frame| frame["type"] == "language" && frame["ttsLanguage"] == "en-US");
    let spoken = position(&|frame| {
        frame["token"]
            .as_str()
            .is_some_and(|token| token.contains("course"))
    });
    assert!(
        switched.expect("a language frame") < spoken.unwrap(),
        "{frames:?}"
    );
    socket.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_with_one_language_invites_no_other() {
    let model = FakeModel::start().await;
    let test_server = TestServer::with_model(&model).await;
    let phone = test_server.call(ERIKA).await;
    phone.says("My name is Erika").await;
    phone.says("What type is Onix?").await;
    let told = prompt(&model.last_reply_request());
    assert!(
        !told.contains("unless the caller speaks") && told.contains("en-US"),
        "{told}"
    );
    assert!(!tools(&model).contains("switch_language"));
    let relay = phone.twiml().relay().unwrap().clone();
    assert_eq!(declared(&relay, "en-US", "code"), Some("en-US"));
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_any_language_is_understood_the_call_follows_the_caller() {
    let model = FakeModel::start().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .config(
            "[twilio.relay]\nlanguage = \"en-GB\"\ntranscription_language = \"multi\"\n\
             [[twilio.relay.languages]]\ncode = \"es-MX\"\n",
        )
        .start()
        .await;
    let sid = "CA0000000000000000000000000000e502";
    let call = RawCall::new(&test_server, sid, Dial::new(ERIKA, LINE));
    let relay = call.voice_webhook().await;
    let mut socket = call.opens(&relay, "RINGING").await;
    socket.says_in("What type is Onix, please?", "en").await;
    socket.hears("What type is Onix").await;
    assert!(prompt(&model.last_reply_request()).contains("en-GB"));
    socket.says_in("¿De qué tipo es Pikachu?", "es").await;
    let frames = socket.hears("Pikachu").await;
    let switch = frames
        .iter()
        .find(|frame| frame["type"] == "language")
        .expect("a language frame");
    assert_eq!(switch["ttsLanguage"], "es-MX");
    assert_eq!(switch["transcriptionLanguage"], "multi");
    assert!(prompt(&model.last_reply_request()).contains("es-MX"));
    socket.closes().await;
    call.webhook("/twilio/status", &[("CallStatus", "completed")])
        .await;
    test_server.wait_conversation_closed(sid).await;
    assert_eq!(
        test_server.caller(ERIKA).unwrap().language.as_deref(),
        Some("es-MX")
    );
    // Not one of its greetings or prompts says "multi".
    for request in model.reply_requests() {
        assert!(!prompt(&request).contains("multi"));
    }
}
