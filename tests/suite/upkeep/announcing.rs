//! Last hooks have one owner at a time, and nobody waits for them; nor for the provider.

use std::sync::Arc;

use ai_engine::testing::Reply;
use ai_engine::{OpenAi, RunStatus, prelude::*};
use tokio::sync::Semaphore;

use super::beside;
use crate::support::*;

on_each_database!(
    last_hooks_of_a_run_cancelled_while_it_waited_come_once,
    recovery_waits_neither_for_hooks_nor_for_the_provider,
);

async fn last_hooks_of_a_run_cancelled_while_it_waited_come_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let go_on = Arc::new(Semaphore::new(0));
    let others = [beside(&host), beside(&host)];
    let waits = Arc::clone(&go_on);
    host.hub.behave(Manner::deed(move |_, heard| {
        let waits = Arc::clone(&waits);
        async move {
            if matches!(&heard, Heard::Run(run) if run.status == RunStatus::Cancelled) {
                waits.acquire().await?.forget();
            }
            Ok(())
        }
    }));
    for other in &others {
        other.start().await.unwrap();
    }
    for _ in 0..5 {
        // An engine nobody started: it alone knows of the run at first.
        let thread = host.thread().await;
        host.hub.forget();
        let run = submit_undriven(&host, &thread);
        let cancelled = run.cancel(&host.engine).await;
        // One of the others may have begun to drive it.
        let Ok(cancelled) = cancelled else { panic!("{cancelled:?}") };
        if cancelled.status == RunStatus::Cancelled {
            continue;
        }
        go_on.add_permits(1);
        until_announced(&host.db).await;
    }
    go_on.add_permits(100);
    until_announced(&host.db).await;

    // The hooks of one run that hang, and everybody who looks meanwhile.
    let thread = host.thread().await;
    let (begun, waits) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (began, wait) = (Arc::clone(&begun), Arc::clone(&waits));
    host.hub.behave(Manner::deed(move |_, _| {
        let (began, wait) = (Arc::clone(&began), Arc::clone(&wait));
        async move {
            began.add_permits(1);
            wait.acquire().await?.forget();
            Ok(())
        }
    }));
    host.hub.forget();
    let lonely = engine(&host.db, &host.fake, &host.hub, |builder| builder);
    let gate = ai_engine::testing::Gate::new();
    host.fake.reply(Reply::text("1").hold_at(0, gate.clone()));
    let first = host.teller.ai_engine_run(&lonely, &thread, "one").submit().await.unwrap();
    gate.reached().await;
    let second = host.teller.ai_engine_run(&lonely, &thread, "two");
    let second = second.when_busy(ai_engine::Busy::Queue).submit().await.unwrap();
    let cancelling = lonely.clone();
    let cancelling = tokio::spawn(async move { cancelling.cancel(second.id).await });
    // Those of the first run's beginning may be waiting as well.
    until(|| host.hub.of_run(second.id).len() == 1).await;
    for other in &others {
        other.recover().await.unwrap();
        other.recover().await.unwrap();
    }
    lonely.recover().await.unwrap();
    waits.add_permits(1_000);
    begun.acquire().await.unwrap().forget();
    assert_eq!(cancelling.await.unwrap().unwrap().status, RunStatus::Cancelled);
    gate.open();
    lonely.answer(first.id).await.unwrap();
    until_announced(&host.db).await;
    assert_eq!(host.hub.of_run(second.id).len(), 1, "{:?}", host.hub.of_run(second.id));
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
