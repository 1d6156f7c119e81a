//! `calldex serve`: the server.

use super::logging_setup::LoggingSetup;
use super::service_manager::ServiceManager;
use super::{open_files, print_failure, runtime};
use crate::app::{App, RunningServer};
use crate::config::{Config, ConfigFlags, ConfigSources, environment};
use clap::Args;
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A live call holds Twilio's socket, and while it speaks a connection to the model.
const FILES_PER_CALL: u64 = 2;
/// Database, logs, webhooks, the admin server.
const FILES_RESERVED: u64 = 512;

/// Signals within this time of the first are the same stop.
const SIGNAL_MERGE_WINDOW: Duration = Duration::from_millis(500);

/// A stop takes at most the drain's bounds and this: goodbyes, the last callbacks, the last writes.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// Exit status of a stop at which accepted writes were lost: `EX_IOERR` of sysexits.h. A vital part that dies ends
/// with [`calldex_observability::vital::EXIT_STATUS`], everything else that goes wrong with 1.
const WRITES_LOST_STATUS: u8 = 74;

/// What the service manager shows until the listeners are open.
const STARTING: &str = "starting; /readyz on the admin server says what is missing";

/// Options of `calldex serve` and `calldex check`.
#[derive(Args, Default)]
pub struct ServeArguments {
    /// Configuration file (TOML); see deploy/config.example.toml
    #[arg(long, value_name = "FILE", env = "CALLDEX_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory, where calls.db lies [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Webhook listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Admin server: metrics and health [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
}

impl ServeArguments {
    /// The configuration by its file and the environment alone, for commands that need one setting of it.
    pub(super) fn load_config(file: Option<&PathBuf>) -> Result<Config, String> {
        let arguments = Self {
            config: file.cloned(),
            ..Self::default()
        };
        Config::load(&arguments.sources()).map_err(|errors| errors.to_string())
    }

    /// Where these arguments and the environment say that settings are.
    pub fn sources(&self) -> ConfigSources {
        ConfigSources {
            file: self.config.clone(),
            environment: environment(),
            flags: ConfigFlags {
                data: self.data.clone(),
                listen: self.listen.clone(),
                admin: self.admin.clone(),
            },
        }
    }
}

pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    let config = match Config::load(&arguments.sources()) {
        Ok(config) => config,
        Err(errors) => return print_failure(errors),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return print_failure(error),
    };
    let telling = {
        let _within = runtime.enter();
        LoggingSetup::start(&config.log)
    };
    match telling {
        Ok(telling) => {
            let code = runtime.block_on(serve(config));
            telling.shutdown();
            code
        }
        Err(error) => print_failure(error),
    }
}

async fn serve(config: Config) -> ExitCode {
    let (Ok(mut term), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return print_failure("signals cannot be listened to");
    };
    raise_file_limit(config.call.live_max);
    let banner = Banner::of(&config);
    let server = &config.server;
    let drain = Duration::from_millis(server.drain_notice_ms + server.drain_ms_max);
    let manager = ServiceManager::from_environment();
    manager.starting(STARTING).await;
    let started = tokio::select! {
        started = App::start(config) => started,
        // Nothing has been taken in yet.
        _ = term.recv() => return ExitCode::SUCCESS,
        _ = interrupt.recv() => return ExitCode::SUCCESS,
    };
    let running = match started {
        Ok(running) => running,
        Err(error) => return print_failure(error),
    };
    banner.print(&running);
    let work = match running.webhook_address {
        Some(_) => "takes calls",
        None => "a copy of the database, and a vote",
    };
    manager.ready(work).await;
    manager.start_watchdog();
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    manager.stopping(drain + STOP_MARGIN).await;
    let hurry = async {
        // One stop may come as two signals: to the process, and to its group.
        tokio::time::sleep(SIGNAL_MERGE_WINDOW).await;
        while let Some(Some(())) = term.recv().now_or_never() {}
        while let Some(Some(())) = interrupt.recv().now_or_never() {}
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
    };
    tokio::select! {
        lost = running.stop() => match lost {
            0 => ExitCode::SUCCESS,
            _ => {
                print_failure(format!("{lost} accepted writes are lost: the disk did not take them"));
                ExitCode::from(WRITES_LOST_STATUS)
            }
        },
        () = hurry => print_failure("stopped at once: asked twice"),
    }
}

/// Makes room for the sockets of so many calls, or warns that there is too little.
fn raise_file_limit(calls: usize) {
    let wanted = FILES_PER_CALL * calls as u64 + FILES_RESERVED;
    if let Err(available) = open_files::raise_limit(wanted) {
        tracing::warn!(
            wanted,
            open_files_available = available,
            "too few open files are allowed for call.live_max: raise LimitNOFILE (systemd) or ulimit -n"
        );
    }
}

/// The model that answers, and where it is.
fn model_description(config: &Config) -> String {
    let Some(model) = config.model.get(&config.agent.model) else {
        return config.agent.model.clone();
    };
    match &model.base_url {
        Some(url) => format!("{} at {url}", model.model),
        None => model.model.clone(),
    }
}

/// What the first minute needs.
struct Banner {
    data: PathBuf,
    public_url: Option<String>,
    signed: bool,
    model: String,
}

impl Banner {
    fn of(config: &Config) -> Self {
        Self {
            data: config.server.data.clone(),
            public_url: config.server.public_url.clone(),
            signed: config.twilio.tokens().next().is_some(),
            model: model_description(config),
        }
    }

    fn print(&self, running: &RunningServer) {
        let database = self.data.join(calldex_storage::DATABASE_FILE);
        println!("calldex {} is ready", env!("CARGO_PKG_VERSION"));
        match running.webhook_address {
            Some(listen) => println!("  webhook listener  http://{listen}/twilio/voice"),
            None => {
                println!("  webhook listener  closed: this instance takes no calls (server.calls)")
            }
        }
        println!(
            "  admin server      http://{}/metrics  /healthz  /readyz",
            running.admin_address
        );
        if let Some(cluster) = running.cluster_address {
            println!(
                "  cluster listener  {cluster}, for the other instances; `calldex cluster status`"
            );
        }
        println!("  database          {}", database.display());
        if running.offline {
            println!(
                "  agent             offline (built in); set OPENAI_API_KEY, or OPENAI_BASE_URL for a local model"
            );
        } else {
            println!("  agent             {}", self.model);
        }
        if let Some(listen) = running.webhook_address {
            self.print_next_steps(listen);
        }
    }

    fn print_next_steps(&self, listen: SocketAddr) {
        match (&self.public_url, self.signed) {
            (Some(url), true) => {
                println!(
                    "  live              point the number's voice webhook at {}/twilio/voice",
                    url.trim_end_matches('/')
                );
            }
            (_, false) => {
                let port = listen.port();
                let url = if port == 8080 {
                    String::new()
                } else {
                    format!(" --url http://{listen}")
                };
                println!(
                    "  try it            calldex call{url}      (cargo run --release -- call{url})"
                );
                println!(
                    "  go live           set TWILIO_AUTH_TOKEN, PUBLIC_URL and OPENAI_API_KEY; see README.md"
                );
            }
            (None, true) => {
                println!("  go live           set PUBLIC_URL to the address that Twilio requests")
            }
        }
    }
}
