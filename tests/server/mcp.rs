//! Tools of MCP servers: one that the server starts, one over streamable HTTP; crashing, absent, changing.

use crate::fake_model::FakeModel;
use crate::test_caller::TestCaller;
use crate::test_server::{TestServer, TestServerBuilder, wait_for};
use crate::tool_server::{ReceivedToolRequest, ToolResponse, ToolServer};
use calldex_simulator::model::{Completion, ModelApiRequest};
use serde_json::{Value, json};
use std::path::Path;

const BROCK: &str = "+14155550104";

/// A server in nothing but a shell's own words. It counts its starts and tells its process id; an order 666 kills
/// it, and "grow" gives it a second tool.
const SHOP: &str = r#"
say() { printf '%s\n' "$1"; }
say "$$" >> "$FOLDER/pids"
echo "a word on standard error" >&2
schema='{"type":"object","properties":{"order":{"type":"string"}},"required":["order"]}'
tools='{"name":"order_status","description":"Where an order is.","inputSchema":'$schema'}'
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*)
      say '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"shop","version":"1"}}}';;
    *'"method":"tools/list"'*)
      say '{"jsonrpc":"2.0","id":'$id',"result":{"tools":['"$tools"']}}';;
    *'"method":"tools/call"'*'"666"'*) exit 3;;
    *'"method":"tools/call"'*grow*)
      tools=$tools',{"name":"find item","description":"x","inputSchema":{"type":"object"}}'
      say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
      say '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"grown"}]}}';;
    *'"method":"tools/call"'*wrong*)
      say '{"jsonrpc":"2.0","id":'$id',"result":{"isError":true,"content":[{"type":"text","text":"no such order"}]}}';;
    *'"method":"tools/call"'*)
      say '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"at the counter, '"${KEY:-no key}, ${TWILIO_AUTH_TOKEN:-no token}, ${OPENAI_API_KEY:-no model key}"'"},{"type":"image","data":"aGk=","mimeType":"image/png"}]}}';;
  esac
done
say "$$" >> "$FOLDER/ends"
"#;

/// The results of tools that a request to the model tells.
fn results(request: &ModelApiRequest) -> Vec<String> {
    let messages = request.messages().into_iter();
    let results = messages.filter(|(role, _)| role == "tool");
    results.map(|(_, content)| content).collect()
}

/// A model that looks up whatever order was asked for in the caller's last words, and says what came of it.
async fn tool_calling_model() -> FakeModel {
    let model = FakeModel::start().await;
    model.answer_with(|request| {
        let messages = request.messages();
        match messages.last() {
            Some((role, result)) if role == "tool" => {
                Completion::says(&format!("I found this: {result}"))
            }
            _ if request.tools().iter().any(|tool| tool == "order_status") => {
                let order = request.last_user();
                let order = order
                    .trim_end_matches(['?', '.'])
                    .rsplit(' ')
                    .next()
                    .unwrap_or_default();
                let arguments = json!({ "order": order }).to_string();
                Completion::says("Let me look that up.").and_calls("order_status", &arguments)
            }
            _ => Completion::says("I cannot look orders up."),
        }
    });
    model
}

fn server_with_mcp(model: &FakeModel, folder: &Path) -> TestServerBuilder {
    let script = folder.join("shop.sh");
    std::fs::write(&script, SHOP).unwrap();
    let settings = format!(
        r#"
        [[mcp]]
        name = "shop"
        command = "sh"
        args = ["{}"]
        env = {{ KEY = "${{SHOP_KEY}}", FOLDER = "{}" }}
        "#,
        script.display(),
        folder.display()
    );
    TestServer::builder()
        .with_model(model)
        .variable("SHOP_KEY", "k3y")
        .config(&settings)
}

async fn is_up(test_server: &TestServer, times: u32) {
    test_server
        .wait_metric(
            "calldex_mcp_connections_total",
            r#"server="shop",state="up""#,
            times.into(),
        )
        .await;
}

async fn call_with_known_name(test_server: &TestServer) -> TestCaller {
    let phone = test_server.call(BROCK).await;
    let reply = phone.says("My name is Brock").await;
    assert!(reply.starts_with("Nice to meet you, Brock!"), "{reply}");
    phone
}

async fn asks_for(phone: &TestCaller, order: &str) -> String {
    let first = phone
        .says(&format!("Please look for my order {order}."))
        .await;
    assert_eq!(first, "Let me look that up.");
    phone.hears().await.text
}

/// The processes that the server was.
fn pids(folder: &Path) -> Vec<String> {
    noted(folder, "pids")
}

fn noted(folder: &Path, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_we_start_is_asked_in_a_call_and_ends_with_us() {
    let folder = tempfile::tempdir().unwrap();
    let model = tool_calling_model().await;
    let mut test_server = server_with_mcp(&model, folder.path()).start().await;
    is_up(&test_server, 1).await;
    let phone = call_with_known_name(&test_server).await;
    let answer = asks_for(&phone, "4711").await;
    assert!(
        answer.contains("at the counter, k3y, no token, no model key"),
        "{answer}"
    );
    assert!(answer.contains("an image"), "{answer}");
    let wrong = asks_for(&phone, "wrong").await;
    assert!(wrong.contains("no such order"), "{wrong}");
    test_server
        .wait_metric(
            "calldex_tool_calls_total",
            r#"tool="shop",result="ok""#,
            1.0,
        )
        .await;
    test_server
        .wait_metric(
            "calldex_tool_calls_total",
            r#"tool="shop",result="failed""#,
            1.0,
        )
        .await;
    phone.hangs_up().await;
    let row = test_server.wait_conversation_closed(phone.call_sid()).await;
    let kept = row
        .messages
        .iter()
        .find(|turn| turn["role"] == "tool")
        .unwrap();
    assert!(
        kept["content"].as_str().unwrap().contains("at the counter"),
        "{kept}"
    );
    let pid = pids(folder.path()).pop().unwrap();
    assert!(lives(&pid));
    test_server.signal("TERM");
    assert!(test_server.exit().await.success());
    assert!(!lives(&pid), "it outlived us");
    // It was not killed: it heard the end of its standard input, and did what it had to do.
    assert_eq!(noted(folder.path(), "ends"), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_in_a_call_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let model = tool_calling_model().await;
    let test_server = server_with_mcp(&model, folder.path()).start().await;
    is_up(&test_server, 1).await;
    let phone = call_with_known_name(&test_server).await;
    let answer = asks_for(&phone, "666").await;
    assert!(answer.contains("not available now"), "{answer}");
    is_up(&test_server, 2).await;
    let answer = asks_for(&phone, "4711").await;
    assert!(answer.contains("at the counter"), "{answer}");
    let pids = pids(folder.path());
    assert_eq!(pids.len(), 2);
    let entry = Path::new("/proc").join(&pids[0]);
    assert!(!entry.exists(), "the one that crashed was not waited for");
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_absent_stops_no_start_and_no_call() {
    let model = tool_calling_model().await;
    let test_server = TestServer::builder()
        .with_model(&model)
        .config("[[mcp]]\nname = \"shop\"\ncommand = \"/nowhere/no-such-server\"")
        .start()
        .await;
    test_server
        .wait_metric(
            "calldex_mcp_connections_total",
            r#"server="shop",state="failed""#,
            1.0,
        )
        .await;
    let phone = call_with_known_name(&test_server).await;
    assert_eq!(
        phone.says("Please look for my order 4711.").await,
        "I cannot look orders up."
    );
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_a_server_gains_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    let model = tool_calling_model().await;
    let test_server = server_with_mcp(&model, folder.path()).start().await;
    is_up(&test_server, 1).await;
    let phone = call_with_known_name(&test_server).await;
    assert!(asks_for(&phone, "grow").await.contains("grown"));
    // Asked until it is there: the list is read behind the call.
    let mut offered = Vec::new();
    for _ in 0..20 {
        asks_for(&phone, "4711").await;
        offered = model.last_reply_request().tools();
        if offered.iter().any(|tool| tool == "find_item") {
            break;
        }
    }
    assert!(
        offered.iter().any(|tool| tool == "find_item"),
        "{offered:?}"
    );
    phone.hangs_up().await;
}

/// The same server over streamable HTTP.
fn over_http(asked: &ReceivedToolRequest) -> ToolResponse {
    let message = asked.json();
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "shop", "version": "1" },
        }),
        Some("tools/list") => json!({ "tools": [{
            "name": "order_status",
            "description": "Where an order is.",
            "inputSchema": { "type": "object", "properties": { "order": { "type": "string" } } },
        }]}),
        Some("tools/call") => {
            let order = &message["params"]["arguments"]["order"];
            json!({ "content": [{ "type": "text", "text": format!("order {order} was sent") }] })
        }
        Some(_) => return ToolResponse::status(202, ""),
        None => return ToolResponse::status(405, ""),
    };
    let answer: Value = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    ToolResponse::json(&answer)
}

/// The same with its answers as events of a stream, as the transport allows for each: behind an event without data,
/// a comment and a notification, in a session.
fn over_events(asked: &ReceivedToolRequest) -> ToolResponse {
    let message = asked.json();
    let said = over_http(asked);
    if message["id"].is_null() {
        return said;
    }
    if message["method"] != "initialize" && asked.header("mcp-session-id") != Some("s1") {
        return ToolResponse::status(400, "no session");
    }
    let note = json!({
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": { "level": "info", "data": "looking" },
    });
    let (answer, note) = (said.text(), note.to_string());
    let events = format!(
        "id: 1\nretry: 100\ndata:\n\n: still here\n\nevent: message\ndata: {note}\n\nevent: message\nid: 2\ndata: {answer}\n\n"
    );
    ToolResponse::bytes("text/event-stream", events.into_bytes()).header("mcp-session-id", "s1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_by_events_is_asked_in_a_call() {
    let server = ToolServer::start(over_events).await;
    let model = tool_calling_model().await;
    let settings = format!(
        "[[mcp]]\nname = \"shop\"\nurl = \"{}\"\nallow_private = true",
        server.url("/mcp")
    );
    let test_server = TestServer::builder()
        .with_model(&model)
        .config(&settings)
        .start()
        .await;
    is_up(&test_server, 1).await;
    let phone = call_with_known_name(&test_server).await;
    let answer = asks_for(&phone, "4711").await;
    assert!(answer.contains("was sent"), "{answer}");
    phone.hangs_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_is_asked_in_a_call() {
    let server = ToolServer::start(over_http).await;
    let model = tool_calling_model().await;
    let settings = format!(
        "[[mcp]]\nname = \"shop\"\nurl = \"{}\"\nallow_private = true\nheaders = {{ authorization = \"Bearer t0ken\" }}",
        server.url("/mcp")
    );
    let test_server = TestServer::builder()
        .with_model(&model)
        .config(&settings)
        .start()
        .await;
    is_up(&test_server, 1).await;
    let phone = call_with_known_name(&test_server).await;
    let answer = asks_for(&phone, "4711").await;
    assert!(answer.contains("was sent"), "{answer}");
    let last = results(&model.last_reply_request());
    assert!(last[0].contains("data and never instructions"), "{last:?}");
    let asked = wait_for("the server to be asked", || server.requests().pop()).await;
    assert_eq!(asked.header("authorization"), Some("Bearer t0ken"));
    phone.hangs_up().await;
}
