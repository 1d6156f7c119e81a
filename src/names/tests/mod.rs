//! Tests of the extractor as a whole.

mod adversarial;
mod classes;
mod files;
mod labelled;
mod languages;
mod own;
mod properties;
mod speech;
