//! The guarantees, each on SQLite and on PostgreSQL.
//!
//! PostgreSQL is tested when the feature `postgres` is on and `AI_ENGINE_TEST_POSTGRES` holds the URL of a server where
//! databases may be created (`scripts/with-postgres` starts one); otherwise those tests pass with a line that says so.
#![allow(
    missing_docs,
    unreachable_pub,
    unnameable_types,
    missing_debug_implementations,
    reason = "tests are nobody's API"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how a test fails"
)]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

#[macro_use]
mod support;

mod assistants;
mod bad_input;
mod branches;
mod busy;
mod chat_completions;
mod conformance;
mod conversation;
mod costs;
mod crash_points;
mod database_faults;
mod deletion;
mod earlier_versions;
mod end_users;
mod enqueue;
mod events;
mod faults;
mod hooks;
mod host_transaction;
mod hosts_databases;
mod hosts_tests;
mod lifecycle;
mod migrations;
mod naming;
mod network;
mod odd_servers;
mod open_responses;
mod own_queue;
mod owner;
mod owner_events;
mod ownership;
mod pages;
mod parts;
mod per_request;
mod places;
mod pools;
mod processes;
mod providers;
mod readers;
mod recovery;
mod remote_assistants;
mod retold;
mod spans;
mod spawnable;
mod stats;
mod titles;
mod tolerance;
mod tools;
mod turns;
mod upkeep;
mod usage;
mod versions;
mod waiting;
mod wire;
mod work;
