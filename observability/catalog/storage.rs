//! Storage: callers looked up, turns made durable.

super::catalog! {
    /// Time to look up a caller, by the tier that answered.
    LOOKUP_SECONDS: histogram Seconds "calldex_lookup_seconds" { tier: ["hot", "warm", "cold"] } by LOOKUP;
    /// Look-ups of callers, by the tier that answered and what it said; a look-up that ran out of its
    /// budget was answered by none.
    LOOKUPS_TOTAL: counter Count "calldex_lookups_total"
        { tier: ["hot", "warm", "cold", "none"], result: ["known", "unknown", "timed_out"] };
    /// Look-ups that ran out of their budget.
    LOOKUP_TIMEOUTS_TOTAL: counter Count "calldex_lookup_timeouts_total";
    /// Writes taken into the queue.
    WRITES_ACCEPTED_TOTAL: counter Count "calldex_writes_accepted_total";
    /// Writes that are on disk for good.
    WRITES_DURABLE_TOTAL: counter Count "calldex_writes_durable_total";
    /// From accepting a write to its being durable.
    WRITE_DURABLE_SECONDS: histogram Seconds "calldex_write_durable_seconds" by LATENCY;
    /// Age of the oldest write that is not yet durable; 0 when none waits.
    OLDEST_PENDING_WRITE_SECONDS: gauge Seconds "calldex_oldest_pending_write_seconds";
    /// Writes in one transaction.
    WRITE_BATCH_SIZE: histogram Count "calldex_write_batch_size" by BATCH_SIZE;
    /// Time of one transaction, its fsync included.
    WRITE_COMMIT_SECONDS: histogram Seconds "calldex_write_commit_seconds" by LATENCY;
    /// Writes waiting in the queue.
    WRITE_QUEUE_DEPTH: gauge Count "calldex_write_queue_depth";
    /// Writes that were refused for their own fault, by whether they were kept for a person to look at, or
    /// were the oldest of too many.
    WRITES_REJECTED_TOTAL: counter Count "calldex_writes_rejected_total" { result: ["kept", "evicted"] };
    /// Attempts to write that failed, by kind; they are tried again.
    WRITE_FAILURES_TOTAL: counter Count "calldex_write_failures_total"
        { kind: ["full", "read_only", "locked", "io", "corrupt", "other"] };
    /// Writes of a later level than the one in use, left out because nothing else needs them.
    WRITES_SKIPPED_TOTAL: counter Count "calldex_writes_skipped_total";
    /// The level in use in the database: which builds read it, see `calldex --version`.
    CLUSTER_FORMAT_VERSION: gauge Count "calldex_cluster_format_version";
    /// 1 while writes cannot be made durable, else 0.
    STORAGE_DEGRADED: gauge Count "calldex_storage_degraded";
    /// Callers held by a tier of the directory.
    DIRECTORY_ENTRIES: gauge Count "calldex_directory_entries" { tier: ["hot", "warm"] };
    /// Entries that left the hot tier because it was full.
    DIRECTORY_EVICTIONS_TOTAL: counter Count "calldex_directory_evictions_total";
    /// Times the warm tier was thrown away and filled anew from the database.
    WARM_REBUILDS_TOTAL: counter Count "calldex_warm_rebuilds_total"
        { reason: ["start", "erasure", "changed", "behind", "corrupt", "panicked"] };
    /// Times the database was found changed past the server, as by a person with a SQLite shell.
    DATABASE_EXTERNAL_CHANGES_TOTAL: counter Count "calldex_database_external_changes_total";
    /// Ends of calls that are not known which went because too many were kept.
    EARLY_ENDS_EVICTED_TOTAL: counter Count "calldex_early_ends_evicted_total";
    /// Conversations found unfinished at start, by what became of them.
    CONVERSATIONS_RECOVERED_TOTAL: counter Count "calldex_conversations_recovered_total"
        { result: ["resumed", "closed"] };
    /// Size of the database's write-ahead log.
    WRITE_AHEAD_LOG_BYTES: gauge Bytes "calldex_write_ahead_log_bytes";
    /// Size of the database with its write-ahead log.
    DATABASE_BYTES: gauge Bytes "calldex_database_bytes";
}
