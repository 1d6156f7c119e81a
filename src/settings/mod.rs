//! What every section of the configuration needs, wherever it is defined. Imports no other module.

mod error;

pub use error::{ConfigError, ConfigErrors};
