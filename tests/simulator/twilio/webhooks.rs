//! The webhooks of a running call: requested, written into its log, tried again where that is wanted.

use super::{
    call_runner::{CallRunner, NextStep, expect_twiml},
    error::CallError,
    form,
    http::WebhookAnswer,
    identity,
    live_calls::Redirect,
    log::{Direction, ViolationKind},
    reply::EndCause,
};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// Action to status callback (docs/protocol.md 2.6: 0.4-1 s).
const STATUS_AFTER_ACTION: Duration = Duration::from_millis(700);
/// From a refused action to the next try, in real time, where it is tried again.
const REFUSED_AGAIN: Duration = Duration::from_millis(250);

impl CallRunner {
    /// Requests the URL of a redirect and follows its TwiML.
    pub(super) async fn redirected(&mut self, redirect: Redirect) -> NextStep {
        self.shared.change(|record| record.live = false);
        let form = form::in_progress(&self.twilio.config.account_sid, &self.call_sid, &self.dial);
        let via = self.shared.lock().via.voice;
        let answer = self
            .webhook(&redirect.url, &form, redirect.by_get, via)
            .await
            .and_then(|answer| expect_twiml(&redirect.url, &answer));
        self.document = redirect.url;
        let course = match answer {
            Ok(twiml) => self.follow(twiml).await,
            Err(error) => Err(error),
        };
        course.unwrap_or_else(|error| {
            let told = format!("redirect: {error}");
            self.shared.change(|record| {
                record.server_gone = true;
                record.violation(ViolationKind::Webhook, told)
            });
            NextStep::Over(EndCause::Failed(error.to_string()))
        })
    }

    /// Requests a webhook, again and again for `patience` while nobody listens; and for how long nobody did.
    pub(super) async fn patiently(
        &mut self,
        url: &str,
        form: &form::Form,
        by_get: bool,
        patience: Duration,
    ) -> (Result<WebhookAnswer, CallError>, Duration) {
        let began = Instant::now();
        let mut refused_for = Duration::ZERO;
        loop {
            let via = self.shared.lock().via.action;
            let answer = self.webhook(url, form, by_get, via).await;
            if !matches!(answer, Err(CallError::Refused { .. })) || began.elapsed() >= patience {
                return (answer, refused_for);
            }
            sleep(REFUSED_AGAIN).await;
            refused_for = began.elapsed();
        }
    }

    /// Tells the server that the call is over; its answer's HTTP status.
    pub(super) async fn status_callback(&mut self) -> Option<u16> {
        let path = self.twilio.config.status_path.clone()?;
        self.pass(STATUS_AFTER_ACTION).await;
        let lasted = self.began.elapsed().mul_f64(self.twilio.config.speed);
        let form = form::status(
            &self.twilio.config.account_sid,
            &self.call_sid,
            &self.dial,
            lasted,
            SystemTime::now(),
        );
        let url = self.twilio.links.public_url(&path, None).ok()?;
        let via = self.shared.lock().via.action;
        match self.webhook(&url, &form, false, via).await {
            Ok(answer) => {
                if !(200..300).contains(&answer.status) {
                    self.shared.change(|record| {
                        record.violation(
                            ViolationKind::Webhook,
                            format!("status callback: {}", answer.status),
                        )
                    });
                }
                Some(answer.status)
            }
            Err(error) => {
                self.shared.change(|record| {
                    record.violation(ViolationKind::Webhook, format!("status callback: {error}"))
                });
                None
            }
        }
    }

    /// Requests a webhook and writes both sides into the log.
    pub(crate) async fn webhook(
        &mut self,
        url: &str,
        form: &form::Form,
        by_get: bool,
        via: Option<usize>,
    ) -> Result<WebhookAnswer, CallError> {
        let body = form::encode(form);
        self.shared.change(|record| {
            record.note(
                Direction::Http,
                &format!("{} {url} {body}", if by_get { "GET" } else { "POST" }),
            )
        });
        let token = identity::idempotency_token();
        let answer = self
            .twilio
            .send(url, form, by_get, &self.dial.sign_webhooks, &token, via)
            .await;
        let line = match &answer {
            Ok(answer) => format!("{} {}", answer.status, answer.body),
            Err(error) => error.to_string(),
        };
        self.shared
            .change(|record| record.note(Direction::Http, &line));
        answer
    }
}
