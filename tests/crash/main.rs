//! G3, G4, G6, G13, G14: processes are killed at random moments of everything a host does, again and again on one database,
//! while others, older and newer, go on and take up what the dead ones left. Every few kills all that live are told to
//! pause; when nothing is left to do, a checker of its own looks at every row.
//!
//! `scripts/crash-test COUNT sqlite|postgres` kills as often as you like; `cargo test` a few times: `CRASH_KILLS=25` on
//! SQLite, and on PostgreSQL where `AI_ENGINE_TEST_POSTGRES` names a server. `CRASH_SEED` repeats what the processes were
//! told to do; where the kills fall depends on the machine too.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody's API")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]
#![allow(clippy::print_stdout, reason = "a program")]

mod answers;
mod app;
mod calls;
mod check;
mod child;
mod database;
mod fleet;
mod held;
mod host;
mod keeps;
mod kills;
mod left;
mod libtest;
mod locks;
mod parts;
mod provider;
mod question;
mod random;
mod report;
mod rules;
mod script;
mod shown;
mod stored;
mod submits;
mod told;
mod tools;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use database::Place;

fn main() -> ExitCode {
    if child::live_if_asked() {
        return ExitCode::SUCCESS;
    }
    let count = std::env::var("CRASH_KILLS").map_or(25, |count| count.parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var("CRASH_SEED").map_or(now, |seed| seed.parse().unwrap());
    libtest::run(&[
        ("killed_on_sqlite", &|| kills::kill(Place::sqlite(), count, seed)),
        #[cfg(feature = "postgres")]
        ("killed_on_postgres", &|| match Place::postgres() {
            Some(place) => kills::kill(place, count, seed),
            None => {
                println!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
                true
            }
        }),
    ])
}
