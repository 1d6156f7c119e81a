//! `calldex load`: many simulated calls at once, and what they measured.

mod options;
mod report;

pub use options::LoadOptions;
pub use report::{Percentiles, Report, Verdict};

use crate::twilio::CallError;

/// Runs the load to its end and reports; progress goes to `progress` as a line that is written over on a terminal.
///
/// Errors of single calls are counted in the report; an error here means that no load could be run at all.
pub async fn run(
    _options: LoadOptions,
    _progress: impl std::io::Write + Send,
) -> Result<Report, CallError> {
    todo!()
}
