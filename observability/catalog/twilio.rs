//! Doors: what Twilio asks over HTTP and over the socket, and what it is told.

super::catalog! {
    /// Time to answer a webhook.
    WEBHOOK_SECONDS: histogram Seconds "calldex_webhook_seconds"
        { webhook: ["voice", "action", "dial_action", "status"] } by LATENCY;
    /// Webhooks answered, by door and result.
    WEBHOOK_REQUESTS_TOTAL: counter Count "calldex_webhook_requests_total"
        {
            webhook: ["voice", "action", "dial_action", "status"],
            result: ["ok", "forbidden", "bad_request", "too_large", "duplicate", "failed"]
        };
    /// WebSocket handshakes answered.
    WEBSOCKET_HANDSHAKES_TOTAL: counter Count "calldex_websocket_handshakes_total"
        { result: ["ok", "forbidden", "bad_request", "busy", "failed"] };
    /// Sockets closed because their call token did not fit their webhook.
    CALL_TOKEN_FAILURES_TOTAL: counter Count "calldex_call_token_failures_total"
        { reason: ["missing", "forged", "expired", "other_call"] };
    /// Frames that Twilio sent.
    FRAMES_RECEIVED_TOTAL: counter Count "calldex_frames_received_total"
        {
            kind: [
                "setup", "prompt", "partial", "interrupt", "dtmf", "info", "error", "unknown", "malformed",
            ]
        };
    /// Frames sent to Twilio.
    FRAMES_SENT_TOTAL: counter Count "calldex_frames_sent_total"
        { kind: ["text", "end", "language", "play", "send_digits"] };
    /// Pings of sockets that were silent: sent, answered, unanswered on a socket that never answered one (it
    /// is kept), and unanswered on one that did (it is dead).
    PINGS_TOTAL: counter Count "calldex_pings_total"
        { outcome: ["sent", "answered", "unanswered", "dead"] };
    /// Error frames from Twilio: it could not use what it was sent.
    FRAME_ERRORS_TOTAL: counter Count "calldex_frame_errors_total";
}
