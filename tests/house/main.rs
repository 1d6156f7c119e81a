//! The whole house from outside: the real binary as a child process, a simulated Twilio on its
//! door, a fake model behind it, and the database read as any SQLite client would read it.
//!
//! Nothing here knows the product's code; the words are [`house::House`] (the running server),
//! [`phone::Phone`] (a caller), [`mind::Mind`] (the model) and [`rows`] (what was kept).

mod by_hand;
mod door;
mod house;
mod mind;
mod phone;
mod rows;
mod tool_server;

mod barge_ins;
mod behaviours;
mod crashes;
mod crowds;
mod drains;
mod endings;
mod first_answers;
mod first_calls;
mod forgeries;
mod frames;
mod handovers;
mod identities;
mod languages;
mod lines;
mod mcp;
mod models;
mod names;
mod people;
mod prompts;
mod real_model;
mod reconnects;
mod recorded;
mod settings;
mod several;
mod several_calls;
mod several_members;
mod several_quorums;
mod several_stops;
mod slow_routes;
mod sockets;
mod take_overs;
mod terminal;
mod terms;
mod tools;
mod vitals;
