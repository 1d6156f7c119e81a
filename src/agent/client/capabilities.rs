//! The capabilities of a server as far as they are known, and how a rejected request is adapted. Pure.

use crate::agent::model_config::{StructuredOutput, TokenLimitField};

/// Fewest bytes of the conversation that are sent, however small the server's context is.
const HISTORY_BYTES_MIN: usize = 256;

/// A field of a request that a server may reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) enum RequestField {
    /// `tools`
    Tools,
    /// `stream_options`
    StreamOptions,
    /// `max_tokens`, by whichever name
    MaxTokens,
    /// `temperature`
    Temperature,
    /// `reasoning_effort`
    ReasoningEffort,
    /// `response_format`
    ResponseFormat,
    /// `user`
    User,
    /// `prompt_cache_key`
    CacheKey,
    /// The role `system`
    SystemRole,
}

impl RequestField {
    /// Every field, with its names in error messages. Longer names come before names that they contain.
    pub(super) const ALL: [(RequestField, &'static str); 9] = [
        (RequestField::StreamOptions, "stream_options"),
        (RequestField::ReasoningEffort, "reasoning_effort"),
        (RequestField::ResponseFormat, "response_format"),
        (RequestField::CacheKey, "prompt_cache_key"),
        (RequestField::MaxTokens, "max_tokens"),
        (RequestField::Temperature, "temperature"),
        (RequestField::SystemRole, "system_role"),
        (RequestField::Tools, "tools"),
        (RequestField::User, "user"),
    ];

    /// Its name in metrics and in the log.
    pub(in crate::agent) fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(field, _)| *field == self);
        named.map_or("other", |(_, name)| name)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The part of a request that a server rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) enum RejectedPart {
    /// This field, or its value.
    Field(RequestField),
    /// The name of the token limit; the server expects this one.
    TokenLimitField(TokenLimitField),
    /// The conversation, which is longer than the context of the model.
    ContextLength,
}

impl RejectedPart {
    /// The value of the metric label `parameter`.
    pub(in crate::agent) fn label(self) -> &'static str {
        match self {
            RejectedPart::Field(field) => field.name(),
            RejectedPart::TokenLimitField(_) => RequestField::MaxTokens.name(),
            RejectedPart::ContextLength => "context",
        }
    }
}

/// Whether thinking comes as text before a closing tag without an opening tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::agent) enum UnopenedThinking {
    /// Not expected, or a whole reply came without it.
    Unlikely,
    /// Expected by the model's name.
    Likely,
    /// It was seen.
    Seen,
}

/// What a server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) struct ServerCapabilities {
    unsupported: u16,
    /// The field with the token limit.
    pub token_limit_field: TokenLimitField,
    /// Both fields were tried.
    token_limit_switched: bool,
    /// How a JSON response is requested.
    pub structured_output: StructuredOutput,
    /// Most bytes of the conversation.
    pub history_bytes_max: usize,
    pub unopened_thinking: UnopenedThinking,
}

impl ServerCapabilities {
    /// The capabilities before anything was rejected.
    pub(in crate::agent) fn new(
        token_limit_field: TokenLimitField,
        structured_output: StructuredOutput,
        history_bytes_max: usize,
    ) -> Self {
        Self {
            unsupported: 0,
            token_limit_field,
            token_limit_switched: false,
            structured_output,
            history_bytes_max,
            unopened_thinking: UnopenedThinking::Unlikely,
        }
    }

    /// Whether `field` may be sent.
    pub(super) fn supports(&self, field: RequestField) -> bool {
        self.unsupported & field.bit() == 0
    }

    /// The same without `field`.
    pub(super) fn without(mut self, field: RequestField) -> Self {
        self.unsupported |= field.bit();
        self
    }

    /// The capabilities after `rejected_part` of a request with `history_bytes` of conversation was rejected; `None` if
    /// nothing can be adapted.
    pub(in crate::agent) fn adapted_to(
        mut self,
        rejected_part: RejectedPart,
        history_bytes: usize,
    ) -> Option<Self> {
        match rejected_part {
            RejectedPart::TokenLimitField(limit)
                if limit != self.token_limit_field && !self.token_limit_switched =>
            {
                self.token_limit_field = limit;
                self.token_limit_switched = true;
                Some(self)
            }
            RejectedPart::TokenLimitField(_) => {
                self.adapted_to(RejectedPart::Field(RequestField::MaxTokens), history_bytes)
            }
            RejectedPart::Field(RequestField::ResponseFormat) => {
                self.structured_output = match self.structured_output {
                    StructuredOutput::JsonSchema => StructuredOutput::JsonObject,
                    StructuredOutput::JsonObject => StructuredOutput::None,
                    StructuredOutput::None => return None,
                };
                Some(self)
            }
            RejectedPart::Field(field) => self.supports(field).then(|| self.without(field)),
            RejectedPart::ContextLength => {
                let told = history_bytes.min(self.history_bytes_max);
                let half = (told / 2).max(HISTORY_BYTES_MIN);
                let smaller = half < told;
                self.history_bytes_max = half;
                smaller.then_some(self)
            }
        }
    }

    /// Adds what another request has found.
    pub(super) fn merge(&mut self, found: &Self) {
        self.unsupported |= found.unsupported;
        if found.token_limit_switched {
            self.token_limit_field = found.token_limit_field;
            self.token_limit_switched = true;
        }
        let rank = |structured| match structured {
            StructuredOutput::JsonSchema => 0,
            StructuredOutput::JsonObject => 1,
            StructuredOutput::None => 2,
        };
        if rank(found.structured_output) > rank(self.structured_output) {
            self.structured_output = found.structured_output;
        }
        self.history_bytes_max = self.history_bytes_max.min(found.history_bytes_max);
        if found.unopened_thinking == UnopenedThinking::Seen {
            self.unopened_thinking = UnopenedThinking::Seen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> ServerCapabilities {
        ServerCapabilities::new(
            TokenLimitField::MaxTokens,
            StructuredOutput::JsonSchema,
            8_000,
        )
    }

    #[test]
    fn a_refused_field_is_left_out_once() {
        let without = all()
            .adapted_to(RejectedPart::Field(RequestField::Tools), 0)
            .unwrap();
        assert!(
            !without.supports(RequestField::Tools) && without.supports(RequestField::Temperature)
        );
        assert_eq!(
            without.adapted_to(RejectedPart::Field(RequestField::Tools), 0),
            None
        );
    }

    #[test]
    fn the_longest_reply_is_tried_by_its_other_name_and_then_left_out() {
        let other = RejectedPart::TokenLimitField(TokenLimitField::MaxCompletionTokens);
        let renamed = all().adapted_to(other, 0).unwrap();
        assert_eq!(
            renamed.token_limit_field,
            TokenLimitField::MaxCompletionTokens
        );
        assert!(renamed.supports(RequestField::MaxTokens));
        let back = RejectedPart::TokenLimitField(TokenLimitField::MaxTokens);
        let without = renamed.adapted_to(back, 0).unwrap();
        assert!(!without.supports(RequestField::MaxTokens));
        assert_eq!(without.adapted_to(back, 0), None);
    }

    #[test]
    fn json_is_asked_for_more_and_more_loosely() {
        let rejected_part = RejectedPart::Field(RequestField::ResponseFormat);
        let object = all().adapted_to(rejected_part, 0).unwrap();
        assert_eq!(object.structured_output, StructuredOutput::JsonObject);
        let none = object.adapted_to(rejected_part, 0).unwrap();
        assert_eq!(none.structured_output, StructuredOutput::None);
        assert_eq!(none.adapted_to(rejected_part, 0), None);
    }

    #[test]
    fn a_conversation_that_is_too_long_is_halved_down_to_a_bound() {
        let mut now = all();
        let mut told = 6_000;
        let mut steps = 0;
        while let Some(next) = now.adapted_to(RejectedPart::ContextLength, told) {
            assert!(next.history_bytes_max < told);
            (now, told, steps) = (next, next.history_bytes_max, steps + 1);
        }
        assert_eq!((steps, told), (5, HISTORY_BYTES_MIN));
    }

    #[test]
    fn what_two_requests_found_is_kept_together() {
        let mut known = all().without(RequestField::Tools);
        known.merge(
            &all()
                .adapted_to(RejectedPart::ContextLength, 4_000)
                .unwrap()
                .without(RequestField::User),
        );
        assert!(!known.supports(RequestField::Tools) && !known.supports(RequestField::User));
        assert_eq!(known.history_bytes_max, 2_000);
    }
}
