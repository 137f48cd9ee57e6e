//! The service: what it remembers, its endpoints, and the connections that lead to them.

pub(crate) mod assistants;
pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod choice;
pub(crate) mod conversations;
pub(crate) mod ending;
pub(crate) mod error;
pub(crate) mod input;
pub(crate) mod items;
pub(crate) mod job;
pub(crate) mod known;
pub(crate) mod models;
pub(crate) mod prompt;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod responses;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod tape;
