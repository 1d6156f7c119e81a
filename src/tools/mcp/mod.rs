//! A server of the Model Context Protocol: a background task keeps the connection and the list of tools. A server that
//! is not connected delays neither a call nor the start; its tools are not offered.

mod connection;
mod process;
mod tool_list;

use super::config::McpSection;
use super::result_text::truncated;
use crate::agent::ToolSpec;
use crate::call::tool_runner::{ToolFailure, ToolOutcome, ToolRequest, ToolText};
use calldex_observability::catalog;
use connection::McpConnection;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock};
use rmcp::service::{Peer, RoleClient, ServiceError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
pub use tool_list::ToolNameTable;
use tool_list::{ListedTool, list_offered_tools};

/// Wait after the first failed attempt to connect; doubled by each further one.
const BACK_OFF_MIN: Duration = Duration::from_millis(500);
/// Longest wait between two attempts.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// After a connection that lasted this long, the wait before the next attempt is reset.
const BACK_OFF_RESET_AFTER: Duration = Duration::from_secs(60);
/// Longest time to connect and to list the tools.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time to end a server when this program stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// Most calls of one server at the same time; a further one fails at once.
const IN_FLIGHT_MAX: usize = 64;

/// The current state of a server.
#[derive(Default)]
struct ServerState {
    peer: Option<Peer<RoleClient>>,
    tools: Vec<ListedTool>,
}

/// One configured server.
pub struct McpServer {
    section: McpSection,
    state: Arc<RwLock<ServerState>>,
    permits: Semaphore,
    stopping: watch::Sender<bool>,
    worker: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl McpServer {
    /// Starts to connect in the background; to be called within a tokio runtime. `server_index` is the server's index, by
    /// which the names of its tools are reserved.
    pub fn start(
        section: &McpSection,
        server_index: usize,
        names: Arc<ToolNameTable>,
    ) -> Arc<Self> {
        for state in ["up", "down", "failed"] {
            catalog::MCP_CONNECTIONS_TOTAL.increment(&section.name, state, 0);
        }
        catalog::TOOL_CALLS_TOTAL.init_series(&section.name);
        catalog::TOOL_MILLISECONDS_TOTAL.init_series(&section.name);
        let (stopping, stop) = watch::channel(false);
        let state = Arc::new(RwLock::new(ServerState::default()));
        let worker = McpWorker {
            section: section.clone(),
            server_index,
            names,
            state: Arc::clone(&state),
            stop,
        };
        Arc::new(Self {
            section: section.clone(),
            state,
            permits: Semaphore::new(IN_FLIGHT_MAX),
            stopping,
            worker: std::sync::Mutex::new(Some(tokio::spawn(worker.run()))),
        })
    }

    /// Called numbers for which its tools are offered; all if empty.
    pub fn lines(&self) -> &[String] {
        &self.section.lines
    }

    /// Its tools; empty while it is not connected.
    pub fn specs(&self) -> Vec<Arc<ToolSpec>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let tools = state.tools.iter();
        tools.map(|tool| Arc::clone(&tool.spec)).collect()
    }

    /// Whether it has a tool of this name now.
    pub fn has(&self, name: &str) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.tools.iter().any(|tool| tool.spec.name == name)
    }

    /// Runs one call; the call's session bounds its duration. Dropping it sends the server a cancellation.
    pub async fn run(&self, request: &ToolRequest) -> ToolOutcome {
        let failed = |failure| ToolOutcome::Failed(failure, None);
        let Ok(_permit) = self.permits.try_acquire() else {
            return failed(ToolFailure::Busy);
        };
        let Some((peer, name)) = self.peer_for(&request.spec.name) else {
            return failed(ToolFailure::Unavailable);
        };
        let params = CallToolRequestParams::new(name).with_arguments(request.arguments.clone());
        match peer.call_tool_once(params).await {
            Ok(CallToolResponse::Complete(result)) => self.outcome(&result),
            Ok(_) => failed(ToolFailure::Unreadable),
            Err(ServiceError::McpError(error)) => ToolOutcome::Failed(
                ToolFailure::ReportedError,
                Some(self.truncated_text(&error.message)),
            ),
            Err(ServiceError::Timeout { .. }) => failed(ToolFailure::TimedOut),
            Err(_) => failed(ToolFailure::Unavailable),
        }
    }

    /// The connection for the tool `name`, and the server's own name of it.
    fn peer_for(&self, name: &str) -> Option<(Peer<RoleClient>, String)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let tool = state.tools.iter().find(|tool| tool.spec.name == name)?;
        Some((state.peer.clone()?, tool.remote_name.clone()))
    }

    fn outcome(&self, result: &CallToolResult) -> ToolOutcome {
        let text = self.truncated_text(&result_text(result));
        match result.is_error {
            Some(true) => ToolOutcome::Failed(ToolFailure::ReportedError, Some(text)),
            _ => ToolOutcome::Returned(text),
        }
    }

    fn truncated_text(&self, text: &str) -> ToolText {
        truncated(text, false, self.section.result_bytes_max)
    }

    /// Ends the connection and, where it is a child process, the server.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(worker) = worker {
            // A process that is left is killed when the runtime drops it.
            let _ = timeout(STOP_TIMEOUT, worker).await;
        }
    }
}

/// The text of a result; content that is not text is replaced by its kind.
fn result_text(result: &CallToolResult) -> String {
    let said = result.content.iter().map(|block| match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(_) => "[an image]".to_owned(),
        ContentBlock::Audio(_) => "[a sound]".to_owned(),
        ContentBlock::Resource(_) => "[a document]".to_owned(),
        ContentBlock::ResourceLink(_) => "[a link]".to_owned(),
        _ => "[something else]".to_owned(),
    });
    let said = said.collect::<Vec<_>>().join("\n");
    match &result.structured_content {
        Some(structured) if said.trim().is_empty() => structured.to_string(),
        _ => said,
    }
}

/// The task that keeps one server connected until it is stopped.
struct McpWorker {
    section: McpSection,
    server_index: usize,
    names: Arc<ToolNameTable>,
    state: Arc<RwLock<ServerState>>,
    stop: watch::Receiver<bool>,
}

impl McpWorker {
    async fn run(self) {
        let mut stop = self.stop.clone();
        let mut wait = BACK_OFF_MIN;
        loop {
            let began = Instant::now();
            let name = &self.section.name;
            let opened = tokio::select! {
                opened = timeout(CONNECT_TIMEOUT, McpConnection::open(&self.section)) => opened,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match opened {
                Ok(Ok(mut connection)) => {
                    tokio::select! {
                        () = self.watch_connection(&mut connection) => {}
                        _ = stop.wait_for(|stop| *stop) => {}
                    }
                    self.clear_state();
                    connection.close().await;
                }
                Ok(Err(reason)) => {
                    catalog::MCP_CONNECTIONS_TOTAL.increment(name, "failed", 1);
                    tracing::warn!(server = %name, %reason, "an MCP server cannot be used");
                }
                Err(_) => {
                    catalog::MCP_CONNECTIONS_TOTAL.increment(name, "failed", 1);
                    tracing::warn!(server = %name, "an MCP server does not answer");
                }
            }
            if began.elapsed() >= BACK_OFF_RESET_AFTER {
                wait = BACK_OFF_MIN;
            }
            tokio::select! {
                () = sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            wait = (wait * 2).min(BACK_OFF_MAX);
        }
    }

    /// Lists the tools and watches for changes until the connection ends.
    async fn watch_connection(&self, connection: &mut McpConnection) {
        if let Err(reason) = self.refresh_tools(connection).await {
            catalog::MCP_CONNECTIONS_TOTAL.increment(&self.section.name, "failed", 1);
            tracing::warn!(server = %self.section.name, %reason, "listing the tools of an MCP server failed");
            return;
        }
        catalog::MCP_CONNECTIONS_TOTAL.increment(&self.section.name, "up", 1);
        let up = ConnectedGuard(&self.section.name);
        tracing::info!(server = %self.section.name, "an MCP server is connected");
        while connection.tools_changed().await {
            if let Err(reason) = self.refresh_tools(connection).await {
                tracing::warn!(server = %self.section.name, %reason, "listing the changed tools of an MCP server failed: the old list is kept");
            }
        }
        drop(up);
        tracing::warn!(server = %self.section.name, "the connection to an MCP server has ended");
    }

    async fn refresh_tools(&self, connection: &McpConnection) -> Result<(), String> {
        let found = timeout(CONNECT_TIMEOUT, connection.list_tools()).await;
        let found = found.map_err(|_| "it took too long".to_owned())??;
        let tools = list_offered_tools(&self.section, self.server_index, &self.names, found);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = ServerState {
            peer: Some(connection.peer()),
            tools,
        };
        Ok(())
    }

    fn clear_state(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = ServerState::default();
    }
}

/// Counts the end of the connection on drop.
struct ConnectedGuard<'a>(&'a str);

impl Drop for ConnectedGuard<'_> {
    fn drop(&mut self) {
        catalog::MCP_CONNECTIONS_TOTAL.increment(self.0, "down", 1);
    }
}
