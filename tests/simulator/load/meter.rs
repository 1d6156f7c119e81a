//! What all calls measure together.

use super::{
    histogram::Histogram,
    options::LoadOptions,
    report::{LoadReport, LoadVerdict},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Kinds of errors told apart; later ones are counted as "other".
const ERROR_KINDS_MAX: usize = 64;

/// Characters of the progress bar.
const BAR_WIDTH: usize = 20;

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timing {
    Webhook,
    Handshake,
    FirstToken,
    TokenGap,
    WholeTurn,
    Back,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum LoadEvent {
    CallStarted,
    CallEnded {
        completed: bool,
    },
    Turn,
    Tokens(u64),
    Interruption,
    HangUp,
    Drop,
    Reconnect,
    /// The server lost a socket, or a redirect ended it.
    Loss,
    /// A whole reply was heard after that.
    Continued,
    /// A reply that knew less than was said.
    Forgotten,
    /// A session at the instance of this place.
    Session(usize),
}

#[derive(Default)]
struct LoadCounts {
    report: LoadReport,
    live: u64,
    webhook: Histogram,
    handshake: Histogram,
    first_token: Histogram,
    overhead: Histogram,
    token_gap: Histogram,
    whole_turn: Histogram,
    back: Histogram,
}

/// When times are counted: from the end of the warm-up to the end of the steady load.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MeasurementWindow {
    pub(super) from: Option<Instant>,
    pub(super) to: Option<Instant>,
}

impl MeasurementWindow {
    fn is_open(&self, now: Instant) -> bool {
        self.from.is_none_or(|from| now >= from) && self.to.is_none_or(|to| now < to)
    }
}

/// Shared by all calls; each entry holds its lock for a few nanoseconds.
#[derive(Default)]
pub(super) struct LoadMeter {
    counts: Mutex<LoadCounts>,
    model_first_token: Option<Duration>,
    window: MeasurementWindow,
}

impl LoadMeter {
    pub(super) fn new(model_first_token: Option<Duration>, window: MeasurementWindow) -> Self {
        Self {
            model_first_token,
            window,
            ..Self::default()
        }
    }

    fn counts(&self) -> MutexGuard<'_, LoadCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a time that ends now.
    pub(super) fn time(&self, what: Timing, duration: Duration) {
        if !self.window.is_open(Instant::now()) {
            return;
        }
        let mut counts = self.counts();
        match what {
            Timing::Webhook => counts.webhook.record(duration),
            Timing::Handshake => counts.handshake.record(duration),
            Timing::TokenGap => counts.token_gap.record(duration),
            Timing::WholeTurn => counts.whole_turn.record(duration),
            Timing::Back => counts.back.record(duration),
            Timing::FirstToken => {
                counts.first_token.record(duration);
                if let Some(model) = self.model_first_token {
                    counts.overhead.record(duration.saturating_sub(model));
                }
            }
        }
    }

    pub(super) fn count(&self, event: LoadEvent) {
        let mut counts = self.counts();
        match event {
            LoadEvent::CallStarted => {
                counts.report.calls_started += 1;
                counts.live += 1;
                counts.report.calls_at_once_max = counts.report.calls_at_once_max.max(counts.live);
            }
            LoadEvent::CallEnded { completed } => {
                counts.live -= 1;
                counts.report.calls_completed += u64::from(completed);
            }
            LoadEvent::Turn => counts.report.turns += 1,
            LoadEvent::Tokens(count) => counts.report.tokens += count,
            LoadEvent::Interruption => counts.report.interruptions += 1,
            LoadEvent::HangUp => counts.report.hang_ups += 1,
            LoadEvent::Drop => counts.report.drops += 1,
            LoadEvent::Reconnect => counts.report.reconnects += 1,
            LoadEvent::Loss => counts.report.losses += 1,
            LoadEvent::Continued => counts.report.continued += 1,
            LoadEvent::Forgotten => counts.report.forgotten += 1,
            LoadEvent::Session(instance) => {
                *counts.report.sessions.entry(instance).or_default() += 1
            }
        }
    }

    pub(super) fn error(&self, kind: String) {
        let errors = &mut self.counts().report.errors;
        let known = errors.contains_key(&kind) || errors.len() < ERROR_KINDS_MAX;
        *errors
            .entry(if known { kind } else { "other".into() })
            .or_default() += 1;
    }

    /// One line for people who watch: how far it is, and how it goes. Without `lasts` the calls tell how far.
    pub(super) fn progress(
        &self,
        elapsed: Duration,
        lasts: Option<Duration>,
        calls: usize,
    ) -> String {
        let counts = self.counts();
        let first = counts.first_token.percentiles();
        let done = match lasts {
            Some(lasts) => elapsed.as_secs_f64() / lasts.as_secs_f64(),
            None => (counts.report.calls_started - counts.live) as f64 / calls.max(1) as f64,
        };
        format!(
            "[{}] {:.1} s  {} calls, {} live, {} turns, {} errors; first token p50 {:.1} ms, p99 {:.1} ms",
            bar(done),
            elapsed.as_secs_f64(),
            counts.report.calls_started,
            counts.live,
            counts.report.turns,
            counts.report.errors.values().sum::<u64>(),
            first.p50_ms,
            first.p99_ms
        )
    }

    /// Everything, with the verdict.
    pub(super) fn report(&self, elapsed: Duration, options: &LoadOptions) -> LoadReport {
        let counts = self.counts();
        let mut report = counts.report.clone();
        report.seconds = (elapsed.as_secs_f64() * 100.0).round() / 100.0;
        report.calls_wanted = options.calls as u64;
        report.webhook = counts.webhook.percentiles();
        report.handshake = counts.handshake.percentiles();
        report.first_token = counts.first_token.percentiles();
        report.overhead = counts.overhead.percentiles();
        report.token_gap = counts.token_gap.percentiles();
        report.whole_turn = counts.whole_turn.percentiles();
        report.back = counts.back.percentiles();
        report.verdict = verdict(&report, options);
        report
    }
}

/// A bar for a share from 0 to 1.
fn bar(done: f64) -> String {
    let full = (done.clamp(0.0, 1.0) * BAR_WIDTH as f64) as usize;
    format!("{}{}", "#".repeat(full), "-".repeat(BAR_WIDTH - full))
}

/// Rounded to a microsecond, without zeros at the end.
fn in_ms(value: f64) -> String {
    format!("{} ms", (value * 1000.0).round() / 1000.0)
}

fn verdict(report: &LoadReport, options: &LoadOptions) -> LoadVerdict {
    let mut failures = Vec::new();
    let errors = report.errors_total();
    if let Some(most) = options.errors_max.filter(|most| errors > *most) {
        failures.push(format!("{errors} errors, {most} allowed"));
    }
    if report.forgotten > 0 {
        failures.push(format!(
            "{} replies knew less than the caller had said",
            report.forgotten
        ));
    }
    let limits: BTreeMap<&str, _> = BTreeMap::from([
        ("webhook", (options.webhook_p99_max, report.webhook)),
        (
            "first token",
            (options.first_token_p99_max, report.first_token),
        ),
        (
            "overhead over the model",
            (options.overhead_p99_max, report.overhead),
        ),
    ]);
    for (what, (limit, found)) in limits {
        let Some(limit) = limit else { continue };
        let (limit_ms, p99_ms) = (limit.as_secs_f64() * 1000.0, found.p99_ms);
        let allowed = in_ms(limit_ms);
        if found.count == 0 {
            failures.push(format!(
                "{what}: nothing was measured, {allowed} allowed at p99"
            ));
        } else if p99_ms > limit_ms {
            failures.push(format!("{what}: p99 {}, {allowed} allowed", in_ms(p99_ms)));
        }
    }
    LoadVerdict { failures }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_own_time_is_taken_off() {
        let meter = LoadMeter::new(
            Some(Duration::from_millis(200)),
            MeasurementWindow::default(),
        );
        meter.time(Timing::FirstToken, Duration::from_millis(203));
        let report = meter.report(Duration::from_secs(1), &LoadOptions::default());
        assert!((2.9..=3.1).contains(&report.overhead.max_ms), "{report:?}");
        assert_eq!(report.first_token.max_ms, 203.0);
    }

    #[test]
    fn times_outside_the_window_are_not_counted() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        let mut report = LoadReport::default();
        for (from, to, counted) in [
            (None, None, 1),
            (Some(now + hour), None, 0),
            (None, Some(now), 0),
            (Some(now), Some(now + hour), 1),
        ] {
            let meter = LoadMeter::new(None, MeasurementWindow { from, to });
            meter.time(Timing::Webhook, Duration::from_millis(1));
            meter.count(LoadEvent::Tokens(30));
            report = meter.report(hour, &LoadOptions::default());
            assert_eq!(report.webhook.count, counted, "{from:?} to {to:?}");
        }
        assert_eq!(report.tokens, 30);
    }

    #[test]
    fn limits_are_told_in_round_numbers() {
        let meter = LoadMeter::default();
        meter.time(Timing::Webhook, Duration::from_millis(8));
        let options = LoadOptions {
            webhook_p99_max: Duration::try_from_secs_f64(5.1 / 1000.0).ok(),
            ..LoadOptions::default()
        };
        let report = meter.report(Duration::from_secs(1), &options);
        assert_eq!(
            report.verdict.failures,
            ["webhook: p99 8 ms, 5.1 ms allowed"]
        );
    }

    #[test]
    fn the_bar_shows_the_share() {
        assert_eq!(bar(0.0), "-".repeat(20));
        assert_eq!(bar(0.5), format!("{}{}", "#".repeat(10), "-".repeat(10)));
        assert_eq!(bar(7.0), "#".repeat(20));
    }

    #[test]
    fn limits_fail_when_passed_or_when_nothing_was_measured() {
        let meter = LoadMeter::default();
        meter.time(Timing::Webhook, Duration::from_millis(5));
        meter.error("webhook 500".into());
        let options = LoadOptions {
            errors_max: Some(0),
            webhook_p99_max: Some(Duration::from_millis(2)),
            first_token_p99_max: Some(Duration::from_millis(100)),
            ..LoadOptions::default()
        };
        let failures = meter
            .report(Duration::from_secs(1), &options)
            .verdict
            .failures;
        assert_eq!(failures.len(), 3, "{failures:?}");
        let lenient = LoadOptions {
            errors_max: Some(1),
            ..LoadOptions::default()
        };
        assert!(
            meter
                .report(Duration::from_secs(1), &lenient)
                .verdict
                .passed()
        );
    }
}
