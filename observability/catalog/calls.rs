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
    CALL_SECONDS: histogram Seconds "calldex_call_seconds" by CALL_DURATION;
    /// Calls turned away at the door with a spoken "please call again".
    CALLS_REFUSED_TOTAL: counter Count "calldex_calls_refused_total" { reason: ["busy", "draining"] };
    /// Calls taken up again: after their connection or their server was lost, a hand-over that nobody took, an
    /// end of ours; or under the `CallSid` of a call that is over.
    CALLS_RESUMED_TOTAL: counter Count "calldex_calls_resumed_total"
        {
            reason: ["action", "reconnect", "restart", "taken_over", "handoff_unanswered", "after_end", "call_sid_reused"]
        };
    /// Calls given to a person by `<Dial>` or `<Enqueue>`, by what came of it; unless answered the caller is back with the
    /// agent, or has hung up (canceled).
    HANDOFFS_TOTAL: counter Count "calldex_handoffs_total"
        { result: ["answered", "busy", "no_answer", "failed", "canceled"] };
    /// Greetings spoken: by name, to a new caller, neutral (known without a usable name), neutral
    /// because the look-up took too long, on resuming, to a withheld number.
    GREETINGS_TOTAL: counter Count "calldex_greetings_total"
        { greeting: ["by_name", "new", "neutral", "timed_out", "resumed", "withheld"] };
    /// From a final prompt to the model's first token on the socket. Sentences that are said without the
    /// model are not counted.
    FIRST_TOKEN_SECONDS: histogram Seconds "calldex_first_token_seconds" by LATENCY;
    /// The server's own share of the first token: what remains when the model's time is taken away.
    SERVER_LATENCY_SECONDS: histogram Seconds "calldex_server_latency_seconds" by LATENCY;
    /// Replies that the caller broke off.
    INTERRUPTIONS_TOTAL: counter Count "calldex_interruptions_total" { by: ["speech", "dtmf"] };
    /// Short phrases spoken to bridge a slow model.
    FILLERS_TOTAL: counter Count "calldex_fillers_total";
    /// Answers begun on a partial prompt, before the caller had finished.
    PREEMPTIVE_REPLIES_TOTAL: counter Count "calldex_preemptive_replies_total";
    /// Apologies spoken because the model gave no reply.
    APOLOGIES_TOTAL: counter Count "calldex_apologies_total";
    /// Texts of prompts that could not be rendered, and were told to the model as they are shipped.
    PROMPT_RENDER_FAILURES_TOTAL: counter Count "calldex_prompt_render_failures_total";
    /// Turns of conversations, by who took them.
    TURNS_TOTAL: counter Count "calldex_turns_total" { role: ["caller", "agent", "tool"] };
}
