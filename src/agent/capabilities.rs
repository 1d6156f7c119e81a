//! What a server was found to take of a request, and how a request that it refuses is changed. Pure.

use super::model_config::{Structured, TokenLimit};

/// Least bytes of the conversation that are told, however small the server's context is.
const HISTORY_BYTES_MIN: usize = 256;

/// A part of a request that a server may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
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

impl Field {
    /// Every field, with the names by which refusals call it. Longer names stand before their parts.
    pub(super) const ALL: [(Field, &'static str); 9] = [
        (Field::StreamOptions, "stream_options"),
        (Field::ReasoningEffort, "reasoning_effort"),
        (Field::ResponseFormat, "response_format"),
        (Field::CacheKey, "prompt_cache_key"),
        (Field::MaxTokens, "max_tokens"),
        (Field::Temperature, "temperature"),
        (Field::SystemRole, "system_role"),
        (Field::Tools, "tools"),
        (Field::User, "user"),
    ];

    /// Its name in metrics and in the log.
    pub(super) fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(field, _)| *field == self);
        named.map_or("other", |(_, name)| name)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Why a server refused a request, where its answer says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objection {
    /// It does not take this field, or this value of it.
    Field(Field),
    /// It reads the longest reply by this name.
    Limit(TokenLimit),
    /// The conversation is longer than its context.
    Context,
}

impl Objection {
    /// The value of the metric label `parameter`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Objection::Field(field) => field.name(),
            Objection::Limit(_) => Field::MaxTokens.name(),
            Objection::Context => "context",
        }
    }
}

/// Whether a model's thoughts come as words, before a closing tag without an opening one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LoneThoughts {
    /// Nothing says so, or a whole reply came without.
    Unlikely,
    /// By the model's name.
    Likely,
    /// They were seen.
    Seen,
}

/// What a server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    refused: u16,
    /// The name of the longest reply.
    pub limit: TokenLimit,
    /// Both names of it were tried.
    limit_changed: bool,
    /// How an answer in JSON is asked for.
    pub structured: Structured,
    /// Bytes of the conversation.
    pub history_bytes_max: usize,
    pub lone_thoughts: LoneThoughts,
}

impl Capabilities {
    /// All of it, before anything was refused.
    pub(super) fn new(limit: TokenLimit, structured: Structured, history_bytes_max: usize) -> Self {
        Self {
            refused: 0,
            limit,
            limit_changed: false,
            structured,
            history_bytes_max,
            lone_thoughts: LoneThoughts::Unlikely,
        }
    }

    /// Whether `field` may be sent.
    pub(super) fn takes(&self, field: Field) -> bool {
        self.refused & field.bit() == 0
    }

    /// The same without `field`.
    pub(super) fn refusing(mut self, field: Field) -> Self {
        self.refused |= field.bit();
        self
    }

    /// What may be sent after `objection` to a request that told `history_bytes` of the conversation; `None`
    /// if there is nothing left to change.
    pub(super) fn after(mut self, objection: Objection, history_bytes: usize) -> Option<Self> {
        match objection {
            Objection::Limit(limit) if limit != self.limit && !self.limit_changed => {
                self.limit = limit;
                self.limit_changed = true;
                Some(self)
            }
            Objection::Limit(_) => self.after(Objection::Field(Field::MaxTokens), history_bytes),
            Objection::Field(Field::ResponseFormat) => {
                self.structured = match self.structured {
                    Structured::JsonSchema => Structured::JsonObject,
                    Structured::JsonObject => Structured::None,
                    Structured::None => return None,
                };
                Some(self)
            }
            Objection::Field(field) => self.takes(field).then(|| self.refusing(field)),
            Objection::Context => {
                let told = history_bytes.min(self.history_bytes_max);
                let half = (told / 2).max(HISTORY_BYTES_MIN);
                let smaller = half < told;
                self.history_bytes_max = half;
                smaller.then_some(self)
            }
        }
    }

    /// Adds what another request has found out.
    pub(super) fn learn(&mut self, found: &Self) {
        self.refused |= found.refused;
        if found.limit_changed {
            self.limit = found.limit;
            self.limit_changed = true;
        }
        let rank = |structured| match structured {
            Structured::JsonSchema => 0,
            Structured::JsonObject => 1,
            Structured::None => 2,
        };
        if rank(found.structured) > rank(self.structured) {
            self.structured = found.structured;
        }
        self.history_bytes_max = self.history_bytes_max.min(found.history_bytes_max);
        if found.lone_thoughts == LoneThoughts::Seen {
            self.lone_thoughts = LoneThoughts::Seen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Capabilities {
        Capabilities::new(TokenLimit::MaxTokens, Structured::JsonSchema, 8_000)
    }

    #[test]
    fn a_refused_field_is_left_out_once() {
        let without = all().after(Objection::Field(Field::Tools), 0).unwrap();
        assert!(!without.takes(Field::Tools) && without.takes(Field::Temperature));
        assert_eq!(without.after(Objection::Field(Field::Tools), 0), None);
    }

    #[test]
    fn the_longest_reply_is_tried_by_its_other_name_and_then_left_out() {
        let other = Objection::Limit(TokenLimit::MaxCompletionTokens);
        let renamed = all().after(other, 0).unwrap();
        assert_eq!(renamed.limit, TokenLimit::MaxCompletionTokens);
        assert!(renamed.takes(Field::MaxTokens));
        let back = Objection::Limit(TokenLimit::MaxTokens);
        let without = renamed.after(back, 0).unwrap();
        assert!(!without.takes(Field::MaxTokens));
        assert_eq!(without.after(back, 0), None);
    }

    #[test]
    fn json_is_asked_for_more_and_more_loosely() {
        let objection = Objection::Field(Field::ResponseFormat);
        let object = all().after(objection, 0).unwrap();
        assert_eq!(object.structured, Structured::JsonObject);
        let none = object.after(objection, 0).unwrap();
        assert_eq!(none.structured, Structured::None);
        assert_eq!(none.after(objection, 0), None);
    }

    #[test]
    fn a_conversation_that_is_too_long_is_halved_down_to_a_bound() {
        let mut now = all();
        let mut told = 6_000;
        let mut steps = 0;
        while let Some(next) = now.after(Objection::Context, told) {
            assert!(next.history_bytes_max < told);
            (now, told, steps) = (next, next.history_bytes_max, steps + 1);
        }
        assert_eq!((steps, told), (5, HISTORY_BYTES_MIN));
    }

    #[test]
    fn what_two_requests_found_is_kept_together() {
        let mut known = all().refusing(Field::Tools);
        known.learn(
            &all()
                .after(Objection::Context, 4_000)
                .unwrap()
                .refusing(Field::User),
        );
        assert!(!known.takes(Field::Tools) && !known.takes(Field::User));
        assert_eq!(known.history_bytes_max, 2_000);
    }
}
