//! How fast the voice is (docs/protocol.md 9).

use std::time::Duration;

/// Speaking rate and synthesis times, in Twilio's time.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// What a clause takes beside its characters: 0.35 s recorded.
    pub clause: Duration,
    /// Characters spoken in a second beyond that: 23 recorded.
    pub characters_per_s: f64,
    /// From a reply's first token to its sound, where nothing else sounds: 250-480 ms measured.
    pub first_audio: Duration,
    /// From a complete clause to its sound: 161-201 ms measured.
    pub synthesis: Duration,
    /// From `setup` to the greeting's sound: up to 760 ms recorded.
    pub greeting_after: Duration,
    /// For so long the greeting has been audible when the socket opens: up to 150 ms recorded. Above zero,
    /// `agentSpeaking on` never comes for it, and `greeting_after` says nothing.
    pub greeting_before: Duration,
    /// One keypad tone with its pause: 0.4 s recorded.
    pub tone: Duration,
    /// Assumed length of a `play` source, once through.
    pub media: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            clause: Duration::from_millis(350),
            characters_per_s: 23.0,
            first_audio: Duration::from_millis(310),
            synthesis: Duration::from_millis(170),
            greeting_after: Duration::from_millis(420),
            greeting_before: Duration::ZERO,
            tone: Duration::from_millis(400),
            media: Duration::from_millis(2000),
        }
    }
}

impl Pace {
    /// How long a clause of so many characters takes.
    pub(super) fn speaking(&self, characters: usize) -> Duration {
        if characters == 0 {
            return Duration::ZERO;
        }
        self.clause + Duration::from_secs_f64(characters as f64 / self.characters_per_s.max(0.1))
    }

    /// How many characters of a clause of so many are said in this time.
    pub(super) fn spoken(&self, characters: usize, elapsed: Duration) -> usize {
        let lasts = self.speaking(characters).as_secs_f64().max(0.001);
        (characters as f64 * (elapsed.as_secs_f64() / lasts).min(1.0)) as usize
    }
}
