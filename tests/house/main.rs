//! The whole house from outside: the real binary as a child process, a simulated Twilio on its
//! door, a fake model behind it, and the database read as any SQLite client would read it.
//!
//! Nothing here knows the product's code; the words are [`house::House`] (the running server),
//! [`phone::Phone`] (a caller), [`mind::Mind`] (the model) and [`rows`] (what was kept).

mod door;
mod house;
mod mind;
mod phone;
mod rows;

mod barge_ins;
mod crashes;
mod crowds;
mod drains;
mod endings;
mod first_calls;
mod forgeries;
mod frames;
mod identities;
mod models;
mod names;
mod reconnects;
mod settings;
mod several;
mod several_calls;
mod several_members;
mod several_quorums;
mod several_stops;
mod take_overs;
mod terminal;
