//! G6: hooks are called after the commit, in order, coalesced; none can harm a run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Error, Message, MessageStatus, Messageable, Page, Role, RunStatus, prelude::*};
use tokio::sync::Notify;

use crate::support::*;

on_each_database!(
    no_manner_of_hook_harms_any_of_many_runs,
    a_hook_starts_the_next_run_when_its_own_has_ended,
    a_hook_asks_on_another_thread,
    a_hook_destroys_its_thread_in_mid_stream,
    a_hook_cancels_its_own_run,
    a_hook_that_waits_for_its_own_run_is_dropped,
    a_slow_hook_hears_coalesced_text,
    a_message_is_heard_of_after_its_commit,
    a_host_message_is_heard_of,
    an_owner_that_is_gone_costs_no_answer,
    an_owner_type_without_loader_is_refused_before_anything_is_stored,
    a_replaced_text_is_told_as_such,
);

/// Each manner, for many runs at once: all complete, each owner hears of each end, no text is lost, and a slow hook is
/// not queued for.
async fn no_manner_of_hook_harms_any_of_many_runs<D: TestDatabase>(db: D) {
    const RUNS: usize = 20;
    const DELTAS: usize = 100;
    let host = Host::with(db, |builder| builder.hook_timeout(Duration::from_millis(500))).await;
    let words: Vec<String> = (0..DELTAS).map(|n| format!("{n} ")).collect();
    let text = words.concat();
    host.fake.reply_always(Reply::deltas(words));
    for (manner, most_updates) in [
        (Manner::Listen, DELTAS + 1),
        (Manner::Fail, DELTAS + 1),
        (Manner::Panic, DELTAS + 1),
        (Manner::Slow(Duration::from_millis(200)), DELTAS / 4),
        (Manner::Hang, DELTAS / 4),
    ] {
        host.hub.forget();
        host.hub.behave(manner);
        let runs = (0..RUNS).map(async |_| {
            let thread = host.thread().await;
            host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap()
        });
        for answer in futures_util::future::join_all(runs).await {
            assert_eq!((answer.run.status, answer.text()), (RunStatus::Completed, text.clone()));
            let heard = host.hub.of_run(answer.run.id);
            let updates: Vec<(&Message, &str)> = heard
                .iter()
                .filter_map(|heard| match heard {
                    Heard::Updated { message, appended, .. } => Some((message, appended.as_str())),
                    _ => None,
                })
                .collect();
            assert_eq!(updates.iter().map(|(_, appended)| *appended).collect::<String>(), text);
            assert!(updates.len() <= most_updates, "{} calls", updates.len());
            assert_eq!(updates.last().map(|(message, _)| *message), answer.message());
            assert!(matches!(heard.last(), Some(Heard::Run(run)) if *run == answer.run));
        }
    }
    let unannounced = "SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL";
    assert_eq!(host.db.number(unannounced), 0);
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
    while host.engine.find_run(run.id).await.unwrap().status != RunStatus::Completed {
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

/// The thread is free when the last hooks are called, and they may wait for the next answer.
async fn a_hook_starts_the_next_run_when_its_own_has_ended<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let (teller, asked) = (host.teller.clone(), thread.clone());
    host.hub.behave(Manner::deed(move |engine, heard| {
        let (teller, thread) = (teller.clone(), asked.clone());
        async move {
            match heard {
                Heard::Run(run) if run.status.is_terminal() && run.seq < 3 => {
                    teller.ai_engine_run(&engine, &thread, "And then?").await?;
                }
                _ => {}
            }
            Ok(())
        }
    }));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let runs = thread.runs(&host.engine, Page::default()).await.unwrap();
    let ended: Vec<_> = runs.iter().map(|run| (run.seq, run.status)).collect();
    let completed = RunStatus::Completed;
    assert_eq!(ended, [(3, completed), (2, completed), (1, completed)]);
    assert_eq!(host.hub.settled().len(), 3);
}

async fn a_hook_asks_on_another_thread<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    let (teller, asked) = (host.teller.clone(), other.clone());
    host.hub.behave(Manner::deed(move |engine, heard| {
        let (teller, other) = (teller.clone(), asked.clone());
        async move {
            // The first update of the first run.
            let Heard::Updated { message, appended, .. } = heard else { return Ok(()) };
            if message.messageable != Messageable::AssistantThread(other.id)
                && message.content == appended
            {
                teller.ai_engine_run(&engine, &other, "What is this?").await?;
            }
            Ok(())
        }
    }));
    host.fake.reply(Reply::text("Once upon a time."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "Once upon a time.");
    let runs = other.runs(&host.engine, Page::default()).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.status).collect::<Vec<_>>(), [RunStatus::Completed]);
}

async fn a_hook_destroys_its_thread_in_mid_stream<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let (user, id) = (host.user.clone(), thread.id);
    host.hub.behave(Manner::deed(move |engine, heard| {
        let user = user.clone();
        async move {
            if matches!(heard, Heard::Updated { .. }) {
                user.assistant_threads(&engine).destroy(id).await?;
            }
            Ok(())
        }
    }));
    host.fake.reply(Reply::text("Once upon a time.").stall_at(6));
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
    let gone = asked.await.unwrap_err();
    assert!(matches!(gone, Error::RunGone(_)), "{gone}");
    host.fake.disconnected(1).await;
    let left =
        ["ai_engine_assistant_versions: 1", "ai_engine_assistants: 1", "ai_engine_workers: 1"];
    assert_eq!(host.db.ours(), left);
    host.hub.behave(Manner::Listen);
    let next = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &next, "Tell me").await.unwrap();
}

async fn a_hook_cancels_its_own_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let (stopped, seen) = (thread.clone(), Arc::new(Mutex::new(Vec::new())));
    let note = Arc::clone(&seen);
    host.hub.behave(Manner::deed(move |engine, heard| {
        let (thread, note) = (stopped.clone(), Arc::clone(&note));
        async move {
            if matches!(heard, Heard::Updated { .. }) {
                let run = thread.cancel(&engine).await?;
                note.lock().unwrap().push(run.map(|run| run.status));
            }
            Ok(())
        }
    }));
    host.fake.reply(Reply::text("Once upon a time.").stall_at(6));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Cancelled, "Once upon "));
    assert_eq!(host.hub.settled(), answer.messages);
    // Its own call came back with the end; in the later ones there was nothing left to stop.
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], Some(RunStatus::Cancelled), "{seen:?}");
    assert!(seen[1..].iter().all(Option::is_none), "{seen:?}");
}

/// An answer is there when its hooks are through, so this one would wait for itself.
async fn a_hook_that_waits_for_its_own_run_is_dropped<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.hook_timeout(Duration::from_millis(50))).await;
    let thread = host.thread().await;
    host.hub.behave(Manner::deed(|engine, heard| async move {
        if let Heard::Updated { message, .. } = heard {
            engine.answer(message.run_id.unwrap()).await?;
        }
        Ok(())
    }));
    host.fake.reply(Reply::text("Once upon a time."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "Once upon a time.");
    assert_eq!(host.hub.settled(), answer.messages);
}
