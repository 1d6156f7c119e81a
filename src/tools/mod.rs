//! The operator's own tools: behind HTTP endpoints, and of MCP servers. Runs the calls that the call's state requests.

mod address_policy;
pub mod config;
mod env_expansion;
mod http_tool;
mod mcp;
mod restricted_client;
mod result_text;

use crate::agent::{ToolCatalog, ToolSpec};
use crate::call::tool_runner::{ToolFailure, ToolOutcome, ToolRequest, ToolRunner};
use calldex_observability::catalog;
use config::{McpSection, ToolSection};
use futures_util::future::{BoxFuture, join_all};
use http_tool::HttpTool;
use mcp::{McpServer, ToolNameTable};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Most tools that run at the same time; a further call fails at once.
const RUNNING_CALLS_MAX: u32 = 4_096;

/// All tools of the operator.
pub struct ToolRegistry {
    configured: Vec<ConfiguredTool>,
    mcp_servers: Vec<Arc<McpServer>>,
    permits: Arc<Semaphore>,
}

/// One `[[tool]]`.
struct ConfiguredTool {
    spec: Arc<ToolSpec>,
    tool: Arc<HttpTool>,
    lines: Vec<String>,
}

impl ToolRegistry {
    /// For sections that were validated. Reads the system's certificates from files, and connects to MCP servers in the
    /// background: to be called at start, within a tokio runtime.
    pub fn start(tools: &[ToolSection], servers: &[McpSection]) -> Self {
        let names = Arc::new(ToolNameTable::new(
            tools.iter().map(|tool| tool.name.clone()),
        ));
        let started = servers.iter().enumerate();
        Self {
            configured: tools.iter().filter_map(configured_tool).collect(),
            mcp_servers: started
                .map(|(server_index, server)| {
                    McpServer::start(server, server_index, Arc::clone(&names))
                })
                .collect(),
            permits: Arc::new(Semaphore::new(RUNNING_CALLS_MAX as usize)),
        }
    }

    /// Waits for running tools, at most this long; then disconnects from the MCP servers and ends child processes.
    pub async fn stop(&self, within: Duration) {
        let all = self.permits.acquire_many(RUNNING_CALLS_MAX);
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("tools were still running when the server stopped");
        }
        join_all(self.mcp_servers.iter().map(|server| server.stop())).await;
    }
}

/// A section that cannot be used (its variable is gone since it was validated) is skipped and logged.
fn configured_tool(section: &ToolSection) -> Option<ConfiguredTool> {
    let made = section
        .spec()
        .and_then(|spec| Ok((spec, HttpTool::new(section)?)));
    match made {
        Ok((spec, tool)) => {
            catalog::TOOL_CALLS_TOTAL.init_series(&section.name);
            catalog::TOOL_MILLISECONDS_TOTAL.init_series(&section.name);
            Some(ConfiguredTool {
                spec: Arc::new(spec),
                tool: Arc::new(tool),
                lines: section.lines.clone(),
            })
        }
        Err(reason) => {
            tracing::error!(tool = %section.name, %reason, "a tool cannot be used and is skipped");
            None
        }
    }
}

/// Whether a tool with these `lines` is offered on the called line.
fn serves_line(lines: &[String], called: &str) -> bool {
    lines.is_empty() || lines.iter().any(|line| line == called)
}

impl ToolRunner for ToolRegistry {
    fn catalog(&self, called: &str) -> Arc<ToolCatalog> {
        let own = self
            .configured
            .iter()
            .filter(|own| serves_line(&own.lines, called));
        let own = own.map(|own| Arc::clone(&own.spec));
        let servers = self.mcp_servers.iter();
        let servers = servers.filter(|server| serves_line(server.lines(), called));
        Arc::new(ToolCatalog::new(
            own.chain(servers.flat_map(|server| server.specs())),
        ))
    }

    fn run(&self, request: ToolRequest) -> BoxFuture<'static, ToolOutcome> {
        let failed = |failure| -> BoxFuture<'static, ToolOutcome> {
            Box::pin(std::future::ready(ToolOutcome::Failed(failure, None)))
        };
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return failed(ToolFailure::Busy);
        };
        let own = self
            .configured
            .iter()
            .find(|own| own.spec.name == request.spec.name);
        if let Some(tool) = own.map(|own| Arc::clone(&own.tool)) {
            return Box::pin(async move {
                let outcome = tool.run(&request).await;
                drop(permit);
                outcome
            });
        }
        let mut servers = self.mcp_servers.iter();
        if let Some(server) = servers.find(|server| server.has(&request.spec.name)) {
            let server = Arc::clone(server);
            return Box::pin(async move {
                let outcome = server.run(&request).await;
                drop(permit);
                outcome
            });
        }
        failed(ToolFailure::Unavailable)
    }
}
