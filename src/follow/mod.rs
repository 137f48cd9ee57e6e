//! Following conversations: what is seen of a run, and streams of it from any cursor, in any process.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod cursor;
pub(crate) mod delivered;
pub(crate) mod event;
pub(crate) mod events;
mod feeds;
pub(crate) mod has;
pub(crate) mod hub;
pub(crate) mod hubs;
pub(crate) mod owner_cursor;
pub(crate) mod owner_events;
mod owner_places;
mod queue;
pub(crate) mod reader;
pub(crate) mod readers;
pub(crate) mod replica;
mod rest;
pub(crate) mod sse;
pub(crate) mod transcript;
mod until_text;
