//! One run's failure is one run's: what the host's database refuses for good, and rows that this version cannot read.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Page, RunStatus, prelude::*};

use super::{beside, dead, status};
use crate::support::*;

on_each_database!(
    a_text_that_is_refused_ends_its_run_and_no_other,
    a_first_word_that_is_refused_ends_its_run,
    an_end_that_is_refused_ends_as_failed_with_what_is_stored,
    a_dead_run_that_cannot_be_ended_whole_is_ended_with_less,
    a_run_that_cannot_be_ended_at_all_stops_nobody,
    a_row_that_this_version_cannot_read_stops_nobody,
);

fn stored<D: TestDatabase>(db: &D, run: i64) -> String {
    let tail = if db.url().starts_with("postgres") {
        "string_agg(text, '' ORDER BY id)"
    } else {
        "group_concat(text, '')"
    };
    let sql = format!(
        "SELECT content || coalesce((SELECT {tail} FROM ai_engine_message_deltas WHERE message_id = said.id), '') AS line \
         FROM ai_engine_messages AS said WHERE run_id = {run} AND role = 'assistant'"
    );
    db.texts(&sql).pop().unwrap_or_default()
}

async fn a_text_that_is_refused_ends_its_run_and_no_other<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    refuse(&host.db, "message_deltas", "INSERT", "NEW.text LIKE '%poison%'");
    let (bad, good) = (Gate::new(), Gate::new());
    let poisoned = Reply::deltas(["Once ", "poison ", "more"]).hold_at(5, bad.clone()).stall_at(6);
    host.fake.reply_to("bad", poisoned);
    host.fake.reply_to(
        "good",
        Reply::deltas(["Once ", "upon ", "a time"]).hold_at(5, good.clone()).stall_at(6),
    );
    let (one, two, three) = (host.thread().await, host.thread().await, host.thread().await);
    let poisoned = host.teller.ai_engine_run(&host.engine, &one, "bad").submit().await.unwrap();
    let fine = host.teller.ai_engine_run(&host.engine, &two, "good").submit().await.unwrap();
    until(|| stored(&host.db, poisoned.id) == "Once " && stored(&host.db, fine.id) == "Once ")
        .await;
    bad.open();
    good.open();
    // While the one is being refused, the other's text is stored, and a run that begins meanwhile has its row.
    until(|| stored(&host.db, fine.id) == "Once upon ").await;
    let begun = host.teller.ai_engine_run(&host.engine, &three, "Tell me").await.unwrap();
    assert_eq!(begun.run.status, RunStatus::Completed);
    until(|| status(&host.db, poisoned.id) == "failed database").await;
    // It is whole where the database takes it.
    let said = one.messages(&host.engine).list(Page::newest(1)).await.unwrap();
    assert_eq!(said[0].content, "Once poison ");
    let run = host.engine.find_run(poisoned.id).await.unwrap();
    assert!(run.error.unwrap().contains("does not take this"));
    assert_eq!(status(&host.db, fine.id), "in_progress");
    two.cancel(&host.engine).await.unwrap();
    until_announced(&host.db).await;
}

async fn a_first_word_that_is_refused_ends_its_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    refuse(&host.db, "messages", "INSERT", "NEW.content LIKE '%poison%'");
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["poison ", "and more"]).stall_at(5));
    let refused = host.teller.ai_engine_run(&host.engine, &thread, "bad").await.unwrap_err();
    assert!(refused.to_string().contains("does not take this"), "{refused}");
    host.fake.disconnected(1).await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "good").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn an_end_that_is_refused_ends_as_failed_with_what_is_stored<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    refuse(&host.db, "messages", "UPDATE", "NEW.content LIKE '%poison%'");
    let thread = host.thread().await;
    let gate = Gate::new();
    let reply = Reply::deltas(["Once ", "poison"]).usage(20, 2);
    host.fake.reply(reply.hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "bad").submit().await.unwrap();
    until(|| stored(&host.db, run.id) == "Once ").await;
    gate.open();
    let refused = host.engine.answer(run.id).await.unwrap_err();
    assert!(refused.to_string().contains("does not take this"), "{refused}");
    assert_eq!(status(&host.db, run.id), "failed database");
    until_announced(&host.db).await;
    let heard = host.hub.settled().pop().unwrap();
    assert!(heard.content.starts_with("Once "), "{heard:?}");
    // G18: what was reported is stored all the same.
    let usage = host.engine.find_run(run.id).await.unwrap().usage;
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (20, 2, false));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "good").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn a_dead_run_that_cannot_be_ended_whole_is_ended_with_less<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (one, two) = (host.thread().await, host.thread().await);
    let bad = dead(&host, &one).await;
    let good = dead(&host, &two).await;
    // What was streamed since waits beside the message, and cannot become part of it.
    host.db.execute(&format!(
        "INSERT INTO ai_engine_message_deltas (message_id, byte_offset, sequence_number, text) \
         SELECT id, 5, 9, 'upon ' FROM ai_engine_messages WHERE run_id = {} AND role = 'assistant'",
        bad.id
    ));
    refuse(&host.db, "messages", "UPDATE", "NEW.content = 'Once upon '");
    let recovered = host.engine.recover().await.unwrap();
    assert_eq!(recovered.settled, 2);
    assert_eq!(status(&host.db, bad.id), "failed database");
    assert_eq!(status(&host.db, good.id), "incomplete interrupted");
    // Nothing of it is lost.
    let said = one.messages(&host.engine).list(Page::newest(1)).await.unwrap();
    assert_eq!(said[0].content, "Once upon ");
    until_announced(&host.db).await;
    let answer = host.teller.ai_engine_run(&host.engine, &one, "Go on").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn a_run_that_cannot_be_ended_at_all_stops_nobody<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (one, two) = (host.thread().await, host.thread().await);
    let bad = dead(&host, &one).await;
    let good = dead(&host, &two).await;
    refuse(&host.db, "runs", "UPDATE", &format!("NEW.id = {}", bad.id));
    let recovered = host.engine.recover().await.unwrap();
    assert_eq!(recovered.settled, 1);
    assert_eq!(status(&host.db, bad.id), "in_progress");
    assert_eq!(status(&host.db, good.id), "incomplete interrupted");
    let waiting = submit_undriven(&host, &two);
    beside(&host).start().await.unwrap();
    assert_eq!(host.engine.answer(waiting.id).await.unwrap().run.status, RunStatus::Completed);
    host.user.assistant_threads(&host.engine).destroy(one.id).await.unwrap_err();
}

async fn a_row_that_this_version_cannot_read_stops_nobody<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (one, two, three, four) =
        (host.thread().await, host.thread().await, host.thread().await, host.thread().await);
    let strange = dead(&host, &one).await;
    let known = dead(&host, &two).await;
    let strange_waiting = submit_undriven(&host, &three);
    let waiting = submit_undriven(&host, &four);
    // As a later version might write.
    host.db.execute(&format!(
        "UPDATE ai_engine_runs SET recovery = 'tomorrow' WHERE id IN ({}, {})",
        strange.id, strange_waiting.id
    ));
    let recovered = host.engine.start().await.unwrap();
    assert_eq!(recovered.settled, 1);
    assert_eq!(status(&host.db, known.id), "incomplete interrupted");
    assert_eq!(host.engine.answer(waiting.id).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(status(&host.db, strange.id), "in_progress");
    assert_eq!(status(&host.db, strange_waiting.id), "queued");
    // Once somebody can read them they go on.
    host.db.execute("UPDATE ai_engine_runs SET recovery = NULL");
    assert_eq!(host.engine.answer(strange.id).await.unwrap().text(), "Once ");
    let answer = host.engine.answer(strange_waiting.id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}
