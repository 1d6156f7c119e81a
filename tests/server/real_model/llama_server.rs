//! llama.cpp's server as a child process (`tests/real-model/serve.py`).

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest load of the model on a busy machine.
const LOAD_MAX: Duration = Duration::from_secs(120);
/// Between two looks whether it is loaded.
const STEP: Duration = Duration::from_millis(100);

/// The server. Dropping it kills it; after a failed test it tells where its log lies.
pub struct LlamaServer {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl LlamaServer {
    /// Starts it and does not wait: it refuses requests with 503 until its model is loaded. `template` is a name of
    /// llama.cpp's own, or a file of `tests/real-model/templates`.
    pub fn start(name: &str, context_tokens: u32, template: Option<&str>) -> Self {
        let python = std::env::var("REAL_MODEL_PYTHON").expect("tests/real-model/run sets it");
        let logs = std::env::var("REAL_MODEL_LOGS").expect("tests/real-model/run sets it");
        let log = Path::new(&logs).join(format!("{name}.log"));
        let file = File::create(&log).expect("a log can be written");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real-model");
        let mut command = Command::new(python);
        command
            .arg(folder.join("serve.py"))
            .args(["--port", &address.port().to_string()])
            .args(["--context", &context_tokens.to_string()])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file);
        if let Some(template) = template {
            let file = folder.join("templates").join(template);
            let template = match file.exists() {
                true => file.display().to_string(),
                false => template.to_owned(),
            };
            command.args(["--template", &template]);
        }
        let child = command.spawn().expect("python starts");
        Self {
            child,
            address,
            log,
        }
    }

    /// Waits until the model is loaded.
    pub async fn is_loaded(&mut self) {
        let deadline = Instant::now() + LOAD_MAX;
        while !self.log().contains("model loaded") {
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server did not load ({ended:?}):\n{}",
                self.log()
            );
            tokio::time::sleep(STEP).await;
        }
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log is {}", self.log.display());
        }
    }
}
