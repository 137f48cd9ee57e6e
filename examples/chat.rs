//! A server for pages that are written with the AI SDK (`useChat`), and for clients of AG-UI.
//!
//! `cargo run --example chat`, then `useChat({ id: "1", resume: true })` with `http://127.0.0.1:3000/api/chat` as its `api`, or an AG-UI
//! `HttpAgent` at `http://127.0.0.1:3000/ag-ui/1`. A page may be reloaded in the middle of an answer, and the server killed: the answer
//! goes on. The assistant asks before it publishes something ("Publish a story"). Settings: `PORT`, and those of the quickstart.
//! Without a key an in-process demo model answers.
#![allow(missing_docs, clippy::print_stdout, reason = "a program")]

use std::{env, time::Duration};

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::ui::{AgUiRequest, ChatRequest, Trigger, UiMessage, UiStream};
use ai_engine::{AiEngine, Approval, AssistantDefinition, AssistantThread, BoxError, Error, Page};
use ai_engine::{Decision, OpenAi, Run, SqliteDatabase, ToolContext, ToolError};
use ai_engine::{prelude::*, testing::FakeOpenAi};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

struct User(String);
struct Teller(i32);
ai_engine::record! { User(String) as "User", Teller(i32) as "Teller" }

impl MessageHooks for User {}
impl Threadable for User {}
impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        let model = env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-6-luna".to_owned());
        AssistantDefinition::new(model).instructions("You tell short stories.").uses::<Publish>()
    }
}

/// Publishes a story.
#[derive(Deserialize, JsonSchema)]
struct Publish {
    title: String,
}

impl Tool for Publish {
    const NAME: &'static str = "publish";
    type Output = String;

    async fn call(self, _: &ToolContext<'_>) -> Result<String, ToolError> {
        Ok(format!("{} is published.", self.title))
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        Approval::Needed
    }
}

/// Who asks. Your app knows; here it is always the same one.
fn user() -> User {
    User("ada".to_owned())
}

async fn thread(engine: &AiEngine, id: &str) -> Result<AssistantThread, Error> {
    // What is no number is no thread.
    user().assistant_threads(engine).find(id.parse().unwrap_or_default()).await
}

async fn create(State(engine): State<AiEngine>) -> Result<String, Error> {
    Ok(user().assistant_threads(&engine).create().await?.id.to_string())
}

/// What `useChat` begins with.
async fn history(s: State<AiEngine>, id: Path<String>) -> Result<Json<Vec<UiMessage>>, Error> {
    let thread = thread(&s, &id).await?;
    Ok(Json(thread.ui_messages(&s, Page::default()).await?.items))
}

async fn chat(s: State<AiEngine>, Json(request): Json<ChatRequest>) -> Result<UiStream, Error> {
    let thread = thread(&s, &request.id).await?;
    if let Some(run) = decide(&s, request.decisions()).await? {
        let events = run.events(&s).resume(request.cursor().as_deref()).await?;
        return Ok(events.ui_message_stream());
    }
    if request.trigger == Trigger::RegenerateMessage {
        return regenerate(&s, &thread, &request).await;
    }
    let question = request.question()?;
    let asked = match request.edited()? {
        Some(id) => thread.edit(&s, &thread.messages(&s).find(id).await?, question),
        None => Teller(1).ai_engine_run(&s, &thread, question),
    };
    Ok(asked.stream().await?.ui_message_stream())
}

/// Another answer, in place of the one named or of the last one.
async fn regenerate(
    engine: &AiEngine,
    thread: &AssistantThread,
    request: &ChatRequest,
) -> Result<UiStream, Error> {
    let newest = || thread.runs(engine, Page::newest(1));
    let run = match request.run_id()? {
        Some(id) => user().find_run(engine, id).await?,
        None => newest().await?.pop().ok_or_else(|| Error::Host("nothing was asked".into()))?,
    };
    Ok(run.regenerate(engine).stream().await?.ui_message_stream())
}

/// The answer that is on its way, for a page that comes back.
async fn resume(s: State<AiEngine>, id: Path<String>) -> Result<Response, Error> {
    match thread(&s, &id).await?.active_run(&s).await? {
        Some(run) => Ok(run.events(&s).ui_message_stream().into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// The page's own `stop()` closes its connection, and the answer goes on.
async fn stop(s: State<AiEngine>, id: Path<String>) -> Result<(), Error> {
    thread(&s, &id).await?.cancel(&s).await.map(drop)
}

async fn ag_ui(
    s: State<AiEngine>,
    id: Path<String>,
    Json(request): Json<AgUiRequest>,
) -> Result<UiStream, Error> {
    let thread = thread(&s, &id).await?;
    let decided = decide(&s, request.decisions()).await?;
    if let Some(run) = decided.or(thread.active_run(&s).await?) {
        return Ok(run.events(&s).ag_ui_with_history(request.thread_id, request.run_id));
    }
    let asked = Teller(1).ai_engine_run(&s, &thread, request.question()?);
    Ok(asked.stream().await?.ag_ui(request.thread_id, request.run_id))
}

/// Decides, and returns the run that goes on.
async fn decide(engine: &AiEngine, decisions: Vec<(i64, Decision)>) -> Result<Option<Run>, Error> {
    let decided = user().tool_calls(engine).decide(decisions).await?;
    match decided.first() {
        Some(call) => Ok(Some(user().find_run(engine, call.run_id).await?)),
        None => Ok(None),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let setting = |name, usual: &str| env::var(name).unwrap_or_else(|_| usual.to_owned());
    let demo = FakeOpenAi::start().await?;
    let key = env::var_os("OPENAI_API_KEY");
    let engine = AiEngine::builder(SqliteDatabase::open(setting("DATABASE_URL", "chat.sqlite3"))?)
        .openai(if key.is_some() { OpenAi::from_env()? } else { demo.openai()? })
        .owner::<User>(|_conn, name| Ok(Some(User(name))))
        .tool::<Publish>()
        .lease(Duration::from_secs(5)) // after so long another process ends the answers of one that was killed
        .build()?;
    engine.start().await?;
    let app = Router::new()
        .route("/threads", post(create))
        .route("/api/chat", post(chat))
        .route("/api/chat/{id}", get(history))
        .route("/api/chat/{id}/stream", get(resume))
        .route("/api/chat/{id}/stop", post(stop))
        .route("/ag-ui/{id}", post(ag_ui))
        .with_state(engine.clone());
    let address = ("127.0.0.1", setting("PORT", "3000").parse()?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let ended = engine.shutdown_on_signal(Duration::from_secs(10));
    Ok(axum::serve(listener, app).with_graceful_shutdown(ended).await?)
}
