//! `calldex backup`: a consistent copy of the database, while the server runs or not.

use super::{ServeArguments, print_failure};
use calldex_storage::{BackupError, DATABASE_FILE, ExistingFile, backup};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit status where the copy was made and is not sound.
const UNSOUND_STATUS: u8 = 3;

const AFTER_HELP: &str = "\
The copy is made as FILE.partial, synced, checked with SQLite's integrity_check, and renamed: FILE is
whole or not there. It belongs to no cluster.

To restore: stop the server, put FILE as calls.db into an empty data directory, and start it there; for
several instances, run `calldex cluster init` on that directory first and let the others join with
empty ones.

Exit status: 0 copied, 1 not copied, 2 wrong arguments, 3 the copy was not sound and was removed: the
database or a disk is damaged.";

/// Options of `calldex backup`.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct BackupArguments {
    /// Where the copy goes
    file: PathBuf,
    /// Configuration file of the server; only the data directory is used
    #[arg(long, value_name = "FILE", env = "CALLDEX_CONFIG")]
    config: Option<PathBuf>,
    /// Data directory, where calls.db lies; without it the configuration says where it is
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Replaces FILE if it exists
    #[arg(long)]
    force: bool,
}

impl BackupArguments {
    /// A flag is believed as it is: the server's secrets need not be readable for it.
    fn data_dir(&self) -> Result<PathBuf, String> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let config = ServeArguments::load_config(self.config.as_ref())?;
        Ok(config.server.data)
    }
}

pub(super) fn run(arguments: &BackupArguments) -> ExitCode {
    let data_dir = match arguments.data_dir() {
        Ok(data_dir) => data_dir,
        Err(error) => return print_failure(error),
    };
    let existing = match arguments.force {
        true => ExistingFile::Replace,
        false => ExistingFile::Refuse,
    };
    match backup(&data_dir, &arguments.file, existing) {
        Ok(made) => {
            println!(
                "{} copied to {}: {}, {} calls, {} callers, position {}",
                data_dir.join(DATABASE_FILE).display(),
                arguments.file.display(),
                size(made.bytes),
                made.calls,
                made.callers,
                made.position
            );
            ExitCode::SUCCESS
        }
        Err(error @ BackupError::IntegrityCheckFailed(_)) => {
            print_failure(error);
            ExitCode::from(UNSOUND_STATUS)
        }
        Err(error) => print_failure(error),
    }
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match bytes {
        0..MIB => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}
