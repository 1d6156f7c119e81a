//! The process itself, and the disk it writes to.

super::catalog! {
    /// Always 1; the version is in the label.
    BUILD_INFO: gauge Count "calldex_build_info" { version: [env!("CARGO_PKG_VERSION")] };
    /// Memory of the process that is in RAM.
    PROCESS_RESIDENT_BYTES: gauge Bytes "calldex_process_resident_bytes";
    /// CPU time of the process, user and system.
    PROCESS_CPU_SECONDS_TOTAL: seconds_counter Seconds "calldex_process_cpu_seconds_total";
    /// Files and sockets that the process holds open.
    PROCESS_OPEN_FILES: gauge Count "calldex_process_open_files";
    /// Files and sockets that the process may hold open; 0 when there is no bound.
    PROCESS_OPEN_FILES_MAX: gauge Count "calldex_process_open_files_max";
    /// Threads of the process.
    PROCESS_THREADS: gauge Count "calldex_process_threads";
    /// Since the recorder was installed.
    UPTIME_SECONDS: gauge Seconds "calldex_uptime_seconds";
    /// Free space of the file system that holds the data; 0 when no folder is watched.
    DISK_FREE_BYTES: gauge Bytes "calldex_disk_free_bytes";
    /// Size of the file system that holds the data; 0 when no folder is watched.
    DISK_SIZE_BYTES: gauge Bytes "calldex_disk_size_bytes";
}
