//! Layers, faults, and the example file.

use super::*;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

fn variables(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Sources {
        environment,
        ..Sources::default()
    }
}

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calldex.toml");
    std::fs::write(&path, text).unwrap();
    (
        folder,
        Sources {
            file: Some(path),
            ..Sources::default()
        },
    )
}

fn faults(sources: &Sources) -> Vec<Fault> {
    Config::load(sources)
        .map(|_| Vec::new())
        .unwrap_or_else(|faults| faults.0)
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config.example.toml")
}

#[test]
fn without_anything_the_defaults_are_in_order_and_on_loopback() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.server.listen.ip().is_loopback() && config.admin.listen.ip().is_loopback());
    assert!(config.agent.is_offline());
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let (_folder, mut sources) =
        file("[server]\nlisten = \"127.0.0.1:1\"\ndrain_ms_max = 7\n[call]\nlive_max = 9");
    sources.environment = variables(&[
        ("CALLDEX_LISTEN", "127.0.0.1:2"),
        ("CALLDEX_CALL__LIVE_MAX", "11"),
    ])
    .environment;
    sources.flags.listen = Some("127.0.0.1:3".to_owned());
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!((config.server.drain_ms_max, config.call.live_max), (7, 11));
}

#[test]
fn the_three_variables_make_it_live() {
    let config = Config::load(&variables(&[
        ("TWILIO_AUTH_TOKEN", "12345"),
        ("PUBLIC_URL", "https://calls.example.net"),
        ("OPENAI_API_KEY", "sk-1"),
    ]))
    .unwrap();
    assert!(!config.agent.is_offline());
    assert_eq!(config.twilio.auth_token.unwrap().reveal(), "12345");
}

#[test]
fn every_fault_is_told_at_once_with_setting_value_and_remedy() {
    let (_folder, mut sources) = file(
        "[call]\nlive_max = \"many\"\nlookup_ms_max = 0\nliv_max = 3\n[server]\npublic_url = \"calls.example.net\"\n\
         [twilio.relay]\neot_threshold = 7\n[nonsense]\nkey = 1",
    );
    sources.environment =
        variables(&[("CALLDEX_NOPE", "1"), ("CALLDEX_CALL__BRIDGE_MS", "soon")]).environment;
    let told = faults(&sources);
    for setting in [
        "call.live_max",
        "call.lookup_ms_max",
        "call.liv_max",
        "server.public_url",
        "twilio.relay.eot_threshold",
        "nonsense.key",
        "CALLDEX_NOPE",
        "CALLDEX_CALL__BRIDGE_MS",
    ] {
        let fault = told.iter().find(|fault| fault.setting == setting);
        assert!(
            fault.is_some_and(|fault| !fault.remedy.is_empty()),
            "{setting}: {told:?}"
        );
    }
}

#[test]
fn an_account_that_calls_can_be_redirected_with_is_whole_and_at_an_api_over_tls() {
    let account = "AC00000000000000000000000000000001";
    let told = |account: &str, api: &str, token: Option<&str>| {
        let mut named = vec![
            ("CALLDEX_TWILIO__ACCOUNT_SID", account),
            ("CALLDEX_TWILIO__API_BASE", api),
        ];
        named.extend(token.map(|token| ("TWILIO_AUTH_TOKEN", token)));
        let told = faults(&variables(&named));
        let settings = told.into_iter().map(|fault| fault.setting);
        settings.collect::<Vec<String>>()
    };
    let api = "https://api.twilio.com";
    assert!(told(account, api, Some("12345")).is_empty());
    assert!(told(account, "http://127.0.0.1:9", Some("12345")).is_empty());
    assert_eq!(told("AC1", api, Some("12345")), ["twilio.account_sid"]);
    assert_eq!(told(account, api, None), ["twilio.account_sid"]);
    for api in ["http://api.twilio.com", "api.twilio.com"] {
        assert_eq!(told(account, api, Some("12345")), ["twilio.api_base"]);
    }
}

#[test]
fn a_public_door_without_the_token_is_refused_with_the_remedy() {
    let told = faults(&variables(&[("CALLDEX_LISTEN", "0.0.0.0:8080")]));
    assert_eq!(told.len(), 1);
    assert!(told[0].to_string().contains("TWILIO_AUTH_TOKEN"));
    assert!(
        faults(&variables(&[
            ("CALLDEX_LISTEN", "0.0.0.0:8080"),
            ("TWILIO_AUTH_TOKEN", "1")
        ]))
        .is_empty()
    );
}

#[test]
fn a_build_that_exports_no_spans_says_so_when_it_is_asked_to() {
    let (_folder, sources) = file("[log]\notlp_endpoint = \"http://lion:tiger@127.0.0.1:4318\"");
    let told = faults(&sources);
    match calldex_observability::spans::CAN_EXPORT {
        true => assert_eq!(told, []),
        false => {
            let told = Faults(told).to_string();
            assert!(told.contains("log.otlp_endpoint") && told.contains("--features otel"));
            assert!(!told.contains("tiger"), "{told}");
        }
    }
}

#[test]
fn a_level_that_is_none_is_told_before_the_start() {
    let told = faults(&variables(&[("CALLDEX_LOG", "calldex=loud")]));
    assert_eq!(told[0].setting, "log.level");
}

#[test]
fn a_secret_is_never_repeated() {
    let (_folder, sources) = file("[twilio]\nauth_token = [\"tiger\"]\n[agent]\napi_key = 12");
    let told = format!("{:?} {}", faults(&sources), Faults(faults(&sources)));
    assert!(!told.contains("tiger"), "{told}");
    let config = Config::load(&variables(&[
        ("TWILIO_AUTH_TOKEN", "tiger"),
        ("OPENAI_API_KEY", "lion"),
    ]))
    .unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("tiger") && !shown.contains("lion"));
}

#[test]
fn a_missing_file_and_a_file_that_is_no_toml_say_so() {
    let missing = Sources {
        file: Some("/nowhere/calldex.toml".into()),
        ..Sources::default()
    };
    assert!(faults(&missing)[0].remedy.contains("cannot be read"));
    let (_folder, sources) = file("this is not toml");
    assert!(faults(&sources)[0].remedy.contains("not TOML"));
}

#[test]
fn a_secret_comes_from_a_file_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "tiger\n").unwrap();
    let path = path.to_str().unwrap();
    let sources = variables(&[
        ("TWILIO_AUTH_TOKEN_FILE", path),
        ("CALLDEX_ADMIN__TOKEN_FILE", path),
    ]);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.twilio.auth_token.unwrap().reveal(), "tiger");
    assert_eq!(config.admin.token.unwrap().reveal(), "tiger");
    let told = faults(&variables(&[("OPENAI_API_KEY_FILE", "/nowhere/key")]));
    assert!(told[0].remedy.contains("cannot be read"), "{told:?}");
    let both = [("OPENAI_API_KEY", "lion"), ("OPENAI_API_KEY_FILE", path)];
    let told = format!("{:?}", faults(&variables(&both)));
    assert!(told.contains("beside OPENAI_API_KEY") && !told.contains("lion"));
}

#[test]
fn one_of_several_needs_a_secret_and_an_address() {
    let (_folder, sources) = file(
        "[server]\nlisten = \"127.0.0.1:7946\"\n\
         [cluster]\nlisten = \"0.0.0.0:7946\"\njoin = \"nowhere\"\nheartbeat_ms = 200\nlog_bytes_max = 3",
    );
    let told = faults(&sources);
    for setting in [
        "cluster.secret",
        "cluster.listen",
        "cluster.join",
        "cluster.election_ms_min",
        "cluster.log_bytes_max",
    ] {
        assert!(
            told.iter().any(|f| f.setting == setting),
            "{setting}: {told:?}"
        );
    }
    let short = variables(&[
        ("CALLDEX_CLUSTER__LISTEN", "127.0.0.1:7946"),
        ("CALLDEX_CLUSTER__SECRET", "tiger"),
        ("CALLDEX_CLUSTER__JOIN", "127.0.0.1:7946"),
    ]);
    let told = format!("{:?}", faults(&short));
    assert!(told.contains("too short") && told.contains("only this instance"));
    assert!(!told.contains("tiger"));
}

#[test]
fn one_of_several_takes_its_addresses_from_a_variable() {
    let config = Config::load(&variables(&[
        ("CALLDEX_CLUSTER__LISTEN", "127.0.0.1:7946"),
        (
            "CALLDEX_CLUSTER__SECRET",
            "0123456789abcdef0123456789abcdef",
        ),
        (
            "CALLDEX_CLUSTER__JOIN",
            "127.0.0.1:7946, calldex-1.calldex:7946,",
        ),
        ("CALLDEX_SERVER__CALLS", "false"),
    ]))
    .unwrap();
    assert!(config.cluster.is_set() && !config.server.calls);
    assert_eq!(config.cluster.advertised(), "127.0.0.1:7946");
    assert_eq!(config.cluster.others(), ["calldex-1.calldex:7946"]);
}

#[test]
fn an_instance_alone_takes_calls() {
    let told = faults(&variables(&[("CALLDEX_SERVER__CALLS", "false")]));
    assert_eq!(told[0].setting, "server.calls");
    let (_folder, sources) = file("[cluster]\nadvertise = \"calldex-0:7946\"");
    assert_eq!(faults(&sources)[0].setting, "cluster.listen");
}

#[test]
fn a_line_has_a_persona_greeting_and_voice_of_its_own() {
    let (_folder, sources) = file(
        "[[line]]\nnumber = \"+14155550111\"\nlanguage = \"es-MX\"\nvoice = \"es-US-Neural2-A\"\n\
         persona = { house = \"Mount Moon Books\" }\nphrases = { es = { greet_new = \"¡Hola!\" } }",
    );
    let config = Config::load(&sources).unwrap();
    let lines = Lines::new(&config);
    let own = lines.of("+14155550111");
    assert_eq!(own.persona.house, "Mount Moon Books");
    assert_eq!(
        (
            own.language.as_str(),
            own.phrases("es-MX").greet_new.as_str()
        ),
        ("es-MX", "¡Hola!")
    );
    assert_eq!(own.phrases("es").goodbye, config.phrases.of("es").goodbye);
    assert_eq!(lines.of("+14155550199").language, "en-US");
}

#[test]
fn faults_of_a_line_are_told_too() {
    let (_folder, sources) = file(
        "[[line]]\nnumber = \"7000\"\n[[line]]\nnumber = \"+14155550111\"\nrelay = { eot_threshold = 3 }\n\
         [[line]]\nnumber = \"+14155550111\"\npersona = { hause = \"x\" }",
    );
    let told = faults(&sources);
    assert!(told.len() >= 3, "{told:?}");
}

#[test]
fn the_example_file_holds_the_defaults() {
    let sources = Sources {
        file: Some(example()),
        ..Sources::default()
    };
    assert_eq!(Config::load(&sources).unwrap(), Config::default());
}

#[test]
fn the_example_file_names_every_setting() {
    let text = std::fs::read_to_string(example()).unwrap();
    let shown: Table = text.parse().unwrap();
    let mut defaults = Table::try_from(Config::default()).unwrap();
    let phrases = defaults["phrases"].as_table_mut().unwrap();
    phrases.retain(|language, _| language == "en");
    let mut missing = Vec::new();
    compare(&defaults, &shown, "", &mut missing);
    assert!(
        missing.is_empty(),
        "deploy/config.example.toml lacks {missing:?}"
    );
    // What is not set by default stands there as a comment.
    for setting in [
        "auth_token",
        "auth_token_old",
        "account_sid",
        "public_url",
        "api_key",
        "base_url",
        "dial",
        "workflow",
        "token",
        "otlp_endpoint",
        "fallback",
        "advertise",
        "join",
        "secret",
    ] {
        assert!(
            text.contains(&format!("# {setting} = ")),
            "{setting} is not shown"
        );
    }
}

fn compare(defaults: &Table, shown: &Table, path: &str, missing: &mut Vec<String>) {
    for (key, value) in defaults {
        let path = format!("{path}.{key}");
        match (value, shown.get(key)) {
            (Value::Table(below), Some(Value::Table(here))) => compare(below, here, &path, missing),
            (Value::Table(below), None) if below.is_empty() => {}
            (Value::Array(list), None) if list.is_empty() => {}
            (_, None) => missing.push(path),
            _ => {}
        }
    }
}

/// Prints the defaults, to begin an example file with: `cargo test print_the_defaults -- --ignored --nocapture`.
#[test]
#[ignore = "prints the defaults for the example file"]
fn print_the_defaults() {
    println!("{}", toml::to_string_pretty(&Config::default()).unwrap());
}
