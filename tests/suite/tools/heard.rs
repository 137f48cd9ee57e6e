//! G6: the hooks of a run that waits for somebody, and goes on: they hear of all of it, in order, one at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

on_each_database!(
    what_a_dead_process_owed_the_hooks_is_delivered_when_the_run_goes_on,
    hooks_from_before_a_decision_end_before_those_behind_it_begin,
    the_last_hooks_of_a_run_cancelled_while_it_waits_come_behind_the_others,
    a_shutdown_waits_for_the_hooks_of_a_run_that_waits,
    hooks_that_a_shutdown_gave_up_are_called_when_the_run_goes_on,
);

/// The statuses of what was heard, but of text that was on its way.
fn story<D>(host: &Host<D>) -> Vec<String> {
    let mut story = host.hub.story();
    story.retain(|word| word != "message streaming");
    story
}

/// As a process leaves it that dies after the run waits, or while it carries out the call that was agreed to: before its hooks were
/// called.
async fn what_a_dead_process_owed_the_hooks_is_delivered_when_the_run_goes_on<D: TestDatabase>(
    db: D,
) {
    let (host, done) = start(db).await;
    for in_the_call in [false, true] {
        let thread = host.thread().await;
        let call = waiting(&host, &thread).await;
        until_heard(&host.db).await;
        if in_the_call {
            host.db.execute(
                "UPDATE ai_engine_tool_calls SET status = 'running', attempts = 1, repeatable = 'yes', decided_at = created_at WHERE finished_at IS NULL; \
                 UPDATE ai_engine_runs SET status = 'in_progress' WHERE finished_at IS NULL",
            );
        }
        host.db.execute("UPDATE ai_engine_runs SET lease_owner = 'dead' WHERE finished_at IS NULL");
        host.hub.forget();
        host.fake.reply(Reply::text("It is open."));
        let after = tooled(&host, &done);
        if in_the_call {
            after.recover().await.unwrap();
        } else {
            after.approve(call.id).await.unwrap();
        }
        after.answer(call.run_id).await.unwrap();
        until_announced(&host.db).await;
        let settled = host.hub.settled();
        let texts: Vec<&str> = settled.iter().map(|message| &*message.content).collect();
        assert_eq!(texts, ["Let me see.", "It is open."], "{in_the_call}");
        let replaced = host.hub.all().into_iter().filter_map(|heard| match heard {
            Heard::Updated { message, replaced, .. } if replaced => Some(message.content),
            _ => None,
        });
        assert!(replaced.eq(["Let me see."]), "what they saw of it is not known");
        assert!(story(&host).contains(&"call completed".to_owned()), "{:?}", story(&host));
    }
}

/// Hooks that wait until they are let go, and how many there are at most at once.
fn hold<D>(host: &Host<D>) -> (Arc<Semaphore>, Arc<AtomicUsize>) {
    let (let_go, most) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (waits, counts, now) =
        (Arc::clone(&let_go), Arc::clone(&most), Arc::new(AtomicUsize::new(0)));
    host.hub.behave(Manner::deed(move |_, _| {
        let (waits, counts, now) = (Arc::clone(&waits), Arc::clone(&counts), Arc::clone(&now));
        async move {
            counts.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            waits.acquire().await?.forget();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }));
    (let_go, most)
}

async fn hooks_from_before_a_decision_end_before_those_behind_it_begin<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let thread = host.thread().await;
    let (let_go, most) = hold(&host);
    let call = waiting(&host, &thread).await;
    host.fake.reply(Reply::text("It is open."));
    host.engine.approve(call.id).await.unwrap();
    let ended = "SELECT count(*) FROM ai_engine_runs WHERE status = 'completed'";
    until(|| host.db.number(ended) == 1).await;
    assert_eq!(host.hub.all().len(), 1, "the first hook is being called");
    let_go.add_permits(1_000);
    host.engine.answer(call.run_id).await.unwrap();
    until_announced(&host.db).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let told = story(&host);
    let both = |word: &str| told.iter().filter(|told| *told == word).count();
    assert_eq!((both("message completed"), both("run completed")), (2, 1), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("run completed"));
    let waited = told.iter().position(|word| word == "call awaiting_approval");
    let agreed = told.iter().position(|word| word == "call completed");
    assert!(waited.is_some() && waited < agreed, "{told:?}");
}

async fn the_last_hooks_of_a_run_cancelled_while_it_waits_come_behind_the_others<
    D: TestDatabase,
>(
    db: D,
) {
    let (host, done) = start(db).await;
    let other = tooled(&host, &done);
    for engine in [&host.engine, &other] {
        host.hub.forget();
        let thread = host.thread().await;
        let (let_go, most) = hold(&host);
        let call = waiting(&host, &thread).await;
        engine.cancel_run(call.run_id).await.unwrap();
        // Everybody looks meanwhile.
        for engine in [&host.engine, &other] {
            engine.recover().await.unwrap();
        }
        assert_eq!(host.hub.all().len(), 1, "{:?}", host.hub.all());
        let_go.add_permits(1_000);
        until_announced(&host.db).await;
        assert_eq!(most.load(Ordering::SeqCst), 1);
        let told = story(&host);
        assert_eq!(told.iter().filter(|word| *word == "run cancelled").count(), 1, "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("run cancelled"));
    }
}

/// Nobody else would tell whom it waits for.
async fn a_shutdown_waits_for_the_hooks_of_a_run_that_waits<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let (let_go, _) = hold(&host);
    waiting(&host, &host.thread().await).await;
    let engine = host.engine.clone();
    let ending = tokio::spawn(async move { engine.shutdown(Duration::from_mins(1)).await });
    let is_closing = async || {
        let asked = host.user.chats(&host.engine).create().await.unwrap();
        let request = asked.run(&host.engine, "test-model", "Are you there?");
        matches!(request.submit().await, Err(Error::ShuttingDown))
    };
    while !is_closing().await {}
    // Time enough for one that does not wait.
    for _ in 0..100 {
        host.db.number("SELECT 1");
        tokio::task::yield_now().await;
    }
    assert!(!ending.is_finished(), "nobody has heard of it");
    let_go.add_permits(1_000);
    ending.await.unwrap().unwrap();
    assert!(story(&host).contains(&"call awaiting_approval".to_owned()), "{:?}", story(&host));
    let owed = "SELECT count(*) FROM ai_engine_runs WHERE lease_owner IS NOT NULL";
    assert_eq!(host.db.number(owed), 0);
}

async fn hooks_that_a_shutdown_gave_up_are_called_when_the_run_goes_on<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let (_let_go, _) = hold(&host);
    let call = waiting(&host, &host.thread().await).await;
    host.engine.shutdown(Duration::ZERO).await.unwrap();
    host.hub.behave(Manner::Listen);
    host.hub.forget();
    host.fake.reply(Reply::text("It is open."));
    let after = tooled(&host, &done);
    after.approve(call.id).await.unwrap();
    after.answer(call.run_id).await.unwrap();
    until_announced(&host.db).await;
    let settled = host.hub.settled();
    let texts: Vec<&str> = settled.iter().map(|message| &*message.content).collect();
    assert_eq!(texts, ["Let me see.", "It is open."]);
}
