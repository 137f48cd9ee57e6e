//! The only place with SQL: connections, migrations, and one file of statements per subject.

mod access;
mod again;
pub(crate) mod assistants;
pub(crate) mod clock;
mod constant;
pub(crate) mod database;
pub(crate) mod deltas;
pub(crate) mod forks;
mod hosts_work;
pub(crate) mod items;
mod job;
pub(crate) mod messages;
pub(crate) mod migrate;
pub(crate) mod outbox;
pub(crate) mod paths;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod queue;
pub(crate) mod responses;
pub(crate) mod runs;
pub(crate) mod runs_of;
pub(crate) mod session;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_url;
pub(crate) mod threads;
pub(crate) mod timeline;
pub(crate) mod verdict;
pub(crate) mod workers;

pub(crate) use job::refuse_within;
