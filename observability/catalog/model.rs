//! The model: how soon it speaks, how it fails, what it costs.

super::catalog! {
    /// From the request to the model's first token.
    MODEL_FIRST_TOKEN_SECONDS: histogram Seconds "calldex_model_first_token_seconds" by VOICE;
    /// From the request to the end of the reply.
    MODEL_REPLY_SECONDS: histogram Seconds "calldex_model_reply_seconds" by VOICE;
    /// Replies asked of the model, by how they ended. A retry counts as part of its request.
    MODEL_REQUESTS_TOTAL: counter Count "calldex_model_requests_total"
        { result: ["ok", "cancelled", "failed"] };
    /// Attempts at a reply that failed, by kind; a request may fail more than once.
    MODEL_FAILURES_TOTAL: counter Count "calldex_model_failures_total"
        {
            kind: [
                "connect", "refused", "rate_limited", "status", "first_token_timeout", "stalled", "cut",
                "too_long", "protocol",
            ]
        };
    /// Second attempts before the first token.
    MODEL_RETRIES_TOTAL: counter Count "calldex_model_retries_total";
    /// Replies that were asked of the fallback too while the primary was silent: won by the
    /// fallback, lost to the primary or by the caller's leave, or refused for the costs or because
    /// the fallback is down.
    MODEL_HEDGES_TOTAL: counter Count "calldex_model_hedges_total"
        { result: ["won", "lost", "refused"] };
    /// Pieces of text that the model streamed.
    MODEL_TOKENS_TOTAL: counter Count "calldex_model_tokens_total";
    /// Tools that the model called.
    MODEL_TOOLS_TOTAL: counter Count "calldex_model_tools_total"
        { tool: ["end_call", "hand_over", "set_name", "switch_language", "note_preference", "unknown"] };
    /// Replies that are being streamed now.
    MODEL_IN_FLIGHT: gauge Count "calldex_model_in_flight";
}
