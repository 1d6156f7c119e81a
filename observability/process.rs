//! The process as the kernel sees it, from `/proc` (Linux; elsewhere these metrics stay at zero).

use crate::catalog;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

/// Fields of `/proc/self/stat` after the name of the program, which may contain anything and ends at
/// the last `)`: state is the first of them; user and system time are these (proc_pid_stat(5)).
const STAT_USER_TICKS: usize = 11;
const STAT_SYSTEM_TICKS: usize = 12;

/// Reads the process's own figures at each scrape.
pub(crate) struct ProcessMetrics {
    started: Instant,
    data_dir: OnceLock<PathBuf>,
}

impl ProcessMetrics {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            data_dir: OnceLock::new(),
        }
    }

    pub(crate) fn watch_disk(&self, data_dir: PathBuf) {
        self.data_dir.get_or_init(|| data_dir);
    }

    /// Brings the metrics of the process up to date. What cannot be read keeps its last value.
    pub(crate) fn refresh(&self) {
        catalog::UPTIME_SECONDS.set(self.started.elapsed().as_secs_f64());
        refresh_status(&read("/proc/self/status"));
        if let Some(seconds) = cpu_seconds(&read("/proc/self/stat"), ticks_per_second()) {
            catalog::PROCESS_CPU_SECONDS_TOTAL.set(seconds);
        }
        if let Some(max) = open_files_max(&read("/proc/self/limits")) {
            catalog::PROCESS_OPEN_FILES_MAX.set(max);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // Reading the folder opens it: it counts itself.
            catalog::PROCESS_OPEN_FILES.set(files.count().saturating_sub(1) as f64);
        }
        self.refresh_disk();
    }

    fn refresh_disk(&self) {
        let Some(data_dir) = self.data_dir.get() else {
            return;
        };
        if let Ok(disk) = rustix::fs::statvfs(data_dir) {
            catalog::DISK_FREE_BYTES.set(disk.f_bavail as f64 * disk.f_frsize as f64);
            catalog::DISK_SIZE_BYTES.set(disk.f_blocks as f64 * disk.f_frsize as f64);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

fn refresh_status(status: &str) {
    if let Some(kib) = status_field(status, "VmRSS:") {
        catalog::PROCESS_RESIDENT_BYTES.set(kib * 1024.0);
    }
    if let Some(threads) = status_field(status, "Threads:") {
        catalog::PROCESS_THREADS.set(threads);
    }
}

fn status_field(status: &str, field: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds(stat: &str, ticks_per_second: f64) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(STAT_USER_TICKS)? + ticks(STAT_SYSTEM_TICKS)?) / ticks_per_second)
}

fn open_files_max(limits: &str) -> Option<f64> {
    let rest = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (call (dex) 1) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 3 0 100 1 2";
        assert_eq!(cpu_seconds(stat, 100.0), Some(3.0));
        assert_eq!(cpu_seconds("7 (calldex) S 1", 100.0), None);
        assert_eq!(cpu_seconds("", 100.0), None);
    }

    #[test]
    fn memory_and_limits_are_read_by_their_names() {
        let status = "Name:\tcalldex\nVmRSS:\t   20480 kB\nThreads:\t5\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(20480.0));
        assert_eq!(status_field(status, "VmSwap:"), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024  4096  files\n";
        assert_eq!(open_files_max(limits), Some(1024.0));
        assert_eq!(
            open_files_max("Max open files unlimited unlimited files"),
            None
        );
    }
}
