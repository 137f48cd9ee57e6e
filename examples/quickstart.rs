//! A storyteller in a SQLite file: your own tables, your own structs, an answer that streams through your hook.
//!
//! `cargo run --example quickstart -- "Tell me a story about a lighthouse"`
//!
//! Run it again: it continues the same thread. Settings: `OPENAI_API_KEY` (without it an in-process demo model
//! answers), `OPENAI_BASE_URL`, `OPENAI_MODEL`, `DATABASE_URL` (a SQLite file), `AI_ENGINE_HISTORY`
//! (`conversation` or `local`).
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::future::IntoFuture;
use std::io::Write;
use std::process::ExitCode;

use ai_engine::testing::FakeOpenAi;
use ai_engine::{
    AiEngine, AssistantDefinition, BoxError, HookContext, HookResult, Message, OpenAi, Page,
    SqliteDatabase, prelude::*,
};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

// ---- the host's own tables and structs

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { storytellers (id) { id -> Integer, name -> Text, model -> Text, instructions -> Text, } }

#[derive(Queryable, Selectable, Insertable)]
struct User {
    id: i32,
    name: String,
}

#[derive(Queryable, Selectable, Insertable)]
struct Storyteller {
    id: i32,
    name: String,
    model: String,
    instructions: String,
}

// ---- what makes them an assistant and its audience

ai_engine::record! { User { id: i32 } as "User", Storyteller { id: i32 } as "Storyteller" }

impl Assistable for Storyteller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(&self.model)
            .name(&self.name)
            .instructions(&self.instructions)
            .max_output_tokens(600)
    }
}

impl MessageHooks for User {
    async fn ai_engine_on_message_update(
        &self,
        _message: &Message,
        cx: &HookContext<'_>,
    ) -> HookResult {
        print!("{}", cx.appended());
        std::io::stdout().flush()?;
        Ok(())
    }
}

impl Threadable for User {}

async fn tell(question: String) -> Result<(), BoxError> {
    let path = setting("DATABASE_URL").unwrap_or_else(|| "quickstart.sqlite3".to_owned());
    let db = SqliteDatabase::open(&path)?;
    let (openai, _demo) = provider().await?;

    let mut builder = AiEngine::builder(db.clone()).openai(openai).owner::<User>(|conn, id| {
        users::table.find(id).select(User::as_select()).first(conn).optional()
    });
    if let Some(history) = setting("AI_ENGINE_HISTORY") {
        builder = builder
            .history(history.parse().map_err(|error| format!("AI_ENGINE_HISTORY: {error}"))?);
    }
    let engine = builder.build()?;
    engine.start().await?;

    let model = setting("OPENAI_MODEL").unwrap_or_else(|| "gpt-6-luna".to_owned());
    let (user, teller) = db.transaction(move |conn| host_rows(conn, model)).await?;
    let threads = user.assistant_threads(&engine);
    let thread = match threads.list(Page::newest(1)).await?.pop() {
        Some(thread) => thread,
        None => threads.create().await?,
    };
    println!("{} asks {}: {question}\n", user.name, teller.name);

    // The words appear meanwhile, through the hook. Ctrl-C stops the run and keeps them.
    let mut asking = teller.ai_engine_run(&engine, &thread, question).into_future();
    let answer = tokio::select! {
        answer = &mut asking => answer?,
        _ = tokio::signal::ctrl_c() => {
            thread.cancel(&engine).await?;
            asking.await?
        }
    };

    let (run, stored) = (&answer.run, thread.messages(&engine).list(Page::default()).await?);
    println!(
        "\n\nassistant {} · model {} · run {} is {}",
        teller.name, run.model, run.id, run.status
    );
    println!("tokens: {} in, {} out", run.usage.input_tokens, run.usage.output_tokens);
    println!("stored: {} messages of thread {} in {path}", stored.len(), thread.id);
    Ok(())
}

/// The host's own rows, made at the first start.
fn host_rows(conn: &mut SqliteConnection, model: String) -> QueryResult<(User, Storyteller)> {
    conn.batch_execute(
        "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS storytellers
             (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, instructions TEXT NOT NULL);",
    )?;
    let user = User { id: 1, name: "Ada".to_owned() };
    let instructions = "You tell short stories for children.".to_owned();
    let teller = Storyteller { id: 1, name: "Scheherazade".to_owned(), model, instructions };
    diesel::insert_or_ignore_into(users::table).values(&user).execute(conn)?;
    diesel::replace_into(storytellers::table).values(&teller).execute(conn)?;
    Ok((user, teller))
}

/// OpenAI, or a server like it; without a key a demo model in this process.
async fn provider() -> Result<(OpenAi, Option<FakeOpenAi>), BoxError> {
    if setting("OPENAI_API_KEY").or_else(|| setting("OPENAI_ACCESS_TOKEN")).is_some() {
        return Ok((OpenAi::from_env()?, None));
    }
    let demo = FakeOpenAi::start().await?;
    println!("(no OPENAI_API_KEY: a demo model in this process answers)");
    Ok((demo.openai()?, Some(demo)))
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[tokio::main]
async fn main() -> ExitCode {
    let question = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let question = if question.is_empty() {
        "Tell me a story about a lighthouse".to_owned()
    } else {
        question
    };
    match tell(question).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (mut text, mut cause) = (error.to_string(), error.source());
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}
