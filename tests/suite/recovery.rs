//! G2, G3, G5: what a killed process leaves, and what recovery makes of it. Processes are really killed.

use std::time::Duration;

use std::process::{Child, Command, Stdio};

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, MessageStatus, OpenAi, RunStatus, prelude::*};

use crate::support::*;

on_each_database!(
    a_killed_run_is_settled_with_the_text_it_stored,
    a_run_whose_lease_holds_is_left_alone,
    a_quick_restart_looks_a_second_time,
    a_queued_run_that_nobody_drives_is_driven,
    last_hooks_that_were_not_delivered_are,
    a_kill_between_the_end_and_its_hooks_loses_none,
    a_process_that_lost_its_run_changes_nothing,
    a_second_active_run_is_impossible,
    an_engine_without_a_provider_leaves_queued_runs_alone,
    a_run_this_process_gave_up_is_recovered_by_it,
    hooks_that_cannot_be_loaded_stay_to_be_delivered,
    a_cancelled_queued_run_is_announced,
    a_cancellation_waits_for_no_hook,
    all_that_waits_is_driven_a_few_at_a_time,
    an_answer_the_provider_finished_after_the_kill_is_not_sent_again,
);

/// Another process: this test binary again, driving one run on the same database and provider.
fn another_process<D: TestDatabase>(host: &Host<D>, thread: i64) -> Killed {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recovery::drive_one_run", "--ignored", "--nocapture"])
        .env("CHILD_DATABASE", host.db.url())
        .env("CHILD_PROVIDER", host.fake.base_url())
        .env("CHILD_THREAD", thread.to_string())
        .env("CHILD_HISTORY", if host.conversing { "conversation" } else { "local" })
        .env("CHILD_HOOKS", if host.hub.hangs() { "hang" } else { "listen" })
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Killed(child)
}

struct Killed(Child);

impl Killed {
    /// SIGKILL: no destructor runs.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "the other process of the tests here"]
fn drive_one_run() {
    let url = std::env::var("CHILD_DATABASE").unwrap();
    let history = std::env::var("CHILD_HISTORY").unwrap().parse().unwrap();
    let client = OpenAi::builder()
        .api_key("k")
        .base_url(std::env::var("CHILD_PROVIDER").unwrap())
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        #[cfg(feature = "postgres")]
        if url.starts_with("postgres") {
            let database = ai_engine::PgDatabase::connect(url).unwrap();
            return drive(engine_of_the_child::<Postgres>(database, client, history)).await;
        }
        let database = ai_engine::SqliteDatabase::open(url).unwrap();
        drive(engine_of_the_child::<Sqlite>(database, client, history)).await;
    });
}

fn engine_of_the_child<D: TestDatabase>(
    database: D::Database,
    client: OpenAi,
    history: ai_engine::History,
) -> AiEngine {
    let builder = D::owners(AiEngine::builder(database)).openai(client).history(history);
    let hub = Hub::default();
    if std::env::var("CHILD_HOOKS").unwrap() == "hang" {
        hub.behave(Manner::Hang);
    }
    builder.state(hub).build().unwrap()
}

async fn drive(engine: AiEngine) {
    let thread = std::env::var("CHILD_THREAD").unwrap().parse().unwrap();
    let user = User { id: 1, name: "Ada".to_owned() };
    let teller =
        Storyteller { id: 7, name: "Scheherazade".to_owned(), model: "test-model".to_owned() };
    let thread = user.assistant_threads(&engine).find(thread).await.unwrap();
    let _ = teller.ai_engine_run(&engine, &thread, "Tell me").await;
}

const STORED: &str = "SELECT content || coalesce((SELECT max(text) FROM ai_engine_message_deltas), '') AS line \
     FROM ai_engine_messages WHERE role = 'assistant'";
const END_LEASES: &str = "UPDATE ai_engine_workers SET lease_ends_at = 0";

/// Waits for the other process's writes by asking the database; nothing else can tell.
async fn until_stored<D: TestDatabase>(host: &Host<D>, text: &str) {
    while host.db.texts(STORED) != [text] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn a_killed_run_is_settled_with_the_text_it_stored<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    let reply = Reply::deltas(["Once ", "upon ", "a time"]);
    host.fake.reply(reply.hold_at(5, gate.clone()).stall_at(6));
    let mut process = another_process(&host, thread.id);
    gate.reached().await;
    until_stored(&host, "Once ").await;
    gate.open();
    until_stored(&host, "Once upon ").await;
    process.kill();
    host.db.execute(END_LEASES);

    let recovered = host.engine.recover().await.unwrap();
    assert_eq!((recovered.settled, recovered.announced), (1, 1));
    let run = thread.runs(&host.engine, ai_engine::Page::default()).await.unwrap().remove(0);
    assert_eq!((run.status, run.reason.as_deref()), (RunStatus::Incomplete, Some("interrupted")));
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!(answer.text(), "Once upon ");
    assert_eq!(answer.message().unwrap().status, MessageStatus::Incomplete);
    // G18: nobody reported it, so it is estimated by what was noted before the call, and by the text.
    let usage = answer.run.usage;
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (11, 3, true));
    assert_eq!(answer.message().unwrap().usage, usage);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
    until_announced(&host.db).await;
    assert_eq!(host.hub.settled(), answer.messages, "the owner hears of it");
    assert_eq!(host.engine.recover().await.unwrap(), ai_engine::Recovered::default(), "once");
    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
}

async fn a_run_whose_lease_holds_is_left_alone<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;

    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    assert_eq!(other.recover().await.unwrap(), ai_engine::Recovered::default());
    // A laptop's sleep ends every lease: the process that drives the run leaves it alone all the same.
    host.db.execute(END_LEASES);
    assert_eq!(host.engine.recover().await.unwrap(), ai_engine::Recovered::default());
    gate.open();
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "Once upon");
}

async fn a_quick_restart_looks_a_second_time<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.lease(Duration::from_secs(1))).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    // Another process drove it and died just now: its lease still holds.
    host.db.execute(
        "UPDATE ai_engine_runs SET status = 'in_progress', announced_at = NULL, lease_owner = 'dead';
         INSERT INTO ai_engine_workers (id, started_at, lease_ends_at)
         SELECT 'dead', 0, lease_ends_at FROM ai_engine_workers",
    );
    host.hub.forget();
    host.engine.recover().await.unwrap();
    host.hub.until(|heard| matches!(heard, Heard::Run(run) if run.id == answer.run.id)).await;
    assert_eq!(host.engine.find_run(answer.run.id).await.unwrap().status, RunStatus::Incomplete);
}

async fn a_queued_run_that_nobody_drives_is_driven<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = submit_undriven(&host, &thread);
    assert_eq!(host.engine.find_run(run.id).await.unwrap().status, RunStatus::Queued);
    assert_eq!(host.engine.recover().await.unwrap().driven, 1);
    assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
}

async fn last_hooks_that_were_not_delivered_are<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.hub.forget();
    assert_eq!(host.engine.recover().await.unwrap().announced, 0);
    // As if the process had died between the commit and the hooks.
    host.db.execute("UPDATE ai_engine_runs SET announced_at = NULL");
    host.db.execute(END_LEASES);
    assert_eq!(host.engine.recover().await.unwrap().announced, 1);
    until_announced(&host.db).await;
    assert_eq!(host.hub.story(), ["message completed", "run completed"]);
    assert_eq!(host.hub.settled(), answer.messages);
}

/// The process sits in a hook when the end is committed, and is killed there.
async fn a_kill_between_the_end_and_its_hooks_loses_none<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon a time."));
    host.hub.behave(Manner::Hang);
    let mut process = another_process(&host, thread.id);
    host.hub.behave(Manner::Listen);
    while host.db.texts("SELECT status AS line FROM ai_engine_runs") != ["completed"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.kill();
    assert_eq!(host.db.number("SELECT count(announced_at) FROM ai_engine_runs"), 0);
    host.db.execute(END_LEASES);
    let recovered = host.engine.recover().await.unwrap();
    assert_eq!((recovered.settled, recovered.announced), (0, 1));
    until_announced(&host.db).await;
    assert_eq!(host.hub.story(), ["message completed", "run completed"]);
    assert_eq!(host.hub.settled()[0].content, "Once upon a time.");
    assert_eq!(host.engine.recover().await.unwrap(), ai_engine::Recovered::default(), "once");
}

async fn a_process_that_lost_its_run_changes_nothing<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    host.db.execute(END_LEASES);
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    assert_eq!(other.recover().await.unwrap().settled, 1);
    let left =
        || host.db.texts("SELECT status || content AS line FROM ai_engine_messages ORDER BY id");
    let before = left();
    // The first process wakes up and goes on writing: text, then the end.
    gate.open();
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Incomplete, "Once "));
    assert_eq!(left(), before);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
}

async fn an_engine_without_a_provider_leaves_queued_runs_alone<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = submit_undriven(&host, &thread);
    let reader = D::owners(AiEngine::builder(host.db.database())).build().unwrap();
    assert_eq!(reader.recover().await.unwrap(), ai_engine::Recovered::default());
    assert_eq!(host.engine.find_run(run.id).await.unwrap().status, RunStatus::Queued);
    assert_eq!(host.engine.recover().await.unwrap().driven, 1);
    host.engine.answer(run.id).await.unwrap();
}

async fn a_run_this_process_gave_up_is_recovered_by_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    // As if its task had ended without an end for the run; the process lives, and so does its lease.
    host.db.execute("UPDATE ai_engine_runs SET status = 'in_progress', announced_at = NULL");
    assert_eq!(host.engine.recover().await.unwrap().settled, 1);
    assert_eq!(host.engine.find_run(answer.run.id).await.unwrap().status, RunStatus::Incomplete);
}

async fn hooks_that_cannot_be_loaded_stay_to_be_delivered<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.db.execute("UPDATE ai_engine_runs SET announced_at = NULL");
    host.db.execute(END_LEASES);
    let client = host.fake.openai().unwrap();
    let stranger = AiEngine::builder(host.db.database()).openai(client).build().unwrap();
    assert_eq!(stranger.recover().await.unwrap().announced, 0);
    assert_eq!(host.engine.recover().await.unwrap().announced, 1);
}

async fn a_cancelled_queued_run_is_announced<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = submit_undriven(&host, &thread);
    assert_eq!(run.cancel(&host.engine).await.unwrap().status, RunStatus::Cancelled);
    until_announced(&host.db).await;
    assert_eq!(host.hub.story(), ["run cancelled"]);
    assert_eq!(host.engine.recover().await.unwrap(), ai_engine::Recovered::default());
}

/// Whoever presses stop does not wait for what others do about it.
async fn a_cancellation_waits_for_no_hook<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.hub.behave(Manner::deed(|_, _| std::future::pending()));
    let thread = host.thread().await;
    let run = submit_undriven(&host, &thread);
    let cancelled = tokio::time::timeout(Duration::from_secs(8), run.cancel(&host.engine));
    let cancelled = cancelled.await.expect("it waits for the hook, which has 10 s").unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled);
}

/// More than are taken at once, by an engine that was never started.
async fn all_that_waits_is_driven_a_few_at_a_time<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let mut runs = Vec::new();
    for _ in 0..12 {
        let thread = host.thread().await;
        runs.push(submit_undriven(&host, &thread));
    }
    assert_eq!(host.engine.recover().await.unwrap().driven, 8);
    for run in runs {
        assert_eq!(host.engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
    }
}

/// G4's backstop: the database itself refuses.
async fn a_second_active_run_is_impossible<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "one").await.unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "two").await.unwrap();
    let activate = "UPDATE ai_engine_runs SET status = 'in_progress'";
    let refused = host.db.with(|conn| conn.try_execute(activate));
    assert!(refused.is_err());
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs WHERE status = 'completed'"), 2);
}

async fn an_answer_the_provider_finished_after_the_kill_is_not_sent_again<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    let reply = Reply::deltas(["Once ", "upon ", "a time"]).hold_at(5, gate.clone());
    host.fake.reply(reply.finish_unseen());
    let mut process = another_process(&host, thread.id);
    gate.reached().await;
    until_stored(&host, "Once ").await;
    process.kill();
    // Before the gate opens: the rest might be written before the service sees that nobody reads it.
    host.fake.disconnected(1).await;
    gate.open();
    host.db.execute(END_LEASES);
    assert_eq!(host.engine.recover().await.unwrap().settled, 1);

    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    let items = host.fake.conversation_items(&thread.remote_id.unwrap()).unwrap();
    assert_eq!(items.len(), 4, "nothing twice: {items:?}");
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_messages WHERE remote_state = 'held'"),
        4
    );
}
