//! What a started engine does by itself, and what holds it up: nothing of anybody else's.

mod announcing;
mod closing;
mod deploy;
mod locks;
mod refusals;
mod stopping;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, AssistantThread, Run, prelude::*};

use crate::support::*;

/// Another process on the same database and provider, heard by the same hub.
fn beside<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, |builder| builder)
}

/// A run whose process died after the first word was stored: driven by an engine that nobody keeps, whose lease ends.
async fn dead<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Run {
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let process = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let run = host.teller.ai_engine_run(&process, thread, "Tell me").submit().await.unwrap();
    gate.reached().await;
    let stored = format!(
        "SELECT count(*) FROM ai_engine_messages WHERE run_id = {} AND content = 'Once '",
        run.id
    );
    until(|| host.db.number(&stored) == 1).await;
    // Its beats, which go on here, belong to a process that nobody knows.
    host.db
        .execute(&format!("UPDATE ai_engine_runs SET lease_owner = 'dead' WHERE id = {}", run.id));
    run
}

fn status<D: TestDatabase>(db: &D, run: i64) -> String {
    let sql = format!(
        "SELECT status || coalesce(' ' || reason, '') AS line FROM ai_engine_runs WHERE id = {run}"
    );
    db.texts(&sql).remove(0)
}
