//! A web app: two users, their threads, and answers that appear word by word and outlive tabs, restarts and kills.
//!
//! `cargo run --example web`, then open <http://127.0.0.1:3000>; `web.html` is the page. Settings: `PORT`, and those of the
//! quickstart (`DATABASE_URL`, `OPENAI_API_KEY`, …). Without a key an in-process demo model answers.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::{env, time::Duration};

use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, BoxError, Cursor, Error, OpenAi, Page, Run,
    SqliteDatabase, prelude::*, testing::FakeOpenAi,
};
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{
    Json, Router,
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

struct User(String);
struct Teller(i32);
ai_engine::record! { User(String) as "User", Teller(i32) as "Teller" }

impl MessageHooks for User {}
impl Threadable for User {}
impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(model()).instructions("You tell short stories.")
    }
}

fn model() -> String {
    env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-6-luna".to_owned())
}

/// Who asks. Here everybody is whoever he says he is; your app knows better.
impl FromRequestParts<AiEngine> for User {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &AiEngine) -> Result<Self, Problem> {
        let cookie = parts.headers.get(header::COOKIE).and_then(|cookie| cookie.to_str().ok());
        let name = cookie.and_then(|cookie| cookie.strip_prefix("user="));
        let known = name.filter(|name| ["ada", "bob"].contains(name));
        known.map(|name| Self(name.to_owned())).ok_or(Problem(401, "Say who you are."))
    }
}

/// The thread that the path names, if it is the user's: no handler finds another one.
struct Thread(AssistantThread);
impl FromRequestParts<AiEngine> for Thread {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, engine: &AiEngine) -> Result<Self, Problem> {
        let user = User::from_request_parts(parts, engine).await?;
        let Ok(Path(id)) = Path::from_request_parts(parts, engine).await else {
            return Err(Problem(404, "There is no such page."));
        };
        Ok(Self(user.assistant_threads(engine).find(id).await?))
    }
}

async fn threads(State(engine): State<AiEngine>, user: User) -> Answer<Value> {
    let recent = user.assistant_threads(&engine).recent(Page::default()).await?;
    Ok(Json(json!({"user": user.0, "threads": recent.items})))
}

async fn create(State(engine): State<AiEngine>, user: User) -> Answer<AssistantThread> {
    Ok(Json(user.assistant_threads(&engine).create().await?))
}

/// The newest turns, with what became of each, and the place from which the events go on.
async fn turns(State(engine): State<AiEngine>, thread: Thread) -> Answer<Value> {
    let turns = thread.0.turns(&engine, Page::default()).await?.items;
    let last = turns.last().and_then(|turn| turn.messages.last());
    let after = last.map(|last| Cursor::after(last).to_string());
    Ok(Json(json!({"turns": turns, "after": after})))
}

async fn ask(engine: State<AiEngine>, thread: Thread, question: String) -> Answer<Run> {
    let request = Teller(1).ai_engine_run(&engine, &thread.0, question);
    Ok(Json(request.submit().await?))
}

async fn stop(State(engine): State<AiEngine>, thread: Thread) -> Answer<Option<Run>> {
    Ok(Json(thread.0.cancel(&engine).await?))
}

/// Asks the last question again; its turn takes the place of the one before.
async fn retry(State(engine): State<AiEngine>, thread: Thread) -> Answer<Run> {
    let last = thread.0.runs(&engine, Page::newest(1)).await?.pop();
    let last = last.ok_or(Problem(404, "There is nothing to ask again."))?;
    Ok(Json(last.regenerate(&engine).submit().await?))
}

/// All that happens on the thread, behind what the browser has: `Last-Event-ID` when it comes back, `after` when it comes.
async fn events(
    State(engine): State<AiEngine>,
    thread: Thread,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, BoxError>>>, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.or(query.as_deref().and_then(|query| query.strip_prefix("after=")));
    let events = thread.0.events(&engine).resume(last).await?.map(|event| {
        let event = event?;
        let data = serde_json::to_string(&event)?;
        Ok(Event::default().id(event.cursor.to_string()).event(event.name()).data(data))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

type Answer<T> = Result<Json<T>, Problem>;
struct Problem(u16, &'static str);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        eprintln!("{error}");
        let words = match &error {
            Error::Busy { .. } => "An answer is being written: wait for it, or stop it.",
            Error::NotFound { .. } => "You have no such thread.",
            Error::Invalid { .. } => "That cannot be asked.",
            _ => "Not now; please try again.",
        };
        Self(error.http_status(), words)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (StatusCode::from_u16(self.0).unwrap_or_default(), self.1).into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let setting = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let key = setting("OPENAI_API_KEY").or_else(|| setting("OPENAI_ACCESS_TOKEN"));
    let (openai, _demo) = if key.is_some() {
        (OpenAi::from_env()?, None)
    } else {
        println!("(no OPENAI_API_KEY: a demo model in this process answers)");
        let demo = FakeOpenAi::start().await?;
        (demo.openai()?, Some(demo))
    };
    let path = setting("DATABASE_URL").unwrap_or_else(|| "web.sqlite3".to_owned());
    let engine = AiEngine::builder(SqliteDatabase::open(&path)?)
        .openai(openai)
        .owner::<User>(|_conn, name| Ok(Some(User(name))))
        .titles(AssistantDefinition::new(model()))
        .lease(Duration::from_secs(5)) // after so long another process ends the answers of one that was killed
        .build()?;
    engine.start().await?;

    let signed_in = |Path(name): Path<String>| async move {
        let cookie = format!("user={name}; Path=/; HttpOnly; SameSite=Strict");
        ([(header::SET_COOKIE, cookie)], Redirect::to("/"))
    };
    let app = Router::new()
        .route("/", get(Html(include_str!("web.html"))))
        .route("/as/{name}", get(signed_in))
        .route("/threads", get(threads).post(create))
        .route("/threads/{id}", get(turns).post(ask))
        .route("/threads/{id}/stop", post(stop))
        .route("/threads/{id}/retry", post(retry))
        .route("/threads/{id}/events", get(events))
        .with_state(engine.clone());
    let port = setting("PORT").unwrap_or_else(|| "3000".to_owned()).parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    let until_ctrl_c = async move {
        let _ = tokio::signal::ctrl_c().await;
        let _ = engine.shutdown(Duration::from_secs(10)).await;
    };
    Ok(axum::serve(listener, app).with_graceful_shutdown(until_ctrl_c).await?)
}
