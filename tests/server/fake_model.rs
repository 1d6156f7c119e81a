//! The model behind the agent, scripted; it refuses what the strictest servers refuse. Opinions about names, asked in the background, are
//! answered by themselves and never use up an answer of the script.

use crate::test_server::WAIT_MAX;
use calldex_simulator::model::{Completion, ModelApiRequest, ModelServer, role_faults};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

const NO_NAME: &str = r#"{"name":null,"kind":"none","quote":""}"#;

/// A scripted model.
pub struct FakeModel {
    server: ModelServer,
    queue: Arc<Mutex<VecDeque<Completion>>>,
}

impl FakeModel {
    /// A model that repeats the question until it is told what to say.
    pub async fn start() -> Self {
        let server = ModelServer::start().await.expect("a free port");
        let model = Self {
            server,
            queue: Arc::default(),
        };
        model.answer_with(|request| {
            Completion::says(&format!("You said: {} Is there more?", request.last_user()))
        });
        model
    }

    /// The next answer.
    pub fn next(&self, completion: Completion) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(completion);
    }

    /// What it says when no answer is queued.
    pub fn answer_with(
        &self,
        how: impl Fn(&ModelApiRequest) -> Completion + Send + Sync + 'static,
    ) {
        let queue = Arc::clone(&self.queue);
        self.server.answer(move |request| {
            let faults = role_faults(&request.body);
            if !faults.is_empty() {
                return Completion::status(400).body(&faults.join("; "));
            }
            if !request.wants_stream() {
                return Completion::says(NO_NAME);
            }
            let queued = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            queued.unwrap_or_else(|| how(request))
        });
    }

    /// Requests for replies so far.
    pub fn reply_requests(&self) -> Vec<ModelApiRequest> {
        let requests = self.server.requests();
        requests
            .into_iter()
            .filter(ModelApiRequest::wants_stream)
            .collect()
    }

    /// The last request for a reply.
    pub fn last_reply_request(&self) -> ModelApiRequest {
        self.reply_requests().pop().expect("the model was asked")
    }

    /// Waits until nobody listens to it any more.
    pub async fn wait_idle(&self) -> bool {
        self.server
            .wait_for(|stats| stats.open == 0, WAIT_MAX)
            .await
    }
}

impl Deref for FakeModel {
    type Target = ModelServer;

    fn deref(&self) -> &ModelServer {
        &self.server
    }
}

/// Stands before a greeting, so that the user's message is the first.
pub const CALL_BEGINS: &str = "[The call begins.]";

/// Role and words of each message after the system prompt and [`CALL_BEGINS`].
pub fn conversation(request: &ModelApiRequest) -> Vec<(String, String)> {
    let messages = request.messages();
    messages
        .into_iter()
        .filter(|(role, words)| role != "system" && words != CALL_BEGINS)
        .collect()
}

/// Whether the caller's last words are these; words that were not answered may stand before them.
pub fn is_asked(request: &ModelApiRequest, words: &str) -> bool {
    let asked = request.last_user();
    let before = asked.strip_suffix(words).filter(|_| !words.is_empty());
    before.is_some_and(|before| before.is_empty() || before.ends_with([' ', '\n']))
}

/// The system prompt.
pub fn prompt(request: &ModelApiRequest) -> String {
    let messages = request.messages();
    let system = messages.into_iter().find(|(role, _)| role == "system");
    system.map(|(_, content)| content).unwrap_or_default()
}
