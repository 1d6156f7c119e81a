//! `calldex names`: scores the extractor.

use super::print_failure;
use crate::call::first_answer::{FirstAnswer, FirstAnswerSimulator};
use crate::config::Config;
use calldex_names::score::{self, BadLine, LabelledTurn, ScoreOptions, ScoreReport};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Most that is read of an input; a larger one is refused.
const INPUT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bad lines told one by one at the end; further ones are counted.
const BAD_LINES_SHOWN_MAX: usize = 20;

/// What the help says at its end.
const AFTER_HELP: &str = "\
A line is one JSON object:

  {\"id\": 1, \"lang\": \"en\", \"asked\": true, \"text\": \"It's Misty\", \"name\": \"Misty\", \"kind\": \"answer\"}

  text    what the caller said; the only field that is needed
  name    the right name, or null where the caller gave none [default: null]
  asked   the agent had just asked for the name [default: false]
  lang    language, such as en, de or ja [default: en]
  full    the whole name, where it is known
  accept  a list of other right answers
  rest    the turn asks or tells something besides, which must be answered [default: false]
  kind    groups lines in the table: answer, intro, callme, neg, ...; refusal... and forget... label
          turns that are to be that, neg-no those that may be taken for a refusal or not
  source  groups lines in the table: where they come from
  id      anything; repeated in --predictions

Unknown fields are ignored. A line that cannot be read is reported with its number, skipped, and
counted at the end on standard error; the exit status stays 0.

Columns: right and wrong were captured, missed were not; confirm are those of the missed that the
agent would ask about, and rightly; false were captured where nobody gave a name. right% is right of
n, and in groups without names (neg...) false of n: there it should be low. refused and forgot were
taken for a refusal, or a request to forget the name, and are none. lost are those of the right whose
question besides (rest) would not be answered. A group's row with source * has all its sources.

With --first-answers: questions are turns that the agent must answer (no name, no refusal, or rest);
lost were not passed on to the model (kinds neg-othername, neg-thirdparty and neg-vocative hold a name
and are left out, as with --as-asked); named and declined are what is kept for the number.";

/// Options of `calldex names`.
#[derive(Args)]
#[command(after_long_help = AFTER_HELP, after_help = "More with --help: the fields of a line, the columns.")]
pub struct NamesArguments {
    /// Labelled turns, one JSON object a line; - reads standard input
    file: PathBuf,
    /// One JSON object per class instead of a table
    #[arg(long)]
    json: bool,
    /// Lower-case every turn first
    #[arg(long)]
    lowercase: bool,
    /// Treat every turn as an answer to the name question
    #[arg(long)]
    as_asked: bool,
    /// Print what became of each turn instead of scores
    #[arg(long)]
    predictions: bool,
    /// Hear each turn as the first answer of a new caller, in a call of the default line: which
    /// questions are lost, that is not passed on to the model
    #[arg(long, conflicts_with_all = ["json", "as_asked"])]
    first_answers: bool,
}

pub(super) fn run(arguments: &NamesArguments) -> ExitCode {
    let input = match read_input(&arguments.file) {
        Ok(input) => input,
        Err(error) => return print_failure(format!("{}: {error}", arguments.file.display())),
    };
    if arguments.first_answers {
        return first_answers(&input, arguments);
    }
    let begun = Instant::now();
    let options = ScoreOptions {
        json: arguments.json,
        lowercase: arguments.lowercase,
        as_asked: arguments.as_asked,
        predictions: arguments.predictions,
        ..ScoreOptions::default()
    };
    let ScoreReport {
        text,
        turns_read,
        bad_lines,
    } = score::run(&input, &options, || begun.elapsed());
    if let Err(error) = write_text(&text, &mut io::stdout().lock()) {
        return print_failure(format!("standard output: {error}"));
    }
    if !bad_lines.is_empty() {
        // Who has closed standard error does not want to know.
        let _ = io::stderr().write_all(bad_lines_summary(turns_read, &bad_lines).as_bytes());
    }
    ExitCode::SUCCESS
}

/// What became of a group's turns as first answers.
#[derive(Default)]
struct FirstAnswerScore {
    n: usize,
    questions: usize,
    lost: usize,
    named: usize,
    declined: usize,
}

impl FirstAnswerScore {
    fn add(&mut self, turn: &LabelledTurn, answer: &FirstAnswer) {
        let question = turn.wants_answer();
        self.n += 1;
        self.questions += usize::from(question);
        self.lost += usize::from(question && !answer.is_answered());
        self.named += usize::from(answer.named);
        self.declined += usize::from(answer.declined);
    }
}

fn first_answers(input: &[u8], arguments: &NamesArguments) -> ExitCode {
    let (turns, bad_lines) = score::parse(input);
    let calls = FirstAnswerSimulator::new(Config::default());
    let mut groups: BTreeMap<(String, String), FirstAnswerScore> = BTreeMap::new();
    let mut text = String::new();
    for turn in turns.iter().filter(|turn| turn.may_be_asked()) {
        let spoken = if arguments.lowercase {
            turn.text.to_lowercase()
        } else {
            turn.text.clone()
        };
        let answer = calls.simulate(&spoken, turn.language().tag());
        if arguments.predictions {
            let line = json!({
                "id": turn.id,
                "model": answer.answered_by_model,
                "language": answer.language_offered,
                "said": answer.said,
                "named": answer.named,
                "declined": answer.declined,
                "lost": turn.wants_answer() && !answer.is_answered(),
            });
            text.push_str(&format!("{line}\n"));
        }
        let group = (turn.group().to_owned(), turn.lang.clone());
        let all = ("all".to_owned(), "*".to_owned());
        for class in [group, all] {
            groups.entry(class).or_default().add(turn, &answer);
        }
    }
    if !arguments.predictions {
        text = table(&groups);
    }
    if let Err(error) = write_text(&text, &mut io::stdout().lock()) {
        return print_failure(format!("standard output: {error}"));
    }
    if !bad_lines.is_empty() {
        let _ = io::stderr().write_all(bad_lines_summary(turns.len(), &bad_lines).as_bytes());
    }
    ExitCode::SUCCESS
}

fn table(groups: &BTreeMap<(String, String), FirstAnswerScore>) -> String {
    let mut text = format!(
        "{:<18} {:<4} {:>6} {:>10} {:>6} {:>7} {:>6} {:>9}\n",
        "group", "lang", "n", "questions", "lost", "lost%", "named", "declined"
    );
    for ((group, lang), calls) in groups {
        text.push_str(&format!(
            "{group:<18} {lang:<4} {:>6} {:>10} {:>6} {:>7} {:>6} {:>9}\n",
            calls.n,
            calls.questions,
            calls.lost,
            score::percent(calls.lost, calls.questions),
            calls.named,
            calls.declined
        ));
    }
    text.push_str("\nlost: a turn that holds more than a name or a refusal, and was neither passed on to the model nor answered with\na language\n");
    text
}

fn read_input(file: &Path) -> io::Result<Vec<u8>> {
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file)?)
    };
    let mut input = Vec::new();
    source.take(INPUT_BYTES_MAX + 1).read_to_end(&mut input)?;
    if input.len() as u64 > INPUT_BYTES_MAX {
        return Err(io::Error::other(format!(
            "longer than {INPUT_BYTES_MAX} bytes"
        )));
    }
    Ok(input)
}

/// Writes all of it; a reader who has read enough, such as `head`, is no fault.
fn write_text(text: &str, out: &mut impl Write) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn bad_lines_summary(turns_read: usize, bad_lines: &[BadLine]) -> String {
    let mut text = format!(
        "calldex: {} of {} lines could not be read and were skipped\n",
        bad_lines.len(),
        turns_read + bad_lines.len()
    );
    for bad in bad_lines.iter().take(BAD_LINES_SHOWN_MAX) {
        text.push_str(&format!("  line {}: {}\n", bad.line, bad.reason));
    }
    let untold = bad_lines.len().saturating_sub(BAD_LINES_SHOWN_MAX);
    if untold > 0 {
        text.push_str(&format!("  and {untold} more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_has_read_enough_is_no_fault_and_a_full_disk_is() {
        assert!(write_text("table", &mut Closed(ErrorKind::BrokenPipe)).is_ok());
        assert!(write_text("table", &mut Closed(ErrorKind::StorageFull)).is_err());
    }

    #[test]
    fn bad_lines_are_summed_up_and_only_the_first_are_told() {
        let bad: Vec<BadLine> = (1..=25)
            .map(|line| BadLine {
                line,
                reason: "not JSON",
            })
            .collect();
        let text = bad_lines_summary(75, &bad);
        assert!(text.starts_with("calldex: 25 of 100 lines"), "{text}");
        assert!(
            text.contains("line 20: not JSON") && !text.contains("line 21"),
            "{text}"
        );
        assert!(text.ends_with("and 5 more\n"), "{text}");
    }
}
