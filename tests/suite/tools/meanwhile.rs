//! Runs that wait for somebody: they cost next to nothing, and one that cannot go on keeps no other from it.

use futures_util::future::join_all;

use super::*;

on_each_database!(
    a_run_that_waits_costs_its_process_no_writes,
    calls_that_cannot_be_moved_keep_no_others,
    what_waits_for_other_providers_hides_nothing,
);

/// Also in a process that drives only what was submitted there, and so looks itself whether it may go on.
async fn a_run_that_waits_costs_its_process_no_writes<D: TestDatabase + Raw>(db: D) {
    let (host, done) = start(db).await;
    let openai = host.fake.openai().unwrap();
    let (engine, watched) = watched_with(&host, |builder| {
        let builder = builder.take_queued(false).openai(openai).state(host.hub.clone());
        builder.state(done).tool::<Open>()
    });
    let host = Host { engine, ..host };
    waiting(&host, &host.thread().await).await;
    until_heard(&host.db).await;
    watched.forget();
    until(|| watched.reads().len() > 8).await;
    let mut all = watched.statements();
    all.retain(|sql| ["INSERT", "UPDATE", "DELETE", "BEGIN"].iter().any(|word| sql.contains(word)));
    // Its lease ends.
    all.retain(|sql| !sql.contains("ai_engine_workers"));
    assert_eq!(all, [""; 0]);
}

/// The first one is as a later version might write it.
async fn calls_that_cannot_be_moved_keep_no_others<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let waits = async || {
        host.fake.reply(asks([("c", "open", json!({"door": 7}))]));
        ask(&host, &host.thread().await).await.unwrap().run.id
    };
    let (strange, known) = (waits().await, waits().await);
    until_heard(&host.db).await;
    host.db.execute(&format!(
        "UPDATE ai_engine_tool_calls SET decide_until = 1; \
         UPDATE ai_engine_runs SET recovery = 'tomorrow' WHERE id = {strange}",
    ));
    host.fake.reply(Reply::text("Shut."));
    let after = tooled(&host, &done);
    after.start().await.unwrap();
    assert_eq!(after.answer(known).await.unwrap().message().unwrap().content, "Shut.");
    let status = format!("SELECT status AS line FROM ai_engine_runs WHERE id = {strange}");
    assert_eq!(host.db.texts(&status), ["requires_action"]);
}

/// More of them than are looked at at once wait for the host's output in processes that have their provider.
async fn what_waits_for_other_providers_hides_nothing<D: TestDatabase>(db: D) {
    const OTHERS: usize = 100;
    let (host, done) = start(db).await;
    let without = engine(&host.db, &host.fake, &host.hub, |builder| builder);
    let waits = async || {
        let thread = host.thread().await;
        let request = host.teller.ai_engine_run(&without, &thread, "What is there?");
        request.definition(AssistantDefinition::uses::<Look>).await.unwrap().run
    };
    for _ in 0..=OTHERS {
        host.fake.reply(asks([("c", "look", json!({"room": "hall"}))]));
    }
    let runs = join_all((0..=OTHERS).map(|_| waits())).await;
    let last = runs.iter().map(|run| run.id).max().unwrap();
    let waiting = "SELECT count(*) FROM ai_engine_tool_calls WHERE status = 'awaiting_output'";
    assert_eq!(host.db.number(waiting), 101);
    host.db.execute(&format!("UPDATE ai_engine_runs SET provider = 'elsewhere' WHERE id < {last}"));
    host.fake.reply(Reply::text("A hall."));
    let after = tooled(&host, &done);
    after.recover().await.unwrap();
    assert_eq!(after.answer(last).await.unwrap().message().unwrap().content, "A hall.");
    assert_eq!(host.db.number(waiting), 100);
}
