//! Tests of the name room as a whole.

mod adversarial;
mod classes;
mod labelled;
mod languages;
mod properties;
mod speech;
