//! The whole server from outside: the real binary as a child process, a simulated Twilio on its
//! door, a fake model behind it, and the database read as any SQLite client would read it.
//!
//! Nothing here knows the product's code; the words are [`test_server::TestServer`] (the running server),
//! [`test_caller::TestCaller`] (a caller), [`fake_model::FakeModel`] (the model) and [`database`] (what was kept).

mod database;
mod fake_model;
mod raw_call;
mod raw_http;
mod test_caller;
mod test_server;
mod tool_server;

mod addresses_and_phrases;
mod behaviours;
mod built_in_tools;
mod call_limit;
mod call_redirects;
mod cluster;
mod cluster_calls;
mod cluster_members;
mod cluster_quorum;
mod cluster_shutdown;
mod crashes;
mod drains;
mod first_answers;
mod first_calls;
mod forged_requests;
mod frames;
mod handoffs;
mod identities;
mod interruptions;
mod languages;
mod mcp;
mod model_failures;
mod model_settings;
mod names;
mod prompts;
mod real_model;
mod reconnects;
mod recorded;
mod settings;
mod shared_numbers;
mod slow_network;
mod sockets;
mod terminal;
mod tools;
mod vital_tasks;
