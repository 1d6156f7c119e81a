//! A fake OpenAI-compatible model: `POST /v1/chat/completions` on a loopback port, written byte by byte.
//!
//! ```no_run
//! # use calldex_simulator::model::{Completion, ModelServer};
//! # async fn example() -> std::io::Result<()> {
//! let model = ModelServer::start().await?;
//! model.next(Completion::says("Hello there.").first_token_ms(200).gap_ms(20));
//! model.next(Completion::status(429).retry_after("1"));
//! model.next(Completion::says("Half of this is lost.").cut_after(2));
//! let base_url = model.base_url(); // OPENAI_BASE_URL
//! # Ok(()) }
//! ```

mod completion;
mod history;
mod request;
mod role_rules;
mod server;
mod stream;

pub use completion::{Completion, ScriptedToolCall, WireLayout};
pub use history::{told, told_in};
pub use request::ModelApiRequest;
pub use role_rules::role_faults;
pub use server::{ModelServer, ModelServerStats};
