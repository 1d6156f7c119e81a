//! Instances in one process: real storage, real sockets on loopback.

mod house;
mod leaving;
mod writing;
