//! Layers, faults, and the example file.

use super::*;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

fn variables(pairs: &[(&str, &str)]) -> ConfigSources {
    let environment = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ConfigSources {
        environment,
        ..ConfigSources::default()
    }
}

fn file(text: &str) -> (tempfile::TempDir, ConfigSources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calldex.toml");
    std::fs::write(&path, text).unwrap();
    (
        folder,
        ConfigSources {
            file: Some(path),
            ..ConfigSources::default()
        },
    )
}

fn errors(sources: &ConfigSources) -> Vec<ConfigError> {
    Config::load(sources)
        .map(|_| Vec::new())
        .unwrap_or_else(|errors| errors.0)
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config.example.toml")
}

#[test]
fn without_anything_the_defaults_are_in_order_and_on_loopback() {
    let config = Config::load(&ConfigSources::default()).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.server.listen.ip().is_loopback() && config.admin.listen.ip().is_loopback());
    assert!(config.agent.is_offline(&config.model));
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
    assert!(!config.agent.is_offline(&config.model));
    assert_eq!(config.twilio.auth_token.unwrap().reveal(), "12345");
}

#[test]
fn a_setting_of_an_older_form_is_refused_with_its_new_name() {
    let (_folder, sources) = file(
        "[agent]\napi_key = \"tiger\"\nfirst_token_ms_max = 9\nheaders = { X-A = \"lion\" }\n\
         [agent.fallback]\nbase_url = \"http://127.0.0.1:1/v1\"\nhedge_ms = 3",
    );
    let told = format!("{}", ConfigErrors(errors(&sources)));
    for hint in [
        "is model.default.api_key now",
        "is model.default.first_token_ms_max now",
        "agent.headers: is model.default.headers now",
        "is agent.hedge_ms now",
        "write it under [model.NAME]",
    ] {
        assert!(told.contains(hint), "{hint} is not in {told}");
    }
    assert!(!told.contains("tiger") && !told.contains("lion"));
}

/// `value` as the setting at `path` of a file; `line` is a `[[line]]` and `*` a language or a model's name.
fn file_with(path: &str, value: Value) -> String {
    let keys: Vec<String> = concrete(path).split('.').map(str::to_owned).collect();
    let mut table = keys.iter().rev().fold(value, |below, key| {
        Value::Table([(key.clone(), below)].into_iter().collect())
    });
    if keys[0] == "line" {
        let line = table["line"].as_table_mut().unwrap();
        line.insert("number".into(), "+14155550111".into());
        table["line"] = Value::Array(vec![table["line"].clone()]);
    }
    toml::to_string(&table).unwrap()
}

fn concrete(path: &str) -> String {
    let name = if path.starts_with("model.") {
        "default"
    } else {
        "en"
    };
    path.replace('*', name)
}

fn variable_for(path: &str) -> String {
    format!(
        "CALLDEX_{}",
        concrete(path).replace('.', "__").to_uppercase()
    )
}

fn is_unknown(error: &ConfigError) -> bool {
    error.hint.contains("unknown field") || error.hint.contains("is no setting")
}

#[test]
fn every_renamed_setting_is_refused_once_with_the_new_name_which_exists() {
    for (old, new) in renamed::RENAMED_SETTINGS {
        let at_line = |path: &str| match path.strip_prefix("line.") {
            Some(rest) => format!("line[+14155550111].{}", concrete(rest)),
            None => concrete(path),
        };
        let section = Value::Table(
            [("en".into(), 1.into()), ("de".into(), 2.into())]
                .into_iter()
                .collect(),
        );
        for value in [Value::Integer(1), vec!["tiger"].into(), section] {
            let (_folder, sources) = file(&file_with(old, value));
            let hint = format!("is {} now", at_line(new));
            assert_eq!(errors(&sources), [ConfigError::new(at_line(old), "", hint)]);
        }
        let (_folder, sources) = file(&file_with(new, Value::Integer(1)));
        let refused = errors(&sources);
        assert!(!refused.iter().any(is_unknown), "{new}: {refused:?}");
    }
}

#[test]
fn a_renamed_setting_of_a_variable_is_refused_with_the_new_variable() {
    let settings = renamed::RENAMED_SETTINGS.iter();
    for (old, new) in settings.filter(|(old, _)| !old.starts_with("line.")) {
        let (old, new) = (variable_for(old), variable_for(new));
        let hint = format!("is {new} now");
        assert_eq!(
            errors(&variables(&[(&old, "1")])),
            [ConfigError::new(old, "", hint)]
        );
        let refused = errors(&variables(&[(&new, "1")]));
        assert!(!refused.iter().any(is_unknown), "{new}: {refused:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "tiger").unwrap();
    let refused = errors(&variables(&[
        ("CALLDEX_PERSONA__HOUSE__EN", "Books"),
        ("CALLDEX_PERSONA__HOUSE__DE", "Bücher"),
        (
            "CALLDEX_TWILIO__REFERENCE_SECRET_FILE",
            path.to_str().unwrap(),
        ),
    ]));
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "CALLDEX_PERSONA__HOUSE__EN: is CALLDEX_PERSONA__BUSINESS__EN now",
            "CALLDEX_PERSONA__HOUSE__DE: is CALLDEX_PERSONA__BUSINESS__DE now",
            "CALLDEX_TWILIO__REFERENCE_SECRET_FILE: is CALLDEX_TWILIO__CALL_TOKEN_SECRET_FILE now",
        ]
    );
}

#[test]
fn old_names_of_several_lines_are_refused_beside_their_other_errors() {
    let (_folder, sources) = file(
        "[[line]]\nnumber = \"+14155550111\"\nkeys_wait_ms = 5\nmodel = \"slow\"\n\
         [line.persona.house]\nen = \"Books\"\nde = \"Bücher\"\n\
         [[line]]\nnumber = \"+14155550112\"\n[line.phrases.es]\nbridges = [\"Mmm.\"]",
    );
    let refused: Vec<String> = errors(&sources).iter().map(ToString::to_string).collect();
    for error in [
        "line[+14155550111].keys_wait_ms: is line[+14155550111].dtmf_wait_ms now",
        "line[+14155550111].persona.house: is line[+14155550111].persona.business now",
        "line[+14155550112].phrases.es.bridges: is line[+14155550112].phrases.es.fillers now",
    ] {
        assert!(refused.contains(&error.to_owned()), "{error}: {refused:?}");
    }
    assert!(
        refused
            .iter()
            .any(|error| error.starts_with("line[+14155550111].model = slow"))
    );
    assert_eq!(refused.len(), 4, "{refused:?}");
}

#[test]
fn headers_of_variables_have_dashes_and_models_tables_of_their_own() {
    let config = Config::load(&variables(&[
        ("OPENAI_API_KEY", "sk-1"),
        (
            "CALLDEX_MODEL__DEFAULT__HEADERS__OPENAI_ORGANIZATION",
            "org",
        ),
        ("CALLDEX_MODEL__BACKUP__BASE_URL", "http://127.0.0.1:1/v1"),
        ("CALLDEX_AGENT__FALLBACK", "[\"backup\"]"),
    ]))
    .unwrap();
    assert!(
        config.model["default"]
            .headers
            .contains_key("openai-organization")
    );
    assert_eq!(config.agent.model_order(), ["default", "backup"]);
    assert!(!config.model["backup"].is_unconfigured());
}

#[test]
fn a_line_has_its_own_models_and_its_own_colleague() {
    let (_folder, mut sources) = file(
        "[model.fast]\nbase_url = \"http://127.0.0.1:1/v1\"\n[twilio.handoff]\ndial = \"+14155550199\"\n\
         [[line]]\nnumber = \"+14155550111\"\nmodel = \"fast\"\nhandoff = { dial = \"+14155550188\" }\n\
         [[line]]\nnumber = \"+14155550112\"\nfallback = [\"fast\"]",
    );
    sources.environment = variables(&[("OPENAI_API_KEY", "sk-1")]).environment;
    let lines = PhoneLines::new(&Config::load(&sources).unwrap());
    let of = |number: &str| lines.for_number(number);
    assert_eq!(of("+14155550111").models[..], ["fast"]);
    assert_eq!(of("+14155550112").models[..], ["default", "fast"]);
    assert_eq!(of("+14155550100").models[..], ["default"]);
    let dials = |number: &str| of(number).handoff.dial.clone().unwrap();
    assert_eq!(dials("+14155550111"), "+14155550188");
    assert_eq!(dials("+14155550112"), "+14155550199");
    let (_folder, sources) =
        file("[[line]]\nnumber = \"+14155550111\"\nmodel = \"slow\"\nhandoff = { timeout_s = 1 }");
    let told = format!("{}", ConfigErrors(errors(&sources)));
    assert!(told.contains("line[+14155550111].model = slow") && told.contains("handoff.timeout_s"));
}

#[test]
fn every_fault_is_told_at_once_with_setting_value_and_remedy() {
    let (_folder, mut sources) = file(
        "[call]\nlive_max = \"many\"\nlookup_ms_max = 0\nliv_max = 3\n[server]\npublic_url = \"calls.example.net\"\n\
         [twilio.relay]\neot_threshold = 7\n[nonsense]\nkey = 1",
    );
    sources.environment = variables(&[
        ("CALLDEX_NOPE", "1"),
        ("CALLDEX_CALL__FILLER_AFTER_MS", "soon"),
    ])
    .environment;
    let told = errors(&sources);
    for setting in [
        "call.live_max",
        "call.lookup_ms_max",
        "call.liv_max",
        "server.public_url",
        "twilio.relay.eot_threshold",
        "nonsense.key",
        "CALLDEX_NOPE",
        "CALLDEX_CALL__FILLER_AFTER_MS",
    ] {
        let fault = told.iter().find(|fault| fault.setting == setting);
        assert!(
            fault.is_some_and(|fault| !fault.hint.is_empty()),
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
        let told = errors(&variables(&named));
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
    let told = errors(&variables(&[("CALLDEX_LISTEN", "0.0.0.0:8080")]));
    assert_eq!(told.len(), 1);
    assert!(told[0].to_string().contains("TWILIO_AUTH_TOKEN"));
    assert!(
        errors(&variables(&[
            ("CALLDEX_LISTEN", "0.0.0.0:8080"),
            ("TWILIO_AUTH_TOKEN", "1")
        ]))
        .is_empty()
    );
}

#[test]
fn a_build_that_exports_no_spans_says_so_when_it_is_asked_to() {
    let (_folder, sources) = file("[log]\notlp_endpoint = \"http://lion:tiger@127.0.0.1:4318\"");
    let told = errors(&sources);
    match calldex_observability::spans::CAN_EXPORT {
        true => assert_eq!(told, []),
        false => {
            let told = ConfigErrors(told).to_string();
            assert!(told.contains("log.otlp_endpoint") && told.contains("--features otel"));
            assert!(!told.contains("tiger"), "{told}");
        }
    }
}

#[test]
fn a_level_that_is_none_is_told_before_the_start() {
    let told = errors(&variables(&[("CALLDEX_LOG", "calldex=loud")]));
    assert_eq!(told[0].setting, "log.level");
}

#[test]
fn a_secret_is_never_repeated() {
    let (_folder, sources) =
        file("[twilio]\nauth_token = [\"tiger\"]\n[model.default]\napi_key = 12");
    let told = format!("{:?} {}", errors(&sources), ConfigErrors(errors(&sources)));
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
    let missing = ConfigSources {
        file: Some("/nowhere/calldex.toml".into()),
        ..ConfigSources::default()
    };
    assert!(errors(&missing)[0].hint.contains("cannot be read"));
    let (_folder, sources) = file("this is not toml");
    assert!(errors(&sources)[0].hint.contains("not TOML"));
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
    let told = errors(&variables(&[("OPENAI_API_KEY_FILE", "/nowhere/key")]));
    assert!(told[0].hint.contains("cannot be read"), "{told:?}");
    let both = [("OPENAI_API_KEY", "lion"), ("OPENAI_API_KEY_FILE", path)];
    let told = format!("{:?}", errors(&variables(&both)));
    assert!(told.contains("beside OPENAI_API_KEY") && !told.contains("lion"));
}

#[test]
fn one_of_several_needs_a_secret_and_an_address() {
    let (_folder, sources) = file(
        "[server]\nlisten = \"127.0.0.1:7946\"\n\
         [cluster]\nlisten = \"0.0.0.0:7946\"\njoin = \"nowhere\"\nheartbeat_ms = 200\nlog_bytes_max = 3",
    );
    let told = errors(&sources);
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
    let told = format!("{:?}", errors(&short));
    assert!(told.contains("too short") && told.contains("only this instance"));
    assert!(!told.contains("tiger"));
    let guessable = variables(&[
        ("CALLDEX_CLUSTER__LISTEN", "127.0.0.1:7946"),
        ("CALLDEX_CLUSTER__SECRET", &"tiger".repeat(10)),
        ("CALLDEX_CLUSTER__SECRET_ACCEPTED", &"tiger".repeat(10)),
    ]);
    let told = format!("{:?}", errors(&guessable));
    assert!(
        told.contains("not random") && told.contains("the same as cluster.secret"),
        "{told}"
    );
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
    assert!(config.cluster.is_enabled() && !config.server.calls);
    assert_eq!(config.cluster.advertised(), "127.0.0.1:7946");
    assert_eq!(config.cluster.peer_addresses(), ["calldex-1.calldex:7946"]);
}

#[test]
fn an_instance_alone_takes_calls() {
    let told = errors(&variables(&[("CALLDEX_SERVER__CALLS", "false")]));
    assert_eq!(told[0].setting, "server.calls");
    let (_folder, sources) = file("[cluster]\nadvertise = \"calldex-0:7946\"");
    assert_eq!(errors(&sources)[0].setting, "cluster.listen");
}

#[test]
fn a_line_has_a_persona_greeting_and_voice_of_its_own() {
    let (_folder, sources) = file(
        "[[line]]\nnumber = \"+14155550111\"\nlanguage = \"es-MX\"\nvoice = \"es-US-Neural2-A\"\n\
         persona = { business = \"Mount Moon Books\" }\nphrases = { es = { greet_new = \"¡Hola!\" } }",
    );
    let config = Config::load(&sources).unwrap();
    let lines = PhoneLines::new(&config);
    let own = lines.for_number("+14155550111");
    assert_eq!(own.persona.business.text_for("es"), "Mount Moon Books");
    assert_eq!(
        (
            own.language.as_str(),
            own.phrases("es-MX").greet_new.as_str()
        ),
        ("es-MX", "¡Hola!")
    );
    assert_eq!(
        own.phrases("es").goodbye,
        config.phrases.for_language("es").goodbye
    );
    assert_eq!(lines.for_number("+14155550199").language, "en-US");
}

#[test]
fn faults_of_a_line_are_told_too() {
    let (_folder, sources) = file(
        "[[line]]\nnumber = \"7000\"\n[[line]]\nnumber = \"+14155550111\"\nrelay = { eot_threshold = 3 }\n\
         [[line]]\nnumber = \"+14155550111\"\npersona = { hause = \"x\" }",
    );
    let told = errors(&sources);
    assert!(told.len() >= 3, "{told:?}");
}

#[test]
fn the_example_file_holds_the_defaults() {
    let sources = ConfigSources {
        file: Some(example()),
        ..ConfigSources::default()
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
        "auth_tokens",
        "auth_token_old",
        "account_sid",
        "public_url",
        "api_key",
        "base_url",
        "dial",
        "caller_id",
        "workflow",
        "token",
        "otlp_endpoint",
        "hedge_ms",
        "query",
        "headers",
        "temperature",
        "reasoning_effort",
        "thinking_tokens",
        "max_tokens_as",
        "response_format",
        "preload",
        "user",
        "extra_body",
        "price",
        "fallback",
        "model",
        "handoff",
        "advertise",
        "join",
        "secret",
        "secret_accepted",
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

#[test]
fn a_line_in_another_language_has_nothing_of_the_general_voice() {
    let (_folder, sources) = file(
        "[twilio.relay]\nvoice = \"en-US-Journey-O\"\ntts_provider = \"Google\"\nspeech_model = \"flux\"\n\
         eot_threshold = 0.7\nhints = \"Pikachu\"\nlanguages = [{ code = \"fr-FR\", voice = \"fr-FR-Neural2-A\" }]\n\
         [[line]]\nnumber = \"+14155550111\"\nlanguage = \"es-MX\"\n\
         [[line]]\nnumber = \"+14155550112\"\nrelay = { language = \"fr-FR\" }\n\
         [[line]]\nnumber = \"+14155550113\"\nrelay = { tts_provider = \"Amazon\" }\n\
         [[line]]\nnumber = \"+14155550114\"\nlanguage = \"en-US\"",
    );
    let config = Config::load(&sources).unwrap();
    let lines = PhoneLines::new(&config);
    let set = |number: &str, name: &str| {
        let line = lines.for_number(number);
        let value = line
            .relay
            .values()
            .find(|(attribute, _)| attribute.name == name);
        value.unwrap().1.map(|word| word.as_text().into_owned())
    };
    for name in ["voice", "ttsProvider", "speechModel", "eotThreshold"] {
        assert_eq!(set("+14155550111", name), None, "{name}");
    }
    assert_eq!(set("+14155550111", "hints").as_deref(), Some("Pikachu"));
    assert_eq!(
        lines.for_number("+14155550111").languages,
        ["es-MX", "fr-FR"]
    );
    assert_eq!(
        set("+14155550112", "voice").as_deref(),
        Some("fr-FR-Neural2-A")
    );
    assert_eq!(set("+14155550113", "voice"), None, "of another provider");
    assert_eq!(
        set("+14155550114", "voice").as_deref(),
        Some("en-US-Journey-O")
    );
    let notes = config.notes();
    assert_eq!(notes.len(), 2, "{notes:?}");
    for word in [
        "line[+14155550111]",
        "es-MX",
        "voice",
        "speech_model",
        "eot_threshold",
    ] {
        assert!(notes[0].contains(word), "{notes:?}");
    }
    // Its own language is declared, wherever a call is.
    for number in ["", "+14155550111", "+14155550112"] {
        let line = lines.for_number(number);
        let codes: Vec<_> = line
            .relay
            .languages
            .iter()
            .filter_map(|known| known.code.clone())
            .collect();
        assert!(codes.contains(&line.language.as_str().into()), "{codes:?}");
    }
}

#[test]
fn any_language_is_heard_and_none_of_that_name_is_spoken() {
    let (_folder, sources) = file(
        "[twilio.relay]\nlanguage = \"multi\"\n\
         [[line]]\nnumber = \"+14155550111\"\nlanguage = \"en-GB\"\nrelay = { transcription_language = \"multi\" }",
    );
    let lines = PhoneLines::new(&Config::load(&sources).unwrap());
    let general = lines.for_number("");
    assert_eq!(general.language, "en-US");
    assert_eq!(
        (
            general.tts_language("en-US"),
            general.transcription_language("en-US")
        ),
        ("multi".into(), "multi".into())
    );
    let british = lines.for_number("+14155550111");
    assert_eq!(british.language, "en-GB");
    assert_eq!(
        (
            british.tts_language("en-GB"),
            british.transcription_language("en-GB")
        ),
        ("en-GB".into(), "multi".into())
    );
    assert_eq!(british.language_like("en"), Some("en-GB"));
    assert_eq!(british.language_like("multi"), None);
}

#[test]
fn several_tokens_are_taken_from_a_list_or_one_variable() {
    let (_folder, mut sources) = file("[twilio]\nauth_tokens = [\"ireland\", \"sub\"]");
    sources.environment = variables(&[
        ("TWILIO_AUTH_TOKEN", "first"),
        ("TWILIO_AUTH_TOKEN_OLD", "last"),
    ])
    .environment;
    let tokens = |sources: &ConfigSources| -> Vec<String> {
        let config = Config::load(sources).unwrap();
        config
            .twilio
            .tokens()
            .map(|token| token.reveal().to_owned())
            .collect()
    };
    assert_eq!(tokens(&sources), ["first", "ireland", "sub", "last"]);
    let listed = variables(&[("TWILIO_AUTH_TOKENS", "ireland, sub,")]);
    assert_eq!(tokens(&listed), ["ireland", "sub"]);
    let (_folder, empty) = file("[twilio]\nauth_tokens = [\"\"]");
    assert_eq!(errors(&empty)[0].setting, "twilio.auth_tokens");
    for missing in ["a,,b", ",a", "a, ,b", "a,b,,"] {
        let listed = variables(&[("TWILIO_AUTH_TOKENS", missing)]);
        assert_eq!(
            errors(&listed)[0].setting,
            "twilio.auth_tokens",
            "{missing}"
        );
    }
    let (_folder, wrong) = file("[twilio]\nauth_tokens = [\"tiger\", 7]");
    let told = format!("{:?}", errors(&wrong));
    assert!(
        told.contains("auth_tokens") && !told.contains("tiger"),
        "{told}"
    );
}

#[test]
fn business_and_topic_of_a_line_are_in_its_sentences() {
    let (_folder, sources) = file(
        "[persona]\nbusiness = \"Mount Moon Books\"\ntopic = \"books\"\n\
         [[line]]\nnumber = \"+14155550111\"\npersona = { business = \"Cerulean Bikes\" }",
    );
    let config = Config::load(&sources).unwrap();
    let lines = PhoneLines::new(&config);
    assert_eq!(
        lines.for_number("").phrases("en-US").greet_new,
        "Hello! Welcome to Mount Moon Books. I'm here to help with any books questions. May I have your name?"
    );
    let german = &lines.for_number("+14155550111").phrases("de-DE").greet_new;
    assert!(
        german.contains("Cerulean Bikes") && !german.contains("books"),
        "{german}"
    );
}

#[test]
fn what_nothing_fills_is_a_fault() {
    for (text, setting) in [
        (
            "[persona]\nrole = \"You work for {company}.\"",
            "persona.role",
        ),
        ("[persona]\nmanner = \"Say {name}.\"", "persona.manner"),
        (
            "[phrases.en]\ngoodbye = \"Bye {hous}!\"",
            "phrases.en.goodbye",
        ),
        ("[phrases.en]\ngoodbye = \"  \"", "phrases.en.goodbye"),
        ("[phrases.xx]\ngoodbye = \"Bye!\"", "phrases.xx"),
        (
            "[persona]\ntopic = { en = \"books\", gr = \"βιβλία\" }",
            "persona.topic",
        ),
        (
            "[twilio.relay]\nlanguage = \"xx-XX\"",
            "twilio.relay.language",
        ),
        (
            "[[twilio.relay.languages]]\ncode = \"jp-JP\"",
            "twilio.relay.languages[0].code",
        ),
        (
            "[[line]]\nnumber = \"+14155550111\"\npersona = { role = \"{x}\" }",
            "line[+14155550111].persona.role",
        ),
        (
            "[persona]\ntopic = \"books\"\n[phrases.es]\ngoodbye = \"Adiós, {topic}.\"",
            "phrases.es.goodbye",
        ),
        (
            "[twilio.handoff]\ntimeout_s = 2",
            "twilio.handoff.timeout_s",
        ),
        (
            "[twilio.handoff]\ncaller_id = \"7000\"",
            "twilio.handoff.caller_id",
        ),
        (
            "[twilio.fallback]\nspeech_modell = \"x\"",
            "twilio.fallback",
        ),
        (
            "[twilio.fallback]\ntts_provider = \"Polly\"",
            "twilio.fallback.tts_provider",
        ),
    ] {
        let (_folder, sources) = file(text);
        let told = errors(&sources);
        assert!(
            told.iter().any(|fault| fault.setting == setting),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn after_a_provider_failed_another_one_is_used() {
    let (_folder, sources) = file(
        "[twilio.relay]\ntranscription_provider = \"Deepgram\"\nspeech_model = \"flux\"\n\
         [twilio.fallback]\ntranscription_provider = \"Google\"\nspeech_model = \"telephony\"",
    );
    let lines = PhoneLines::new(&Config::load(&sources).unwrap());
    let fallback = lines.for_number("").fallback.clone().unwrap();
    assert_eq!(fallback.transcription_provider, Some("Google".into()));
    assert_eq!(fallback.speech_model, Some("telephony".into()));
    assert!(
        PhoneLines::new(&Config::default())
            .for_number("")
            .fallback
            .is_none()
    );
}
