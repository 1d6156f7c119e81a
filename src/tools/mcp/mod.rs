//! A server of the Model Context Protocol: kept connected in the background, asked for its tools, called.
//! One that is not there delays no call and no start; its tools are then not offered.

mod connection;
mod listing;
mod process;

use super::answer::bounded;
use super::config::McpSection;
use crate::agent::ToolSpec;
use crate::call::tool_runner::{ToolFailure, ToolOutcome, ToolRequest, ToolText};
use calldex_observability::catalog;
use connection::Connection;
pub use listing::Names;
use listing::{Listed, listed};
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock};
use rmcp::service::{Peer, RoleClient, ServiceError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The wait after the first failed attempt to connect; each further one doubles it.
const BACK_OFF_MIN: Duration = Duration::from_millis(500);
/// The longest wait between two attempts.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A connection that lasted so long was a good one: after it attempts begin without a wait again.
const GOOD_AFTER: Duration = Duration::from_secs(60);
/// Connecting and asking for the tools take no longer.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// A server's end takes no longer, at our own end.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// Calls of one server at the same time; beyond it a call fails at once.
const IN_FLIGHT_MAX: usize = 64;

/// What is known of a server now.
#[derive(Default)]
struct Present {
    peer: Option<Peer<RoleClient>>,
    tools: Vec<Listed>,
}

/// One configured server.
pub struct McpServer {
    section: McpSection,
    present: Arc<RwLock<Present>>,
    places: Semaphore,
    stopping: watch::Sender<bool>,
    worker: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl McpServer {
    /// Begins to connect, in the background. Belongs into a runtime. `place` is its place among the
    /// servers, by which its tools' names are kept apart from those of others.
    pub fn start(section: &McpSection, place: usize, names: Arc<Names>) -> Arc<Self> {
        for state in ["up", "down", "failed"] {
            catalog::MCP_CONNECTIONS_TOTAL.increment(&section.name, state, 0);
        }
        catalog::TOOL_CALLS_TOTAL.show(&section.name);
        catalog::TOOL_MILLISECONDS_TOTAL.show(&section.name);
        let (stopping, stop) = watch::channel(false);
        let present = Arc::new(RwLock::new(Present::default()));
        let keeper = Keeper {
            section: section.clone(),
            place,
            names,
            present: Arc::clone(&present),
            stop,
        };
        Arc::new(Self {
            section: section.clone(),
            present,
            places: Semaphore::new(IN_FLIGHT_MAX),
            stopping,
            worker: std::sync::Mutex::new(Some(tokio::spawn(keeper.run()))),
        })
    }

    /// Called numbers that have its tools.
    pub fn lines(&self) -> &[String] {
        &self.section.lines
    }

    /// Its tools, as long as it is there.
    pub fn specs(&self) -> Vec<Arc<ToolSpec>> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let tools = present.tools.iter();
        tools.map(|tool| Arc::clone(&tool.spec)).collect()
    }

    /// Whether it has a tool of this name now.
    pub fn has(&self, name: &str) -> bool {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        present.tools.iter().any(|tool| tool.spec.name == name)
    }

    /// Carries one call out. Dropping it tells the server that it is cancelled.
    pub async fn run(&self, request: &ToolRequest) -> ToolOutcome {
        let failed = |failure| ToolOutcome::Failed(failure, None);
        let Ok(_place) = self.places.try_acquire() else {
            return failed(ToolFailure::Busy);
        };
        let Some((peer, name)) = self.address_of(&request.spec.name) else {
            return failed(ToolFailure::Absent);
        };
        let params = CallToolRequestParams::new(name).with_arguments(request.arguments.clone());
        match peer.call_tool_once(params).await {
            Ok(CallToolResponse::Complete(result)) => self.outcome_of(&result),
            Ok(_) => failed(ToolFailure::Unreadable),
            Err(ServiceError::McpError(error)) => {
                ToolOutcome::Failed(ToolFailure::Refused, Some(self.text(&error.message)))
            }
            Err(ServiceError::Timeout { .. }) => failed(ToolFailure::TimedOut),
            Err(_) => failed(ToolFailure::Absent),
        }
    }

    /// Who is asked for the tool `name`, and what it is called there.
    fn address_of(&self, name: &str) -> Option<(Peer<RoleClient>, String)> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let tool = present.tools.iter().find(|tool| tool.spec.name == name)?;
        Some((present.peer.clone()?, tool.remote.clone()))
    }

    fn outcome_of(&self, result: &CallToolResult) -> ToolOutcome {
        let text = self.text(&text_of(result));
        match result.is_error {
            Some(true) => ToolOutcome::Failed(ToolFailure::Refused, Some(text)),
            _ => ToolOutcome::Returned(text),
        }
    }

    fn text(&self, text: &str) -> ToolText {
        bounded(text, false, self.section.result_bytes_max)
    }

    /// Ends the connection and, where it was started here, the server.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(worker) = worker {
            // What is left after it is killed with the runtime.
            let _ = timeout(CLOSE_MAX, worker).await;
        }
    }
}

/// The text of a result: what is no text is named.
fn text_of(result: &CallToolResult) -> String {
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

/// Keeps one server connected until it is told to stop.
struct Keeper {
    section: McpSection,
    place: usize,
    names: Arc<Names>,
    present: Arc<RwLock<Present>>,
    stop: watch::Receiver<bool>,
}

impl Keeper {
    async fn run(self) {
        let mut stop = self.stop.clone();
        let mut wait = BACK_OFF_MIN;
        loop {
            let began = Instant::now();
            let name = &self.section.name;
            let opened = tokio::select! {
                opened = timeout(CONNECT_MAX, Connection::open(&self.section)) => opened,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match opened {
                Ok(Ok(mut connection)) => {
                    tokio::select! {
                        () = self.hold(&mut connection) => {}
                        _ = stop.wait_for(|stop| *stop) => {}
                    }
                    self.is_gone();
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
            if began.elapsed() >= GOOD_AFTER {
                wait = BACK_OFF_MIN;
            }
            tokio::select! {
                () = sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            wait = (wait * 2).min(BACK_OFF_MAX);
        }
    }

    /// As long as the connection lasts.
    async fn hold(&self, connection: &mut Connection) {
        if let Err(reason) = self.list(connection).await {
            catalog::MCP_CONNECTIONS_TOTAL.increment(&self.section.name, "failed", 1);
            tracing::warn!(server = %self.section.name, %reason, "an MCP server lists no tools");
            return;
        }
        catalog::MCP_CONNECTIONS_TOTAL.increment(&self.section.name, "up", 1);
        let up = Up(&self.section.name);
        tracing::info!(server = %self.section.name, "an MCP server is connected");
        while connection.changed().await {
            if let Err(reason) = self.list(connection).await {
                tracing::warn!(server = %self.section.name, %reason, "its tools stay as they were");
            }
        }
        drop(up);
        tracing::warn!(server = %self.section.name, "an MCP server is gone");
    }

    async fn list(&self, connection: &Connection) -> Result<(), String> {
        let found = timeout(CONNECT_MAX, connection.tools()).await;
        let found = found.map_err(|_| "it took too long".to_owned())??;
        let tools = listed(&self.section, self.place, &self.names, found);
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        *present = Present {
            peer: Some(connection.peer()),
            tools,
        };
        Ok(())
    }

    fn is_gone(&self) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        *present = Present::default();
    }
}

/// A connection that is up, until it is dropped.
struct Up<'a>(&'a str);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        catalog::MCP_CONNECTIONS_TOTAL.increment(self.0, "down", 1);
    }
}
