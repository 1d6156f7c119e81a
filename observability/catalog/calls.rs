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
    /// Calls taken up again: after their connection or their server was lost, a hand-over that nobody took, an
    /// end of ours; or under the `CallSid` of a call that is over.
    CALLS_RESUMED_TOTAL: counter Count "calldex_calls_resumed_total"
        {
            reason: ["action", "reconnect", "restart", "taken_over", "unanswered", "returned", "rang_again"]
        };
    /// Calls given to a person by `<Dial>` or `<Enqueue>`, by what came of it; unless answered the caller is back with the
    /// agent, or has hung up (canceled).
    HANDOVERS_TOTAL: counter Count "calldex_handovers_total"
        { result: ["answered", "busy", "no_answer", "failed", "canceled"] };
    /// Greetings spoken: by name, to a new caller, neutral (known without a usable name), neutral
    /// because the look-up took too long, on resuming, to a withheld number.
    GREETINGS_TOTAL: counter Count "calldex_greetings_total"
        { greeting: ["by_name", "new", "neutral", "timed_out", "resumed", "withheld"] };
    /// From a final prompt to the model's first token on the socket. Sentences that are said without the
    /// model are not counted.
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
    /// Texts of prompts that could not be rendered, and were told to the model as they are shipped.
    PROMPT_FAILURES_TOTAL: counter Count "calldex_prompt_failures_total";
    /// Turns of conversations, by who took them.
    TURNS_TOTAL: counter Count "calldex_turns_total" { role: ["caller", "agent", "tool"] };
}
