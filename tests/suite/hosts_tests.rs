//! What a host's own tests are given: an answer that waits in the middle, "kill it here", questions that are expected, and
//! tries again that take no time.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use ai_engine::testing::Reply;
use ai_engine::{Error, RunStatus, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    until_text_waits_for_what_is_stored_and_not_for_what_is_shown,
    until_text_waits_for_another_process_which_may_be_killed_then,
    until_text_ends_with_the_run,
    until_text_ends_with_the_thread_and_with_the_engine,
    an_expected_conversation_is_answered_and_an_unexpected_question_is_named,
    what_the_fake_refuses_is_asked_again_at_once,
    the_wait_before_another_try_can_be_set,
);

async fn until_text_waits_for_what_is_stored_and_not_for_what_is_shown<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let reply = Reply::text("Mix flour and water").hold_after("Mix ").hold_after("flour ");
    host.fake.reply(reply);
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Bread?").submit().await.unwrap();
    assert_eq!(run.until_text(&host.engine, "Mix ").await.unwrap().content, "Mix ");

    // Nothing of the run can be stored for a while.
    let (locked, is_locked) = mpsc::channel();
    let (unlock, unlocked) = mpsc::channel::<()>();
    let db = host.db.clone();
    let holder = std::thread::spawn(move || {
        db.with(|conn| {
            conn.transaction(&mut |conn| {
                conn.execute("UPDATE ai_engine_runs SET notes = notes");
                locked.send(()).unwrap();
                let _ = unlocked.recv();
                Ok(())
            })
        })
    });
    tokio::task::block_in_place(|| is_locked.recv().unwrap());
    host.fake.release("Mix ");
    host.hub.until_text("Mix flour ").await;
    let mut stored = Box::pin(run.until_text(&host.engine, "flour "));
    let too_soon = tokio::time::timeout(Duration::from_millis(400), &mut stored).await;
    assert!(too_soon.is_err(), "{too_soon:?}");
    unlock.send(()).unwrap();
    assert_eq!(stored.await.unwrap().content, "Mix flour ");
    let seen = host.db.texts(
        "SELECT m.content || coalesce((SELECT d.text FROM ai_engine_message_deltas AS d WHERE d.message_id = m.id), '') AS line \
         FROM ai_engine_messages AS m WHERE role = 'assistant'",
    );
    assert_eq!(seen, ["Mix flour "]);
    holder.join().unwrap().unwrap();
    host.fake.release("flour ");
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "Mix flour and water");
}

async fn until_text_waits_for_another_process_which_may_be_killed_then<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Mix flour and water").hold_after("Mix flour "));
    let run = submit_undriven(&host, &thread);
    let test = "processes::killed::the_process_that_works";
    let mut process = Process::start(&host, test, &[("CHILD_LEASE", "1000")]);
    run.until_text(&host.engine, "Mix flour ").await.unwrap();
    process.kill();

    host.engine.start().await.unwrap();
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Incomplete, "Mix flour "));
    let missed = run.until_text(&host.engine, "water").await.unwrap_err();
    assert!(matches!(missed, Error::NeverSaid { status: RunStatus::Incomplete, .. }), "{missed:?}");
}

async fn until_text_ends_with_the_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for (reply, ends_as) in [
        (Reply::text("Mix water"), RunStatus::Completed),
        (Reply::text("Mix water").failed("server_error", "Sorry"), RunStatus::Incomplete),
        (Reply::status(400, json!({"error": {"message": "No"}})), RunStatus::Failed),
    ] {
        let thread = host.thread().await;
        host.fake.reply(reply);
        let run = host.teller.ai_engine_run(&host.engine, &thread, "Mix flour?").submit().await;
        let run = run.unwrap();
        // The question's words are not the model's.
        let error = run.until_text(&host.engine, "flour").await.unwrap_err();
        let text = error.to_string();
        let Error::NeverSaid { run_id, status, .. } = error else { panic!("{error:?}") };
        assert_eq!((run_id, status), (run.id, ends_as));
        assert!(text.contains("\"flour\"") && text.contains(ends_as.as_str()), "{text}");
        if ends_as != RunStatus::Failed {
            let said = run.until_text(&host.engine, "water").await.unwrap();
            assert_eq!(said.content, "Mix water");
        }
    }
}

async fn until_text_ends_with_the_thread_and_with_the_engine<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply_always(Reply::text("Mix flour").hold_after("Mix "));
    let ask = async |thread| {
        host.teller.ai_engine_run(&host.engine, thread, "Bread?").submit().await.unwrap()
    };
    let run = ask(&thread).await;
    run.until_text(&host.engine, "Mix ").await.unwrap();
    let threads = host.user.assistant_threads(&host.engine);
    let (waited, gone) =
        tokio::join!(run.until_text(&host.engine, "flour"), threads.destroy(thread.id));
    gone.unwrap();
    assert!(matches!(waited, Err(Error::RunGone(id)) if id == run.id), "{waited:?}");

    let run = ask(&host.thread().await).await;
    let (waited, closed) =
        tokio::join!(run.until_text(&host.engine, "flour"), host.engine.shutdown(Duration::ZERO));
    closed.unwrap();
    assert!(matches!(waited, Err(Error::ShuttingDown)), "{waited:?}");
}

async fn an_expected_conversation_is_answered_and_an_unexpected_question_is_named<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.expect("bread", Reply::text("Mix flour."));
    host.fake.expect("And then", Reply::text("Bake it."));
    let ask = |question: &str| host.teller.ai_engine_run(&host.engine, &thread, question);
    assert_eq!(ask("How is bread made?").await.unwrap().text(), "Mix flour.");
    assert_eq!(ask("And then?").await.unwrap().text(), "Bake it.");
    let input = host.fake.last_input();
    let said = ["user: How is bread made?", "assistant: Mix flour.", "user: And then?"];
    assert_eq!(input.lines(), said);
    assert_eq!(input.instructions.as_deref(), Some("You tell stories."));
    host.fake.verify();

    let refused = ask("And cake?").await.unwrap_err();
    assert!(matches!(refused, Error::RunFailed { .. }), "{refused:?}");
    assert!(refused.to_string().contains("does not expect this question"), "{refused}");
    let fake = host.fake.clone();
    let verified = tokio::spawn(async move { fake.verify() }).await.unwrap_err();
    let panic = verified.into_panic();
    let panic = panic.downcast_ref::<String>().unwrap();
    assert!(panic.contains("not expected") && panic.contains("user: And cake?"), "{panic}");
}

/// With the delays of other clients this would take minutes.
async fn what_the_fake_refuses_is_asked_again_at_once<D: TestDatabase>(db: D) {
    let host = Host::new(db.clone()).await;
    let client = host.fake.openai_builder().max_retries(50).build().unwrap();
    let engine = D::owners(ai_engine::AiEngine::builder(db.database())).openai(client);
    let engine = engine.state(host.hub.clone()).build().unwrap();
    for _ in 0..50 {
        host.fake.reply(Reply::status(500, json!({"error": {"message": "Sorry"}})));
    }
    host.fake.reply(Reply::text("Mix flour"));
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&engine, &thread, "Bread?").await.unwrap();
    assert_eq!((answer.text().as_str(), answer.run.attempts), ("Mix flour", 51));
}

/// Of a request that is refused, and of a stream that breaks before its first word.
async fn the_wait_before_another_try_can_be_set<D: TestDatabase>(db: D) {
    let host = Host::new(db.clone()).await;
    let first = Duration::from_secs(1);
    let client = host.fake.openai_builder().retry_delay(first).build().unwrap();
    let engine = D::owners(ai_engine::AiEngine::builder(db.database())).openai(client);
    let engine = engine.state(host.hub.clone()).build().unwrap();
    for reply in [
        Reply::status(500, json!({"error": {"message": "Sorry"}})),
        Reply::text("Mix flour").disconnect_at(2),
    ] {
        host.fake.reply(reply);
        host.fake.reply(Reply::text("Mix flour"));
        let (thread, started) = (host.thread().await, Instant::now());
        let answer = host.teller.ai_engine_run(&engine, &thread, "Bread?").await.unwrap();
        assert_eq!((answer.text().as_str(), answer.run.attempts), ("Mix flour", 2));
        let waited = started.elapsed();
        assert!(waited >= first.mul_f64(0.75), "{waited:?}");
    }
}
