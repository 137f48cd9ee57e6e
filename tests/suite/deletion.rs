//! G7: deleting deletes here at once, and at the provider for sure: items before their conversation, 404 is done.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Error, RunStatus, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    a_destroyed_thread_is_gone_here_and_at_the_provider,
    a_failed_remote_deletion_is_tried_again_by_itself,
    what_the_provider_does_not_know_counts_as_deleted,
    destroying_a_thread_stops_its_run,
    a_thread_destroyed_elsewhere_in_mid_call_leaves_nothing_behind,
    a_deleted_assistant_leaves_its_runs,
    an_owner_takes_all_its_threads_along,
    another_endpoints_deletions_wait_for_it,
);

const TABLES: [&str; 9] = [
    "assistant_threads",
    "chats",
    "runs",
    "responses",
    "messages",
    "message_parts",
    "blobs",
    "run_items",
    "message_deltas",
];

fn assert_empty<D: TestDatabase>(db: &D) {
    for table in TABLES {
        assert_eq!(db.number(&format!("SELECT count(*) FROM ai_engine_{table}")), 0, "{table}");
    }
}

async fn a_destroyed_thread_is_gone_here_and_at_the_provider<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(host.fake.items().len(), 2);

    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    assert_empty(&host.db);
    until_deleted(&host.db).await;
    assert!(
        host.fake.items().is_empty(),
        "items outlive their conversation unless they are deleted first"
    );
    assert!(host.fake.conversation_ids().is_empty());
    assert!(host.fake.response_ids().is_empty());
}

async fn a_failed_remote_deletion_is_tried_again_by_itself<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let down = || {
        Reply::status(
            400,
            json!({"error": {"message": "not now", "type": "invalid_request_error"}}),
        )
    };
    host.fake.intercept("GET", "/items", down());
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let failed =
        "SELECT count(*) FROM ai_engine_remote_deletions WHERE last_error LIKE '%not now%'";
    until(|| host.db.number(failed) == 1).await;
    until_deleted(&host.db).await;
    assert!(host.fake.conversation_ids().is_empty());
}

async fn what_the_provider_does_not_know_counts_as_deleted<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.db.execute("UPDATE ai_engine_assistant_threads SET remote_id = 'conv_unknown'");
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    until_deleted(&host.db).await;
}

async fn destroying_a_thread_stops_its_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).stall_at(5));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    host.fake.disconnected(1).await;
    assert!(matches!(host.engine.answer(run.id).await, Err(Error::RunGone(id)) if id == run.id));
    assert_empty(&host.db);
}

/// By the time that the run's own process finds out, the answer is whole: the provider's conversation is gone, which says nothing
/// of other conversations there, and nobody has noted the response.
async fn a_thread_destroyed_elsewhere_in_mid_call_leaves_nothing_behind<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let elsewhere = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let other = host.thread().await;
    // The server is not known to keep conversations at first, and is then.
    for kept in 0..2 {
        let thread = host.thread().await;
        let gate = Gate::new();
        // Without a word that would be stored on the way.
        let call =
            json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"});
        let reply = Reply::text("").without_message().item(call);
        host.fake.reply(reply.hold_at(1, gate.clone()));
        let run = host.teller.ai_engine_run(&host.engine, &thread, "look").submit().await.unwrap();
        gate.reached().await;
        host.user.assistant_threads(&elsewhere).destroy(thread.id).await.unwrap();
        until_deleted(&host.db).await;
        gate.open();
        let gone = host.engine.answer(run.id).await.unwrap_err();
        assert!(matches!(gone, Error::RunGone(_)), "{gone}");
        until_deleted(&host.db).await;
        assert_eq!(host.fake.response_ids().len(), kept, "a response stays at the provider");
        host.teller.ai_engine_run(&host.engine, &other, "Tell me").await.unwrap();
        let mut asked = host.fake.requests().into_iter().rev().filter(|sent| sent.method == "POST");
        let body = asked.find(|sent| sent.path.ends_with("/responses")).unwrap().body;
        assert_eq!(body.unwrap()["conversation"], json!(other.remote_id));
    }
}

async fn a_deleted_assistant_leaves_its_runs<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
    assert!(host.teller.assistant(&host.engine).await.unwrap().is_none());
    let run = host.engine.find_run(answer.run.id).await.unwrap();
    assert_eq!((run.assistant_id, run.assistant_name.as_deref()), (None, Some("Scheherazade")));
    assert_eq!(run.status, RunStatus::Completed);
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
}

async fn an_owner_takes_all_its_threads_along<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for _ in 0..2 {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    }
    host.user.chats(&host.engine).create().await.unwrap();
    let other = User { id: 2, name: "Bob".to_owned() };
    let kept = other.assistant_threads(&host.engine).create().await.unwrap();

    let (threads, chats) =
        (host.user.assistant_threads(&host.engine), host.user.chats(&host.engine));
    host.db
        .with(|conn| {
            conn.transaction(&mut |conn| {
                threads.destroy_all_in(conn.session())?;
                chats.destroy_all_in(conn.session())
            })
        })
        .unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_chats"), 0);
    assert_eq!(host.db.number("SELECT id FROM ai_engine_assistant_threads"), kept.id);
    until_deleted(&host.db).await;
    assert_eq!(host.fake.conversation_ids(), [kept.remote_id.unwrap()]);
    assert!(host.fake.items().is_empty());
}

async fn another_endpoints_deletions_wait_for_it<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.db
        .execute("UPDATE ai_engine_assistant_threads SET endpoint = 'http://elsewhere.example/v1'");
    let gate = Gate::new();
    gate.open();
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    host.engine.recover().await.unwrap();
    let sql = "SELECT endpoint AS line FROM ai_engine_remote_deletions";
    assert_eq!(host.db.texts(sql), ["http://elsewhere.example/v1"]);
    assert_eq!(host.fake.conversation_ids().len(), 1, "an id means nothing at another endpoint");
}

/// A call ends while its thread is being deleted: what the provider keeps of it is known by then.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_gets_its_id_while_its_thread_is_deleted_is_deleted_too() {
    on_postgres(|db| async {
        let host = Host::conversing(db).await;
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        // As the process that drives it does, under the lock of the run.
        let (locked, is_locked) = std::sync::mpsc::channel();
        let db = host.db.clone();
        let ending = std::thread::spawn(move || {
            db.with(|conn| {
                conn.transaction(&mut |conn| {
                    conn.execute("SELECT id FROM ai_engine_runs FOR UPDATE");
                    conn.execute("UPDATE ai_engine_responses SET remote_id = 'resp_late'");
                    locked.send(()).unwrap();
                    db.until_waiting(1);
                    Ok(())
                })
            })
            .unwrap();
        });
        tokio::task::block_in_place(|| is_locked.recv().unwrap());
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        ending.join().unwrap();
        until_deleted(&host.db).await;
        let asked = |request: &ai_engine::testing::Request| request.path.ends_with("/resp_late");
        assert!(host.fake.requests().iter().any(asked));
    })
    .await;
}

/// Two delete all of one owner at once.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_deletes_meanwhile_is_no_error_for_whoever_deletes_all() {
    on_postgres(|db| async {
        let host = Host::new(db).await;
        host.thread().await;
        host.thread().await;
        let (locked, is_locked) = std::sync::mpsc::channel();
        let (db, engine, user) = (host.db.clone(), host.engine.clone(), host.user.clone());
        let other = std::thread::spawn(move || {
            db.with(|conn| {
                conn.transaction(&mut |conn| {
                    engine.forget_in(conn.session(), &user)?;
                    locked.send(()).unwrap();
                    db.until_waiting(1);
                    Ok(())
                })
            })
            .unwrap();
        });
        tokio::task::block_in_place(|| {
            is_locked.recv().unwrap();
            let threads = host.user.assistant_threads(&host.engine);
            let deleted = host
                .db
                .with(|conn| conn.transaction(&mut |conn| threads.destroy_all_in(conn.session())));
            deleted.unwrap();
            other.join().unwrap();
        });
        assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_assistant_threads"), 0);
    })
    .await;
}
