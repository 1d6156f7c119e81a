//! The criteria that are measured, and where each is a metric, a panel and an alert.

/// One criterion, with a metric that tells it. A criterion may take several.
pub struct Criterion {
    /// The criterion's name.
    pub asked: &'static str,
    pub metric: &'static str,
    pub dashboard: &'static str,
    pub panel: &'static str,
    pub alert: &'static str,
}

/// Success metrics, quality metrics, and two criteria that only a running server can meet.
pub const CRITERIA: &[Criterion] = &[
    Criterion {
        asked: "Response Latency",
        metric: "calldex_webhook_seconds",
        dashboard: "calls",
        panel: "First response: greeting under 0.5 s",
        alert: "GreetingLatencyBurnFast",
    },
    Criterion {
        asked: "Response Latency",
        metric: "calldex_first_token_seconds",
        dashboard: "calls",
        panel: "First response: reply under 0.5 s",
        alert: "FirstReplyLatencyBurnFast",
    },
    Criterion {
        asked: "Recognition Rate",
        metric: "calldex_lookups_total",
        dashboard: "calls",
        panel: "Recognition",
        alert: "RecognitionBelowObjective",
    },
    Criterion {
        asked: "Name Capture",
        metric: "calldex_names_total",
        dashboard: "calls",
        panel: "Name capture",
        alert: "NameCaptureBelowObjective",
    },
    Criterion {
        asked: "Storage Reliability",
        metric: "calldex_writes_accepted_total",
        dashboard: "calls",
        panel: "Conversations persisted",
        alert: "PersistenceBurnFast",
    },
    Criterion {
        asked: "Storage Reliability",
        metric: "calldex_oldest_pending_write_seconds",
        dashboard: "calls",
        panel: "Oldest write not durable",
        alert: "WritesNotDurable",
    },
    Criterion {
        asked: "User Experience",
        metric: "calldex_greetings_total",
        dashboard: "calls",
        panel: "Greeted by name",
        alert: "GreetingsByNameLow",
    },
    Criterion {
        asked: "95% caller recognition success rate",
        metric: "calldex_lookups_total",
        dashboard: "calls",
        panel: "Recognition",
        alert: "RecognitionBelowObjective",
    },
    Criterion {
        asked: "90% name extraction success rate",
        metric: "calldex_names_total",
        dashboard: "calls",
        panel: "Name capture",
        alert: "NameCaptureBelowObjective",
    },
    Criterion {
        asked: "Zero blocking operations in conversation flow",
        metric: "calldex_server_latency_seconds",
        dashboard: "calls",
        panel: "Own share under 5 ms",
        alert: "ServerLatencyBurnFast",
    },
    Criterion {
        asked: "100% conversation persistence",
        metric: "calldex_writes_accepted_total",
        dashboard: "calls",
        panel: "Conversations persisted",
        alert: "PersistenceBurnSlow",
    },
    Criterion {
        asked: "100% conversation persistence",
        metric: "calldex_storage_degraded",
        dashboard: "storage",
        panel: "Degraded",
        alert: "StorageDegraded",
    },
    Criterion {
        asked: "< 100ms database lookup time",
        metric: "calldex_lookup_seconds",
        dashboard: "calls",
        panel: "Look-up under 100 ms",
        alert: "LookupsSlow",
    },
    Criterion {
        asked: "No performance degradation (< 500ms first response)",
        metric: "calldex_first_token_seconds",
        dashboard: "calls",
        panel: "First token of a reply",
        alert: "FirstReplyLatencyBurnSlow",
    },
    Criterion {
        asked: "System handles concurrent calls",
        metric: "calldex_calls_refused_total",
        dashboard: "calls",
        panel: "Calls refused",
        alert: "CallsRefused",
    },
];
