//! Turns taken again after an end that was none, and only once for a key.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, Error, RunStatus, prelude::*};
use serde_json::json;

use super::{ask, in_each_mode, listed, one_conversation, read_by_the_model, siblings, three};
use crate::support::*;

on_each_database!(
    a_run_that_failed_is_retried_and_keeps_its_conversation,
    a_run_that_was_cancelled_or_broke_off_is_retried,
    a_retry_asks_the_assistant_as_it_was_mended,
    a_retry_off_the_path_is_a_sibling_there,
    an_interruption_makes_room_for_a_turn_taken_again,
    a_turn_taken_again_with_a_known_key_is_taken_once,
    a_known_key_cancels_nothing_also_after_its_run,
    what_is_refused_interrupts_nothing,
);

async fn a_run_that_failed_is_retried_and_keeps_its_conversation<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        ask(&host, &thread, "q1", "a1").await;
        let refused = json!({"error": {"message": "no", "type": "invalid_request_error"}});
        host.fake.reply(Reply::status(401, refused));
        let failed = host.teller.ai_engine_run(&host.engine, &thread, "q2").await.unwrap_err();
        let Error::RunFailed { run_id, .. } = failed else { panic!("{failed}") };
        let failed = host.user.find_run(&host.engine, run_id).await.unwrap();
        let kept = host.fake.conversation_ids();
        host.fake.reply(Reply::text("a2"));
        let answer = failed.retry(&host.engine).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2"]);
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2"]);
        assert_eq!(host.fake.conversation_ids(), kept, "nothing of what left was ever there");
        assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_remote_deletions"), 0);
        let refused = answer.run.retry(&host.engine).submit().await.unwrap_err();
        assert!(matches!(&refused, Error::Answered { run_id, .. } if *run_id == answer.run.id));
        assert!(refused.to_string().contains("regenerate"), "{refused}");
    }
}

async fn a_run_that_was_cancelled_or_broke_off_is_retried<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        ask(&host, &thread, "q1", "a1").await;
        let gate = Gate::new();
        host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
        let run = host.teller.ai_engine_run(&host.engine, &thread, "q2").submit().await.unwrap();
        host.hub.until_text("Once ").await;
        let cancelled = run.cancel(&host.engine).await.unwrap();
        assert_eq!(cancelled.status, RunStatus::Cancelled);
        host.fake.reply(Reply::deltas(["Twice ", "upon"]).disconnect_at(6));
        let broken = cancelled.retry(&host.engine).await.unwrap();
        assert_eq!(
            (broken.run.status, broken.text().as_str()),
            (RunStatus::Incomplete, "Twice upon")
        );
        host.fake.reply(Reply::text("a2"));
        let run = broken.run.retry(&host.engine).submit().await.unwrap();
        host.engine.answer(run.id).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2"]);
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2"]);
        assert_eq!(siblings(&host, 1), 3);
        one_conversation(&host).await;
    }
}

async fn a_retry_asks_the_assistant_as_it_was_mended<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = ask(&host, &thread, "q1", "a1").await;
    let mut mended = host.teller.clone();
    "better-model".clone_into(&mut mended.model);
    mended.update_openai_assistant(&host.engine).await.unwrap();
    let again = run.regenerate(&host.engine).await.unwrap().run;
    assert_eq!((again.model.as_str(), again.assistant_id), ("better-model", run.assistant_id));
    // Without the assistant it asks as the run did.
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
    let again = run.regenerate(&host.engine).await.unwrap().run;
    assert_eq!((again.model.as_str(), again.assistant_id), ("test-model", None));
}

async fn a_retry_off_the_path_is_a_sibling_there<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [first, _, third] = three(&host, &thread).await;
        host.fake.reply(Reply::text("b1"));
        first.regenerate(&host.engine).await.unwrap();
        ask(&host, &thread, "q5", "a5").await;
        host.fake.reply(Reply::text("b3"));
        third.regenerate(&host.engine).await.unwrap();
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2", "a2", "q3"]);
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2", "q3", "b3"]);
        assert_eq!((siblings(&host, 0), siblings(&host, 2)), (2, 2));
        one_conversation(&host).await;
    }
}

async fn an_interruption_makes_room_for_a_turn_taken_again<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let run = ask(&host, &thread, "q1", "a1").await;
        let gate = Gate::new();
        host.fake.reply_to("q2", Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
        // One that another process drives, and one in line.
        let other = engine(&host.db, &host.fake, &host.hub, |builder| {
            let mode = if host.conversing { "conversation" } else { "local" };
            builder.history(mode.parse().unwrap())
        });
        let driven = host.teller.ai_engine_run(&other, &thread, "q2").submit().await.unwrap();
        host.hub.until_text("Once ").await;
        let in_line = host.teller.ai_engine_run(&other, &thread, "q3").when_busy(Busy::Queue);
        let in_line = in_line.submit().await.unwrap();
        host.fake.reply_to("q1", Reply::text("b1"));
        let again = run.regenerate(&host.engine).when_busy(Busy::Interrupt).await.unwrap();
        assert_eq!(again.text(), "b1");
        assert_eq!(listed(&host, &thread).await, ["q1", "b1"]);
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1"]);
        for stopped in [driven, in_line] {
            let stopped = host.engine.find_run(stopped.id).await.unwrap();
            assert_eq!(stopped.status, RunStatus::Cancelled);
        }
    }
}

async fn a_turn_taken_again_with_a_known_key_is_taken_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = ask(&host, &thread, "q1", "a1").await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("b1").hold_at(0, gate.clone()));
    let again = |busy| run.regenerate(&host.engine).idempotency_key("once").when_busy(busy);
    let first = again(Busy::Reject).submit().await.unwrap();
    gate.reached().await;
    // Nor does the second request cancel the run of the first.
    for busy in [Busy::Reject, Busy::Interrupt] {
        assert_eq!(again(busy).submit().await.unwrap().id, first.id);
    }
    gate.open();
    assert_eq!(again(Busy::Interrupt).await.unwrap().text(), "b1");
    assert_eq!(listed(&host, &thread).await, ["q1", "b1"]);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 2);
}

/// The answer to the first request was lost, and the conversation went on before it was made again.
async fn a_known_key_cancels_nothing_also_after_its_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = ask(&host, &thread, "q1", "a1").await;
    let again = || {
        let request = run.regenerate(&host.engine).idempotency_key("once");
        request.when_busy(Busy::Interrupt)
    };
    host.fake.reply(Reply::text("b1"));
    let first = again().await.unwrap().run;
    let gate = Gate::new();
    host.fake.reply(Reply::text("a2").hold_at(0, gate.clone()));
    let next = host.teller.ai_engine_run(&host.engine, &thread, "q2").submit().await.unwrap();
    gate.reached().await;
    assert_eq!(again().submit().await.unwrap().id, first.id);
    gate.open();
    assert_eq!(host.engine.answer(next.id).await.unwrap().text(), "a2");
    assert_eq!(listed(&host, &thread).await, ["q1", "b1", "q2", "a2"]);
}

async fn what_is_refused_interrupts_nothing<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = ask(&host, &thread, "q1", "a1").await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("a2").hold_at(0, gate.clone()));
    let next = host.teller.ai_engine_run(&host.engine, &thread, "q2").submit().await.unwrap();
    gate.reached().await;
    let retry = run.retry(&host.engine).when_busy(Busy::Interrupt);
    let refused = retry.submit().await.unwrap_err();
    assert!(matches!(refused, Error::Answered { .. }), "{refused}");
    gate.open();
    assert_eq!(host.engine.answer(next.id).await.unwrap().text(), "a2");
}
