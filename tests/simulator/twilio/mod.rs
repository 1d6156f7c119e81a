//! A simulated Twilio: calls a voice webhook, follows its TwiML and holds the ConversationRelay socket.
//!
//! ```no_run
//! # use calldex_simulator::twilio::{Twilio, TwilioConfig};
//! # use std::time::Duration;
//! # async fn example() -> Result<(), calldex_simulator::twilio::CallError> {
//! let twilio = Twilio::new(TwilioConfig {
//!     base_url: "http://127.0.0.1:8080".into(),
//!     auth_token: Some("12345".into()),
//!     speed: 20.0,
//!     ..TwilioConfig::default()
//! })?;
//! let call = twilio.place_call("+14155550100", "+14155550199").await?;
//! assert!(call.greeting().is_some());
//! call.say("My name is Misty").await?;
//! let reply = call.hear(Duration::from_secs(5)).await?;
//! println!("{} after {:?}", reply.text, reply.first_token);
//! call.hang_up().await?;
//! assert!(call.violations().is_empty());
//! # Ok(())
//! # }
//! ```

mod call;
mod call_record;
mod call_runner;
mod caller;
mod config;
mod delay;
mod dial;
mod error;
mod form;
mod frame;
mod http;
mod identity;
mod live_calls;
mod load_balancer;
mod log;
pub mod playback;
mod relay;
mod reply;
mod rest_api;
mod session;
mod session_driver;
mod session_output;
pub mod signature;
pub mod twiml;
mod url_resolver;
mod webhooks;

pub use call::{Call, CallProgress};
pub use caller::{Partials, Utterance};
pub use config::{AuthToken, Network, Redial, Route, TwilioConfig};
pub use dial::{Dial, Signing};
pub use error::CallError;
pub use http::{Twilio, Webhook, WebhookAnswer};
pub use load_balancer::Routing;
pub use log::{Direction, LogEntry, Violation, ViolationKind};
pub use reply::{ActionAnswer, AfterDrop, EndCause, EndedCall, InterruptReport, Reply, Token};
pub use rest_api::{RestApiServer, RestRequest};
pub use signature::{sign_form, sign_json, sign_url};

/// The parts that `calldex load` drives by itself, one task a call.
pub(crate) mod internals {
    pub(crate) use super::{
        call_runner::expect_twiml,
        form::{
            SessionEnd, action as action_form, in_progress as in_progress_form,
            setup as setup_frame, status as status_form,
        },
        frame::interrupt as interrupt_frame,
        identity::{call_sid, session_id},
        live_calls::{LiveCallEntry, Redirect},
        relay::RelaySettings,
        session::{CallerAction as SimulatedCaller, TwilioSession},
        session_driver::{Observer, SessionDriver},
        session_output::{SessionClose, SessionObservation, SocketEnd},
        url_resolver::dial as open_relay,
    };
}
