//! How fast the voice is (protocol 9.3).

use std::time::Duration;

/// Speaking rate and synthesis times, in Twilio's time.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Characters spoken in a second: 19-22 measured.
    pub characters_per_s: f64,
    /// From a reply's first token to its sound, where nothing else sounds: 250-480 ms measured.
    pub first_audio: Duration,
    /// From a complete clause to its sound: 161-201 ms measured.
    pub synthesis: Duration,
    /// From `setup` to the greeting's sound: 250-750 ms measured.
    pub greeting_after: Duration,
    /// One keypad tone with its pause.
    pub tone: Duration,
    /// Assumed length of a `play` source, once through.
    pub media: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            characters_per_s: 20.0,
            first_audio: Duration::from_millis(310),
            synthesis: Duration::from_millis(170),
            greeting_after: Duration::from_millis(420),
            tone: Duration::from_millis(250),
            media: Duration::from_millis(2000),
        }
    }
}

impl Pace {
    /// How long it takes to say so many characters.
    pub(super) fn speaking(&self, characters: usize) -> Duration {
        Duration::from_secs_f64(characters as f64 / self.characters_per_s.max(0.1))
    }

    /// How many characters are said in this time.
    pub(super) fn spoken(&self, elapsed: Duration) -> usize {
        (elapsed.as_secs_f64() * self.characters_per_s) as usize
    }
}
