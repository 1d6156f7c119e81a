//! Decodes the response of a model into the events of a reply.

pub(super) mod body_decoder;
mod chat_markup;
pub(super) mod chunk;
pub(super) mod lenient_chunk;
pub(super) mod sse_body;
pub(super) mod stream_decoder;
mod tool_call_builder;
