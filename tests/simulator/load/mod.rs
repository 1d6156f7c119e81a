//! `calldex load`: many simulated calls at once, and what they measured.

mod caller;
mod connection;
mod histogram;
mod meter;
mod options;
mod random;
mod report;
mod schedule;
mod session;

pub use options::LoadOptions;
pub use report::{LoadReport, LoadVerdict, Percentiles};

use crate::twilio::{CallError, Dial, RestApiServer, Twilio, TwilioConfig, internals};
use caller::{CallFailure, LoadCaller};
use meter::{LoadEvent, LoadMeter, MeasurementWindow};
use random::LoadRandom;
use std::{io::Write, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval, sleep_until, timeout},
};

/// How often the progress line is written.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long the server may take to accept the first connection.
const REACH_MAX: Duration = Duration::from_secs(5);
/// A rate that is no rate counts as this.
const RATE_MIN: f64 = 0.001;

/// Runs the load to its end and reports; progress goes to `progress` as a line that is written over on a terminal.
///
/// Errors of single calls are counted in the report; an error here means that no load could be run at all.
pub async fn run(
    options: LoadOptions,
    progress: impl Write + Send,
) -> Result<LoadReport, CallError> {
    run_until(options, progress, std::future::pending()).await
}

/// As [`run`], but broken off when `stop` is done: live calls vanish, and what was measured is reported with a verdict
/// that is not passed.
pub async fn run_until(
    options: LoadOptions,
    mut progress: impl Write + Send,
    stop: impl Future<Output = ()>,
) -> Result<LoadReport, CallError> {
    let began = Instant::now();
    let load = Arc::new(LoadRun::new(options, began)?);
    load.reach().await?;
    let _rest = load.open_rest().await?;
    let mut stop = std::pin::pin!(stop);
    let mut tick = interval(PROGRESS_EVERY);
    let mut all = std::pin::pin!(Arc::clone(&load).all(began));
    let broken_off = loop {
        tokio::select! {
            () = &mut all => break false,
            () = &mut stop => break true,
            _ = tick.tick() => load.show(&mut progress, began, "\r\x1b[K"),
        }
    };
    load.show(&mut progress, began, "\r\x1b[K");
    if load.options.progress {
        // Where nobody can read there is nothing to tell.
        let _ = writeln!(progress);
    }
    let mut report = load.meter.report(began.elapsed(), &load.options);
    if broken_off {
        let told = format!(
            "broken off after {} s: {} calls asked for, {} begun, {} completed",
            report.seconds, report.calls_wanted, report.calls_started, report.calls_completed
        );
        report.verdict.failures.push(told);
    }
    Ok(report)
}

/// What all calls share.
struct LoadRun {
    twilio: Twilio,
    options: LoadOptions,
    meter: LoadMeter,
    /// When a steady load is over.
    end: Option<Instant>,
}

impl LoadRun {
    fn new(options: LoadOptions, began: Instant) -> Result<Self, CallError> {
        let twilio = Twilio::new(TwilioConfig {
            base_url: options.base_url.clone(),
            instances: options.instances.clone(),
            public_url: options.public_url.clone(),
            auth_token: options.auth_token.clone(),
            speed: options.speed,
            voice_path: options.voice_path.clone(),
            status_path: options.status_path.clone(),
            playback: options.playback,
            log_entries_max: 0,
            ..TwilioConfig::default()
        })?;
        let end = options
            .duration
            .map(|duration| began + options.ramp + duration);
        let window = MeasurementWindow {
            from: Some(began + options.warm_up),
            to: end,
        };
        let meter = LoadMeter::new(options.model_first_token, window);
        Ok(Self {
            twilio,
            options,
            meter,
            end,
        })
    }

    /// Twilio's REST API, where it is wanted.
    async fn open_rest(&self) -> Result<Option<RestApiServer>, CallError> {
        let Some(address) = self.options.rest else {
            return Ok(None);
        };
        let opened = RestApiServer::open(&self.twilio, address).await;
        let refused = |error| CallError::Settings(format!("--rest {address}: {error}"));
        opened.map(Some).map_err(refused)
    }

    /// Fails where nobody listens, before a thousand calls do.
    async fn reach(&self) -> Result<(), CallError> {
        let mut reached = self.reach_one(&self.options.base_url).await;
        for instance in &self.options.instances {
            if reached.is_err() {
                reached = self.reach_one(instance).await;
            }
        }
        reached
    }

    async fn reach_one(&self, url: &str) -> Result<(), CallError> {
        let unreachable = |reason: String| CallError::Unreachable {
            url: url.to_owned(),
            reason,
        };
        let parsed =
            reqwest::Url::parse(url).map_err(|error| CallError::Settings(error.to_string()))?;
        let host = parsed
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = parsed.port_or_known_default().unwrap_or(80);
        match timeout(REACH_MAX, TcpStream::connect((host.as_str(), port))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no connection within {REACH_MAX:?}"))),
        }
    }

    /// Begins the calls as the schedule says and waits for their ends.
    async fn all(self: Arc<Self>, began: Instant) {
        let options = &self.options;
        let rate = options.rate_per_s.max(RATE_MIN);
        let places = Arc::new(Semaphore::new(
            options.calls.clamp(1, Semaphore::MAX_PERMITS),
        ));
        let end = self.end;
        let mut calls = JoinSet::new();
        for number in 0u64.. {
            let due = began + schedule::begins_at(number, rate, options.ramp);
            let over = match end {
                Some(end) => due >= end || Instant::now() >= end,
                None => number >= options.calls as u64,
            };
            if over {
                break;
            }
            sleep_until(due).await;
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                break;
            };
            if end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            let load = Arc::clone(&self);
            calls.spawn(async move {
                load.one(number).await;
                drop(place);
            });
            while calls.try_join_next().is_some() {}
        }
        while let Some(ended) = calls.join_next().await {
            if let Err(error) = ended {
                self.meter.error(format!("a caller failed: {error}"));
            }
        }
    }

    async fn one(&self, number: u64) {
        self.meter.count(LoadEvent::CallStarted);
        let from = schedule::caller_number(&self.options.first_caller, number);
        let call_sid = internals::call_sid();
        let mut caller = LoadCaller {
            listed: self.twilio.exchange.list(&call_sid),
            owed: false,
            was_lost: false,
            answered: 0,
            twilio: &self.twilio,
            options: &self.options,
            meter: &self.meter,
            dial: Dial::new(from, self.options.to.as_str()),
            call_sid,
            chance: LoadRandom::new(self.options.seed, number),
            began: Instant::now(),
            end: self.end,
        };
        let ended = caller.call().await;
        self.meter.count(LoadEvent::CallEnded {
            completed: ended.is_ok(),
        });
        if let Err(CallFailure(kind)) = ended {
            self.meter.error(kind);
        }
    }

    fn show(&self, progress: &mut impl Write, began: Instant, start: &str) {
        if self.options.progress {
            let lasts = self.end.map(|end| end.saturating_duration_since(began));
            let line = self
                .meter
                .progress(began.elapsed(), lasts, self.options.calls);
            // A terminal that is gone is no reason to end a load.
            let _ = write!(progress, "{start}{line}").and_then(|()| progress.flush());
        }
    }
}
