//! Last hooks have one owner at a time, and nobody waits for them; nor for the provider.

use std::sync::Arc;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, OpenAi, RunStatus, prelude::*};
use tokio::sync::Semaphore;

use super::beside;
use crate::support::*;

on_each_database!(
    last_hooks_of_a_run_cancelled_while_it_waited_come_once,
    last_hooks_that_several_look_for_come_once,
    recovery_waits_neither_for_hooks_nor_for_the_provider,
);

/// Hooks that wait until they are let go.
fn hold<D>(host: &Host<D>) -> Arc<Semaphore> {
    let let_go = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&let_go);
    host.hub.behave(Manner::deed(move |_, _| {
        let waits = Arc::clone(&waits);
        async move {
            waits.acquire().await?.forget();
            Ok(())
        }
    }));
    let_go
}

async fn last_hooks_of_a_run_cancelled_while_it_waited_come_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let others = [beside(&host), beside(&host)];
    for other in &others {
        other.start().await.unwrap();
    }
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("1").hold_at(0, gate.clone()));
    let first = host.teller.ai_engine_run(&host.engine, &thread, "one").submit().await.unwrap();
    gate.reached().await;
    let second = host.teller.ai_engine_run(&host.engine, &thread, "two").when_busy(Busy::Queue);
    let second = second.submit().await.unwrap();
    let let_go = hold(&host);
    let (engine, run) = (host.engine.clone(), second.clone());
    let cancelling = tokio::spawn(async move { run.cancel(&engine).await });
    until(|| !host.hub.of_run(second.id).is_empty()).await;
    // Everybody looks meanwhile.
    for engine in others.iter().chain([&host.engine]) {
        engine.recover().await.unwrap();
        engine.recover().await.unwrap();
    }
    let_go.add_permits(1_000);
    assert_eq!(cancelling.await.unwrap().unwrap().status, RunStatus::Cancelled);
    gate.open();
    host.engine.answer(first.id).await.unwrap();
    until_announced(&host.db).await;
    assert_eq!(host.hub.of_run(second.id).len(), 1, "{:?}", host.hub.of_run(second.id));
}

async fn last_hooks_that_several_look_for_come_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    until_announced(&host.db).await;
    host.hub.forget();
    host.db.execute("UPDATE ai_engine_runs SET announced_at = NULL, lease_owner = 'dead'");
    let let_go = hold(&host);
    let engines = [beside(&host), beside(&host), beside(&host)];
    let looks = engines.iter().flat_map(|engine| [engine.recover(), engine.recover()]);
    for looked in futures_util::future::join_all(looks).await {
        looked.unwrap();
    }
    until(|| !host.hub.all().is_empty()).await;
    for engine in &engines {
        engine.recover().await.unwrap();
    }
    let_go.add_permits(1_000);
    until_announced(&host.db).await;
    assert_eq!(
        host.hub.of_run(answer.run.id).len(),
        2,
        "its message and its end: {:?}",
        host.hub.all()
    );
}

async fn recovery_waits_neither_for_hooks_nor_for_the_provider<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for _ in 0..5 {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    }
    until_announced(&host.db).await;
    host.db.execute("UPDATE ai_engine_runs SET announced_at = NULL, lease_owner = 'dead'");
    // A provider that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = OpenAi::builder().base_url(format!("http://{}/v1", silent.local_addr().unwrap()));
    let client = client.api_key("k").build().unwrap();
    for number in 0..4 {
        host.db.execute(&format!(
            "INSERT INTO ai_engine_remote_deletions (endpoint, protocol, kind, remote_id, created_at) \
             VALUES ('{}', 'responses', 'response', 'resp_{number}', '2026-01-01 00:00:00')",
            client.endpoint()
        ));
    }
    host.hub.forget();
    host.hub.behave(Manner::Hang);
    let builder = ai_engine::AiEngine::builder(host.db.database()).openai(client);
    let engine = D::owners(builder.state(host.hub.clone())).build().unwrap();
    // Hooks may take 10 s each, the provider two minutes for each try.
    let limit = std::time::Duration::from_secs(9);
    let recovered = tokio::time::timeout(limit, engine.start()).await.unwrap().unwrap();
    assert_eq!(recovered.announced, 5);
    let again = tokio::time::timeout(limit, engine.recover()).await.unwrap().unwrap();
    assert_eq!(again.announced, 0, "they are being delivered");
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_remote_deletions"), 4);
    // One at a time, and no other process is given it meanwhile.
    let tried = "SELECT count(*) FROM ai_engine_remote_deletions WHERE attempts > 0";
    until(|| host.db.number(tried) == 1).await;
    engine.shutdown(std::time::Duration::ZERO).await.unwrap();
}
