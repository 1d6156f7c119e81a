//! What an event looks like, and what it must never show.

use super::*;
use std::sync::{Arc, Mutex};
use tracing::subscriber::with_default;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Paper {
    type Writer = Paper;

    fn make_writer(&'a self) -> Paper {
        self.clone()
    }
}

fn logged(format: LogFormat, level: &str, events: impl FnOnce()) -> String {
    let paper = Paper::default();
    let filter = filter(level).unwrap();
    let writer = MaskingWriter(paper.clone());
    match format {
        LogFormat::Human => with_default(human_subscriber(filter, writer), events),
        LogFormat::Json => with_default(json_subscriber(filter, writer), events),
    }
    paper.text()
}

#[test]
fn an_event_carries_the_id_of_its_call() {
    let events = || {
        let _call = call_span("CA0123456789abcdef0123456789abcdef").entered();
        tracing::info!(turn = 3, "reply begun");
    };
    let json: serde_json::Value =
        serde_json::from_str(&logged(LogFormat::Json, "info", events)).unwrap();
    assert_eq!(
        json["span"]["call_sid"],
        "CA0123456789abcdef0123456789abcdef"
    );
    assert_eq!(
        (&json["message"], &json["turn"], &json["level"]),
        (&"reply begun".into(), &3.into(), &"INFO".into())
    );
    let human = logged(LogFormat::Human, "info", events);
    assert!(
        human.contains("call_sid=\"CA0123456789abcdef0123456789abcdef\""),
        "{human}"
    );
    assert!(human.ends_with("reply begun turn=3\n"), "{human}");
}

#[test]
fn no_number_is_printed_whole_wherever_it_slips_in() {
    for format in [LogFormat::Human, LogFormat::Json] {
        let text = logged(format, "info", || {
            let _call = tracing::info_span!("call", from = "+14155550100").entered();
            tracing::info!(to = %"tel:+442079460958", "from +4930123456789 by From=%2B14155550123&To=x");
            tracing::warn!(form = ?["+33612345678"], "two");
        });
        for digits in [
            "4155550100",
            "2079460958",
            "30123456789",
            "4155550123",
            "612345678",
        ] {
            assert!(!text.contains(digits), "{digits} in {text}");
        }
        assert!(text.contains("+1415•••0100"), "{text}");
    }
}

#[test]
fn a_level_is_for_the_house_and_its_dependencies_speak_less() {
    let events = || {
        tracing::info!(target: "calldex::call", "ours");
        tracing::info!(target: "calldex_storage::writer", "ours too");
        tracing::debug!(target: "calldex", "not asked for");
        tracing::info!(target: "hyper", "theirs");
        tracing::warn!(target: "hyper", "serious");
    };
    let text = logged(LogFormat::Human, "info", events);
    let shown: Vec<_> = ["ours", "ours too", "serious"]
        .map(|said| text.contains(said))
        .into();
    assert_eq!((shown, text.lines().count()), (vec![true; 3], 3), "{text}");
    assert_eq!(logged(LogFormat::Human, "off", events), "");
    assert_eq!(
        logged(LogFormat::Human, "off,hyper=info", events)
            .lines()
            .count(),
        2
    );
}

#[test]
fn a_level_that_is_none_is_refused_with_its_text() {
    let error = check_level("calldex=chatty").unwrap_err();
    assert!(error.to_string().contains("calldex=chatty"), "{error}");
    assert!(check_level("debug").is_ok());
}
