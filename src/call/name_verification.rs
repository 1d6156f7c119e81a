//! The model's second opinion on a name, asked in the background of a call.

use super::caller_name::NameSuggestion;
use crate::agent::{Agent, NameVerdict, NameVerdictKind};
use futures_util::future::BoxFuture;
use std::future::pending;
use std::sync::Arc;

/// The opinion that is being asked; a newer question takes the place of one that is out.
#[derive(Default)]
pub struct PendingNameVerification(Option<BoxFuture<'static, Option<NameVerdict>>>);

impl PendingNameVerification {
    /// Asks what one of `models` makes of `answer`. The scripted agent has no opinion.
    pub fn start(
        &mut self,
        agent: &Arc<Agent>,
        models: &Arc<[String]>,
        question: String,
        answer: String,
    ) {
        if agent.is_offline() {
            return;
        }
        let (agent, models) = (Arc::clone(agent), Arc::clone(models));
        self.0 = Some(Box::pin(async move {
            agent.verify_name(&models, &question, &answer).await
        }));
    }

    /// The opinion, once. Never ready while none is asked.
    pub async fn next_verdict(&mut self) -> Option<NameVerdict> {
        let verdict = match &mut self.0 {
            Some(asked) => asked.await,
            None => pending().await,
        };
        self.0 = None;
        verdict
    }
}

/// What follows from an opinion.
pub fn name_suggestion(verdict: Option<&NameVerdict>) -> NameSuggestion<'_> {
    match verdict.map(|verdict| (verdict.kind, verdict.name.as_deref())) {
        Some((NameVerdictKind::Own, Some(name))) => NameSuggestion::OwnName(name),
        Some((NameVerdictKind::Refused, _)) => NameSuggestion::Declined,
        _ => NameSuggestion::Unknown,
    }
}
