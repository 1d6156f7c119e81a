//! Configuration, and the operator's door.

use crate::raw_http;
use crate::test_server::{TestServer, bare_command, wait_for};
use std::process::{Child, Output, Stdio};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bare_command();
    command
        .current_dir(folder.path())
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn check_says_that_all_is_well() {
    let output = run(&["check"], &[]);
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn check_prints_every_fault_at_once_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    let wrong = "[call]\nlive_max = 0\nlive_maximum = 3\n[twilio.relay]\neot_threshold = 7\n";
    std::fs::write(&file, wrong).unwrap();
    let output = run(
        &[
            "check",
            "--config",
            file.to_str().unwrap(),
            "--listen",
            "nowhere",
        ],
        &[
            ("PUBLIC_URL", "phone.example.net"),
            ("OPENAI_BASE_URL", "not a url"),
            ("CALLDEX_STORAGE__HOT_CALLERS_MAX", "three"),
        ],
    );
    assert!(!output.status.success());
    let said = words(&output);
    let faults = [
        "call.live_max",
        "live_maximum",
        "eot_threshold",
        "--listen",
        "public_url",
        "model.default.base_url",
        "CALLDEX_STORAGE__HOT_CALLERS_MAX",
    ];
    for fault in faults {
        assert!(said.contains(fault), "{fault} is not in\n{said}");
    }
}

#[test]
fn a_fault_never_repeats_a_secret() {
    let output = run(
        &["check"],
        &[
            ("OPENAI_API_KEY", "sk-secret\u{7}bell"),
            ("TWILIO_AUTH_TOKEN", "token-secret"),
            ("PUBLIC_URL", "nonsense"),
        ],
    );
    assert!(!output.status.success());
    let said = words(&output);
    assert!(
        !said.contains("sk-secret") && !said.contains("token-secret"),
        "{said}"
    );
}

#[test]
fn a_public_bind_without_a_token_is_refused_with_the_remedy() {
    for command in ["serve", "check"] {
        let output = run(
            &[command, "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"],
            &[],
        );
        assert!(!output.status.success());
        let said = words(&output);
        assert!(said.contains("TWILIO_AUTH_TOKEN"), "{said}");
        assert!(said.contains("127.0.0.1"), "{said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(
        &["serve", "--listen", &address, "--admin", "127.0.0.1:0"],
        &[],
    );
    assert!(!output.status.success());
    let said = words(&output);
    assert!(
        said.contains(&address) && said.contains("server.listen"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_data_is_refused() {
    let test_server = TestServer::start().await;
    let data = test_server.folder().join("data");
    let output = run(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
        ],
        &[],
    );
    assert!(!output.status.success(), "{}", words(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_door_shows_metrics_and_health() {
    let test_server = TestServer::start().await;
    let metrics = raw_http::get(test_server.admin, "/metrics", &[]).await;
    assert_eq!(metrics.status, 200);
    for name in [
        "calldex_calls_live",
        "calldex_webhook_seconds_bucket",
        "# HELP",
    ] {
        assert!(metrics.body.contains(name), "{name}");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = raw_http::get(test_server.admin, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str::<serde_json::Value>(&answer.body).unwrap();
    }
    // On loopback, without a token, the rest is open too.
    let status = raw_http::get(test_server.admin, "/api/status", &[]).await;
    assert_eq!(status.status, 200);
    let status: serde_json::Value = serde_json::from_str(&status.body).unwrap();
    for worker in ["checkpoint", "database watch", "storage health", "sweep"] {
        let seen = &status["workers"][worker];
        assert!(seen["rounds"].as_u64().is_some(), "{worker}: {seen}");
    }
    // Each door has its own rooms.
    assert_eq!(
        raw_http::get(test_server.admin, "/twilio/voice", &[])
            .await
            .status,
        404
    );
    assert_eq!(
        raw_http::get(test_server.listen, "/metrics", &[])
            .await
            .status,
        404
    );
    assert_eq!(
        raw_http::get(test_server.listen, "/api/status", &[])
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_the_rest_of_the_operators_door_needs_it() {
    let test_server = TestServer::builder()
        .variable("CALLDEX_ADMIN_TOKEN", "operator-7")
        .start()
        .await;
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(
            raw_http::get(test_server.admin, path, &[]).await.status,
            200,
            "{path}"
        );
    }
    let status =
        async |headers: &[&str]| raw_http::get(test_server.admin, "/api/status", headers).await;
    assert_eq!(status(&[]).await.status, 401);
    assert_eq!(
        status(&["Authorization: Bearer operator-8"]).await.status,
        401
    );
    assert_eq!(status(&["Authorization: Bearer "]).await.status, 401);
    let shown = status(&["Authorization: Bearer operator-7"]).await;
    assert_eq!(shown.status, 200);
    let shown: serde_json::Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!(shown["live_calls"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_and_without_a_token_only_metrics_and_health_are_shown() {
    struct KilledOnDrop(Child);
    impl Drop for KilledOnDrop {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = std::fs::File::create(&out).unwrap();
    let child = bare_command()
        .current_dir(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ended = KilledOnDrop(child);
    let port: u16 = wait_for("the admin door", || {
        let banner = std::fs::read_to_string(&out).ok()?;
        let (_, rest) = banner.split_once("http://0.0.0.0:")?;
        rest.split_once("/metrics")?.0.parse().ok()
    })
    .await;
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(raw_http::get(admin, path, &[]).await.status, 200, "{path}");
    }
    let closed = raw_http::get(admin, "/api/status", &[]).await;
    assert_eq!(closed.status, 403, "{}", closed.body);
    assert!(closed.body.contains("token"), "{}", closed.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_called_number_has_its_own_greeting_voice_and_language() {
    let line = "[[line]]\nnumber = \"+15550100200\"\nlanguage = \"es-ES\"\nvoice = \"Lucia-Neural\"\n\
                relay = { tts_provider = \"Amazon\" }\n\
                [line.phrases.es]\ngreet_new = \"¡Hola! Aquí la panadería. ¿Cómo te llamas?\"\n";
    let test_server = TestServer::builder().config(line).start().await;
    let dial = calldex_simulator::twilio::Dial::new("+14155550111", "+15550100200");
    let phone = test_server.dial(dial).await.unwrap();
    assert_eq!(
        phone.first_greeting(),
        "¡Hola! Aquí la panadería. ¿Cómo te llamas?"
    );
    assert_eq!(phone.relay("language").as_deref(), Some("es-ES"));
    assert_eq!(phone.relay("voice").as_deref(), Some("Lucia-Neural"));
    let reply = phone.says("Me llamo Misty").await;
    assert!(
        reply.starts_with("¡Encantado de conocerte, Misty!"),
        "{reply}"
    );
    phone.hangs_up().await;
    let other = test_server.call("+14155550112").await;
    assert!(other.first_greeting().starts_with("Hello! Welcome"));
    other.hangs_up().await;
}
