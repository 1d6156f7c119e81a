//! Error responses: reads the status and the body, and computes the delay before a retry.

use super::attempt_error::{self, AttemptError};
use crate::agent::reply_failure::ReplyFailure;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// Delay before the retry, where the provider names none.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Delay before the retry after a 429 that names none.
const RATE_LIMIT_PAUSE: Duration = Duration::from_millis(250);
/// Bounds of reading the body of an error response, in time and bytes.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_millis(500);
const ERROR_BODY_BYTES_MAX: usize = 16 * 1024;

/// The response, if its status is a success.
///
/// # Errors
/// The error that the server sent. Reading its body takes at most 500 ms.
pub(in crate::agent) async fn check_status(response: Response) -> Result<Response, AttemptError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(AttemptError::from(ReplyFailure::RateLimited {
            retry_after: retry_after(response.headers(), SystemTime::now()),
        }));
    }
    let failure = ReplyFailure::Refused(status.as_u16());
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        // The message quotes the key.
        let word = timeout(ERROR_BODY_TIMEOUT, read_error_body(response)).await;
        let word = word.ok().flatten().unwrap_or_default();
        return Err(AttemptError {
            code: attempt_error::from_error_body(failure, &word).code,
            ..AttemptError::from(failure)
        });
    }
    let word = timeout(ERROR_BODY_TIMEOUT, read_error_body(response))
        .await
        .ok()
        .flatten();
    Err(attempt_error::from_error_body(
        failure,
        &word.unwrap_or_default(),
    ))
}

/// The delay before a retry; `None` where a retry would not help, or would come too late.
pub(super) fn retry_delay(attempt_error: &AttemptError, left: Duration) -> Option<Duration> {
    if attempt_error.is_model_output_error {
        return Some(RETRY_PAUSE);
    }
    match &attempt_error.failure {
        ReplyFailure::RateLimited { retry_after } => {
            Some(retry_after.unwrap_or(RATE_LIMIT_PAUSE)).filter(|pause| *pause <= left)
        }
        ReplyFailure::FirstTokenTimeout => Some(Duration::ZERO),
        failure => failure.is_transient().then_some(RETRY_PAUSE),
    }
}

/// `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). A date is taken
/// relative to the `Date` of the response, since clocks differ; without one, to `now`. A date in the past is no
/// delay.
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

async fn read_error_body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        body.extend_from_slice(&piece);
        if body.len() > ERROR_BODY_BYTES_MAX {
            body.truncate(ERROR_BODY_BYTES_MAX);
            break;
        }
    }
    Some(body)
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
        let limited = |seconds| ReplyFailure::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(
            retry_delay(&limited(1).into(), left),
            Some(Duration::from_secs(1))
        );
        assert_eq!(retry_delay(&limited(2).into(), left), None);
        assert_eq!(
            retry_delay(&ReplyFailure::FirstTokenTimeout.into(), Duration::ZERO),
            Some(Duration::ZERO)
        );
        assert!(retry_delay(&ReplyFailure::Refused(503).into(), left).is_some());
        assert_eq!(retry_delay(&ReplyFailure::Refused(401).into(), left), None);
    }
}
