//! Calls: how they begin, how they sound, how they end.

super::catalog! {
    /// Calls answered, by what is known of the caller.
    CALLS_STARTED_TOTAL: counter Count "calldex_calls_started_total"
        { caller: ["known", "new", "withheld", "sip", "client", "unusable"] };
    /// Calls that are live now.
    CALLS_LIVE: gauge Count "calldex_calls_live";
    /// Calls that are over, by how they ended.
    CALLS_ENDED_TOTAL: counter Count "calldex_calls_ended_total"
        { outcome: ["hung_up", "ended", "handed_over", "failed", "drained", "idle", "abandoned", "limit"] };
    /// Length of a call, from its first set-up to its end.
    CALL_SECONDS: histogram Seconds "calldex_call_seconds" by CALL;
    /// Calls turned away at the door with a spoken "please call again".
    CALLS_REFUSED_TOTAL: counter Count "calldex_calls_refused_total" { reason: ["busy", "draining"] };
    /// Calls taken up again after their connection or their server was lost.
    CALLS_RESUMED_TOTAL: counter Count "calldex_calls_resumed_total"
        { reason: ["action", "reconnect", "restart", "taken_over"] };
    /// Greetings spoken: by name, to a new caller, neutral (known without a usable name), neutral
    /// because the look-up took too long, on resuming, to a withheld number.
    GREETINGS_TOTAL: counter Count "calldex_greetings_total"
        { greeting: ["by_name", "new", "neutral", "timed_out", "resumed", "withheld"] };
    /// From a final prompt to the first token of the reply on the socket.
    FIRST_TOKEN_SECONDS: histogram Seconds "calldex_first_token_seconds" by VOICE;
    /// The server's own share of the first token: what remains when the model's time is taken away.
    OWN_LATENCY_SECONDS: histogram Seconds "calldex_own_latency_seconds" by VOICE;
    /// Replies that the caller broke off.
    BARGE_INS_TOTAL: counter Count "calldex_barge_ins_total" { by: ["speech", "dtmf"] };
    /// Short phrases spoken to bridge a slow model.
    BRIDGES_TOTAL: counter Count "calldex_bridges_total";
    /// Answers begun on a partial prompt, before the caller had finished.
    EAGER_STARTS_TOTAL: counter Count "calldex_eager_starts_total";
    /// Apologies spoken because the model gave no reply.
    APOLOGIES_TOTAL: counter Count "calldex_apologies_total";
    /// Turns of conversations, by who took them.
    TURNS_TOTAL: counter Count "calldex_turns_total" { role: ["caller", "agent", "tool"] };
}
