//! Spans for OpenTelemetry: one for a call, and inside it one for each request to the model, by the
//! gen_ai conventions (opentelemetry.io/docs/specs/semconv/gen-ai). They carry figures, the call's
//! id and the names of models and hosts: never a word, a caller's name or a number.
//!
//! Without the feature `otel` nothing of this costs anything; with it, nothing is made until an
//! exporter was started (`export::Exporter::start`).

#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
pub use export::{Bytes, Exporter, HttpClient, HttpError, Request, Response};

use std::time::Duration;
use tracing::Span;

/// Whether this build can export spans.
pub const CAN_EXPORT: bool = cfg!(feature = "otel");

/// One request to a model, as it is described.
#[derive(Debug, Clone, Copy)]
pub struct ModelRequestInfo<'a> {
    /// The model's name as it is asked for.
    pub model: &'a str,
    /// Host of the provider's address.
    pub host: &'a str,
    /// Port of the provider's address.
    pub port: u16,
    /// Its configured name.
    pub configured_name: &'a str,
}

/// The span of one call, for [`tracing::Instrument`]. Ends when it is dropped.
#[cfg(feature = "otel")]
pub fn call_span(call_sid: &str) -> Span {
    if !export::is_exporting() {
        return Span::none();
    }
    tracing::info_span!(
        target: export::TARGET,
        "call",
        otel.kind = "server",
        call_sid,
        gen_ai.conversation.id = call_sid,
    )
}

/// The span of one call: none, since this build exports nothing.
#[cfg(not(feature = "otel"))]
pub fn call_span(_call_sid: &str) -> Span {
    Span::none()
}

/// The span of one request to a model, a child of the span that is current when it is opened.
/// Ends when it is dropped: without a word from [`ModelSpan::record_usage`] or [`ModelSpan::record_failure`],
/// nobody wanted the rest of the answer.
#[derive(Debug, Default)]
pub struct ModelSpan {
    #[cfg(feature = "otel")]
    span: Option<Span>,
}

#[cfg(feature = "otel")]
impl ModelSpan {
    /// Begins now.
    pub fn start(request: &ModelRequestInfo<'_>) -> Self {
        let span = export::is_exporting().then(|| {
            tracing::info_span!(
                target: export::TARGET,
                "chat",
                otel.name = format_args!("chat {}", request.model),
                otel.kind = "client",
                otel.status_code = tracing::field::Empty,
                gen_ai.operation.name = "chat",
                // The convention's name for the dialect that is spoken, whoever serves the model.
                gen_ai.provider.name = "openai",
                gen_ai.request.model = request.model,
                gen_ai.request.stream = true,
                gen_ai.response.time_to_first_chunk = tracing::field::Empty,
                gen_ai.usage.input_tokens = tracing::field::Empty,
                gen_ai.usage.output_tokens = tracing::field::Empty,
                server.address = request.host,
                server.port = request.port,
                calldex.model = request.configured_name,
                error.type = tracing::field::Empty,
            )
        });
        Self { span }
    }

    /// The first speakable token came, `after` the request was made.
    pub fn record_first_token(&self, after: Duration) {
        let Some(span) = &self.span else { return };
        let seconds = after.as_secs_f64();
        span.record("gen_ai.response.time_to_first_chunk", seconds);
        tracing::info!(target: export::TARGET, parent: span, seconds, "first token");
    }

    /// The answer came to its end; the provider's own count of tokens (asked, answered) where it
    /// gave one.
    pub fn record_usage(&self, usage: Option<(u32, u32)>) {
        let Some(span) = &self.span else { return };
        if let Some((input, output)) = usage {
            span.record("gen_ai.usage.input_tokens", input);
            span.record("gen_ai.usage.output_tokens", output);
        }
    }

    /// The answer did not come, or not to its end; `kind` as in the metric of failures.
    pub fn record_failure(&self, kind: &'static str) {
        let Some(span) = &self.span else { return };
        span.record("error.type", kind);
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(not(feature = "otel"))]
impl ModelSpan {
    /// Nothing: this build exports nothing.
    pub fn start(_request: &ModelRequestInfo<'_>) -> Self {
        Self {}
    }

    /// Nothing.
    pub fn record_first_token(&self, _after: Duration) {}

    /// Nothing.
    pub fn record_usage(&self, _usage: Option<(u32, u32)>) {}

    /// Nothing.
    pub fn record_failure(&self, _kind: &'static str) {}
}
