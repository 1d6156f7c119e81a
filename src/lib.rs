//! calldex
