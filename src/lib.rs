//! calldex answers a phone number, knows who is calling, and forgets nothing.
//!
//! The webhook and WebSocket target of Twilio ConversationRelay. See ARCHITECTURE.md for the life
//! of a call and of a turn.

pub mod admin;
pub mod agent;
pub mod app;
pub mod call;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod net;
pub mod settings;
pub mod tools;
pub mod twilio;
pub mod webhook;
