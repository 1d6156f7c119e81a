//! Logs to stderr, for people or for machines. The words of a call are never logged, numbers only
//! masked: a number that slips into an event all the same is masked on its way out.

use crate::redaction::mask_numbers_in;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use tracing::Span;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Human,
    /// One JSON object a line, fields and the fields of its spans flattened into it.
    Json,
}

/// Why logging did not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is neither a level nor a list of directives (`info,calldex::call=debug`).
    #[error("log level {level:?} is not understood: {reason}")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: ParseError,
    },
    /// This process logs already: the first call holds.
    #[error("logging has begun already")]
    AlreadyInitialized,
}

/// Begins to log. `level` is `off`, `error`, `warn`, `info`, `debug` or `trace` for the server (its
/// dependencies speak one step less), or a list of directives of `tracing_subscriber::EnvFilter`.
///
/// # Errors
/// [`LogError::Level`] when the level is not understood, [`LogError::AlreadyInitialized`] the second time.
pub fn init(format: LogFormat, level: &str) -> Result<(), LogError> {
    let filter = filter(level)?;
    match format {
        LogFormat::Human => human_subscriber(filter, MaskingWriter(io::stderr)).try_init(),
        LogFormat::Json => json_subscriber(filter, MaskingWriter(io::stderr)).try_init(),
    }
    .map_err(|_| LogError::AlreadyInitialized)
}

/// Begins to log as [`init`] does, and to hand spans to `exporter`. The spans are for the collector
/// alone: they are not shown in the log.
///
/// # Errors
/// As [`init`].
#[cfg(feature = "otel")]
pub fn init_exporting(
    format: LogFormat,
    level: &str,
    exporter: &crate::spans::Exporter,
) -> Result<(), LogError> {
    use tracing_subscriber::layer::{Layer, SubscriberExt};
    let filter = filter(&format!("{},otel=off", default_directives(level)))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(MaskingWriter(io::stderr));
    let lines = match format {
        LogFormat::Human => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(exporter.layer())
        .try_init()
        .map_err(|_| LogError::AlreadyInitialized)
}

/// Checks a level as [`init`] would, for the check of the configuration.
///
/// # Errors
/// [`LogError::Level`] when it is not understood.
pub fn check_level(level: &str) -> Result<(), LogError> {
    filter(level).map(drop)
}

/// Words that stand alone as a level; any other single word would be taken for a target and
/// silence everything else.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The span of one call: what is logged inside it carries the call's id as `call_sid`.
pub fn call_span(call_sid: &str) -> Span {
    tracing::info_span!("call", call_sid)
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let word = level.trim().to_ascii_lowercase();
    let is_word = !word.contains(['=', ',', '[']);
    let directives = if is_word && !LEVELS.contains(&word.as_str()) {
        // Not a level: let the parser say so in its own words.
        format!("calldex={word}")
    } else {
        default_directives(level)
    };
    EnvFilter::try_new(&directives).map_err(|reason| LogError::Level {
        level: level.to_owned(),
        reason,
    })
}

/// A single level as directives: the server at `level`, everything else quieter.
fn default_directives(level: &str) -> String {
    let level = level.trim();
    let others = match level.to_ascii_lowercase().as_str() {
        "trace" => "debug",
        "debug" => "info",
        "info" => "warn",
        "warn" | "error" => "error",
        _ => return level.to_owned(),
    };
    // The consensus engine says at every heartbeat what the cluster module says once.
    let engine = match others {
        "warn" | "error" => ",openraft=off",
        _ => "",
    };
    // Targets match by their beginning: this takes in calldex_storage and the rest of the server.
    format!("{others}{engine},calldex={level}")
}

fn human_subscriber<W>(filter: EnvFilter, writer: W) -> impl SubscriberInitExt + tracing::Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer)
        .finish()
}

fn json_subscriber<W>(filter: EnvFilter, writer: W) -> impl SubscriberInitExt + tracing::Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

/// A writer through which no telephone number passes whole.
struct MaskingWriter<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for MaskingWriter<W> {
    type Writer = MaskingLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        MaskingLine(self.0.make_writer())
    }
}

/// The formatter hands over a whole event at once, so a number never comes in two pieces.
struct MaskingLine<W>(W);

impl<W: Write> Write for MaskingLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.0.write_all(mask_numbers_in(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
