//! A caller: says things when the agent has finished, hears whole replies.

use crate::test_server::WAIT_MAX;
use calldex_simulator::twilio::{Call, Direction, EndedCall, Reply, Utterance};
use std::ops::Deref;

/// How fast Twilio's time runs in these tests.
pub const SPEED: f64 = 20.0;

/// A call as the caller holds it.
#[derive(Debug)]
pub struct TestCaller {
    call: Call,
}

impl TestCaller {
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
            .silence(WAIT_MAX)
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
            let reply = self.hears_any_reply().await;
            if !reply.preemptible {
                return reply;
            }
        }
    }

    /// The next whole reply, fillers included.
    pub async fn hears_any_reply(&self) -> Reply {
        self.call
            .hear(WAIT_MAX)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.report()))
    }

    /// Hangs up once the agent has finished; nothing may have been against the protocol.
    pub async fn hangs_up(&self) -> EndedCall {
        // If the agent never finishes, hanging up is right too.
        let _ = self.call.silence(WAIT_MAX).await;
        self.hangs_up_at_once().await
    }

    /// Hangs up in the middle of whatever is being said.
    pub async fn hangs_up_at_once(&self) -> EndedCall {
        let ended = self.call.hang_up().await.expect("a caller can hang up");
        self.assert_no_violations();
        ended
    }

    /// Waits for the end that the server brings about.
    pub async fn wait_ended(&self) -> EndedCall {
        self.call
            .ended(WAIT_MAX)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.report()))
    }

    /// Nothing that the server did so far was against the protocol.
    pub fn assert_no_violations(&self) {
        let violations = self.call.violations();
        assert!(violations.is_empty(), "{violations:?}\n{}", self.report());
    }

    /// The frames and requests so far, for a failure's report.
    pub fn report(&self) -> String {
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

impl Deref for TestCaller {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}
