//! What the caller does, line by line: from a script or from the keyboard.

use std::time::Duration;

/// Longest line that the caller can say, in characters.
const LINE_CHARACTERS_MAX: usize = 2000;
/// Longest `!wait`.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Keys of one `!press` at most.
const KEYS_MAX: usize = 40;

/// One deed of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptStep {
    /// Says this when the agent has finished.
    Say(String),
    /// `!barge TEXT`: says this over the agent.
    Interrupt(String),
    /// `!press KEYS`.
    Press(Vec<char>),
    /// `!wait MS`, in Twilio's time.
    Wait(Duration),
    /// `!drop`: the connection between Twilio and the server breaks.
    Drop,
    /// `!hangup`, `/bye`.
    HangUp,
    /// `/help`: shows the list.
    Help,
}

/// What can be typed instead of words, one line each.
pub const HELP: [&str; 6] = [
    "/press KEYS   presses keys (0-9 * #)",
    "/barge TEXT   says TEXT over the agent",
    "/wait MS      waits, in Twilio's time (see --speed)",
    "/drop         breaks the connection to the server",
    "/bye          hangs up, also /hangup",
    "/help         this list; ! for / does as well",
];

/// Reads one line; `None`: nothing to do (empty, or a comment).
pub fn parse_step(line: &str) -> Result<Option<ScriptStep>, String> {
    let line = line.trim();
    if line.chars().count() > LINE_CHARACTERS_MAX {
        return Err(format!("longer than {LINE_CHARACTERS_MAX} characters"));
    }
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    match line.strip_prefix(['!', '/']) {
        Some(directive) => parse_directive(directive).map(Some),
        None => Ok(Some(ScriptStep::Say(line.to_owned()))),
    }
}

/// Reads a whole script. `Err`: the line, from 1, and what is wrong with it.
pub fn parse_script(script: &str) -> Result<Vec<ScriptStep>, (usize, String)> {
    let mut all = Vec::new();
    for (at, line) in script.lines().enumerate() {
        all.extend(parse_step(line).map_err(|reason| (at + 1, reason))?);
    }
    Ok(all)
}

fn parse_directive(directive: &str) -> Result<ScriptStep, String> {
    let (name, rest) = directive
        .split_once(char::is_whitespace)
        .unwrap_or((directive, ""));
    let rest = rest.trim();
    match name.to_ascii_lowercase().as_str() {
        "barge" if rest.is_empty() => Err("/barge needs what the caller says".into()),
        "barge" => Ok(ScriptStep::Interrupt(rest.to_owned())),
        "press" => keys(rest).map(ScriptStep::Press),
        "wait" => {
            let time = rest
                .parse()
                .map(Duration::from_millis)
                .map_err(|_| "/wait needs milliseconds".to_owned())?;
            Ok(ScriptStep::Wait(time.min(WAIT_MAX)))
        }
        "drop" => Ok(ScriptStep::Drop),
        "hangup" | "bye" => Ok(ScriptStep::HangUp),
        "help" => Ok(ScriptStep::Help),
        other => Err(format!(
            "/{other} is unknown; there are /press KEYS, /barge TEXT, /wait MS, /drop, /bye, /help"
        )),
    }
}

fn keys(text: &str) -> Result<Vec<char>, String> {
    let keys: Vec<char> = text.chars().filter(|key| !key.is_whitespace()).collect();
    let fine = !keys.is_empty()
        && keys.len() <= KEYS_MAX
        && keys
            .iter()
            .all(|key| key.is_ascii_digit() || "*#".contains(*key));
    if fine {
        Ok(keys)
    } else {
        Err(format!("/press needs 1 to {KEYS_MAX} keys of 0-9 * #"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_line_by_line() {
        let script = "# the usual\n\nMy name is Misty\n!wait 250\n!press 1#\n!barge Stop that\n!drop\n/bye\n";
        assert_eq!(
            parse_script(script).unwrap(),
            [
                ScriptStep::Say("My name is Misty".into()),
                ScriptStep::Wait(Duration::from_millis(250)),
                ScriptStep::Press(vec!['1', '#']),
                ScriptStep::Interrupt("Stop that".into()),
                ScriptStep::Drop,
                ScriptStep::HangUp
            ]
        );
    }

    #[test]
    fn a_slash_and_an_exclamation_mark_mean_the_same() {
        for words in [
            "bye",
            "hangup",
            "help",
            "drop",
            "press 12#",
            "wait 5",
            "barge No",
        ] {
            let [slash, mark] =
                ["/", "!"].map(|first| parse_step(&format!("{first}{words}")).unwrap());
            assert_eq!(slash, mark, "{words}");
            assert!(!matches!(slash, Some(ScriptStep::Say(_)) | None), "{words}");
        }
        assert!(parse_step("/foo bar").unwrap_err().contains("/help"));
    }

    #[test]
    fn a_faulty_line_is_named_with_its_number() {
        for (script, line) in [
            ("hello\n!dance\n", 2),
            ("!press x", 1),
            ("!wait soon", 1),
            ("a\nb\n!barge ", 3),
        ] {
            assert_eq!(parse_script(script).unwrap_err().0, line, "{script}");
        }
    }
}
