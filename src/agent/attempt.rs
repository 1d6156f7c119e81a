//! One request to one model, until the first event of its answer.

use super::brief::Brief;
use super::capabilities::{Capabilities, LoneThoughts};
use super::failure::Failure;
use super::intake::{Intake, Reading};
use super::live::Live;
use super::provider::{LOADING_PAUSE, Provider};
use super::refusal::accepted;
use super::rejection::Rejection;
use bytes::Bytes;
use calldex_observability::spans::ModelSpan;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How far an answer that has not begun to speak has come, and how long it is waited for.
pub(super) struct Progress {
    silence_max: Duration,
    turn_deadline: Instant,
    /// The last sign of life.
    moved_at: Mutex<Instant>,
}

impl Progress {
    /// Waited for as long as it is not silent for `silence_max`, at most until `turn_deadline`.
    pub(super) fn new(silence_max: Duration, turn_deadline: Instant) -> Arc<Self> {
        Arc::new(Self {
            silence_max,
            turn_deadline,
            moved_at: Mutex::new(Instant::now()),
        })
    }

    /// A sign of life that is not yet speech: thoughts, or the server's word that it loads the model.
    pub(super) fn moved(&self) {
        *self.moved_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When the whole turn is over.
    pub(super) fn turn_deadline(&self) -> Instant {
        self.turn_deadline
    }

    fn due(&self) -> Instant {
        let moved_at = *self.moved_at.lock().unwrap_or_else(PoisonError::into_inner);
        (moved_at + self.silence_max).min(self.turn_deadline)
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Live, Rejection>> + Send>>;

/// A request that is out. Where the server may be loading the model for it, it goes on in the background when
/// it is dropped, so that the server does not give up.
pub(super) struct Attempt {
    provider: Arc<Provider>,
    progress: Arc<Progress>,
    /// `None` once it has an outcome.
    opening: Option<Opening>,
    /// Another one goes on in its place.
    is_second: bool,
    span: Option<ModelSpan>,
}

impl Attempt {
    /// A request of the form that `form` says. Nothing happens until it is waited for.
    pub(super) fn new(
        provider: &Arc<Provider>,
        brief: Arc<Brief>,
        form: Capabilities,
        progress: Arc<Progress>,
    ) -> Self {
        let body = provider.terms.body(&brief, &form);
        let opening = begin(
            Arc::clone(provider),
            brief,
            form,
            body,
            Arc::clone(&progress),
        );
        Self {
            provider: Arc::clone(provider),
            progress,
            opening: Some(Box::pin(opening)),
            is_second: false,
            span: Some(provider.span()),
        }
    }

    /// It is out beside an earlier one, which is the one to go on with.
    pub(super) fn beside_another(mut self) -> Self {
        self.is_second = true;
        self
    }

    pub(super) fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// The span that tells of it, the first time.
    pub(super) fn take_span(&mut self) -> ModelSpan {
        self.span.take().unwrap_or_default()
    }

    /// Whether it has an outcome.
    pub(super) fn is_over(&self) -> bool {
        self.opening.is_none()
    }

    /// Its answer, once the first event is there.
    ///
    /// # Errors
    /// `FirstTokenTimeout` where it is silent for too long; it may be waited for again then, for as long.
    pub(super) async fn wait(&mut self) -> Result<Live, Rejection> {
        let Some(opening) = &mut self.opening else {
            return Err(Failure::FirstTokenTimeout.into());
        };
        if self.progress.due() <= Instant::now() {
            self.progress.moved();
        }
        let outcome = loop {
            match timeout_at(self.progress.due(), opening.as_mut()).await {
                Ok(outcome) => break outcome,
                Err(_) if self.progress.due() > Instant::now() => {}
                Err(_) => return Err(Failure::FirstTokenTimeout.into()),
            }
        };
        self.opening = None;
        outcome
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(opening) = self.opening.take()
            && !self.is_second
            && self.provider.is_cold()
        {
            self.provider.go_on(opening);
        }
    }
}

async fn begin(
    provider: Arc<Provider>,
    brief: Arc<Brief>,
    form: Capabilities,
    body: Bytes,
    progress: Arc<Progress>,
) -> Result<Live, Rejection> {
    let place = provider.place().await;
    let request_bytes = body.len();
    let response = loop {
        let response = provider
            .ask(&place, body.clone())
            .send()
            .await
            .map_err(|_| Failure::Connect)?;
        match accepted(response).await {
            Ok(response) => break response,
            Err(rejection) if rejection.is_loading => {
                progress.moved();
                sleep(LOADING_PAUSE).await;
            }
            Err(rejection) => return Err(rejection),
        }
    };
    let intake = Intake::new(Reading {
        provider: &provider.name,
        language: &brief.language,
        round: brief.round,
        tools: &brief.tools,
        own_tools: &brief.own_tools,
        holds_thoughts: form.lone_thoughts != LoneThoughts::Unlikely,
    });
    let mut live = Live::new(response, intake, &provider, progress, place, request_bytes);
    match poll_fn(|cx| live.poll_fill(cx)).await {
        Ok(()) => Ok(live),
        Err(failure) => {
            live.learn_of_thoughts();
            Err(live.rejection(failure))
        }
    }
}
