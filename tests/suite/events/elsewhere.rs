//! Runs that another process drives, took, or left behind.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, EventKind, Events, Page, RunStatus};

use super::{Told, ask, says, settled, until};
use crate::support::*;

on_each_database!(
    a_run_of_another_process_is_followed_for_all_readers_at_once,
    another_process_is_told_of_a_replaced_text,
    words_lost_in_a_crash_come_as_a_replaced_text,
    a_queued_run_is_followed_into_the_process_that_drives_it,
    a_run_that_another_process_took_is_followed_there,
);

async fn read_all(
    readers: &mut [Events],
    pages: &mut [Told],
    last: impl Fn(&EventKind) -> bool + Sync + Send,
) {
    for (events, page) in readers.iter_mut().zip(pages) {
        page.take_all(&until(events, &last).await);
    }
}

async fn a_run_of_another_process_is_followed_for_all_readers_at_once<D: Raw>(db: D) {
    const READERS: usize = 50;
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let (other, watched) = watched(&host);

    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let words = ["Once ", "upon ", "a ", "time"];
    let reply = gates
        .iter()
        .enumerate()
        .fold(Reply::deltas(words), |reply, (n, gate)| reply.hold_at(5 + n, gate.clone()));
    host.fake.reply(reply);
    let run = ask(&host, &thread, "Tell me").await;
    let mut readers: Vec<Events> = (0..READERS).map(|_| thread.events(&other)).collect();
    let mut pages = vec![Told::default(); READERS];
    read_all(&mut readers, &mut pages, says("Once ")).await;
    // All have joined: from here on nobody has a reason to ask on its own.
    watched.forget();
    for (gate, word) in gates.iter().zip(["upon ", "a ", "time"]) {
        gate.open();
        read_all(&mut readers, &mut pages, says(word)).await;
    }
    read_all(&mut readers, &mut pages, settled).await;

    let statements = watched.statements();
    let looks = statements
        .iter()
        .filter(|sql| sql.contains("\"next_seq\"") || sql.contains("`next_seq`"))
        .count();
    assert!(looks >= 3, "{statements:#?}");
    assert!(statements.len() <= looks * 6, "{} statements in {looks} looks", statements.len());
    assert_eq!(pages[0].texts.values().last().unwrap(), "Once upon a time");
    assert!(pages.iter().all(|page| *page == pages[0]));
    // And what the process that drives it told is the same.
    let mut own = thread.events(&host.engine);
    assert_eq!(Told::of(&until(&mut own, settled).await), pages[0]);
    host.engine.answer(run.id).await.unwrap();
}

async fn another_process_is_told_of_a_replaced_text<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["abcd"]).final_text("€€€").hold_at(5, gate.clone()));
    let run = ask(&host, &thread, "Tell me").await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let mut readers = [run.events(&host.engine), run.events(&other)];
    for events in &mut readers {
        while !says("abcd")(&events.next().await.unwrap().unwrap().kind) {}
    }
    gate.open();
    for events in &mut readers {
        // The two texts have the same number of bytes at no boundary in common.
        let next = events.next().await.unwrap().unwrap();
        assert!(
            matches!(&next.kind, EventKind::MessageReplaced { message, .. } if message.content == "€€€"),
            "{next:?}"
        );
        let last = events.next().await.unwrap().unwrap();
        assert!(
            matches!(last.kind, EventKind::RunSettled { run, .. } if run.status == RunStatus::Completed)
        );
        assert!(events.next().await.is_none());
    }
    // A reader that comes later is told the final text only.
    let mut events = run.events(&other);
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event.unwrap());
    }
    assert_eq!(Told::of(&told).texts.values().last().unwrap(), "€€€");
}

async fn words_lost_in_a_crash_come_as_a_replaced_text<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once upon a time"]));
    let run = ask(&host, &thread, "Tell me").await;
    let mut events = thread.events(&host.engine);
    let told = until(&mut events, says("Once upon")).await;
    let cursor = told.last().unwrap().cursor.clone();
    host.engine.answer(run.id).await.unwrap();
    // As recovery leaves it when the last words were not stored yet.
    host.db.execute(
        "UPDATE ai_engine_messages SET content = 'Once ', status = 'incomplete' WHERE role = 'assistant';
         UPDATE ai_engine_runs SET status = 'incomplete', reason = 'interrupted'",
    );
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let mut events = thread.events(&later).after(cursor);
    let next = events.next().await.unwrap().unwrap();
    assert!(
        matches!(&next.kind, EventKind::MessageReplaced { message, .. } if message.content == "Once "),
        "{next:?}"
    );
    assert!(settled(&events.next().await.unwrap().unwrap().kind));
}

async fn a_queued_run_is_followed_into_the_process_that_drives_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let reader = D::owners(AiEngine::builder(host.db.database())).build().unwrap();
    let run = submit_undriven(&host, &thread);
    let mut here = thread.events(&host.engine);
    let mut elsewhere = thread.events(&reader);
    let asked = |kind: &EventKind| matches!(kind, EventKind::MessageStarted { .. });
    let mut pages =
        [Told::of(&until(&mut here, asked).await), Told::of(&until(&mut elsewhere, asked).await)];
    assert_eq!(pages[0].story.len(), 2, "queued, and the user's message: {pages:?}");
    host.fake.reply(Reply::text("Once."));
    assert_eq!(host.engine.recover().await.unwrap().driven, 1);
    for (page, events) in pages.iter_mut().zip([&mut here, &mut elsewhere]) {
        page.take_all(&until(events, settled).await);
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[0].story.last().unwrap(), &format!("run {} completed", run.id));
    assert_eq!(pages[0].texts.values().last().unwrap(), "Once.");
}

async fn a_run_that_another_process_took_is_followed_there<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = ask(&host, &thread, "Tell me").await;
    let mut events = thread.events(&host.engine);
    let mut page = Told::of(&until(&mut events, says("Once ")).await);
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    assert_eq!(other.recover().await.unwrap().settled, 1);
    // The first process wakes up, finds that it lost the run, and follows it.
    gate.open();
    page.take_all(&until(&mut events, settled).await);
    assert_eq!(page.story.last().unwrap(), &format!("run {} incomplete", run.id));
    let stored = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(
        page.texts.into_values().collect::<Vec<_>>(),
        stored.into_iter().map(|m| m.content).collect::<Vec<_>>()
    );
}
