//! What a server tells of itself while it runs: lines of a log and, where it is asked for, spans.

use crate::config::{LogFormatSetting, LogSection, OTLP_VARIABLE};
use calldex_observability::logs::{self, LogFormat};
use calldex_observability::spans;

/// Log and spans, begun.
pub(super) struct LoggingSetup {
    #[cfg(feature = "otel")]
    exporter: Option<calldex_observability::spans::Exporter>,
}

impl LoggingSetup {
    /// Begins to log and, where a collector is named, to export spans. Within a runtime.
    ///
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(super) fn start(log: &LogSection) -> Result<Self, String> {
        let format = match log.format {
            LogFormatSetting::Human => LogFormat::Human,
            LogFormatSetting::Json => LogFormat::Json,
        };
        #[cfg(feature = "otel")]
        if let Some(exporter) = exporter(log)? {
            logs::init_exporting(format, &log.level, &exporter).map_err(|e| e.to_string())?;
            return Ok(Self {
                exporter: Some(exporter),
            });
        }
        logs::init(format, &log.level).map_err(|error| error.to_string())?;
        if !spans::CAN_EXPORT && std::env::var_os(OTLP_VARIABLE).is_some() {
            tracing::warn!(
                "{OTLP_VARIABLE} is set, and this build exports no spans (build with --features otel)"
            );
        }
        Ok(Self {
            #[cfg(feature = "otel")]
            exporter: None,
        })
    }

    /// Sends the last spans. Blocks, within a bound.
    pub(super) fn shutdown(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.exporter {
            exporter.shutdown();
        }
    }
}

#[cfg(feature = "otel")]
fn exporter(log: &LogSection) -> Result<Option<calldex_observability::spans::Exporter>, String> {
    let endpoint = log.otlp_endpoint.as_deref().map(str::trim);
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        return Ok(None);
    };
    let post = crate::net::otlp_client::OtlpClient::new(endpoint)
        .map_err(|reason| format!("log.otlp_endpoint: {reason}"))?;
    let exporter = calldex_observability::spans::Exporter::start(endpoint, post);
    exporter
        .map(Some)
        .map_err(|error| format!("log.otlp_endpoint: {error}"))
}
