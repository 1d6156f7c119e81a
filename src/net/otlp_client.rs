//! The HTTP client that exports spans to a collector.

use super::address::parse_http_url;
use super::{http_client, tls};
use calldex_observability::spans::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Client;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// TCP and TLS to the collector.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One export, from its first byte to the end of the response.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a collector's response; a longer one is an error.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// The client of one collector. Exporters run on threads of their own; the requests run on the tokio runtime within
/// which the client was made.
#[derive(Debug)]
pub struct OtlpClient {
    client: Client,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl OtlpClient {
    /// A client for the collector at `endpoint`, within a tokio runtime. Reads the system's
    /// certificates where the address is `https`.
    ///
    /// # Errors
    /// What is wrong with the URL, without repeating it; or that there is no tokio runtime.
    pub fn new(endpoint: &str) -> Result<Self, &'static str> {
        let address = parse_http_url(endpoint).ok_or("not an http address")?;
        let tls = (address.scheme() == "https").then(tls::client_config);
        let client = http_client::client_builder(&address, CONNECT_TIMEOUT, tls).build();
        Ok(Self {
            client: client.map_err(|_| "no client can be made for it")?,
            runtime: Handle::try_current().map_err(|_| "no runtime to work in")?,
            is_failing: AtomicBool::new(false),
        })
    }

    /// Logs when exports begin to fail and when they succeed again, not every failure.
    fn log_state_change(&self, failed: bool) {
        match (self.is_failing.swap(failed, Ordering::Relaxed), failed) {
            (false, true) => tracing::warn!("the collector does not accept spans"),
            (true, false) => tracing::info!("the collector accepts spans again"),
            _ => {}
        }
    }
}

impl HttpClient for OtlpClient {
    // As `async_trait` writes it.
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let posted = self.runtime.spawn(post(self.client.clone(), request));
        Box::pin(async move {
            let answer = posted.await.unwrap_or_else(|error| Err(error.into()));
            self.log_state_change(
                !answer
                    .as_ref()
                    .is_ok_and(|answer| answer.status().is_success()),
            );
            answer
        })
    }
}

async fn post(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let request = client
        .request(head.method, head.uri.to_string())
        .headers(head.headers)
        .timeout(EXPORT_TIMEOUT)
        .body(body);
    let mut answer = request.send().await?;
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        whole.extend_from_slice(&piece);
        if whole.len() > RESPONSE_BYTES_MAX {
            return Err("the collector's response is too long".into());
        }
    }
    let mut response = Response::new(Bytes::from(whole));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}
