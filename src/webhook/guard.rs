//! Who may come in: Twilio's signature is checked before any work (protocol 7).

use crate::twilio::form::{FORM_BYTES_MAX, Form};
use crate::twilio::signature::{
    BODY_DIGEST_PARAMETER, Door, ForwardedHeaders, Presented, PublicBase, SETTINGS_HEADER,
    SIGNATURE_HEADER, Trust, Verdict, Verifier, requested_url,
};
use crate::twilio::voice::IDEMPOTENCY_HEADER;
use calldex_observability::catalog;
use salvo::http::{Method, StatusCode};
use salvo::{Request, Response};
use std::time::Duration;
use tokio::time::timeout;

/// A body is a few KB in one piece; who takes longer holds a connection, not a call.
const BODY_MAX: Duration = Duration::from_secs(5);
/// A longer token than this is no token.
const IDEMPOTENCY_BYTES_MAX: usize = 128;

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnedAway {
    Forbidden,
    TooLarge,
    BadRequest,
}

impl TurnedAway {
    fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest => StatusCode::BAD_REQUEST,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::BadRequest => "bad_request",
        }
    }
}

/// A request that was let in.
pub(super) struct Admitted {
    /// Its parameters.
    pub(super) form: Form,
    /// What its URL's query says, which is signed as part of it: our own words come back there.
    pub(super) query: Form,
    /// The same on every retry.
    pub(super) token: Option<String>,
}

/// Checks signatures, and knows the public address.
pub struct Guard {
    /// Without a verifier every request comes in: only on loopback.
    verifier: Option<Verifier>,
    base: Option<PublicBase>,
    trust: Trust,
}

impl Guard {
    /// `verifier` is `None` where no token is set (configuration refuses that beyond loopback).
    pub fn new(verifier: Option<Verifier>, base: Option<PublicBase>, trust: Trust) -> Self {
        Self {
            verifier,
            base,
            trust,
        }
    }

    /// The URL of one of our own doors, as Twilio must request it. `None` where the request does
    /// not say how it came and nothing is configured.
    pub(super) fn url(&self, req: &Request, door: Door, target: &str) -> Option<String> {
        let header = |name: &str| {
            req.headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let headers = ForwardedHeaders {
            host: header("host")
                .or_else(|| req.uri().authority().map(|authority| authority.as_str())),
            forwarded_host: header("x-forwarded-host"),
            forwarded_proto: header("x-forwarded-proto"),
        };
        requested_url(self.base.as_ref(), &headers, self.trust, door, target)
    }

    /// Lets a webhook in, or answers it: 403, 413 or 400. `door` is the metrics' name of the door.
    pub(super) async fn admit(
        &self,
        door: &'static str,
        req: &mut Request,
        res: &mut Response,
    ) -> Option<Admitted> {
        match self.examine(req).await {
            Ok(admitted) => Some(admitted),
            Err(reason) => {
                catalog::WEBHOOK_REQUESTS_TOTAL
                    .with(door, reason.label())
                    .increment(1);
                res.status_code(reason.status());
                res.render(reason.label());
                None
            }
        }
    }

    async fn examine(&self, req: &mut Request) -> Result<Admitted, TurnedAway> {
        let signed = self.verifier.is_some();
        if signed && header(req, SIGNATURE_HEADER).is_none() {
            return Err(TurnedAway::Forbidden);
        }
        let target = target(req);
        let url = self.url(req, Door::Webhook, &target);
        let token = header(req, IDEMPOTENCY_HEADER)
            .filter(|token| token.len() <= IDEMPOTENCY_BYTES_MAX)
            .map(str::to_owned);
        let body = match req.method() {
            &Method::POST => body(req).await?,
            _ => bytes::Bytes::new(),
        };
        let text = if req.method() == Method::POST {
            &body[..]
        } else {
            query(&target).as_bytes()
        };
        let unreadable = if signed {
            TurnedAway::Forbidden
        } else {
            TurnedAway::BadRequest
        };
        let form = Form::parse(text).map_err(|_| unreadable)?;
        if let Some(verifier) = &self.verifier {
            let presented = presented(req);
            let url = url.ok_or(TurnedAway::Forbidden)?;
            let verdict = if target.contains(BODY_DIGEST_PARAMETER) {
                verifier.json(&url, &body, presented)
            } else if req.method() == Method::POST {
                verifier.form(&url, &form, presented)
            } else {
                verifier.url(&url, presented)
            };
            judge(verdict)?;
        }
        // A query of Twilio's own making is of no interest.
        let query = Form::parse(query(&target).as_bytes()).unwrap_or_default();
        Ok(Admitted { form, query, token })
    }

    /// Whether a handshake is Twilio's.
    pub(super) fn admits_handshake(&self, req: &Request) -> bool {
        let Some(verifier) = &self.verifier else {
            return true;
        };
        let url = self.url(req, Door::Relay, &target(req));
        url.is_some_and(|url| judge(verifier.handshake(&url, presented(req))).is_ok())
    }
}

/// The body, within its bounds of size and time.
async fn body(req: &mut Request) -> Result<bytes::Bytes, TurnedAway> {
    let announced = header(req, "content-length").and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > FORM_BYTES_MAX as u64) {
        return Err(TurnedAway::TooLarge);
    }
    match timeout(BODY_MAX, req.payload_with_max_size(FORM_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body.clone()),
        Ok(Err(_)) => Err(TurnedAway::TooLarge),
        Err(_) => Err(TurnedAway::BadRequest),
    }
}

fn judge(verdict: Verdict) -> Result<(), TurnedAway> {
    if verdict.accepted() {
        return Ok(());
    }
    tracing::warn!(
        reason = verdict.label(),
        "a request was not signed by Twilio"
    );
    Err(TurnedAway::Forbidden)
}

fn presented(req: &Request) -> Presented<'_> {
    Presented {
        signature: header(req, SIGNATURE_HEADER),
        settings: header(req, SETTINGS_HEADER),
    }
}

fn header<'a>(req: &'a Request, name: &str) -> Option<&'a str> {
    req.headers().get(name)?.to_str().ok()
}

/// Path and query as they came.
fn target(req: &Request) -> String {
    req.uri()
        .path_and_query()
        .map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned())
}

fn query(target: &str) -> &str {
    target.split_once('?').map_or("", |(_, query)| query)
}
