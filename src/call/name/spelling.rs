//! Names spelled letter by letter.

use super::extraction::{Extraction, Name};
use super::reader::{Reader, Reading};
use super::token::Turn;

pub struct Spelled;
impl Spelled {
    pub fn into_extraction(self, _turn: &Turn<'_>, _rejected: Option<Name>) -> Extraction {
        Extraction::default()
    }
}
pub fn read(_reader: &Reader<'_>, _heard: Option<&Reading>) -> Option<Spelled> {
    None
}
