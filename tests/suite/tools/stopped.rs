//! A run that is stopped in the middle of a commit: what was stored stays as it is, and everybody sees it.

use std::future::poll_fn;
use std::task::Poll;

use ai_engine::{AiEngine, EventKind, Run, RunEvents};

use super::*;

/// A host whose model asks for that tool, and what lets it end.
async fn holding(db: Postgres) -> (Host<Postgres>, Arc<Notify>) {
    let held = Arc::new(Notify::new());
    let state = Arc::clone(&held);
    let host = Host::with(db, |builder| builder.state(state).tool::<Hold>()).await;
    host.fake.reply(asks([("h", "hold", json!({}))]).usage(7, 3));
    (host, held)
}

async fn submit(host: &Host<Postgres>) -> Run {
    let thread = host.thread().await;
    let request = host.teller.ai_engine_run(&host.engine, &thread, "What is there?");
    request.definition(AssistantDefinition::uses::<Hold>).submit().await.unwrap()
}

/// Stops a run while its transaction waits for this lock, and lets go of it then.
async fn stop_amid(engine: &AiEngine, db: &Postgres, run: &Run, lock: Held) -> Run {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(|| db.number(waits) == 1).await;
    let mut stopping = Box::pin(engine.cancel_run(run.id));
    // It is told to stop from here on.
    let is_told = poll_fn(|cx| Poll::Ready(stopping.as_mut().poll(cx).is_pending())).await;
    assert!(is_told, "it has ended already");
    tokio::task::block_in_place(|| drop(lock));
    stopping.await.unwrap()
}

/// How the calls of a run ended, as a reader is told until the run has.
async fn ends(mut events: RunEvents) -> Vec<ToolCallStatus> {
    let mut ends = Vec::new();
    while let Some(event) = events.next().await {
        if let EventKind::ToolCall { call, .. } = event.unwrap().kind
            && call.status.is_terminal()
        {
            ends.push(call.status);
        }
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_is_stored_once_whoever_stops_the_run_meanwhile() {
    on_postgres(|db| async {
        let (host, _) = holding(db).await;
        let lock = Held::new(&host.db, "LOCK TABLE ai_engine_tool_calls IN SHARE MODE".to_owned());
        let run = submit(&host).await;
        let run = stop_amid(&host.engine, &host.db, &run, lock).await;
        assert_eq!((run.status, run.reason), (RunStatus::Cancelled, None), "{:?}", run.error);
        let spent = (run.usage.input_tokens, run.usage.output_tokens, run.usage.estimated);
        assert_eq!(spent, (7, 3, false));
        let said = "SELECT content || ' ' || status AS line FROM ai_engine_messages WHERE role = 'assistant'";
        assert_eq!(host.db.texts(said), ["Let me see. completed"]);
        assert_eq!(calls(&host), ["h cancelled 0"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_an_output_that_was_stored_whoever_stops_the_run_meanwhile() {
    on_postgres(|db| async {
        let (host, held) = holding(db).await;
        let run = submit(&host).await;
        until(|| calls(&host) == ["h running 1"]).await;
        let events = run.events(&host.engine);
        let lock = Held::new(&host.db, "LOCK TABLE ai_engine_run_items IN SHARE MODE".to_owned());
        held.notify_one();
        let run = stop_amid(&host.engine, &host.db, &run, lock).await;
        assert_eq!(run.status, RunStatus::Cancelled, "{:?}", run.error);
        assert_eq!(calls(&host), ["h completed 1"]);
        assert_eq!(ends(events).await, [ToolCallStatus::Completed]);
    })
    .await;
}
