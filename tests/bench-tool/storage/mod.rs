//! What storage takes, measured on this machine, each figure beside the plain way of doing the same
//! in the same run. `calldex-bench storage` prints it.

mod durable;
mod figures;
mod lookups;
mod plain;
mod scene;

pub use figures::{Figure, percentile};
pub use plain::fsyncs;
pub use scene::{Random, number, words};

use figures::Report;
use scene::Scene;
use std::io;
use std::path::PathBuf;

/// What is measured, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where: a folder is made in it and removed afterwards. The disk below it is what is measured.
    pub dir: PathBuf,
    /// Callers in the directory.
    pub callers: usize,
    /// Look-ups measured a tier.
    pub lookups: usize,
    /// Seconds of steady load.
    pub seconds: u64,
    /// Turns a second of the steady load.
    pub turns_per_second: u64,
    /// Turns written as fast as they go.
    pub turns_flat_out: usize,
    /// Whether batch delays and sizes other than the chosen ones are tried too.
    pub sweep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: std::env::temp_dir(),
            callers: 1_000_000,
            lookups: 200_000,
            seconds: 10,
            turns_per_second: 1_000,
            turns_flat_out: 300_000,
            sweep: false,
        }
    }
}

impl Options {
    /// Nothing can be measured of nothing.
    fn check(&self) -> io::Result<()> {
        let sizes = [
            ("callers", self.callers as u64),
            ("look-ups", self.lookups as u64),
            ("seconds", self.seconds),
            ("turns a second", self.turns_per_second),
            ("turns flat out", self.turns_flat_out as u64),
        ];
        match sizes.iter().find(|(_, size)| *size == 0) {
            None => Ok(()),
            Some((what, _)) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{what}: must be 1 or more"),
            )),
        }
    }
}

/// Where [`run`] measures in this process: the folder is removed at the end, and is left where the process is killed.
pub fn folder(options: &Options) -> PathBuf {
    scene::folder(&options.dir)
}

/// Measures everything and writes each figure to `out` as it is known.
///
/// # Errors
/// A size of zero, a folder that does not exist, a disk that fails, an `out` that does.
pub fn run(options: &Options, out: &mut dyn io::Write) -> io::Result<Vec<Figure>> {
    options.check()?;
    let mut report = Report::new(out);
    let scene = Scene::new(&options.dir)?;
    report.headings()?;
    durable::measure(&scene, options, &mut report)?;
    lookups::measure(&scene, options, &mut report)?;
    Ok(report.into_figures())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_gives_every_figure() {
        let dir = tempfile::TempDir::new().unwrap();
        let options = Options {
            dir: dir.path().to_owned(),
            callers: 300,
            lookups: 100,
            seconds: 1,
            turns_per_second: 200,
            turns_flat_out: 500,
            sweep: false,
        };
        let mut out = Vec::new();
        let figures = run(&options, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().next().unwrap().contains("p99.9"), "{text}");
        for what in [
            "hot", "warm", "cold", "durable", "flat out", "start", "plain",
        ] {
            assert!(
                figures.iter().any(|figure| figure.what.contains(what)),
                "{what}\n{text}"
            );
        }
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "it cleans up"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused_and_not_made() {
        let dir = tempfile::TempDir::new().unwrap();
        let missing = dir.path().join("elsewhere");
        let options = Options {
            dir: missing.clone(),
            ..Options::default()
        };
        let error = run(&options, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("elsewhere"), "{error}");
        assert!(!missing.exists());
    }

    #[test]
    fn a_size_of_zero_is_refused() {
        let options = Options {
            turns_per_second: 0,
            ..Options::default()
        };
        let error = run(&options, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("turns a second"), "{error}");
    }
}
