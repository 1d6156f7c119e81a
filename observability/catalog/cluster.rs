//! Several instances: who is primary, how far each has come, calls that moved.

super::catalog! {
    /// 1 for the role that this instance has among several, 0 for the others; none of them where it
    /// runs alone.
    CLUSTER_ROLE: gauge Count "calldex_cluster_role" { role: ["primary", "replica", "learner", "candidate"] };
    /// The term of the election that made the primary.
    CLUSTER_TERM: gauge Count "calldex_cluster_term";
    /// Members that may vote, as this instance knows them; 0 where it runs alone.
    CLUSTER_VOTERS: gauge Count "calldex_cluster_voters";
    /// 1 while this instance knows a primary that a majority follows, else 0.
    CLUSTER_HAS_QUORUM: gauge Count "calldex_cluster_has_quorum";
    /// Log index (TXID): the last in the log here, the last known to be on a majority, the last
    /// applied to the database here, the last removed from the log here.
    CLUSTER_POSITION: gauge Count "calldex_cluster_position" { index: ["log", "committed", "applied", "purged"] };
    /// Entries that this instance has still to apply of those that the primary has committed.
    REPLICATION_LAG_ENTRIES: gauge Count "calldex_replication_lag_entries";
    /// How long this instance has been behind the primary; 0 when it is not.
    REPLICATION_LAG_SECONDS: gauge Seconds "calldex_replication_lag_seconds";
    /// Changes of the primary that this instance has seen.
    PRIMARY_CHANGES_TOTAL: counter Count "calldex_primary_changes_total";
    /// From giving a batch to the primary to its being on a majority and applied there.
    CLUSTER_COMMIT_SECONDS: histogram Seconds "calldex_cluster_commit_seconds" by LATENCY;
    /// Batches of writes given to the primary, by what came of it.
    FORWARDED_BATCHES_TOTAL: counter Count "calldex_forwarded_batches_total"
        { result: ["ok", "no_primary", "timed_out", "refused"] };
    /// Writes in one entry of the log.
    CLUSTER_ENTRY_WRITES: histogram Count "calldex_cluster_entry_writes" by BATCH_SIZE;
    /// Writes that wait in the outbox for a primary.
    OUTBOX_WRITES: gauge Count "calldex_outbox_writes";
    /// Age of the oldest write in the outbox; 0 when it is empty.
    OUTBOX_OLDEST_SECONDS: gauge Seconds "calldex_outbox_oldest_seconds";
    /// Size of the log of entries on disk.
    CLUSTER_LOG_BYTES: gauge Bytes "calldex_cluster_log_bytes";
    /// Snapshots of the whole database, by direction and result.
    SNAPSHOTS_TOTAL: counter Count "calldex_snapshots_total"
        { direction: ["sent", "installed"], result: ["ok", "failed", "refused"] };
    /// Requests at the cluster listener that were turned away, by reason.
    CLUSTER_REFUSALS_TOTAL: counter Count "calldex_cluster_refusals_total"
        { reason: ["unauthenticated", "other_cluster", "unknown_node", "old_data", "format_version", "too_large", "malformed"] };
    /// Members of the cluster that do not answer this instance.
    CLUSTER_PEERS_UNREACHABLE: gauge Count "calldex_cluster_peers_unreachable";
    /// Members of the cluster whose database is not this instance's, by the digests of what both applied.
    CLUSTER_DATABASES_DIFFERING: gauge Count "calldex_cluster_databases_differing";
    /// Times the consensus engine had to be started again after a failure of its disk.
    CLUSTER_ENGINE_RESTARTS_TOTAL: counter Count "calldex_cluster_engine_restarts_total";
    /// Calls of another instance that this one took over, by what brought them here.
    CALLS_TAKEN_OVER_TOTAL: counter Count "calldex_calls_taken_over_total"
        { by: ["webhook", "action", "reconnect", "redirect"] };
    /// Live calls given to other instances by a drain.
    CALLS_MOVED_TOTAL: counter Count "calldex_calls_moved_total";
    /// Claims of calls that another instance had taken first.
    CALL_CLAIMS_LOST_TOTAL: counter Count "calldex_call_claims_lost_total";
    /// Calls of an instance that is gone, redirected through Twilio's REST API, by result.
    CALLS_REDIRECTED_TOTAL: counter Count "calldex_calls_redirected_total"
        { result: ["ok", "already_ended", "failed"] };
    /// Waits for a position that another instance had written, by how they ended.
    POSITION_WAITS_TOTAL: counter Count "calldex_position_waits_total"
        { result: ["already_applied", "applied", "timed_out"] };
}
