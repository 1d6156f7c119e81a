//! An MCP server that runs as our child: with an environment of what is named only, in a process group of its
//! own, which is killed with it.

use super::connection::MESSAGE_BYTES_MAX;
use crate::tools::config::McpSection;
use crate::tools::secrets::filled;
use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Most bytes of standard error that one line of the log shows.
const STDERR_PIECE_BYTES_MAX: usize = 1_000;
/// Most bytes of standard error that are logged of one process; the rest is read and dropped.
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// Messages over the pipes of a child.
pub type Pipes = AsyncRwTransport<RoleClient, ChildStdout, ChildStdin>;

/// A running child. Dropping it kills its process group.
pub struct Process {
    group: Option<Pid>,
    /// Reaped by the runtime after it is dropped.
    _child: Child,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn start(section: &McpSection, command: &str) -> Result<(Self, Pipes), String> {
        let mut child = command_of(section, command)?
            .spawn()
            .map_err(|error| format!("{command} cannot be started: {error}"))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let pipes = child.stdin.take().zip(child.stdout.take());
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log(stderr, section.name.clone()));
        }
        let process = Self {
            group,
            _child: child,
        };
        let (stdin, stdout) = pipes.ok_or("its pipes are missing")?;
        let pipes = AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE_BYTES_MAX);
        Ok((process, pipes))
    }
}

fn command_of(section: &McpSection, command: &str) -> Result<Command, String> {
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
        made.env(name, filled(value.reveal())?);
    }
    Ok(made)
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Gone already: as well.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads standard error to its end, so that the child never waits for it.
async fn log(mut stderr: impl AsyncRead + Unpin, server: String) {
    let mut piece = [0; STDERR_PIECE_BYTES_MAX];
    let mut logged = 0;
    while let Ok(count) = stderr.read(&mut piece).await {
        if count == 0 {
            return;
        }
        if logged < STDERR_BYTES_MAX {
            let said = String::from_utf8_lossy(&piece[..count]);
            tracing::debug!(%server, said = %said.trim_end(), "an MCP server's standard error");
        }
        logged = logged.saturating_add(count);
    }
}
