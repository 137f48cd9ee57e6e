//! A run from its submission to its end: what is stored, what is sent, what the hooks hear.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Error, MessageStatus, Page, Role, RunStatus, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    the_place_in_the_stream_is_stored_with_the_first_words,
    an_answer_is_stored_and_heard,
    a_second_turn_sends_the_whole_history,
    a_conversation_is_sent_only_what_it_lacks,
    a_busy_thread_refuses_and_names_the_run,
    an_idempotency_key_returns_the_first_run,
    a_cancelled_run_keeps_its_text,
    a_host_selects_our_rows_itself,
);

async fn an_answer_is_stored_and_heard<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon a time.").usage(11, 4).reply_model("test-model-2026"));

    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me a story").await.unwrap();

    assert_eq!(answer.text(), "Once upon a time.");
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!((answer.run.usage.input_tokens, answer.run.usage.output_tokens), (11, 4));
    assert_eq!(answer.run.assistant_name.as_deref(), Some("Scheherazade"));
    let stored = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    let told: Vec<_> = stored
        .iter()
        .map(|m| (m.role, m.status, m.content.as_str(), m.usage.output_tokens))
        .collect();
    assert_eq!(
        told,
        [
            (Role::User, MessageStatus::Completed, "Tell me a story", 0),
            (Role::Assistant, MessageStatus::Completed, "Once upon a time.", 4)
        ]
    );
    assert_eq!(stored[1].model.as_deref(), Some("test-model-2026"));
    assert_eq!(
        host.hub.story(),
        [
            "user created",
            "run in_progress",
            "assistant created",
            "message streaming",
            "message completed",
            "run completed"
        ]
    );
    assert_eq!(host.hub.appended(), "Once upon a time.");
    assert_eq!(host.hub.settled(), answer.messages);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NOT NULL"),
        1
    );
}

async fn a_second_turn_sends_the_whole_history<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    thread.messages(&host.engine).create(Role::System, "Be brief.").await.unwrap();
    host.fake.reply(Reply::text("One."));
    host.fake.reply(Reply::text("Two."));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();

    let sent = host.fake.requests().pop().unwrap().body.unwrap();
    let said: Vec<_> = sent["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["role"], &item["content"]))
        .collect();
    assert_eq!(
        said,
        [
            (&json!("user"), &json!("first")),
            (&json!("assistant"), &json!("One.")),
            (&json!("user"), &json!("second"))
        ]
    );
    assert_eq!(sent["store"], json!(false));
    // Where every template takes it.
    assert_eq!(sent["instructions"], json!("You tell stories.\n\nBe brief."));
    assert!(sent.get("conversation").is_none());
}

async fn a_conversation_is_sent_only_what_it_lacks<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let conversation = thread.remote_id.clone().unwrap();
    host.fake.reply(Reply::text("One."));
    host.fake.reply(Reply::text("Two."));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();

    let sent = host.fake.requests().pop().unwrap().body.unwrap();
    assert_eq!(sent["conversation"], json!(conversation));
    assert_eq!(sent["input"].as_array().unwrap().len(), 1);
    assert_eq!(sent["input"][0]["content"], json!("second"));
    assert!(sent.get("store").is_none());
    assert_eq!(host.fake.conversation_items(&conversation).unwrap().len(), 4);
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_messages WHERE remote_state = 'held'"),
        4
    );
}

async fn a_busy_thread_refuses_and_names_the_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("slow").hold_at(0, gate.clone()));
    let first = host.teller.ai_engine_run(&host.engine, &thread, "first").submit().await.unwrap();

    let refused =
        host.teller.ai_engine_run(&host.engine, &thread, "second").submit().await.unwrap_err();
    assert!(matches!(refused, Error::Busy { run_id, .. } if run_id == first.id), "{refused}");
    assert!(refused.to_string().contains(&format!("run {}", first.id)));
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 1);

    gate.open();
    host.engine.answer(first.id).await.unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "third").await.unwrap();
}

async fn an_idempotency_key_returns_the_first_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let ask = || host.teller.ai_engine_run(&host.engine, &thread, "once").idempotency_key("k-1");
    let first = ask().await.unwrap();
    let again = ask().await.unwrap();
    assert_eq!(first, again);
    assert_eq!(host.fake.responses_created(), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 2);
}

async fn a_cancelled_run_keeps_its_text<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon ", "a time"]).stall_at(6));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once upon ").await;

    let cancelled = thread.cancel(&host.engine).await.unwrap().unwrap();
    assert_eq!((cancelled.id, cancelled.status), (run.id, RunStatus::Cancelled));
    host.fake.disconnected(1).await;
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!(answer.text(), "Once upon ");
    assert_eq!(answer.message().unwrap().status, MessageStatus::Incomplete);
    assert!(thread.cancel(&host.engine).await.unwrap().is_none());
    host.teller.ai_engine_run(&host.engine, &thread, "again").await.unwrap();
}

async fn a_host_selects_our_rows_itself<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let (run, messages) = host.db.with(|conn| (conn.runs().remove(0), conn.messages()));
    assert_eq!(run, answer.run);
    assert_eq!(messages.last(), answer.messages.last());
}

/// A text and the place in the stream that it goes up to are one commit, from the first word on: whoever goes on from there
/// would lose words else, or have them twice.
async fn the_place_in_the_stream_is_stored_with_the_first_words<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    // Created, in progress, item, part, and the first words: the number of their event is 4.
    host.fake.reply(Reply::deltas(["Once ", "upon ", "a time"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let stored = "SELECT count(*) FROM ai_engine_responses AS call JOIN ai_engine_messages AS said \
        ON said.run_id = call.run_id WHERE said.role = 'assistant' AND said.content = 'Once ' AND call.sequence_number = 4";
    assert_eq!(host.db.number(stored), 1);
    gate.open();
    host.engine.answer(run.id).await.unwrap();
    // Then the number of the last event.
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_responses WHERE sequence_number > 6"),
        1
    );
}
