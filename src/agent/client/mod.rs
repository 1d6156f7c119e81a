//! The client of the models: which model is asked, by which request, over which connection.

mod attempt;
pub(super) mod attempt_error;
pub(super) mod capabilities;
mod circuit_breaker;
mod connection_pool;
mod deadline;
pub(super) mod endpoint_url;
pub(super) mod hedge;
pub(super) mod http_error;
mod log_redaction;
pub(super) mod model_response;
mod prewarm;
pub(super) mod provider;
pub(super) mod request_body;
pub(super) mod router;
