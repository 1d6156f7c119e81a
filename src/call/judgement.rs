//! The model's second opinion on a name, asked in the background of a call.

use super::naming::NameVerdict;
use crate::agent::{Agent, NameKind, NameOpinion};
use futures_util::future::BoxFuture;
use std::future::pending;
use std::sync::Arc;

/// The opinion that is being asked; a newer question takes the place of one that is out.
#[derive(Default)]
pub struct Judgement(Option<BoxFuture<'static, Option<NameOpinion>>>);

impl Judgement {
    /// Asks what one of `models` makes of `answer`. The scripted agent has no opinion.
    pub fn ask(
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
            agent.judge_name(&models, &question, &answer).await
        }));
    }

    /// The opinion, once. Never ready while none is asked.
    pub async fn next(&mut self) -> Option<NameOpinion> {
        let opinion = match &mut self.0 {
            Some(asked) => asked.await,
            None => pending().await,
        };
        self.0 = None;
        opinion
    }
}

/// What follows from an opinion.
pub fn verdict(opinion: Option<&NameOpinion>) -> NameVerdict<'_> {
    match opinion.map(|opinion| (opinion.kind, opinion.name.as_deref())) {
        Some((NameKind::Own, Some(name))) => NameVerdict::Own(name),
        Some((NameKind::Refused, _)) => NameVerdict::Refused,
        _ => NameVerdict::Nothing,
    }
}
