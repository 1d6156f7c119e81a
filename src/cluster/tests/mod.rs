//! Three instances in one process.
