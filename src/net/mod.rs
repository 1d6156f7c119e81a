//! What every outgoing connection shares: TLS, addresses, the settings of an HTTP client, and the client of a
//! collector of traces.

pub(crate) mod address;
pub(crate) mod http_client;
#[cfg(feature = "otel")]
pub mod otlp_client;
pub(crate) mod tls;
