//! What `engine.stats()` says, in the text form of Prometheus: what the `/metrics` of a host's web server would answer.
//!
//! `cargo run --example metrics`: while a demo model answers, and afterwards.
#![allow(missing_docs, clippy::print_stdout, reason = "a program")]

use std::fmt::Write;

use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{AiEngine, Backlog, BoxError, SqliteDatabase, Stats, prelude::*};

/// Two gauges for each kind, how many and for how long. Those of the process are added up over all processes; those of the
/// database are the same from each, so take the highest.
fn prometheus(stats: &Stats) -> String {
    let (process, database) = (stats.process, stats.database);
    let mut text = String::new();
    let backlogs = [
        ("runs_driving", process.driving, "Runs that this process drives"),
        ("readers", process.readers, "Streams of events that are open in this process"),
        ("runs_queued", database.queued, "Runs in the database that wait to be driven"),
        ("runs_in_progress", database.in_progress, "Runs in the database that a process drives"),
        ("runs_requires_action", database.requires_action, "Runs that wait for a decision"),
        ("runs_unannounced", database.unannounced, "Ended runs whose last hooks are to be called"),
        ("remote_deletions", database.remote_deletions, "Deletions to be done at the provider"),
    ];
    for (name, Backlog { count, oldest_ms, .. }, help) in backlogs {
        gauge(&mut text, name, help, &count.to_string());
        let oldest = format!("{name}_oldest_seconds");
        gauge(&mut text, &oldest, "Age of the oldest of them", &seconds(oldest_ms));
    }
    let help = "Text of this process that is not stored yet";
    gauge(&mut text, "unstored_bytes", help, &process.unstored_bytes.to_string());
    let help = "How old the oldest of that text may be";
    gauge(&mut text, "flush_lag_seconds", help, &seconds(process.flush_lag_ms));
    text
}

fn gauge(text: &mut String, name: &str, help: &str, value: &str) {
    let name = format!("ai_engine_{name}");
    // Writing to a String does not fail.
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}");
}

fn seconds(ms: Option<u64>) -> String {
    let ms = ms.unwrap_or_default();
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

struct User {
    id: i32,
}
ai_engine::record! { User { id: i32 } as "User" }
impl MessageHooks for User {}
impl Chattable for User {}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = FakeOpenAi::start().await?;
    let engine = AiEngine::builder(SqliteDatabase::in_memory()?)
        .openai(demo.openai()?)
        .owner::<User>(|_conn, id| Ok(Some(User { id })))
        .build()?;
    engine.start().await?;
    let user = User { id: 1 };
    let chat = user.chats(&engine).create().await?;
    let gate = Gate::new();
    demo.reply(Reply::text("Once upon a time.").hold_at(5, gate.clone()));
    let run = chat.run(&engine, "demo", "Tell me a story").submit().await?;
    gate.reached().await;
    print!("{}", prometheus(&engine.stats().await?));
    gate.open();
    engine.answer(run.id).await?;
    println!("\n# when it has answered\n");
    print!("{}", prometheus(&engine.stats().await?));
    Ok(())
}
