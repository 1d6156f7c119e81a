//! Verifies Twilio's signature before any other work (docs/protocol.md 7).

use crate::twilio::form::{FORM_BYTES_MAX, Form};
use crate::twilio::signature::{
    BODY_DIGEST_PARAMETER, EndpointKind, ForwardedHeaders, ProxyTrust, PublicBaseUrl,
    SIGNATURE_HEADER, SIGNATURE_SETTINGS_HEADER, SignatureHeaders, SignatureVerdict,
    SignatureVerifier, public_base_of_request, redact_url,
};
use crate::twilio::webhooks::IDEMPOTENCY_HEADER;
use calldex_observability::catalog;
use salvo::http::{Method, StatusCode};
use salvo::{Request, Response};
use std::time::Duration;
use tokio::time::timeout;

/// How long a body of a few KB may take; then the request is rejected with 400.
const BODY_READ_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a path that a log shows.
const PATH_BYTES_MAX: usize = 200;
/// A longer idempotency token is ignored.
const IDEMPOTENCY_BYTES_MAX: usize = 128;

/// Why a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejection {
    Forbidden,
    TooLarge,
    BadRequest,
}

impl Rejection {
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

/// A request whose signature is valid.
pub(super) struct VerifiedRequest {
    /// Its parameters.
    pub(super) form: Form,
    /// The query of its URL, which the signature covers; it contains the call token.
    pub(super) query: Form,
    /// The same on every retry.
    pub(super) idempotency_token: Option<String>,
}

/// Checks signatures, and knows the public address.
pub struct RequestGuard {
    /// Without a verifier every request is accepted; the configuration allows that on loopback only.
    verifier: Option<SignatureVerifier>,
    base: Option<PublicBaseUrl>,
    trust: ProxyTrust,
}

impl RequestGuard {
    /// `verifier` is `None` where no token is set (configuration refuses that beyond loopback).
    pub fn new(
        verifier: Option<SignatureVerifier>,
        base: Option<PublicBaseUrl>,
        trust: ProxyTrust,
    ) -> Self {
        Self {
            verifier,
            base,
            trust,
        }
    }

    /// The path prefix of the public URL, which a proxy may leave in place; empty without one.
    pub(super) fn path_prefix(&self) -> &str {
        self.base.as_ref().map_or("", PublicBaseUrl::path_prefix)
    }

    /// The public URL of one of our own routes. `None` if no public URL is configured and the request's
    /// headers do not give one.
    pub(super) fn url(
        &self,
        req: &Request,
        endpoint: EndpointKind,
        target: &str,
    ) -> Option<String> {
        Some(self.public_base(req)?.url(endpoint, target))
    }

    /// The URLs that Twilio may have requested; empty if the public URL is unknown.
    fn candidate_urls(&self, req: &Request, endpoint: EndpointKind, target: &str) -> Vec<String> {
        self.public_base(req)
            .map(|base| base.candidate_urls(endpoint, target))
            .unwrap_or_default()
    }

    fn public_base(&self, req: &Request) -> Option<PublicBaseUrl> {
        let headers = ForwardedHeaders {
            host: header(req, "host")
                .or_else(|| req.uri().authority().map(|authority| authority.as_str())),
            forwarded_host: header(req, "x-forwarded-host"),
            forwarded_proto: header(req, "x-forwarded-proto"),
            forwarded_port: header(req, "x-forwarded-port"),
            forwarded_prefix: header(req, "x-forwarded-prefix"),
            forwarded: header(req, "forwarded"),
        };
        public_base_of_request(self.base.as_ref(), &headers, self.trust)
    }

    /// Accepts a webhook, or responds with 403, 413 or 400 and returns `None`. Takes at most
    /// [`BODY_READ_TIME_MAX`]. `route` is the metric label.
    pub(super) async fn accept(
        &self,
        route: &'static str,
        req: &mut Request,
        res: &mut Response,
    ) -> Option<VerifiedRequest> {
        match self.verify(route, req).await {
            Ok(admitted) => Some(admitted),
            Err(reason) => {
                catalog::WEBHOOK_REQUESTS_TOTAL
                    .with(route, reason.label())
                    .increment(1);
                res.status_code(reason.status());
                res.render(reason.label());
                None
            }
        }
    }

    async fn verify(&self, route: &str, req: &mut Request) -> Result<VerifiedRequest, Rejection> {
        let signed = self.verifier.is_some();
        let target = path_and_query(req);
        let urls = self.candidate_urls(req, EndpointKind::Webhook, &target);
        if signed && header(req, SIGNATURE_HEADER).is_none() {
            return reject(
                SignatureVerdict::Missing,
                route,
                path_for_log(&target),
                &urls,
            );
        }
        let token = header(req, IDEMPOTENCY_HEADER)
            .filter(|token| token.len() <= IDEMPOTENCY_BYTES_MAX)
            .map(str::to_owned);
        let body = match req.method() {
            &Method::POST => read_body(req).await?,
            _ => bytes::Bytes::new(),
        };
        let text = if req.method() == Method::POST {
            &body[..]
        } else {
            query(&target).as_bytes()
        };
        let unreadable = if signed {
            Rejection::Forbidden
        } else {
            Rejection::BadRequest
        };
        let form = Form::parse(text).map_err(|_| unreadable)?;
        if let Some(verifier) = &self.verifier {
            let presented = signature_headers(req);
            verify_signature(route, path_for_log(&target), &urls, |url| {
                if target.contains(BODY_DIGEST_PARAMETER) {
                    verifier.verify_json(url, &body, presented)
                } else if req.method() == Method::POST {
                    verifier.verify_form(url, &form, presented)
                } else {
                    verifier.verify_url(url, presented)
                }
            })?;
        }
        // A query that cannot be parsed is not ours and is ignored.
        let query = Form::parse(query(&target).as_bytes()).unwrap_or_default();
        Ok(VerifiedRequest {
            form,
            query,
            idempotency_token: token,
        })
    }

    /// Whether a handshake is Twilio's.
    pub(super) fn accepts_handshake(&self, req: &Request) -> bool {
        let Some(verifier) = &self.verifier else {
            return true;
        };
        let target = path_and_query(req);
        let urls = self.candidate_urls(req, EndpointKind::Relay, &target);
        let check = |url: &str| verifier.verify_handshake(url, signature_headers(req));
        verify_signature("relay", path_for_log(&target), &urls, check).is_ok()
    }
}

/// The body, within its bounds of size and time.
async fn read_body(req: &mut Request) -> Result<bytes::Bytes, Rejection> {
    let announced = header(req, "content-length").and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > FORM_BYTES_MAX as u64) {
        return Err(Rejection::TooLarge);
    }
    match timeout(
        BODY_READ_TIME_MAX,
        req.payload_with_max_size(FORM_BYTES_MAX),
    )
    .await
    {
        Ok(Ok(body)) => Ok(body.clone()),
        Ok(Err(_)) => Err(Rejection::TooLarge),
        Err(_) => Err(Rejection::BadRequest),
    }
}

/// Checks the signature over each URL that Twilio may have requested. Rejects with the verdict of the
/// first URL.
fn verify_signature(
    route: &str,
    path: &str,
    urls: &[String],
    check: impl Fn(&str) -> SignatureVerdict,
) -> Result<(), Rejection> {
    let mut first = None;
    for url in urls {
        let verdict = check(url);
        if verdict.is_accepted() {
            return Ok(());
        }
        first.get_or_insert(verdict);
    }
    reject(
        first.unwrap_or(SignatureVerdict::Mismatch),
        route,
        path,
        urls,
    )
}

/// Rejects a request and logs the URLs that its signature was checked over, without their queries. Most
/// rejections come from a public URL that is not the one configured at Twilio.
fn reject<T>(
    verdict: SignatureVerdict,
    route: &str,
    path: &str,
    urls: &[String],
) -> Result<T, Rejection> {
    let checked: Vec<String> = urls.iter().map(|url| redact_url(url)).collect();
    tracing::warn!(
        reason = verdict.label(),
        route,
        path,
        checked = checked.join(" "),
        "a request was not signed by Twilio"
    );
    Err(Rejection::Forbidden)
}

fn signature_headers(req: &Request) -> SignatureHeaders<'_> {
    SignatureHeaders {
        signature: header(req, SIGNATURE_HEADER),
        settings: header(req, SIGNATURE_SETTINGS_HEADER),
    }
}

fn header<'a>(req: &'a Request, name: &str) -> Option<&'a str> {
    req.headers().get(name)?.to_str().ok()
}

/// Path and query of the request.
fn path_and_query(req: &Request) -> String {
    req.uri()
        .path_and_query()
        .map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned())
}

/// The path of a target, bounded for a log.
fn path_for_log(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    &path[..path.floor_char_boundary(PATH_BYTES_MAX)]
}

fn query(target: &str) -> &str {
    target.split_once('?').map_or("", |(_, query)| query)
}
