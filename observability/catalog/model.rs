//! The model: how soon it speaks, how it fails, what it costs.

super::catalog! {
    /// From the request to the model's first token.
    MODEL_FIRST_TOKEN_SECONDS: histogram Seconds "calldex_model_first_token_seconds" by LATENCY;
    /// From the request to the end of the reply.
    MODEL_REPLY_SECONDS: histogram Seconds "calldex_model_reply_seconds" by LATENCY;
    /// Replies asked of the model, by how they ended. A retry counts as part of its request.
    MODEL_REQUESTS_TOTAL: counter Count "calldex_model_requests_total"
        { result: ["ok", "cancelled", "failed"] };
    /// Attempts at a reply that failed, by kind; a request may fail more than once.
    MODEL_FAILURES_TOTAL: counter Count "calldex_model_failures_total"
        {
            kind: [
                "connect", "refused", "rate_limited", "status", "first_token_timeout", "stalled", "cut",
                "too_long", "protocol", "out_of_tokens", "filtered", "loading",
            ]
        };
    /// Second attempts before the first token.
    MODEL_RETRIES_TOTAL: counter Count "calldex_model_retries_total";
    /// Replies that were asked of the fallback too while the primary was silent: won by the
    /// fallback, lost to the primary or by the caller's leave, or refused for the costs or because
    /// the fallback is down.
    MODEL_HEDGES_TOTAL: counter Count "calldex_model_hedges_total"
        { result: ["won", "lost", "refused"] };
    /// Tokens by the providers' own count, by the configured name of the model: of questions, of those the
    /// part that the provider had in its cache, and of answers. Replies, opinions on names and requests that load
    /// a model count. A reply that was interrupted has no count of the provider's: it is estimated apart, at four
    /// bytes of the request and one piece of text a token.
    MODEL_TOKENS_TOTAL: dynamic_label_counter Count "calldex_model_tokens_total"
        { model: ["default"], direction: ["input", "cached", "output", "input_estimated", "output_estimated"] };
    /// Pieces of text that the models streamed.
    MODEL_CHUNKS_TOTAL: counter Count "calldex_model_chunks_total";
    /// Requests that a model's server refused for one of their parameters and that were made again without
    /// it, by the configured name of the model.
    MODEL_ADAPTATIONS_TOTAL: dynamic_label_counter Count "calldex_model_adaptations_total"
        {
            model: ["default"],
            parameter: [
                "tools", "stream_options", "max_tokens", "temperature", "reasoning_effort",
                "response_format", "user", "prompt_cache_key", "system_role", "context",
            ]
        };
    /// Complete replies by how they ended: said to the end, with tools to call, cut at the longest reply
    /// (raise max_tokens), stopped by the provider's filter.
    MODEL_FINISH_REASONS_TOTAL: counter Count "calldex_model_finish_reasons_total"
        { finish_reason: ["stop", "tool_calls", "length", "content_filter"] };
    /// What a model's answers cost, in millionths of the currency that its prices are in, by the configured
    /// name of the model. Interrupted ones by the estimate of their tokens.
    MODEL_COST_MICROS_TOTAL: dynamic_label_counter Count "calldex_model_cost_micros_total"
        { model: ["default"], direction: ["input", "output"] };
    /// Parts of replies that were left out: events that are no JSON, parts of a form that is not
    /// known, tools called in writing that are not offered, turns of others.
    MODEL_CHUNKS_DROPPED_TOTAL: counter Count "calldex_model_chunks_dropped_total"
        { reason: ["malformed", "unknown_part", "written_tool", "other_turn", "thoughts"] };
    /// Tools that the model called.
    MODEL_TOOL_CALLS_TOTAL: counter Count "calldex_model_tool_calls_total"
        { tool: ["end_call", "hand_over", "set_name", "switch_language", "note_preference", "configured", "unknown"] };
    /// Replies that are being streamed now.
    MODEL_IN_FLIGHT: gauge Count "calldex_model_in_flight";
}
