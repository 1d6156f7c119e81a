//! The folder of a measurement, numbers and turns for it, and what the kernel says was written.

use calldex_storage::record::{Caller, DecisionMark, NameState, PhoneNumber, Turn, TurnRole};
use calldex_storage::write::Write;
use calldex_storage::{Storage, StorageConfig, WriterBounds, measured};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a turn's words.
const WORDS_BYTES: usize = 200;
/// How long closing may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The folder that this process measures in.
pub(super) fn folder(below: &Path) -> PathBuf {
    below.join(format!("calldex-bench-{}", std::process::id()))
}

/// A folder that is gone when the measurement is.
pub(super) struct Scene {
    dir: PathBuf,
}

impl Scene {
    pub(super) fn new(below: &Path) -> io::Result<Self> {
        if !below.is_dir() {
            let reason = format!("{}: no such folder", below.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        let dir = folder(below);
        std::fs::create_dir(&dir)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        Ok(Self { dir })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Opens the storage `name`, with the warm tier if wanted.
    pub(super) fn open(
        &self,
        name: &str,
        bounds: WriterBounds,
        warm: bool,
        hot_callers_max: usize,
    ) -> io::Result<Storage> {
        let config = StorageConfig {
            bounds,
            warm_cache: warm,
            hot_callers_max,
            ..StorageConfig::new(self.path(name))
        };
        Storage::open(config).map_err(io::Error::other)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What is left of a measurement is only in the way.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The `index`th number: ten digits after `+1`.
pub fn number(index: usize) -> PhoneNumber {
    let text = format!(
        "+1{:010}",
        2_000_000_000_u64 + index as u64 * 7_919 % 7_000_000_000
    );
    PhoneNumber::parse(&text).expect("ten digits after +1")
}

/// What is said in the turn `seq` of the call `call`: 200 bytes.
pub fn words(call: usize, seq: u32) -> String {
    let mut words = format!("call {call} turn {seq} ");
    words.extend(std::iter::repeat_n(
        'x',
        WORDS_BYTES.saturating_sub(words.len()),
    ));
    words
}

/// The turn `seq` of the call `call`.
pub(super) fn turn(call: usize, seq: u32) -> Write {
    let turn = Turn::new(
        TurnRole::Caller,
        words(call, seq),
        1_700_000_000_000,
        0,
        seq,
    );
    Write::TurnAppended {
        call_sid: call_sid(call),
        turn,
    }
}

/// The call's identifier, as long as Twilio's.
pub(super) fn call_sid(call: usize) -> calldex_storage::record::CallSid {
    format!("CA{call:032x}").into()
}

/// Fills the database at `path` with callers, past the writer: what is measured comes later.
pub(super) fn populate(path: &Path, count: usize) -> rusqlite::Result<()> {
    let callers = (0..count).map(|index| {
        let mut caller = Caller::new(number(index), 1_700_000_000);
        caller.name = Some(format!("Trainer {index}").into());
        caller.name_state = NameState::Confirmed;
        caller.name_mark = DecisionMark {
            at_ms: 1_700_000_000_000,
            step: 1,
        };
        caller.rev = index as u64 + 1;
        caller
    });
    measured::populate(path, callers)
}

/// Bytes that this process has given to the kernel to write; 0 where the kernel does not say.
pub(super) fn bytes_written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// xorshift: the order of look-ups need not be unpredictable. Of the seed only 0 is no good.
pub struct Random(pub u64);

impl Random {
    /// Some number below `end`; 0 below 0 as well.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}
