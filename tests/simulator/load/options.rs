//! What `calldex load` was asked to do.

use crate::twilio::AuthToken;
use std::{net::SocketAddr, time::Duration};

/// A load: how many calls, how fast, and what callers do. Shares are 0.0-1.0.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where the server listens (`--url`).
    pub base_url: String,
    /// Where further instances of it listen (`--url`, again): each request and socket goes to the next one in turn.
    pub instances: Vec<String>,
    /// The server's `PUBLIC_URL`, where it has one (`--public-url`).
    pub public_url: Option<String>,
    /// The server's `TWILIO_AUTH_TOKEN` (environment); `None` signs nothing.
    pub auth_token: Option<AuthToken>,
    /// Path of the voice webhook (`--voice-path`).
    pub voice_path: String,
    /// Path of the status callback (`--status-path`); `None` sends none.
    pub status_path: Option<String>,
    /// Calls in all (`--calls`); with `duration`, the number held at once: each call that ends is replaced.
    pub calls: usize,
    /// New calls per second at most (`--rate`).
    pub rate_per_s: f64,
    /// The rate rises evenly from zero over this time (`--ramp`, seconds).
    pub ramp: Duration,
    /// Steady load for this long after the ramp (`--duration`, seconds); calls that are live then hang up where they
    /// would have spoken next. `None`: until all calls are done.
    pub duration: Option<Duration>,
    /// Times are not counted before this one (`--warm-up`, seconds); calls, turns and errors are.
    pub warm_up: Duration,
    /// Turns of each call (`--turns`).
    pub turns: usize,
    /// From the end of a reply to the next prompt (`--think`, ms), varied by a quarter either way.
    pub think: Duration,
    /// What callers say in turn (`--say`, several); `{turn}` is its number. By default each of them is a question for
    /// the model.
    pub lines: Vec<String>,
    /// Share of turns in which the caller interrupts the reply (`--barge-in`).
    pub interruption_share: f64,
    /// Share of calls that hang up in the middle of a reply (`--hang-up`).
    pub hang_up_share: f64,
    /// Share of calls whose socket drops once between two turns (`--drop`).
    pub drop_share: f64,
    /// A socket that the server loses is taken up again by its action, as Twilio does, instead of being an error
    /// (`--reconnect`).
    pub reconnects: bool,
    /// The model tells how much it was told ([`crate::model::told`]), and no reply may know less than was said
    /// (`--history`).
    pub history: bool,
    /// Where Twilio's REST API is played, so that servers can redirect calls (`--rest`).
    pub rest: Option<SocketAddr>,
    /// Callers are numbered from here (`--from`): E.164; each call has its own number.
    pub first_caller: String,
    /// The called number (`--to`).
    pub to: String,
    /// How fast Twilio's voice and waits run (`--speed`).
    pub speed: f64,
    /// Play replies at speaking pace, with `tokensPlayed` and `agentSpeaking` (off: `--no-playback`).
    pub playback: bool,
    /// Longest wait for a first token or a next one (`--timeout`, seconds).
    pub reply_timeout: Duration,
    /// The model's own time to first token (`--model-ttft-ms`), taken off in `overhead`.
    pub model_first_token: Option<Duration>,
    /// Seed of everything random (`--seed`).
    pub seed: u64,
    /// Progress line that writes over itself (set where stderr is a terminal).
    pub progress: bool,
    /// Fails the verdict above so many errors (`--max-errors`); `None` allows any number.
    pub errors_max: Option<u64>,
    /// Fails the verdict above this p99 of the webhook (`--p99-webhook-ms`).
    pub webhook_p99_max: Option<Duration>,
    /// Fails the verdict above this p99 to the first token (`--p99-first-token-ms`).
    pub first_token_p99_max: Option<Duration>,
    /// Fails the verdict above this p99 of first token less the model's own (`--p99-overhead-ms`).
    pub overhead_p99_max: Option<Duration>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".into(),
            instances: Vec::new(),
            public_url: None,
            auth_token: None,
            voice_path: "/twilio/voice".into(),
            status_path: Some("/twilio/status".into()),
            calls: 20,
            rate_per_s: 10.0,
            ramp: Duration::ZERO,
            duration: None,
            warm_up: Duration::ZERO,
            turns: 3,
            think: Duration::from_millis(500),
            lines: vec![
                // No bare name: a server may answer that one without its model, which would make its own time look good.
                "What can you tell me about water types?".into(),
                "Question {turn}: which of them is the strongest, please?".into(),
                "And which one should I train first?".into(),
            ],
            interruption_share: 0.0,
            hang_up_share: 0.0,
            drop_share: 0.0,
            reconnects: false,
            history: false,
            rest: None,
            first_caller: "+15552000000".into(),
            to: "+15550100199".into(),
            speed: 1.0,
            playback: true,
            reply_timeout: Duration::from_secs(20),
            model_first_token: None,
            seed: 1,
            progress: false,
            errors_max: Some(0),
            webhook_p99_max: None,
            first_token_p99_max: None,
            overhead_p99_max: None,
        }
    }
}
