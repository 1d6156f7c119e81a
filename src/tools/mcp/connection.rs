//! One connection to an MCP server: over streamable HTTP, or to a child process.

use super::process::{MESSAGE_BYTES_MAX, McpProcess};
use crate::net::address::literal_ip;
use crate::tools::config::{McpSection, address_policy};
use crate::tools::env_expansion::expand_variables;
use crate::tools::restricted_client::restricted_client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use rmcp::model::{ClientConfig, Implementation, PaginatedRequestParams, Tool};
use rmcp::service::{NotificationContext, Peer, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Longest attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time to end a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most pages of a tool list that are read.
const PAGES_MAX: usize = 8;
/// Most tools of a list that are read.
const TOOLS_MAX: usize = 256;
/// Interval at which the connection is checked.
const CLOSED_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The client side: uses only tools, and is notified when the list changes.
struct ToolListHandler {
    changed: Arc<Notify>,
}

impl ClientHandler for ToolListHandler {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        info.client_info = Implementation::new("calldex", env!("CARGO_PKG_VERSION"));
        info
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// A connection. Dropping it ends it, and kills its child process.
pub struct McpConnection {
    service: RunningService<RoleClient, ToolListHandler>,
    changed: Arc<Notify>,
    process: Option<McpProcess>,
}

impl McpConnection {
    /// Connects and initialises the session.
    ///
    /// # Errors
    /// Why it failed, without secrets.
    pub async fn open(section: &McpSection) -> Result<Self, String> {
        let changed = Arc::new(Notify::new());
        let handler = ToolListHandler {
            changed: Arc::clone(&changed),
        };
        let (service, process) = match (&section.url, &section.command) {
            (Some(url), _) => {
                let transport = http_transport(section, url)?;
                let service = handler.serve(transport).await;
                (
                    service.map_err(|error| one_line_error(&error.to_string()))?,
                    None,
                )
            }
            (None, Some(command)) => {
                let (process, transport) = McpProcess::start(section, command)?;
                let service = handler.serve(transport).await;
                let service = service.map_err(|error| one_line_error(&error.to_string()))?;
                (service, Some(process))
            }
            (None, None) => return Err("neither url nor command is set".to_owned()),
        };
        Ok(Self {
            service,
            changed,
            process,
        })
    }

    /// Ends the session, and waits for a child process. At most three seconds.
    pub async fn close(self) {
        // Cancelling the service closes the standard input, or the HTTP session.
        let _ = timeout(CLOSE_TIMEOUT, self.service.cancel()).await;
        if let Some(process) = self.process {
            process.terminate().await;
        }
    }

    /// The peer for calls.
    pub fn peer(&self) -> Peer<RoleClient> {
        self.service.peer().clone()
    }

    /// Its tools, up to [`TOOLS_MAX`].
    ///
    /// # Errors
    /// Why listing failed.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, String> {
        let (mut tools, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let mut page = PaginatedRequestParams::default();
            page.cursor = cursor.take();
            let listed = self.service.peer().list_tools(Some(page)).await;
            let listed = listed.map_err(|error| one_line_error(&error.to_string()))?;
            tools.extend(listed.tools);
            cursor = listed.next_cursor;
            if cursor.is_none() || tools.len() >= TOOLS_MAX {
                break;
            }
        }
        tools.truncate(TOOLS_MAX);
        Ok(tools)
    }

    /// Waits until the tools have changed; `false` if the connection has ended.
    pub async fn tools_changed(&mut self) -> bool {
        loop {
            tokio::select! {
                () = self.changed.notified() => return true,
                () = sleep(CLOSED_POLL_INTERVAL) => {
                    if self.service.peer().is_transport_closed() || self.service.is_closed() {
                        return false;
                    }
                }
            }
        }
    }
}

/// The restrictions of a `[[tool]]` hold here, too: no redirect, no proxy, only allowed addresses.
fn http_transport(
    section: &McpSection,
    url: &str,
) -> Result<StreamableHttpClientTransport<Client>, String> {
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    let address_policy = address_policy(&parsed, section.allow_private);
    if literal_ip(&parsed).is_some_and(|address| !address_policy.allows(address)) {
        return Err("its address is not allowed".to_owned());
    }
    let client = restricted_client(&parsed, address_policy)
        .connect_timeout(CONNECT_TIMEOUT)
        .default_headers(headers(section)?)
        .build()
        .map_err(|error| error.to_string())?;
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .max_sse_event_size(MESSAGE_BYTES_MAX)
        .max_json_response_size(MESSAGE_BYTES_MAX)
        .max_error_response_size(ERROR_BYTES_MAX);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// Most bytes of an error's text that are logged.
const ERROR_BYTES_MAX: usize = 300;

/// An error in one bounded line.
fn one_line_error(error: &str) -> String {
    let line: String = error.chars().filter(|c| !c.is_control()).collect();
    line[..line.floor_char_boundary(ERROR_BYTES_MAX)].to_owned()
}

fn headers(section: &McpSection) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &section.headers {
        let header = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
        let mut value = HeaderValue::try_from(expand_variables(value.reveal())?)
            .map_err(|_| format!("headers.{name} cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}
