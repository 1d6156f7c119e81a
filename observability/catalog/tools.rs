//! The operator's tools, by the names that the configuration gives them.

super::catalog! {
    /// Calls of the operator's tools, by the configured name of the tool or of the MCP server: answered,
    /// failed, timed out, broken off because nobody waited for them any more, or not made because the
    /// model's arguments did not fit.
    TOOL_CALLS_TOTAL: dynamic_label_counter Count "calldex_tool_calls_total"
        { tool: ["other"], result: ["ok", "failed", "timed_out", "cancelled", "invalid"] };
    /// How long those calls took in all, in milliseconds.
    TOOL_MILLISECONDS_TOTAL: dynamic_label_counter Count "calldex_tool_milliseconds_total"
        { tool: ["other"], result: ["ok", "failed", "timed_out", "cancelled", "invalid"] };
    /// How long one call of an operator's tool took.
    TOOL_SECONDS: histogram Seconds "calldex_tool_seconds" by LATENCY;
    /// Connections to MCP servers by their configured names: that came up, that were lost, and attempts that
    /// failed. A server is there while it came up once more than it was lost.
    MCP_CONNECTIONS_TOTAL: dynamic_label_counter Count "calldex_mcp_connections_total"
        { server: ["other"], state: ["up", "down", "failed"] };
}
