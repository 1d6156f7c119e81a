//! Instances in one process: real storage, real sockets on loopback.

mod removal;
mod test_node;
mod writing;
