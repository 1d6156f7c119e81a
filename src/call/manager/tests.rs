//! Several instances over one database: who has a call, and what its caller hears.

mod calls;
mod harness;
mod relocation;
