//! A web app: two users, their threads, answers that appear word by word and outlive tabs, restarts and kills.
//! `cargo run --example web`, then open <http://127.0.0.1:3000>; `web.html` is the page. Settings: `PORT`, and those of the
//! quickstart (`DATABASE_URL`, `OPENAI_API_KEY`, …). Without a key an in-process demo model answers.
#![allow(missing_docs, clippy::print_stdout, reason = "a program")]

use std::{env, time::Duration};

use ai_engine::{AiEngine, AssistantDefinition, BoxError, OpenAi, Page, SqliteDatabase};
use ai_engine::{Sse, axum::LastEventId, prelude::*, testing::FakeOpenAi};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{Html, Result};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

struct User(String);
struct Teller(i32);
ai_engine::record! { User(String) as "User", Teller(i32) as "Teller" }

impl MessageHooks for User {}
impl Threadable for User {}
impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        let model = env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-6-luna".to_owned());
        AssistantDefinition::new(model).instructions("You tell short stories.")
    }
}

/// Who asks. Here everybody is whoever he says he is; your app knows better.
impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = StatusCode;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let cookie = parts.headers.get(header::COOKIE).and_then(|cookie| cookie.to_str().ok());
        let name = cookie.and_then(|cookie| cookie.strip_prefix("user="));
        let known = name.filter(|name| ["ada", "bob"].contains(name));
        known.map(|name| Self(name.to_owned())).ok_or(StatusCode::UNAUTHORIZED)
    }
}

async fn threads(State(engine): State<AiEngine>, user: User) -> Result<Json<Value>> {
    let recent = user.assistant_threads(&engine).recent(Page::default()).await?;
    Ok(Json(json!({"user": user.0, "threads": recent.items})))
}

async fn create(State(engine): State<AiEngine>, user: User) -> Result<Json<Value>> {
    Ok(Json(json!(user.assistant_threads(&engine).create().await?)))
}

/// The newest turns, with what became of each, and the place from which the events go on.
async fn turns(State(engine): State<AiEngine>, user: User, id: Path<i64>) -> Result<Json<Value>> {
    let thread = user.assistant_threads(&engine).find(*id).await?;
    let turns = thread.turns(&engine, Page::default()).await?;
    Ok(Json(json!({"after": turns.follow().map(|place| place.to_string()), "turns": turns.items})))
}

async fn events(s: State<AiEngine>, user: User, id: Path<i64>, last: LastEventId) -> Result<Sse> {
    let thread = user.assistant_threads(&s).find(*id).await?;
    Ok(thread.events(&s).resume(last.as_deref()).await?.sse())
}

/// What a user does with a thread, or with a message or run of it.
async fn act(
    s: State<AiEngine>,
    user: User,
    Path((id, verb, on)): Path<(i64, String, i64)>,
    text: String,
) -> Result<Json<Value>> {
    let thread = user.assistant_threads(&s).find(id).await?;
    let (run, message) = (user.find_run(&s, on), thread.messages(&s));
    Ok(Json(match verb.as_str() {
        "ask" => json!(Teller(1).ai_engine_run(&s, &thread, text).submit().await?),
        "stop" => json!(thread.cancel(&s).await?),
        "rename" => json!(thread.rename(&s, text).await?),
        "retry" => json!(run.await?.retry(&s).submit().await?),
        "regenerate" => json!(run.await?.regenerate(&s).submit().await?),
        "choose" => json!(thread.choose(&s, &run.await?).await?),
        "edit" => json!(thread.edit(&s, &message.find(on).await?, text).submit().await?),
        "fork" => json!(thread.fork_at(&s, &message.find(on).await?).await?),
        _ => return Err(StatusCode::NOT_FOUND.into()),
    }))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let setting = |name, usual: &str| env::var(name).unwrap_or_else(|_| usual.to_owned());
    let demo = FakeOpenAi::start().await?;
    let key = env::var_os("OPENAI_API_KEY");
    let engine = AiEngine::builder(SqliteDatabase::open(setting("DATABASE_URL", "web.sqlite3"))?)
        .openai(if key.is_some() { OpenAi::from_env()? } else { demo.openai()? })
        .owner::<User>(|_conn, name| Ok(Some(User(name))))
        .titles(Teller(1).ai_engine_assistant())
        .lease(Duration::from_secs(5)) // after so long another process ends the answers of one that was killed
        .build()?;
    engine.start().await?;
    let app = Router::new()
        .route("/", get(Html(include_str!("web.html"))))
        .route("/threads", get(threads).post(create))
        .route("/threads/{id}", get(turns))
        .route("/threads/{id}/events", get(events))
        .route("/threads/{id}/{verb}/{on}", post(act))
        .with_state(engine.clone());
    let address = ("127.0.0.1", setting("PORT", "3000").parse()?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let ended = engine.shutdown_on_signal(Duration::from_secs(10));
    Ok(axum::serve(listener, app).with_graceful_shutdown(ended).await?)
}
