//! A process that only works: it drives what other processes submit to the same database, and recovers what they leave.
//!
//! `DATABASE_URL=quickstart.sqlite3 cargo run --example worker`, or with `--features postgres` a `postgres://` URL. Start as
//! many as you like. Ctrl-C lets the running answers end, for ten seconds at most; another process goes on with the rest.
//! `OPENAI_API_KEY` (or `OPENAI_ACCESS_TOKEN`) and `OPENAI_BASE_URL` as for the quickstart; without a key an in-process demo
//! model answers.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;
use std::time::Duration;

use ai_engine::testing::FakeOpenAi;
use ai_engine::{
    AiEngine, BoxError, Database, HookContext, HookResult, OpenAi, Run, SqliteDatabase, prelude::*,
};

/// The owner of threads in the host app: hooks are called in whichever process drives the run.
struct User {
    id: i32,
}
ai_engine::record! { User { id: i32 } as "User" }

impl MessageHooks for User {
    async fn ai_engine_on_run_update(&self, run: &Run, _: &HookContext<'_>) -> HookResult {
        println!("run {} of user {} is {}", run.id, self.id, run.status);
        Ok(())
    }
}

async fn work(database: impl Database) -> Result<(), BoxError> {
    let (openai, _demo) = provider().await?;
    let engine = AiEngine::builder(database)
        .openai(openai)
        .owner::<User>(|_conn, id| Ok(Some(User { id })))
        .build()?;
    engine.start().await?;
    println!("working; Ctrl-C to end");
    tokio::signal::ctrl_c().await?;
    println!("letting the running answers end");
    engine.shutdown(Duration::from_secs(10)).await?;
    Ok(())
}

/// OpenAI, or a server like it; without a key a demo model in this process.
async fn provider() -> Result<(OpenAi, Option<FakeOpenAi>), BoxError> {
    let is_set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if is_set("OPENAI_API_KEY") || is_set("OPENAI_ACCESS_TOKEN") {
        return Ok((OpenAi::from_env()?, None));
    }
    let demo = FakeOpenAi::start().await?;
    println!("(no OPENAI_API_KEY: a demo model in this process answers)");
    Ok((demo.openai()?, Some(demo)))
}

async fn on(url: &str) -> Result<(), BoxError> {
    if url.starts_with("postgres") {
        #[cfg(feature = "postgres")]
        return work(ai_engine::PgDatabase::connect(url)?).await;
        #[cfg(not(feature = "postgres"))]
        return Err("for a postgres:// URL run this with --features postgres".into());
    }
    work(SqliteDatabase::open(url)?).await
}

#[tokio::main]
async fn main() -> ExitCode {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "quickstart.sqlite3".to_owned());
    match on(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
