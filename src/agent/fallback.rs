//! From a brief to an answer that has begun: one retry before the first token, then the fallback.

use super::brief::Brief;
use super::config::AgentConfig;
use super::failure::Failure;
use super::intake::Intake;
use super::live::Live;
use super::provider::Provider;
use bytes::Bytes;
use calldex_observability::catalog;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Pause before the second attempt, where the provider names none.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Pause before the second attempt after a 429 that names none.
const RATE_LIMIT_PAUSE: Duration = Duration::from_millis(250);
/// How long, and how many bytes, the provider's own word on a refusal is read for the log.
const REFUSAL_WAIT: Duration = Duration::from_millis(250);
const REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// Longest code of a refusal that is logged.
const CODE_BYTES_MAX: usize = 64;

/// Who can be asked, and how long.
pub(super) struct Desk {
    pub primary: Arc<Provider>,
    pub fallback: Option<Arc<Provider>>,
    first_token_max: Duration,
    idle_max: Duration,
    turn_max: Duration,
}

impl Desk {
    pub(super) fn new(
        config: &AgentConfig,
        primary: Arc<Provider>,
        fallback: Option<Arc<Provider>>,
    ) -> Self {
        Self {
            primary,
            fallback,
            first_token_max: Duration::from_millis(config.first_token_ms_max),
            idle_max: Duration::from_millis(config.idle_ms_max),
            turn_max: Duration::from_millis(config.turn_ms_max),
        }
    }
}

/// One turn's question, on its way.
struct Question {
    desk: Arc<Desk>,
    brief: Brief,
    turn_deadline: Instant,
}

/// Asks until an answer has begun: the primary, once more if that may help, then the fallback.
/// A provider whose breaker is open is passed over at once.
///
/// # Errors
/// The failure of the last attempt, or of the one that opened the breaker.
pub(super) async fn open(desk: Arc<Desk>, brief: Brief) -> Result<Live, Failure> {
    let turn_deadline = Instant::now() + desk.turn_max;
    let question = Question {
        desk,
        brief,
        turn_deadline,
    };
    let failure = match question.ask_twice(&question.desk.primary).await {
        Ok(live) => return Ok(live),
        Err(failure) => failure,
    };
    match &question.desk.fallback {
        Some(fallback) if Instant::now() < turn_deadline => {
            fallback.admit()?;
            let body = fallback.terms.body(&question.brief);
            question.ask(fallback, body).await
        }
        _ => Err(failure),
    }
}

impl Question {
    async fn ask_twice(&self, provider: &Arc<Provider>) -> Result<Live, Failure> {
        provider.admit()?;
        let body = provider.terms.body(&self.brief);
        let began = Instant::now();
        let failure = match self.ask(provider, body.clone()).await {
            Ok(live) => return Ok(live),
            Err(failure) => failure,
        };
        let left = self.desk.first_token_max.saturating_sub(began.elapsed());
        let Some(pause) = pause_before_retry(&failure, left) else {
            return Err(failure);
        };
        sleep(pause).await;
        // It may have opened by this very failure, or by those of other calls.
        provider.admit()?;
        catalog::MODEL_RETRIES_TOTAL.increment(1);
        self.ask(provider, body).await
    }

    /// One attempt, until its first event.
    async fn ask(&self, provider: &Arc<Provider>, body: Bytes) -> Result<Live, Failure> {
        let deadline = (Instant::now() + self.desk.first_token_max).min(self.turn_deadline);
        let attempt = timeout_at(deadline, self.begin(provider, body)).await;
        let outcome = attempt.unwrap_or(Err(Failure::FirstTokenTimeout));
        match &outcome {
            Ok(_) => provider.succeeded(),
            Err(failure) => {
                catalog::MODEL_FAILURES_TOTAL
                    .with(failure.kind())
                    .increment(1);
                tracing::debug!(
                    provider = provider.label,
                    failure = failure.kind(),
                    "an attempt at a reply failed"
                );
                provider.failed(*failure);
            }
        }
        outcome
    }

    async fn begin(&self, provider: &Arc<Provider>, body: Bytes) -> Result<Live, Failure> {
        let place = provider.place();
        let response = provider
            .ask(&place, body)
            .send()
            .await
            .map_err(|_| Failure::Connect)?;
        let response = accepted(provider, response).await?;
        let intake = Intake::new(&self.brief.language, self.brief.round);
        let idle_max = self.desk.idle_max;
        let mut live = Live::new(response, intake, idle_max, self.turn_deadline, place);
        poll_fn(|cx| live.poll_fill(cx)).await?;
        Ok(live)
    }
}

/// The response if it is an answer.
pub(super) async fn accepted(provider: &Provider, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Failure::RateLimited {
            retry_after: retry_after(response.headers()),
        });
    }
    if status.is_client_error() {
        // Mostly a wrong key or model name: the operator's business, so it is said aloud.
        let code = timeout(REFUSAL_WAIT, refusal_code(response))
            .await
            .ok()
            .flatten();
        tracing::warn!(
            provider = provider.label,
            status = status.as_u16(),
            code,
            "the model refused"
        );
    }
    Err(Failure::Refused(status.as_u16()))
}

/// `None`: the second attempt would fare no better, or would come too late.
fn pause_before_retry(failure: &Failure, left: Duration) -> Option<Duration> {
    match failure {
        Failure::RateLimited { retry_after } => {
            Some(retry_after.unwrap_or(RATE_LIMIT_PAUSE)).filter(|pause| *pause <= left)
        }
        Failure::FirstTokenTimeout => Some(Duration::ZERO),
        failure => failure.is_passing().then_some(RETRY_PAUSE),
    }
}

/// `retry-after-ms`, or `Retry-After` in seconds (RFC 9110, 10.2.3); its form as a date says
/// nothing on the telephone and counts as not given.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1_000.0)
        .or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The provider's own code of the refusal, such as `invalid_api_key`: never its message, which may
/// quote what it was sent.
async fn refusal_code(mut response: Response) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Detail,
    }
    #[derive(Deserialize)]
    struct Detail {
        code: Option<String>,
        r#type: Option<String>,
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        body.extend_from_slice(&piece);
        if body.len() > REFUSAL_BYTES_MAX {
            return None;
        }
    }
    let Detail { code, r#type } = serde_json::from_slice::<Refusal>(&body).ok()?.error;
    let plain =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    code.or(r#type)
        .filter(|code| code.len() <= CODE_BYTES_MAX && code.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn the_providers_word_on_waiting_is_read_in_its_forms() {
        let cases = [
            ("retry-after", "2", Some(Duration::from_secs(2))),
            ("retry-after", "0.5", Some(Duration::from_millis(500))),
            ("retry-after-ms", "300", Some(Duration::from_millis(300))),
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("retry-after", "-1", None),
            ("retry-after", "1e300", None),
        ];
        for (name, value, expected) in cases {
            assert_eq!(
                retry_after(&headers(name, value)),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_second_attempt_is_made_where_it_may_help_and_in_time() {
        let left = Duration::from_secs(1);
        let limited = |seconds| Failure::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(
            pause_before_retry(&limited(1), left),
            Some(Duration::from_secs(1))
        );
        assert_eq!(pause_before_retry(&limited(2), left), None);
        assert_eq!(
            pause_before_retry(&Failure::FirstTokenTimeout, Duration::ZERO),
            Some(Duration::ZERO)
        );
        assert!(pause_before_retry(&Failure::Refused(503), left).is_some());
        assert_eq!(pause_before_retry(&Failure::Refused(401), left), None);
    }
}
