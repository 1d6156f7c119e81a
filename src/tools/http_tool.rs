//! A tool behind an HTTP endpoint: one request per call, signed if a secret is set, bounded in time and size, sent to
//! the configured host only.

use super::address_policy::{AddressPolicy, ForbiddenAddress};
use super::config::ToolSection;
use super::env_expansion::expand_variables;
use super::restricted_client::restricted_client;
use super::result_text::{is_json, read_bytes_max, result_text};
use crate::call::tool_runner::{ToolFailure, ToolOutcome, ToolRequest};
use crate::net::address::literal_ip;
use calldex_observability::redaction::Secret;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde_json::json;
use sha2::Sha256;
use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

/// Longest attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Most calls of one tool at the same time, over all telephone calls; a further one fails at once.
const IN_FLIGHT_MAX: usize = 256;
/// Most idle connections to one tool.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// The header with the signature over time and body: `t=UNIX_SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of
/// `UNIX_SECONDS.BODY` under the tool's secret.
const SIGNATURE_HEADER: &str = "x-calldex-signature";
/// The header with the idempotency key, the same for all attempts of one call: `CALL_SID/ID`.
const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

/// One configured tool.
pub struct HttpTool {
    client: Client,
    method: Method,
    url: Url,
    address_policy: AddressPolicy,
    headers: HeaderMap,
    secret: Option<Secret>,
    send_caller: bool,
    result_bytes_max: usize,
    permits: Semaphore,
}

impl HttpTool {
    /// For a section that was validated.
    ///
    /// # Errors
    /// Why it cannot be used, without its secrets.
    pub fn new(section: &ToolSection) -> Result<Self, String> {
        let url = Url::parse(&section.url).map_err(|error| error.to_string())?;
        let address_policy = section.address_policy(&url);
        Ok(Self {
            client: client(&url, address_policy).map_err(|error| error.to_string())?,
            method: section.method.into(),
            url,
            address_policy,
            headers: headers(section)?,
            secret: section
                .secret
                .as_ref()
                .map(|secret| expand_variables(secret.reveal()).map(Secret::new))
                .transpose()?,
            send_caller: section.send_caller,
            result_bytes_max: section.result_bytes_max,
            permits: Semaphore::new(IN_FLIGHT_MAX),
        })
    }

    /// Runs one call; the call's session bounds its duration. Dropping it aborts the request.
    pub async fn run(&self, request: &ToolRequest) -> ToolOutcome {
        let outcome = self.call(request).await;
        outcome.unwrap_or_else(|failure| ToolOutcome::Failed(failure, None))
    }

    async fn call(&self, request: &ToolRequest) -> Result<ToolOutcome, ToolFailure> {
        let _permit = self.permits.try_acquire().map_err(|_| ToolFailure::Busy)?;
        // An IP address as host is not resolved, so it is checked here.
        if literal_ip(&self.url).is_some_and(|address| !self.address_policy.allows(address)) {
            return Err(ToolFailure::AddressForbidden);
        }
        let body = self.body(request).to_string();
        let key = format!("{}/{}", request.call_sid, request.id);
        let response = match self.send(&key, &body).await {
            // Nothing was sent: a retry is safe.
            Err(error) if error.is_connect() && !is_forbidden_address(&error) => {
                self.send(&key, &body).await
            }
            response => response,
        };
        let response = response.map_err(|error| tool_failure(&error))?;
        self.read_response(response).await
    }

    fn body(&self, request: &ToolRequest) -> serde_json::Value {
        let mut body = json!({
            "call_sid": request.call_sid,
            "line": request.line,
            "tool": request.spec.name,
            "id": request.id,
            "arguments": request.arguments,
        });
        if self.send_caller {
            body["caller"] = json!(request.caller);
        }
        body
    }

    async fn send(&self, key: &str, body: &str) -> reqwest::Result<Response> {
        let request = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .header(IDEMPOTENCY_KEY_HEADER, key);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let request = self.signed(request, now.unwrap_or_default().as_secs(), body);
        request.body(body.to_owned()).send().await
    }

    fn signed(&self, request: RequestBuilder, unix_s: u64, body: &str) -> RequestBuilder {
        match &self.secret {
            Some(secret) => request.header(SIGNATURE_HEADER, signature(secret, unix_s, body)),
            None => request,
        }
    }

    /// Reads the response up to its bound; the rest is not read.
    async fn read_response(&self, mut response: Response) -> Result<ToolOutcome, ToolFailure> {
        let status = response.status();
        if status.is_redirection()
            || response.headers().contains_key(LOCATION) && !status.is_success()
        {
            return Err(ToolFailure::Status(status.as_u16()));
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let json = is_json(content_type.and_then(|kind| kind.to_str().ok()));
        let bytes_max = read_bytes_max(self.result_bytes_max);
        let (mut whole, mut is_cut) = (Vec::new(), false);
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| tool_failure(&error))?
        {
            let left = bytes_max - whole.len();
            whole.extend_from_slice(&piece[..piece.len().min(left)]);
            if piece.len() > left {
                is_cut = true;
                break;
            }
        }
        let text = json.map(|json| result_text(&whole, json, is_cut, self.result_bytes_max));
        match (status.is_success(), text) {
            (true, Some(text)) => Ok(ToolOutcome::Returned(text)),
            (true, None) if whole.is_empty() => {
                let nothing = result_text(&[], false, false, 0);
                Ok(ToolOutcome::Returned(nothing))
            }
            (true, None) => Err(ToolFailure::Unreadable),
            (false, text) => Ok(ToolOutcome::Failed(
                ToolFailure::Status(status.as_u16()),
                text,
            )),
        }
    }
}

fn client(url: &Url, address_policy: AddressPolicy) -> reqwest::Result<Client> {
    restricted_client(url, address_policy)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("calldex/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn headers(section: &ToolSection) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, text/plain"),
    );
    for (name, value) in &section.headers {
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("headers.{name} is not a valid header name"))?;
        let mut value = HeaderValue::try_from(expand_variables(value.reveal())?)
            .map_err(|_| format!("headers.{name} cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

fn signature(secret: &Secret, unix_s: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(format!("{unix_s}.").as_bytes());
    mac.update(body.as_bytes());
    let mut text = format!("t={unix_s},v1=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn is_forbidden_address(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<ForbiddenAddress>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn tool_failure(error: &reqwest::Error) -> ToolFailure {
    if is_forbidden_address(error) {
        ToolFailure::AddressForbidden
    } else if error.is_timeout() {
        ToolFailure::TimedOut
    } else {
        ToolFailure::Unreachable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_documentation() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac top-secret
        let signed = signature(&Secret::new("top-secret"), 1_700_000_000, "{\"a\":1}");
        let hex = "d2025794836f47aaa594a141e200ddfcf1ac5c703eeec4de43cd38a72262c5f3";
        assert_eq!(signed, format!("t=1700000000,v1={hex}"));
    }
}
