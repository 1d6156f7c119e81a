//! Addresses, directions, ids that come twice, and the sentences of a line of one's own.

use crate::raw_call::RawCall;
use crate::test_server::{LINE, TOKEN, TestServer, bare_command};
use calldex_simulator::twilio::Dial;

const BROCK: &str = "+14155550157";

#[tokio::test(flavor = "multi_thread")]
async fn on_a_call_that_we_placed_the_person_is_the_one_called() {
    let test_server = TestServer::start().await;
    for (direction, sid) in [
        ("outbound-api", "CA0000000000000000000000000000a901"),
        ("outbound-dial", "CA0000000000000000000000000000a902"),
    ] {
        let mut call = RawCall::new(&test_server, sid, Dial::new(LINE, BROCK));
        call.direction = direction;
        let relay = call
            .connects("/twilio/voice", &[("CallStatus", "in-progress")])
            .await;
        let greeting = relay.attribute("welcomeGreeting").unwrap_or_default();
        let is_known = direction == "outbound-dial";
        assert_eq!(
            greeting.contains("Welcome back, Brock!"),
            is_known,
            "{direction}: {greeting}"
        );
        let mut socket = call.opens(&relay, "IN_PROGRESS").await;
        if !is_known {
            socket.says("My name is Brock.").await;
            socket.hears("Nice to meet you, Brock!").await;
        }
        socket.closes().await;
        call.webhook("/twilio/status", &[("CallStatus", "completed")])
            .await;
        assert_eq!(
            test_server
                .wait_conversation_closed(sid)
                .await
                .phone_number
                .as_deref(),
            Some(BROCK)
        );
    }
    assert_eq!(
        test_server.caller(BROCK).unwrap().name.as_deref(),
        Some("Brock")
    );
    assert_eq!(test_server.caller(LINE), None, "our own number is nobody");
    let phone = test_server.call(BROCK).await;
    assert!(phone.first_greeting().starts_with("Welcome back, Brock!"));
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sid_that_rings_again_is_recorded() {
    let mut test_server = TestServer::start().await;
    let sid = "CA0000000000000000000000000000a903";
    for (round, question) in ["Onix", "Pikachu", "Eevee"].into_iter().enumerate() {
        let call = RawCall::new(&test_server, sid, Dial::new(BROCK, LINE));
        let relay = call.voice_webhook().await;
        let mut socket = call.opens(&relay, "RINGING").await;
        if round == 0 {
            socket.says("My name is Brock.").await;
            socket.hears("Nice to meet you").await;
        }
        socket.says(&format!("What type is {question}?")).await;
        socket.hears("type").await;
        socket.closes().await;
        call.webhook("/twilio/status", &[("CallStatus", "completed")])
            .await;
        test_server
            .wait_turn_stored(sid, &format!("What type is {question}?"))
            .await;
        let row = test_server.wait_conversation_closed(sid).await;
        assert_eq!(row.outcome.as_deref(), Some("hung_up"), "round {round}");
        let said = test_server.database().agent_texts(sid);
        assert_eq!(
            said.last(),
            Some(&format!("What type is {question}?")),
            "{said:?}"
        );
        assert_eq!(said.len(), round + 2, "{said:?}");
        if round == 1 {
            assert!(test_server.output().contains("CallSid of one that is over"));
            assert_eq!(
                test_server
                    .metric("calldex_calls_resumed_total", "call_sid_reused")
                    .await,
                1.0
            );
            test_server.kill();
            test_server.restart().await;
        }
    }
    assert_eq!(test_server.database().count("conversations"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_a_call_that_was_never_here_leaves_no_row() {
    let test_server = TestServer::start().await;
    let call = RawCall::new(
        &test_server,
        "CA0000000000000000000000000000a904",
        Dial::new(BROCK, LINE),
    );
    for status in ["busy", "completed", "no-answer"] {
        call.webhook("/twilio/status", &[("CallStatus", status)])
            .await;
    }
    call.webhook(
        "/twilio/action",
        &[("CallStatus", "completed"), ("SessionStatus", "completed")],
    )
    .await;
    let phone = test_server.call(BROCK).await;
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
    assert_eq!(test_server.database().count("conversations"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_closed_by_its_status_alone_or_its_action_alone() {
    let test_server = TestServer::start().await;
    for (path, keys, sid) in [
        (
            "/twilio/status",
            [("CallStatus", "completed"), ("CallDuration", "3")],
            "CA0000000000000000000000000000a905",
        ),
        (
            "/twilio/action",
            [("CallStatus", "completed"), ("SessionStatus", "completed")],
            "CA0000000000000000000000000000a906",
        ),
    ] {
        let call = RawCall::new(&test_server, sid, Dial::new(BROCK, LINE));
        let relay = call.voice_webhook().await;
        let socket = call.opens(&relay, "RINGING").await;
        test_server.wait_turn_stored(sid, "Welcome").await;
        // The socket stays: only the one request says that the call is over.
        call.webhook(path, &keys).await;
        assert_eq!(
            test_server
                .wait_conversation_closed(sid)
                .await
                .outcome
                .as_deref(),
            Some("hung_up"),
            "{path}"
        );
        drop(socket);
    }
}

async fn answers_under(prefix: &str, left_on: bool) {
    let public = format!("https://example.net{prefix}");
    let test_server = TestServer::builder()
        .unsigned()
        .variable("TWILIO_AUTH_TOKEN", TOKEN)
        .variable("PUBLIC_URL", &public)
        .twilio(|twilio| {
            twilio.auth_token = Some(TOKEN.into());
            twilio.public_url = Some(if left_on {
                "https://example.net".to_owned()
            } else {
                public.clone()
            });
            let path = if left_on { prefix } else { "" };
            twilio.status_path = Some(format!("{path}/twilio/status"));
            twilio.voice_path = format!("{path}/twilio/voice");
        })
        .start()
        .await;
    let phone = test_server.call(BROCK).await;
    let relay = phone.relay("url").unwrap();
    assert_eq!(relay, format!("wss://example.net{prefix}/twilio/relay"));
    let reply = phone.says("My name is Brock").await;
    assert!(reply.starts_with("Nice to meet you, Brock!"), "{reply}");
    phone.hangs_up().await;
    test_server.wait_conversation_closed(phone.call_sid()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_prefix_may_be_left_on_by_the_proxy() {
    for prefix in ["/voice-ai", "/twilio", "/a/b"] {
        answers_under(prefix, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_prefix_may_be_taken_off_by_the_proxy() {
    for prefix in ["/voice-ai", "/twilio"] {
        answers_under(prefix, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn business_and_topic_are_in_the_sentences_of_every_language() {
    let test_server = TestServer::builder()
        .config(
            "[persona]\nbusiness = \"Mount Moon Books\"\ntopic = { en = \"books\", es = \"libros\" }\n\
             [[line]]\nnumber = \"+15550100201\"\nlanguage = \"es-ES\"\n\
             [[line]]\nnumber = \"+15550100202\"\nlanguage = \"de-DE\"\n",
        )
        .start()
        .await;
    for (caller, line, greeting) in [
        (
            "+14155550171",
            LINE,
            "Hello! Welcome to Mount Moon Books. I'm here to help with any books questions. May I have your name?",
        ),
        (
            "+14155550172",
            "+15550100201",
            "¡Hola! Aquí Mount Moon Books. Estoy aquí para ayudarte con tus preguntas sobre libros. ¿Cómo te llamas?",
        ),
        (
            "+14155550173",
            "+15550100202",
            "Hallo! Hier ist Mount Moon Books. Ich beantworte gern alle Fragen. Wie heißen Sie?",
        ),
    ] {
        let phone = test_server.dial(Dial::new(caller, line)).await.unwrap();
        assert_eq!(phone.first_greeting(), greeting);
        phone.hangs_up().await;
    }
}

#[test]
fn check_says_what_a_line_in_another_language_does_without() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[twilio.relay]\nvoice = \"en-US-Journey-O\"\n\
                [[line]]\nnumber = \"+15550100201\"\nlanguage = \"es-MX\"\n";
    std::fs::write(folder.path().join("calldex.toml"), text).unwrap();
    let mut command = bare_command();
    command
        .current_dir(folder.path())
        .args(["check", "--config", "calldex.toml"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("line[+15550100201]") && said.contains("voice"),
        "{said}"
    );
}
