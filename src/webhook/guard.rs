//! Who may come in: Twilio's signature is checked before any work (protocol 7).

use crate::twilio::form::{FORM_BYTES_MAX, Form};
use crate::twilio::signature::{
    BODY_DIGEST_PARAMETER, Door, ForwardedHeaders, Presented, PublicBase, SETTINGS_HEADER,
    SIGNATURE_HEADER, Trust, Verdict, Verifier, requested_base, without_secrets,
};
use crate::twilio::voice::IDEMPOTENCY_HEADER;
use calldex_observability::catalog;
use salvo::http::{Method, StatusCode};
use salvo::{Request, Response};
use std::time::Duration;
use tokio::time::timeout;

/// A body is a few KB in one piece; who takes longer holds a connection, not a call.
const BODY_MAX: Duration = Duration::from_secs(5);
/// Bytes of a path that a log shows.
const PATH_BYTES_MAX: usize = 200;
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

    /// The path of the public address that a proxy may leave on; empty where there is none.
    pub(super) fn mount(&self) -> &str {
        self.base.as_ref().map_or("", PublicBase::mount)
    }

    /// The URL of one of our own listeners, as Twilio must request it. `None` where the request does
    /// not say how it came and nothing is configured.
    pub(super) fn url(&self, req: &Request, door: Door, target: &str) -> Option<String> {
        Some(self.requested_base(req)?.url(door, target))
    }

    /// The URLs that this request may have been made to; none where nobody can say.
    fn requested(&self, req: &Request, door: Door, target: &str) -> Vec<String> {
        self.requested_base(req)
            .map(|base| base.requested(door, target))
            .unwrap_or_default()
    }

    fn requested_base(&self, req: &Request) -> Option<PublicBase> {
        let headers = ForwardedHeaders {
            host: header(req, "host")
                .or_else(|| req.uri().authority().map(|authority| authority.as_str())),
            forwarded_host: header(req, "x-forwarded-host"),
            forwarded_proto: header(req, "x-forwarded-proto"),
            forwarded_port: header(req, "x-forwarded-port"),
            forwarded_prefix: header(req, "x-forwarded-prefix"),
            forwarded: header(req, "forwarded"),
        };
        requested_base(self.base.as_ref(), &headers, self.trust)
    }

    /// Lets a webhook in, or answers it: 403, 413 or 400. `door` is the metrics' name of the door.
    pub(super) async fn admit(
        &self,
        door: &'static str,
        req: &mut Request,
        res: &mut Response,
    ) -> Option<Admitted> {
        match self.examine(door, req).await {
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

    async fn examine(&self, door: &str, req: &mut Request) -> Result<Admitted, TurnedAway> {
        let signed = self.verifier.is_some();
        let target = target(req);
        let urls = self.requested(req, Door::Webhook, &target);
        if signed && header(req, SIGNATURE_HEADER).is_none() {
            return refuse(Verdict::Missing, door, path(&target), &urls);
        }
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
            judge(door, path(&target), &urls, |url| {
                if target.contains(BODY_DIGEST_PARAMETER) {
                    verifier.json(url, &body, presented)
                } else if req.method() == Method::POST {
                    verifier.form(url, &form, presented)
                } else {
                    verifier.url(url, presented)
                }
            })?;
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
        let target = target(req);
        let urls = self.requested(req, Door::Relay, &target);
        let check = |url: &str| verifier.handshake(url, presented(req));
        judge("relay", path(&target), &urls, check).is_ok()
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

/// Checks the signature over each of the URLs that the request may have been made to.
fn judge(
    door: &str,
    path: &str,
    urls: &[String],
    check: impl Fn(&str) -> Verdict,
) -> Result<(), TurnedAway> {
    let mut first = None;
    for url in urls {
        let verdict = check(url);
        if verdict.accepted() {
            return Ok(());
        }
        first.get_or_insert(verdict);
    }
    refuse(first.unwrap_or(Verdict::Mismatch), door, path, urls)
}

/// Refuses a request, and tells the operator which URL its signature was checked over: most 403s come
/// from an address that is not the one that Twilio was given. No query is shown.
fn refuse<T>(verdict: Verdict, door: &str, path: &str, urls: &[String]) -> Result<T, TurnedAway> {
    let checked: Vec<String> = urls.iter().map(|url| without_secrets(url)).collect();
    tracing::warn!(
        reason = verdict.label(),
        door,
        path,
        checked = checked.join(" "),
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

/// The path of a target, bounded for a log.
fn path(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    &path[..path.floor_char_boundary(PATH_BYTES_MAX)]
}

fn query(target: &str) -> &str {
    target.split_once('?').map_or("", |(_, query)| query)
}
