//! The way of spans to an OpenTelemetry collector: OTLP over HTTP, in protobuf.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
pub use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// The target of every span and event that is exported. Nothing else is, so that what a log line
/// says cannot be exported this way.
pub(super) const TARGET: &str = "otel";
/// Where a collector takes spans, below its address (OTLP specification, "Endpoint URLs").
const PATH: &str = "/v1/traces";
/// The service's name, unless `OTEL_SERVICE_NAME` says another.
const SERVICE: &str = "calldex";
/// Sending what waits, at the end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

static EXPORTING: AtomicBool = AtomicBool::new(false);

pub(super) fn is_exporting() -> bool {
    EXPORTING.load(Ordering::Relaxed)
}

/// Sends spans in batches from a thread of its own. At most 2,048 spans wait (`OTEL_BSP_*` change
/// that); at the bound new ones are left out, and no call notices.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Begins to export to the collector at `endpoint` (its base address, as in
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`), by `client`. `OTEL_EXPORTER_OTLP_HEADERS`,
    /// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_TRACES_SAMPLER` count. Spans come once
    /// [`crate::logs::init_exporting`] was called with it.
    ///
    /// # Errors
    /// What is wrong with the address or the variables.
    pub fn start(
        endpoint: &str,
        client: impl HttpClient + 'static,
    ) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{PATH}", endpoint.trim().trim_end_matches('/')))
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource())
            .build();
        EXPORTING.store(true, Ordering::Relaxed);
        Ok(Self { provider })
    }

    /// The layer that turns our spans into theirs. Where in the source a span was made, and on
    /// which thread, tells the operator nothing.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("calldex"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
    }

    /// Sends what waits and ends, within 5 s. Blocks: not for a task.
    pub fn shutdown(self) {
        EXPORTING.store(false, Ordering::Relaxed);
        if let Err(error) = self.provider.shutdown_with_timeout(SHUTDOWN_MAX) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

fn resource() -> Resource {
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    // Read by the builder itself where it is set.
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.trim().is_empty());
    match named {
        true => resource.build(),
        false => resource.with_service_name(SERVICE).build(),
    }
}
