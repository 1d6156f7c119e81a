//! One request at a webhook's door: let in, answered once, repeated as often as Twilio asks, counted.

use super::{Doors, answer};
use crate::twilio::Form;
use crate::twilio::reference::REFERENCE_PARAMETER;
use calldex_observability::catalog;
use salvo::{Request, Response};
use std::time::Instant;

/// A request that was let in.
pub(super) struct Visit {
    door: &'static str,
    begun: Instant,
    /// Its parameters.
    pub(super) form: Form,
    query: Form,
    token: Option<String>,
}

impl Doors {
    /// Lets a request in; one that is turned away is answered already.
    pub(super) async fn receive(
        &self,
        door: &'static str,
        req: &mut Request,
        res: &mut Response,
    ) -> Option<Visit> {
        let begun = Instant::now();
        let admitted = self.guard.admit(door, req, res).await?;
        Some(Visit {
            door,
            begun,
            form: admitted.form,
            query: admitted.query,
            token: admitted.token,
        })
    }
}

impl Visit {
    /// The reference in its URL.
    pub(super) fn reference(&self) -> Option<&str> {
        self.query.get(REFERENCE_PARAMETER)
    }

    /// The answer that this request got before, if Twilio repeats it.
    pub(super) fn answered(&self, doors: &Doors) -> Option<(String, &'static str)> {
        let document = doors.repeats.answer(self.door, self.token.as_deref())?;
        Some((document, "repeated"))
    }

    /// Answers with a document.
    pub(super) fn answer(
        self,
        doors: &Doors,
        res: &mut Response,
        (document, result): (String, &'static str),
    ) {
        doors
            .repeats
            .keep(self.door, self.token.as_deref(), &document);
        answer::send(res, &document);
        self.count(result);
    }

    /// Counts the visit, with the label `result`.
    pub(super) fn count(self, result: &'static str) {
        catalog::WEBHOOK_REQUESTS_TOTAL
            .with(self.door, result)
            .increment(1);
        catalog::WEBHOOK_SECONDS
            .with(self.door)
            .record(self.begun.elapsed().as_secs_f64());
    }
}
