//! An MCP server that runs as a child process, with the configured environment only, in a process group of its own that
//! is killed with it.

use crate::tools::config::McpSection;
use crate::tools::env_expansion::expand_variables;
use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Longest message of a server; a longer one is dropped.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of standard error that one line of the log shows.
const STDERR_PIECE_BYTES_MAX: usize = 1_000;
/// Most bytes of standard error that are logged of one process; the rest is read and dropped.
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// The transport over the pipes of a child.
pub type ChildTransport = AsyncRwTransport<RoleClient, ChildStdout, ChildStdin>;

/// Longest time that a server may take to exit after its standard input is closed; then it is killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time that a killed process may take to exit.
const REAP_TIMEOUT: Duration = Duration::from_secs(1);

/// A running child. Dropping it kills its process group.
pub struct McpProcess {
    process_group: Option<Pid>,
    /// `None` once it was reaped.
    child: Option<Child>,
    server: String,
}

impl McpProcess {
    /// Starts `command`.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn start(section: &McpSection, command: &str) -> Result<(Self, ChildTransport), String> {
        let mut child = build_command(section, command)?
            .spawn()
            .map_err(|error| format!("{command} cannot be started: {error}"))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let pipes = child.stdin.take().zip(child.stdout.take());
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log_stderr(stderr, section.name.clone()));
        }
        let process = Self {
            process_group: group,
            child: Some(child),
            server: section.name.clone(),
        };
        let (stdin, stdout) = pipes.ok_or("its pipes are missing")?;
        let pipes = AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE_BYTES_MAX);
        Ok((process, pipes))
    }
}

impl McpProcess {
    /// Waits until it exits, which the closed standard input makes it do; then kills the rest of its process group.
    /// Takes at most [`EXIT_TIMEOUT`] plus [`REAP_TIMEOUT`].
    pub async fn terminate(mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        if timeout(EXIT_TIMEOUT, child.wait()).await.is_err() {
            tracing::info!(server = %self.server, "an MCP server did not exit in time and is killed");
        }
        // Includes the processes that it started.
        self.kill_group();
        reap(child, &self.server).await;
    }

    fn kill_group(&mut self) {
        if let Some(group) = self.process_group.take() {
            // It has exited already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reaps a child that was killed, so that no zombie process is left.
async fn reap(mut child: Child, server: &str) {
    if timeout(REAP_TIMEOUT, child.wait()).await.is_err() {
        tracing::warn!(%server, "an MCP server was killed and has not exited");
    }
}

fn build_command(section: &McpSection, command: &str) -> Result<Command, String> {
    let mut made = Command::new(command);
    made.args(&section.args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        made.env("PATH", path);
    }
    for (name, value) in &section.env {
        made.env(name, expand_variables(value.reveal())?);
    }
    Ok(made)
}

impl Drop for McpProcess {
    fn drop(&mut self) {
        self.kill_group();
        if let (Some(child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            let server = std::mem::take(&mut self.server);
            runtime.spawn(async move { reap(child, &server).await });
        }
    }
}

/// Reads standard error to its end, so that the child never blocks on it.
async fn log_stderr(mut stderr: impl AsyncRead + Unpin, server: String) {
    let mut piece = [0; STDERR_PIECE_BYTES_MAX];
    let mut logged = 0;
    while let Ok(count) = stderr.read(&mut piece).await {
        if count == 0 {
            return;
        }
        if logged < STDERR_BYTES_MAX {
            let said = String::from_utf8_lossy(&piece[..count]);
            tracing::debug!(%server, stderr = %said.trim_end(), "an MCP server's standard error");
        }
        logged = logged.saturating_add(count);
    }
}
