//! What nobody waits for any more lets those pass that stand behind it in the line for the database.

use std::sync::mpsc;
use std::time::Duration;

use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{AiEngine, RunStatus, SqliteDatabase, prelude::*};
use futures_util::future::poll_immediate;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::*;

/// Far longer than anything here takes.
const NEVER: Duration = Duration::from_secs(20);

/// A transaction of the host's on the engine's connections, until the sender is dropped.
async fn hold(database: SqliteDatabase) -> (JoinHandle<ai_engine::Result<()>>, mpsc::Sender<()>) {
    let (entered, inside) = tokio::sync::oneshot::channel();
    let (leave, left) = mpsc::channel::<()>();
    let transaction = tokio::spawn(async move {
        let work = move |_: &mut diesel::SqliteConnection| {
            entered.send(()).unwrap();
            let _ = left.recv();
            Ok(())
        };
        database.transaction(work).await
    });
    inside.await.unwrap();
    (transaction, leave)
}

/// G13: SQLite has one writer at a time, so that a place in the line that nobody gives up would hold up all writes for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_in_line_for_the_database_holds_up_nobody() {
    let host = Host::new(Sqlite::fresh()).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    // Too long a history: it is asked again with less, after a note of that in the database.
    let gate = Gate::new();
    let too_long = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
    let refusal = Reply::status(400, too_long).hold_at(0, gate.clone());
    host.fake.intercept("POST", "/v1/responses", refusal);
    let run = host.teller.ai_engine_run(&host.engine, &thread, "And then?").submit().await.unwrap();
    gate.reached().await;

    let (transaction, leave) = hold(host.db.database()).await;
    gate.open();
    // Nothing shows that it stands in line, nor that it has heard of the stop. Too short a wait would only make the test easier.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let engine = host.engine.clone();
    let cancelled = tokio::spawn(async move { engine.cancel_run(run.id).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(leave);
    transaction.await.unwrap().unwrap();

    let cancelled = tokio::time::timeout(NEVER, cancelled).await.expect("the end waits for ever");
    assert_eq!(cancelled.unwrap().unwrap().status, RunStatus::Cancelled);
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Go on");
    let answer = tokio::time::timeout(NEVER, answer.into_future()).await.expect("nobody can write");
    assert_eq!(answer.unwrap().run.status, RunStatus::Completed);
}

/// G13: a host that reads events does something else in between, and the stream is not polled meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_polls_holds_up_nobody() {
    let database = SqliteDatabase::in_memory().unwrap();
    let fake = FakeOpenAi::start().await.unwrap();
    let client = fake.openai().unwrap();
    let engine = AiEngine::builder(database.clone())
        .openai(client)
        .owner::<User>(|_, id| Ok(Some(User { id, name: "Ada".to_owned() })))
        .build()
        .unwrap();
    engine.migrate().await.unwrap();
    let chat = User { id: 1, name: "Ada".to_owned() }.chats(&engine).create().await.unwrap();

    let (transaction, leave) = hold(database).await;
    let mut events = chat.events(&engine);
    let mut next = std::pin::pin!(events.next());
    // It stands first in line.
    assert!(poll_immediate(&mut next).await.is_none());
    let (asking, place) = (engine.clone(), chat.clone());
    let answered = tokio::spawn(async move {
        tokio::time::timeout(NEVER, place.run(&asking, "model", "Tell me").into_future()).await
    });
    drop(leave);
    transaction.await.unwrap().unwrap();

    let answer = answered.await.unwrap().expect("the stream keeps the connection");
    assert_eq!(answer.unwrap().run.status, RunStatus::Completed);
    assert!(next.await.unwrap().is_ok());
}
