//! The machine under an instance: its disk and its clock, of `policy.c`, told what to do while the
//! instance runs.

use crate::simulated_disk;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Error numbers of Linux.
pub const EIO: i64 = 5;
pub const ENOSPC: i64 = 28;
/// Fields of the file that both sides map, eight bytes each, in the order of `policy.c`.
const FIELDS: u64 = 9;

/// What a machine can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineFault {
    /// The power goes at once: what was not synced is gone, wholly (1) or in part (2).
    Cut,
    /// Syncs fail with this error number; 0 ends it.
    SyncFails,
    /// Writes fail with this error number.
    WriteFails,
    /// Each sync takes this long, microseconds.
    SyncTakesUs,
    /// Each write takes this long, microseconds.
    WriteTakesUs,
    /// Syncs say that they are done, and are not.
    SyncLies,
    /// The clock of the day is off by this much, milliseconds.
    ClockOffMs,
}

impl MachineFault {
    const LASTING: [Self; 5] = [
        Self::SyncFails,
        Self::WriteFails,
        Self::SyncTakesUs,
        Self::WriteTakesUs,
        Self::SyncLies,
    ];

    fn offset(self) -> u64 {
        8 * match self {
            Self::Cut => 0,
            Self::SyncFails => 1,
            Self::WriteFails => 2,
            Self::SyncTakesUs => 3,
            Self::WriteTakesUs => 4,
            Self::SyncLies => 5,
            Self::ClockOffMs => 6,
        }
    }
}

/// One machine; it outlives the processes on it.
pub struct SimulatedMachine {
    control: File,
    environment: Vec<(String, String)>,
}

impl SimulatedMachine {
    /// A machine whose disk is below `disk`, with its switch beside it at `control`.
    pub fn build(disk: &Path, control: &Path, seed: u64) -> Option<Self> {
        let library = simulated_disk::library(include_str!("policy.c"))?;
        let file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(control)
            .expect("a file in our own folder");
        file.set_len(FIELDS * 8).expect("room for it");
        let last = (FIELDS - 1) * 8;
        file.write_all_at(&seed.to_ne_bytes(), last)
            .expect("to be written");
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        Some(Self {
            control: file,
            environment: vec![
                variable("LD_PRELOAD", library),
                variable(simulated_disk::FOLDER, disk),
                variable("CALLDEX_TEST_CONTROL", control),
            ],
        })
    }

    /// What a process on it has in its environment.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Tells it what to do from now on.
    pub fn inject(&self, ailment: MachineFault, value: i64) {
        let written = self
            .control
            .write_all_at(&value.to_ne_bytes(), ailment.offset());
        written.expect("to be written");
    }

    /// All is well again but the clock, which stays as it is; with power, if it was cut.
    pub fn recover(&self) {
        MachineFault::LASTING
            .iter()
            .for_each(|ailment| self.inject(*ailment, 0));
        self.inject(MachineFault::Cut, 0);
    }

    /// Operations that failed so far.
    pub fn failures(&self) -> i64 {
        let mut value = [0; 8];
        self.control
            .read_exact_at(&mut value, 7 * 8)
            .expect("to be read");
        i64::from_ne_bytes(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    struct DiskFaultTest {
        dir: TempDir,
        machine: SimulatedMachine,
    }

    impl DiskFaultTest {
        fn build() -> Option<Self> {
            let dir = TempDir::new().unwrap();
            let disk = dir.path().join("disk");
            std::fs::create_dir(&disk).unwrap();
            let machine = SimulatedMachine::build(&disk, &dir.path().join("control"), 1)?;
            Some(Self { dir, machine })
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("disk/file")
        }

        /// This binary on the machine, as [`writes_when_told_to`].
        fn writer_command(&self, manner: &str) -> Command {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", "simulated_machine::tests::writes_when_told_to"])
                .envs(self.machine.environment().iter().cloned())
                .env(WRITER_VARIABLE, manner)
                .env("CALLDEX_TEST_FILE", self.file())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        }

        fn writes(&self, manner: &str) -> bool {
            self.writer_command(manner).status().unwrap().success()
        }

        fn size(&self) -> u64 {
            std::fs::metadata(self.file()).map_or(0, |file| file.len())
        }
    }

    const WRITER_VARIABLE: &str = "CALLDEX_TEST_SCRIBBLE";
    const BLOCK: [u8; 512] = [7; 512];

    /// A process that writes one block, or a second one and waits for what comes.
    #[test]
    fn writes_when_told_to() {
        let Ok(manner) = std::env::var(WRITER_VARIABLE) else {
            return;
        };
        let path = std::env::var("CALLDEX_TEST_FILE").unwrap();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .unwrap();
        match manner.as_str() {
            "writes" => file.write_all_at(&BLOCK, 0).unwrap(),
            "syncs" => {
                file.write_all_at(&BLOCK, 0).unwrap();
                file.sync_all().unwrap();
            }
            _ => {
                file.write_all_at(&BLOCK, 512).unwrap();
                std::thread::sleep(Duration::from_secs(60));
            }
        }
    }

    #[test]
    fn a_disk_fails_when_it_is_told_to_and_recovers() {
        let Some(lab) = DiskFaultTest::build() else {
            return;
        };
        assert!(lab.writes("syncs"));
        lab.machine.inject(MachineFault::SyncFails, EIO);
        assert!(!lab.writes("syncs"));
        lab.machine.recover();
        lab.machine.inject(MachineFault::WriteFails, ENOSPC);
        assert!(!lab.writes("writes"));
        assert_eq!(lab.machine.failures(), 2);
        lab.machine.recover();
        assert!(lab.writes("syncs"));
    }

    #[test]
    fn a_disk_is_as_slow_as_it_is_told() {
        let Some(lab) = DiskFaultTest::build() else {
            return;
        };
        lab.machine.inject(MachineFault::SyncTakesUs, 150_000);
        let begun = Instant::now();
        assert!(lab.writes("syncs"));
        assert!(begun.elapsed() >= Duration::from_millis(150));
    }

    #[test]
    fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
        let Some(lab) = DiskFaultTest::build() else {
            return;
        };
        assert!(lab.writes("syncs"));
        let mut writing = lab.writer_command("waits").spawn().unwrap();
        let end = Instant::now() + crate::fault_cluster::WAIT_MAX;
        while lab.size() < 1024 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(lab.size(), 1024);
        lab.machine.inject(MachineFault::Cut, 1);
        assert!(!writing.wait().unwrap().success());
        assert_eq!(lab.size(), 512);
    }

    #[test]
    fn a_clock_is_as_wrong_as_it_is_told() {
        let Some(lab) = DiskFaultTest::build() else {
            return;
        };
        let seconds = || {
            let mut date = Command::new("date");
            date.envs(lab.machine.environment().iter().cloned());
            let output = date.arg("+%s").output().unwrap();
            let seconds: i64 = String::from_utf8(output.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            seconds
        };
        let before = seconds();
        lab.machine.inject(MachineFault::ClockOffMs, -86_400_500);
        let after = seconds();
        assert!(
            (before - 86_402..=before - 86_390).contains(&after),
            "{before} {after}"
        );
    }
}
