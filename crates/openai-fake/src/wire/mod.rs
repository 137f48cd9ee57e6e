//! The wire: events, their frames, the body of an answer, and the bytes under it.

pub(crate) mod assistants;
pub(crate) mod body;
pub(crate) mod chat;
pub(crate) mod events;
pub(crate) mod flush;
pub(crate) mod frame;
