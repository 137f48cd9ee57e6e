//! Where a page says that it goes on.

use std::time::Duration;

use ai_engine::testing::Gate;
use ai_engine::{Error, Role};

use super::*;

on_each_database!(
    a_place_behind_the_run_is_told_its_end,
    there_is_no_place_behind_a_run_that_goes_on,
    a_place_before_the_run_is_its_beginning,
    a_call_is_cancelled_while_a_page_is_asked,
    a_long_history_is_told_whole_and_in_its_order,
);

/// A page may send any place of its thread: it is answered, and its body ends.
async fn a_place_behind_the_run_is_told_its_end<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(Reply::text("Once."));
    let run = ask(&host, &thread).await;
    host.engine.answer(run.id).await.unwrap();
    host.fake.reply(Reply::text("And then."));
    let next = ask(&host, &thread).await;
    host.engine.answer(next.id).await.unwrap();
    for place in [run.seq, next.seq] {
        let place = format!("t{}.{place}", thread.id);
        let events = || async { run.events(&host.engine).resume(Some(&place)).await.unwrap() };
        let minute = Duration::from_mins(1);
        let told = tokio::time::timeout(minute, read(events().await.ui_message_stream())).await;
        assert_eq!(kinds(&told.unwrap()), ["start", "finish", "[DONE]"], "{place}");
        let told = tokio::time::timeout(minute, read(events().await.ag_ui("page", "run"))).await;
        assert_eq!(kinds(&told.unwrap()), ["RUN_STARTED", "RUN_FINISHED"], "{place}");
    }
}

/// A page that says otherwise would have us look for its run's end all the time.
async fn there_is_no_place_behind_a_run_that_goes_on<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("Once.").hold_at(0, gate.clone()));
    let run = ask(&host, &thread).await;
    gate.reached().await;
    let place = format!("t{}.{}", thread.id, run.seq);
    let refused = run.events(&host.engine).resume(Some(&place)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    gate.open();
    host.engine.answer(run.id).await.unwrap();
    run.events(&host.engine).resume(Some(&place)).await.unwrap();
}

/// The place may be one of an answer that waited before.
async fn a_place_before_the_run_is_its_beginning<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(opens(12));
    let first = ask(&host, &thread).await;
    drop(read(first.events(&host.engine).ui_message_stream()).await);
    let shown = thread.ui_messages(&host.engine, Page::default()).await.unwrap().items;
    let place = shown.last().unwrap().metadata.as_ref().unwrap()["cursor"].clone();
    thread.cancel(&host.engine).await.unwrap();
    host.fake.reply(opens(7));
    host.fake.reply(Reply::text("It is open."));
    let run = ask(&host, &thread).await;
    host.engine.answer(run.id).await.unwrap();
    let events = run.events(&host.engine).resume(place.as_str()).await.unwrap();
    let told = read(events.ui_message_stream()).await;
    let whole = read(run.events(&host.engine).ui_message_stream()).await;
    assert_eq!(kinds(&told), kinds(&whole));
}

/// The page sees in its next stream what it sees after a reload.
async fn a_call_is_cancelled_while_a_page_is_asked<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    host.fake.reply(opens(12));
    let run = ask(&host, &thread).await;
    let waits = read(run.events(&host.engine).ui_message_stream()).await;
    let finish = waits.iter().find(|chunk| chunk["type"] == "finish").unwrap();
    let place = finish["messageMetadata"]["cursor"].as_str();
    thread.cancel(&host.engine).await.unwrap();
    let events = run.events(&host.engine).resume(place).await.unwrap();
    let told = read(events.ui_message_stream()).await;
    assert_eq!(kinds(&told), ["start", "tool-output-error", "abort", "finish", "[DONE]"]);
    let told = read(run.events(&host.engine).ag_ui_with_history("page", "run")).await;
    let snapshot = told[1]["messages"].as_array().unwrap();
    let roles: Vec<&str> = snapshot.iter().map(|said| said["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant"]);
    assert_eq!(told.last().unwrap()["outcome"]["type"], "cancelled");
}

async fn a_long_history_is_told_whole_and_in_its_order<D: TestDatabase>(db: D) {
    let (host, thread) = start(db).await;
    // More than are read at once.
    let mut said: Vec<String> = (0..205).map(|n| format!("Number {n}")).collect();
    for text in &said {
        thread.messages(&host.engine).create(Role::User, text.as_str()).await.unwrap();
    }
    host.fake.reply(Reply::text("I see."));
    let run = ask(&host, &thread).await;
    host.engine.answer(run.id).await.unwrap();
    let told = read(run.events(&host.engine).ag_ui_with_history("page", "run")).await;
    said.extend(["Open it".to_owned(), "I see.".to_owned()]);
    let snapshot = told[1]["messages"].as_array().unwrap();
    let texts: Vec<&str> = snapshot.iter().map(|said| said["content"].as_str().unwrap()).collect();
    assert_eq!(texts, said);
}
