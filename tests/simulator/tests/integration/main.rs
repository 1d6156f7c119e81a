//! The simulator from outside: its Twilio against a small application written here, its model read by a real client.

mod app;
mod calls;
mod endings;
mod instances;
mod keyboard;
mod load;
mod model;
mod terminal;
