//! A caller: says things when the agent has finished, hears whole replies.

use crate::house::PATIENCE;
use calldex_simulator::twilio::{Call, Direction, Ended, Reply, Utterance};
use std::ops::Deref;

/// How fast Twilio's time runs in these tests.
pub const SPEED: f64 = 20.0;

/// A call as the caller holds it.
#[derive(Debug)]
pub struct Phone {
    call: Call,
}

impl Phone {
    pub fn new(call: Call) -> Self {
        Self { call }
    }

    /// Lets the agent finish, says this, and hears what is said to it. Bridges are not answers.
    pub async fn says(&self, text: &str) -> String {
        self.says_it(text).await;
        self.hears().await.text
    }

    /// Lets the agent finish and says this.
    pub async fn says_it(&self, text: &str) {
        self.call
            .silence(PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("before {text:?}: {error}"));
        // A final prompt and nothing before it: partials are a matter of their own.
        self.call
            .say(Utterance::at_once(text))
            .await
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }

    /// The next whole reply that is no bridge.
    pub async fn hears(&self) -> Reply {
        loop {
            let reply = self.hears_anything().await;
            if !reply.preemptible {
                return reply;
            }
        }
    }

    /// The next whole reply, bridges included.
    pub async fn hears_anything(&self) -> Reply {
        self.call
            .hear(PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// Hangs up once the agent has finished; nothing may have been against the protocol.
    pub async fn hangs_up(&self) -> Ended {
        // If the agent never finishes, hanging up is right too.
        let _ = self.call.silence(PATIENCE).await;
        self.hangs_up_at_once().await
    }

    /// Hangs up in the middle of whatever is being said.
    pub async fn hangs_up_at_once(&self) -> Ended {
        let ended = self.call.hang_up().await.expect("a caller can hang up");
        self.obeys_the_protocol();
        ended
    }

    /// Waits for the end that the house brings about.
    pub async fn is_ended(&self) -> Ended {
        self.call
            .ended(PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// Nothing that the house did so far was against the protocol.
    pub fn obeys_the_protocol(&self) {
        let violations = self.call.violations();
        assert!(violations.is_empty(), "{violations:?}\n{}", self.story());
    }

    /// The frames and requests so far, for a failure's report.
    pub fn story(&self) -> String {
        let lines = self.call.log().into_iter().map(|entry| {
            let way = match entry.direction {
                Direction::ToApp => "->",
                Direction::FromApp => "<-",
                Direction::Http | Direction::Socket => "--",
            };
            format!("{:>6} ms {way} {}", entry.at.as_millis(), entry.text)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// An attribute of the relay in the first TwiML.
    pub fn relay(&self, name: &str) -> Option<String> {
        let relay = self.call.twiml().relay()?;
        relay.attribute(name).map(str::to_owned)
    }

    /// The greeting of the first TwiML.
    pub fn first_greeting(&self) -> String {
        self.relay("welcomeGreeting").unwrap_or_default()
    }
}

impl Deref for Phone {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}
