//! The only place with SQL: connections, migrations, and one file of statements per subject.

mod access;
mod again;
mod any_of;
pub(crate) mod assistants;
mod before;
mod belongs;
pub(crate) mod changed;
pub(crate) mod clock;
pub(crate) mod conversations;
pub(crate) mod database;
pub(crate) mod deltas;
mod first_row;
pub(crate) mod forks;
pub(crate) mod held;
mod hosts_work;
pub(crate) mod items;
mod job;
#[cfg(feature = "postgres")]
pub(crate) mod listen;
pub(crate) mod messages;
pub(crate) mod migrate;
pub(crate) mod naming;
pub(crate) mod news;
pub(crate) mod outbox;
pub(crate) mod owed;
pub(crate) mod owners;
pub(crate) mod parts;
pub(crate) mod paths;
#[cfg(test)]
mod plans_tests;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
#[cfg(test)]
mod prepared_tests;
pub(crate) mod queue;
pub(crate) mod recent;
pub(crate) mod remote_assistants;
pub(crate) mod responses;
pub(crate) mod runs;
pub(crate) mod runs_of;
pub(crate) mod session;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_url;
pub(crate) mod stats;
pub(crate) mod threads;
pub(crate) mod timeline;
pub(crate) mod tool_calls;
pub(crate) mod turns;
mod update;
pub(crate) mod usage;
pub(crate) mod verdict;
pub(crate) mod versions;
pub(crate) mod workers;

use crate::model::constant;
pub(crate) use job::refuse_within;
