//! G6: hooks are called after the commit, in order, coalesced; none can harm a run.

use std::sync::Arc;
use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Error, MessageStatus, Page, Role, RunStatus, prelude::*};
use tokio::sync::Notify;

use crate::support::*;

on_each_database!(
    a_failing_hook_loses_nothing,
    a_panicking_hook_loses_nothing,
    a_hanging_hook_is_dropped_and_the_answer_kept,
    a_slow_hook_hears_coalesced_text,
    a_message_is_heard_of_after_its_commit,
    a_host_message_is_heard_of,
    an_owner_that_is_gone_costs_no_answer,
    an_owner_type_without_loader_is_refused_before_anything_is_stored,
    a_replaced_text_is_told_as_such,
);

async fn completes_in_spite_of<D: TestDatabase>(db: D, manner: Manner) {
    let host = Host::new(db).await;
    host.hub.behave(manner);
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon a time."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(
        (answer.run.status, answer.text().as_str()),
        (RunStatus::Completed, "Once upon a time.")
    );
    assert_eq!(host.hub.settled(), answer.messages, "the last update was still delivered");
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NOT NULL"),
        1
    );
}

async fn a_failing_hook_loses_nothing<D: TestDatabase>(db: D) {
    completes_in_spite_of(db, Manner::Fail).await;
}

async fn a_panicking_hook_loses_nothing<D: TestDatabase>(db: D) {
    completes_in_spite_of(db, Manner::Panic).await;
}

async fn a_hanging_hook_is_dropped_and_the_answer_kept<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.hook_timeout(Duration::from_millis(20))).await;
    host.hub.behave(Manner::Hang);
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon a time."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "Once upon a time.");
    assert_eq!(host.hub.settled(), answer.messages, "the last update was still delivered");
}

async fn a_slow_hook_hears_coalesced_text<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let go_on = Arc::new(Notify::new());
    host.hub.behave(Manner::Wait(Arc::clone(&go_on)));
    let thread = host.thread().await;
    let last = Gate::new();
    // Events 4 … 8 are the deltas; the hook sits in its first update while the others arrive.
    host.fake.reply(Reply::deltas(["a", "b", "c", "d", "e"]).hold_at(5, last.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("a").await;
    last.open();
    let mut events = 0;
    while host.engine.run(run.id).await.unwrap().status != RunStatus::Completed {
        tokio::task::yield_now().await;
        events += 1;
        assert!(events < 1_000_000, "a slow hook held the run up");
    }
    host.hub.behave(Manner::Listen);
    go_on.notify_one();
    host.engine.answer(run.id).await.unwrap();
    assert_eq!(host.hub.appended(), "abcde");
    let updates =
        host.hub.all().into_iter().filter(|heard| matches!(heard, Heard::Updated { .. })).count();
    assert_eq!(updates, 3, "first text, the rest in one, the settled message");
}

async fn a_message_is_heard_of_after_its_commit<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub
        .until(|heard| matches!(heard, Heard::Created(message) if message.role == Role::Assistant))
        .await;
    let sql = "SELECT content AS line FROM ai_engine_messages WHERE role = 'assistant' AND status = 'streaming'";
    assert_eq!(host.db.texts(sql), ["Once "], "the row is there, and not blank");
    let listed = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(listed[1].content, "Once ");
    gate.open();
    host.engine.answer(run.id).await.unwrap();
}

async fn a_host_message_is_heard_of<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let message = thread.messages(&host.engine).create(Role::System, "Be brief.").await.unwrap();
    let heard = host.hub.all();
    assert!(matches!(&heard[..], [Heard::Created(created)] if *created == message), "{heard:?}");
}

async fn an_owner_that_is_gone_costs_no_answer<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.db.execute("DELETE FROM users");
    host.fake.reply(Reply::text("Once."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "Once.");
    assert!(host.hub.all().is_empty());
}

struct Stranger;
ai_engine::record! { Stranger { id: i32 } as "Stranger" }
impl std::ops::Deref for Stranger {
    type Target = StrangerId;
    fn deref(&self) -> &StrangerId {
        &StrangerId { id: 3 }
    }
}
struct StrangerId {
    id: i32,
}
impl MessageHooks for Stranger {}
impl Threadable for Stranger {}
impl Chattable for Stranger {}

async fn an_owner_type_without_loader_is_refused_before_anything_is_stored<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let refused = Stranger.assistant_threads(&host.engine).create().await.unwrap_err();
    assert!(matches!(&refused, Error::NoLoader(kind) if kind == "Stranger"));
    assert!(refused.to_string().contains(".owner::<"), "{refused}");
    assert!(matches!(Stranger.chats(&host.engine).create().await, Err(Error::NoLoader(_))));
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_assistant_threads"), 0);

    // A thread from an engine that knew the type: nothing is stored for a run either.
    let thread = host.thread().await;
    host.db.execute("UPDATE ai_engine_assistant_threads SET threadable_type = 'Stranger'");
    let refused =
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap_err();
    assert!(matches!(refused, Error::NoLoader(_)));
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
}

async fn a_replaced_text_is_told_as_such<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake
        .reply(Reply::deltas(["Onec ", "upon"]).final_text("Once upon").hold_at(6, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Onec ").await;
    gate.open();
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!(answer.text(), "Once upon");
    let last =
        host.hub.all().into_iter().rev().find(|heard| matches!(heard, Heard::Updated { .. }));
    let Some(Heard::Updated { message, appended, replaced }) = last else { panic!("no update") };
    assert_eq!((message.content.as_str(), message.status), ("Once upon", MessageStatus::Completed));
    assert!(replaced && appended.is_empty());
}
