//! Twilio's REST API, as far as it redirects a call in progress: `POST
//! /2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}.json` with `Url` and `Method`, under Basic authentication.

use super::{
    http::Twilio,
    live_calls::{Redirect, RedirectResult},
};
use crate::http_connection::{HttpConnection, HttpRequest};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Url;
use serde_json::json;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Requests kept for assertions; the oldest goes first.
const REQUESTS_KEPT_MAX: usize = 10_000;

/// A request for a redirect, and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest {
    /// The call it is about.
    pub call_sid: String,
    /// Where the call is to go on.
    pub url: Option<String>,
    /// The status that it was answered with.
    pub status: u16,
}

#[derive(Debug, Default)]
struct RestRequestLog {
    requests: VecDeque<RestRequest>,
    /// Statuses that the next requests get, whatever they ask for.
    scripted: VecDeque<u16>,
}

impl RestRequestLog {
    fn note(&mut self, request: RestRequest) {
        if self.requests.len() >= REQUESTS_KEPT_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }
}

/// The API on a port of its own; closed when dropped.
#[derive(Debug)]
pub struct RestApiServer {
    address: SocketAddr,
    kept: Arc<Mutex<RestRequestLog>>,
    listening: JoinHandle<()>,
}

impl RestApiServer {
    /// Opens it for the calls of `twilio`, at `address` (port 0 for a free one).
    pub async fn open(twilio: &Twilio, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Mutex::new(RestRequestLog::default()));
        let (twilio, shared) = (twilio.clone(), Arc::clone(&kept));
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (twilio, kept) = (twilio.clone(), Arc::clone(&shared));
                // A client that misbehaves loses its connection and nothing else.
                tokio::spawn(async move {
                    serve(HttpConnection::new(stream), &twilio, &kept)
                        .await
                        .ok()
                });
            }
        });
        Ok(Self {
            address,
            kept,
            listening,
        })
    }

    /// The server's `twilio.api_base`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far.
    pub fn requests(&self) -> Vec<RestRequest> {
        look(&self.kept).requests.iter().cloned().collect()
    }

    /// The next request is answered with this status and does nothing: 429, 500, 503.
    pub fn fails_with(&self, status: u16) {
        look(&self.kept).scripted.push_back(status);
    }
}

impl Drop for RestApiServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// A panic elsewhere has left nothing half done that matters here.
fn look(kept: &Mutex<RestRequestLog>) -> MutexGuard<'_, RestRequestLog> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut door: HttpConnection,
    twilio: &Twilio,
    kept: &Mutex<RestRequestLog>,
) -> io::Result<()> {
    while let Some(asked) = door.request().await? {
        let scripted = look(kept).scripted.pop_front();
        let (request, code) = match scripted {
            Some(status) => (noted(&asked, status), status.into()),
            None => answer(twilio, &asked),
        };
        let status = request.status;
        let body = match status {
            200 => {
                json!({"sid": request.call_sid, "status": "in-progress", "api_version": "2010-04-01"})
            }
            _ => json!({"code": code, "message": "refused", "status": status}),
        };
        look(kept).note(request);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Twilio\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        door.write(&[head.as_bytes(), body.as_bytes()].concat())
            .await?;
    }
    Ok(())
}

/// What a request asks for, answered with `status`.
fn noted(asked: &HttpRequest, status: u16) -> RestRequest {
    RestRequest {
        call_sid: path(asked).map_or("", |(_, call)| call).to_owned(),
        url: parameters(asked, "Url"),
        status,
    }
}

/// Account and call of the path.
fn path(asked: &HttpRequest) -> Option<(&str, &str)> {
    let rest = asked.path.strip_prefix("/2010-04-01/Accounts/")?;
    let (account, rest) = rest.split_once("/Calls/")?;
    Some((account, rest.strip_suffix(".json")?))
}

fn parameters(asked: &HttpRequest, name: &str) -> Option<String> {
    // A form has the syntax of a query.
    let text = std::str::from_utf8(&asked.body).ok()?;
    let url = Url::parse(&format!("http://form/?{text}")).ok()?;
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// Does what is asked; Twilio's code of the error beside the status.
fn answer(twilio: &Twilio, asked: &HttpRequest) -> (RestRequest, u32) {
    let Some((account, call)) = path(asked).filter(|_| asked.method == "POST") else {
        return (noted(asked, 404), 20404);
    };
    let config = &twilio.config;
    let token = config
        .auth_token
        .as_ref()
        .map_or("", |token| token.reveal());
    let wanted = STANDARD.encode(format!("{}:{token}", config.account_sid));
    let shown = asked.header("authorization").unwrap_or_default();
    if account != config.account_sid || shown != format!("Basic {wanted}") {
        return (noted(asked, 401), 20003);
    }
    let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    let Some(url) = parameters(asked, "Url").filter(is_url) else {
        return (noted(asked, 400), 21205);
    };
    let by_get = parameters(asked, "Method").is_some_and(|method| method == "GET");
    match twilio.exchange.redirect(call, Redirect { url, by_get }) {
        RedirectResult::Done => (noted(asked, 200), 0),
        RedirectResult::Over => (noted(asked, 400), 21220),
        RedirectResult::Unknown => (noted(asked, 404), 20404),
    }
}
