//! What a provider says when it does not answer, and whether asking again may help.

use super::failure::Failure;
use super::provider::Provider;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// Pause before the second attempt, where the provider names none.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Pause before the second attempt after a 429 that names none.
const RATE_LIMIT_PAUSE: Duration = Duration::from_millis(250);
/// How long, and how many bytes, the provider's own word on a refusal is read for the log.
const REFUSAL_WAIT: Duration = Duration::from_millis(250);
const REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// Longest code of a refusal that is logged.
const CODE_BYTES_MAX: usize = 64;

/// The response if it is an answer.
pub(super) async fn accepted(provider: &Provider, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Failure::RateLimited {
            retry_after: retry_after(response.headers(), SystemTime::now()),
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
pub(super) fn pause_before_retry(failure: &Failure, left: Duration) -> Option<Duration> {
    match failure {
        Failure::RateLimited { retry_after } => {
            Some(retry_after.unwrap_or(RATE_LIMIT_PAUSE)).filter(|pause| *pause <= left)
        }
        Failure::FirstTokenTimeout => Some(Duration::ZERO),
        failure => failure.is_passing().then_some(RETRY_PAUSE),
    }
}

/// `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). A date is taken
/// relative to the answer's own `Date`, since two clocks seldom agree; without one, to `now`. A
/// date that has passed is no wait at all.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1_000.0)
        .or_else(|| number(RETRY_AFTER.as_str()));
    if let Some(seconds) = seconds {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = |name: &str| httpdate::parse_http_date(text(name)?).ok();
    let until = date(RETRY_AFTER.as_str())?;
    let now = date(DATE.as_str()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default())
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
            (
                "retry-after",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                Some(Duration::from_secs(7)),
            ),
            (
                "retry-after",
                "Sun, 06 Nov 1994 08:49:01 GMT",
                Some(Duration::ZERO),
            ),
            ("retry-after", "next Sunday", None),
            ("retry-after", "-1", None),
            ("retry-after", "1e300", None),
        ];
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        for (name, value, expected) in cases {
            assert_eq!(
                retry_after(&headers(name, value), now),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_date_counts_from_the_providers_own_clock() {
        let mut headers = headers("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:36 GMT".parse().unwrap());
        assert_eq!(
            retry_after(&headers, SystemTime::now()),
            Some(Duration::from_secs(1))
        );
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
