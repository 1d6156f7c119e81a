//! A real Prometheus that watches one server with our rules, and is asked over its API.

use crate::raw_http;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// From its start to its open door.
const START_MAX: Duration = Duration::from_secs(15);

/// Scrapes and evaluates every second, so that a rate needs no minute.
const CONFIG: &str = "
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [RULES/recording.yml, RULES/alerts.yml]
scrape_configs:
  - {job_name: calldex, static_configs: [{targets: ['TARGET']}]}
";

/// Whether it is installed; where it is not, that is said.
pub fn is_installed() -> bool {
    let found = Command::new("prometheus").arg("--version").output().is_ok();
    if !found {
        println!("skipped: prometheus missing (apt-get install prometheus)");
    }
    found
}

/// A running Prometheus. Dropping it stops it.
pub struct Prometheus {
    child: Child,
    door: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts on a free port and watches `target` with the rules of a folder.
    pub fn start(target: SocketAddr, rules: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = CONFIG
            .replace("RULES", &rules.to_string_lossy())
            .replace("TARGET", &target.to_string());
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("a config file");
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus starts");
        let (found, address) = mpsc::channel();
        let log = child.stderr.take().expect("stderr is piped");
        // Reads to the end, so that it never waits for a reader.
        std::thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                // Where nobody waits any more, the rest is of no use.
                if let Some(address) = listening(&line) {
                    let _ = found.send(Ok(address));
                }
                said.push_str(&line);
                said.push('\n');
            }
            let _ = found.send(Err(said));
        });
        let mut prometheus = Self {
            child,
            door: target,
            _folder: folder,
        };
        prometheus.door = match address.recv_timeout(START_MAX) {
            Ok(Ok(address)) => address,
            Ok(Err(said)) => panic!("prometheus ended:\n{said}"),
            Err(_) => panic!("prometheus does not listen within {START_MAX:?}"),
        };
        prometheus
    }

    /// The `data` of an API answer; `None` while it is not ready.
    async fn ask(&self, path: &str) -> Option<Value> {
        let answer = raw_http::get(self.door, path, &[]).await;
        if answer.status == 503 {
            return None;
        }
        let json: Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body));
        assert_eq!(json["status"], "success", "{path}: {json}");
        Some(json["data"].clone())
    }

    /// Values of the series that a query answers with now.
    pub async fn values(&self, query: &str) -> Vec<f64> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let data = self.ask(&format!("/api/v1/query?query={query}")).await;
        let data = data.unwrap_or_default();
        let series = data["result"].as_array().map_or(&[][..], Vec::as_slice);
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        series.iter().filter_map(value).collect()
    }

    /// Name and health of each rule: `ok`, `unknown` before its first evaluation, or `err` with why.
    pub async fn rules(&self) -> Vec<(String, String)> {
        let data = self.ask("/api/v1/rules").await.unwrap_or_default();
        let groups = data["groups"].as_array().map_or(&[][..], Vec::as_slice);
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rules
            .map(|rule| {
                let health = format!("{} {}", text(&rule["health"]), text(&rule["lastError"]));
                (text(&rule["name"]), health.trim().to_owned())
            })
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line of the log that tells it.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(r#"msg="Listening on" address="#)?;
    rest.split(' ').next()?.parse().ok()
}
