//! Twilio's REST API, as far as a call in progress is told to ask a webhook: `POST
//! /2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}.json` with `Url` and `Method` (Twilio's
//! documentation, "Modify calls in progress").

use crate::net::tls;
use crate::twilio::signature::{EndpointKind, PublicBaseUrl};
use crate::webhook::VOICE_PATH;
use calldex_observability::redaction::Secret;
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// A whole request; past it Twilio counts as not reached.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// One try to connect.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// An answer is read up to here: a call's JSON has about 2 KB.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// "Invalid call state": the call is not in progress (Twilio's error dictionary).
const NOT_IN_PROGRESS: u32 = 21_220;

/// How Twilio is asked, and what it then requests.
pub struct TwilioRestConfig {
    /// Where the API is: `https://api.twilio.com`.
    pub api_base: String,
    /// `AC…`
    pub account_sid: String,
    /// The account's auth token.
    pub auth_token: Secret,
    /// How Twilio reaches our webhooks.
    pub public_base: PublicBaseUrl,
}

/// Seals a reference of a call, for a position of the log.
pub type CallTokenMaker = Box<dyn Fn(&str, u64) -> String + Send + Sync>;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("no client for Twilio's REST API: {0}")]
pub struct TwilioRestError(#[from] reqwest::Error);

/// What Twilio said to a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectResponse {
    /// It was not asked: the call is over, or somebody has taken it up.
    NotSent,
    /// It requests the webhook.
    Redirected,
    /// The call is over, or was never one of this account.
    CallOver,
    /// Not now: asked too often, an error of its own, or nobody answered.
    RetryLater,
    /// Never: wrong credentials, or a URL that it does not take.
    Refused,
}

/// An account at Twilio. `Debug` shows no secret.
pub struct TwilioRestClient {
    client: Client,
    config: TwilioRestConfig,
    call_token: CallTokenMaker,
}

impl fmt::Debug for TwilioRestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("api_base", &self.config.api_base)
            .field("account_sid", &self.config.account_sid)
            .finish_non_exhaustive()
    }
}

/// Twilio's error, in part.
#[derive(Deserialize)]
struct TwilioError {
    code: Option<u32>,
}

impl TwilioRestClient {
    /// Prepares a client; reads the system's certificates, so for the start only.
    ///
    /// # Errors
    /// [`TwilioRestError`] if the system gives no client.
    pub fn new(
        config: TwilioRestConfig,
        reference: CallTokenMaker,
    ) -> Result<Self, TwilioRestError> {
        let plain = config.api_base.starts_with("http://");
        let tls = if plain {
            tls::without_roots()
        } else {
            tls::client_config()
        };
        let builder = Client::builder()
            .user_agent(concat!("calldex/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            // A redirect would carry the credentials elsewhere.
            .redirect(redirect::Policy::none())
            .tls_backend_preconfigured(tls);
        // Plain HTTP is for a simulated Twilio on this machine: no proxy is between.
        let builder = if plain { builder.no_proxy() } else { builder };
        Ok(Self {
            client: builder.build()?,
            config,
            call_token: reference,
        })
    }

    /// Asks Twilio to request our voice webhook for a call in progress. Whoever answers that must
    /// have come to `position` of the log.
    pub async fn redirect(&self, call_sid: &str, position: u64) -> RedirectResponse {
        let config = &self.config;
        let url = format!(
            "{}/2010-04-01/Accounts/{}/Calls/{call_sid}.json",
            config.api_base.trim_end_matches('/'),
            config.account_sid
        );
        let reference = (self.call_token)(call_sid, position);
        let parameter = crate::twilio::call_token::CALL_TOKEN_PARAMETER;
        let target = format!("{VOICE_PATH}?{parameter}={reference}");
        let webhook = config.public_base.url(EndpointKind::Webhook, &target);
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Url", &webhook)
            .append_pair("Method", "POST")
            .finish();
        let request = self
            .client
            .post(url)
            .basic_auth(&config.account_sid, Some(config.auth_token.reveal()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        match request.send().await {
            Ok(response) => read_response(response).await,
            Err(error) => {
                // Without its URL, which names the account and the call.
                tracing::warn!(call_sid = %call_sid, error = %error.without_url(), "Twilio's REST API cannot be reached");
                RedirectResponse::RetryLater
            }
        }
    }
}

async fn read_response(mut response: reqwest::Response) -> RedirectResponse {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let complaint = serde_json::from_slice::<TwilioError>(&body).ok();
    let code = complaint.and_then(|complaint| complaint.code);
    let answer = classify(status, code);
    if !matches!(
        answer,
        RedirectResponse::Redirected | RedirectResponse::CallOver
    ) {
        tracing::warn!(
            status = status.as_u16(),
            code,
            "Twilio did not redirect a call"
        );
    }
    answer
}

fn classify(status: StatusCode, code: Option<u32>) -> RedirectResponse {
    match status {
        status if status.is_success() => RedirectResponse::Redirected,
        StatusCode::NOT_FOUND => RedirectResponse::CallOver,
        StatusCode::TOO_MANY_REQUESTS => RedirectResponse::RetryLater,
        status if status.is_server_error() => RedirectResponse::RetryLater,
        _ if code == Some(NOT_IN_PROGRESS) => RedirectResponse::CallOver,
        _ => RedirectResponse::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_a_decision() {
        for (status, code, expected) in [
            (200, None, RedirectResponse::Redirected),
            (404, Some(20_404), RedirectResponse::CallOver),
            (400, Some(NOT_IN_PROGRESS), RedirectResponse::CallOver),
            (400, Some(21_205), RedirectResponse::Refused),
            (401, Some(20_003), RedirectResponse::Refused),
            (429, Some(20_429), RedirectResponse::RetryLater),
            (503, None, RedirectResponse::RetryLater),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(classify(status, code), expected, "{status} {code:?}");
        }
    }
}
