//! Tests of the extractor as a whole.

mod adversarial;
mod behaviours;
mod labelled;
mod labelled_own;
mod language_files;
mod languages;
mod properties;
mod speech;
