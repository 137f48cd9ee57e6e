//! G10, G11: what goes wrong ends in a typed error or a kept partial, and is tried again only while nothing was said.

use ai_engine::testing::Reply;
use ai_engine::{Error, MessageStatus, OpenAi, RunStatus, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    a_refused_call_fails_the_run_without_a_blank_message,
    a_stream_cut_after_output_keeps_it_and_is_not_repeated,
    a_stream_cut_before_output_is_tried_again,
    a_failure_after_output_keeps_it,
    no_failure_after_output_is_made_good_by_asking_again,
    an_answer_cut_at_its_token_limit_is_incomplete,
    an_unreachable_provider_fails_the_run,
    a_message_over_its_limit_is_cut,
    messages_over_the_limit_together_are_cut,
    an_answer_of_thousands_of_messages_is_stored_whole,
    an_unanswered_call_ends_the_run_and_the_next_turn_works,
    an_answer_without_words_stores_no_message,
    nul_in_an_answer_is_replaced,
    blanks_before_the_first_word_hold_nothing_up,
    a_call_tried_again_begins_clean,
    a_call_whose_answer_was_lost_is_not_added_twice,
    a_call_without_any_answer_is_looked_for_before_it_is_repeated,
    no_transaction_is_open_during_a_call,
);

async fn a_refused_call_fails_the_run_without_a_blank_message<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let body = json!({"error": {"message": "The model `x` does not exist", "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
    host.fake.reply(Reply::status(404, body));
    let error = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
    let Error::RunFailed { run_id, reason, message, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "model_not_found");
    assert!(message.contains("does not exist"), "{message}");
    let run = host.engine.find_run(*run_id).await.unwrap();
    assert_eq!((run.status, run.reason.as_deref()), (RunStatus::Failed, Some("model_not_found")));
    assert_eq!(host.db.texts("SELECT role AS line FROM ai_engine_messages"), ["user"]);
    host.teller.ai_engine_run(&host.engine, &thread, "Again").await.unwrap();
}

async fn a_stream_cut_after_output_keeps_it_and_is_not_repeated<D: TestDatabase>(db: D) {
    for reply in [
        Reply::deltas(["Once ", "upon"]).disconnect_at(6),
        Reply::deltas(["Once ", "upon"]).end_at(6),
    ] {
        let host = Host::new(db.clone()).await;
        let thread = host.thread().await;
        host.fake.reply(reply);
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        assert_eq!(
            (answer.run.status, answer.run.reason.as_deref()),
            (RunStatus::Incomplete, Some("disconnected"))
        );
        assert_eq!(answer.text(), "Once upon");
        assert_eq!(answer.message().unwrap().status, MessageStatus::Incomplete);
        assert_eq!(host.fake.responses_created(), 1);
        assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
        host.db.execute("DELETE FROM storytellers; DELETE FROM users;");
    }
}

async fn a_stream_cut_before_output_is_tried_again<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("lost").disconnect_at(3));
    host.fake.reply(Reply::text("Once upon"));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Completed, "Once upon"));
    assert_eq!((host.fake.responses_created(), answer.run.attempts), (2, 2));
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_responses"), 2);
}

async fn a_failure_after_output_keeps_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon").failed("server_error", "The model broke down."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(
        (answer.run.status, answer.run.reason.as_deref()),
        (RunStatus::Incomplete, Some("server_error"))
    );
    assert!(answer.run.error.as_deref().unwrap().contains("The model broke down."));
    assert_eq!(answer.text(), "Once upon");
}

/// What would be before the first word: a history that is too long, a conversation that does not go on.
async fn no_failure_after_output_is_made_good_by_asking_again<D: TestDatabase>(db: D) {
    for (code, message) in [
        ("context_length_exceeded", "The history is too long."),
        ("invalid_prompt", "No tool output found for function call c."),
    ] {
        let host = Host::conversing(db.another()).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::text("Once upon").failed(code, message));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        assert_eq!(
            (answer.run.status, answer.text().as_ref()),
            (RunStatus::Incomplete, "Once upon")
        );
        let requests = host.fake.requests();
        let asked = requests.iter().filter(|sent| sent.path.ends_with("/responses")).count();
        assert_eq!(asked, 1, "{code}");
    }
}

async fn an_answer_cut_at_its_token_limit_is_incomplete<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon").incomplete("max_output_tokens"));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(
        (answer.run.status, answer.run.reason.as_deref()),
        (RunStatus::Incomplete, Some("max_output_tokens"))
    );
    assert_eq!(answer.text(), "Once upon");
}

async fn an_unreachable_provider_fails_the_run<D: TestDatabase>(db: D) {
    let (_held, closed) = closed();
    let client = OpenAi::builder()
        .api_key("sk-secret-key")
        .base_url(format!("http://{closed}/v1"))
        .max_retries(0);
    let host = Host::with(db, |builder| builder.openai(client.build().unwrap())).await;
    let thread = host.thread().await;
    let error = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
    assert!(
        matches!(&error, Error::RunFailed { reason, .. } if reason == "connection_failed"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("sk-secret-key"));
    assert_eq!(host.db.texts("SELECT content AS line FROM ai_engine_messages"), ["Tell me"]);
}

async fn a_message_over_its_limit_is_cut<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.max_message_bytes(8)).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["12345678", "9", "never"]).stall_at(6));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(
        (answer.run.status, answer.run.reason.as_deref()),
        (RunStatus::Incomplete, Some("message_too_long"))
    );
    assert!(answer.run.error.as_deref().unwrap().contains("max_message_bytes (8 bytes)"));
    assert_eq!(answer.text(), "123456789");
}

/// The limit is the run's: many short messages are no way around it.
async fn messages_over_the_limit_together_are_cut<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.max_message_bytes(8)).await;
    let thread = host.thread().await;
    host.fake.reply(many_messages(5, "123"));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.reason.as_deref(), Some("message_too_long"));
    assert_eq!(answer.messages.len(), 3);
}

/// Each is a row with hooks: what an answer of thousands costs grows with their number, and not faster.
async fn an_answer_of_thousands_of_messages_is_stored_whole<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(many_messages(MANY, "One."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(answer.messages.len(), MANY);
    host.fake.reply(many_messages(10_001, "One."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "And now").await.unwrap();
    assert_eq!(answer.run.reason.as_deref(), Some("message_too_long"));
    assert!(answer.run.error.unwrap().contains("10000 messages"));
}

const MANY: usize = 2_000;

fn many_messages(count: usize, text: &str) -> Reply {
    let message = |number: usize| {
        json!({
            "type": "message", "id": format!("msg_{number}"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        })
    };
    (0..count).fold(Reply::text("").without_message(), |reply, number| reply.item(message(number)))
}

async fn an_unanswered_call_ends_the_run_and_the_next_turn_works<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"});
    host.fake.reply(Reply::text("").without_message().item(call));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(
        (answer.run.status, answer.run.reason.as_deref()),
        (RunStatus::Incomplete, Some("tool_calls"))
    );
    assert!(answer.messages.is_empty());
    // The provider refuses a conversation with an open call; ours was closed.
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "And now?").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    let kinds = host.db.texts("SELECT kind AS line FROM ai_engine_run_items ORDER BY id");
    assert_eq!(kinds, ["function_call", "function_call_output"]);
}

async fn an_answer_without_words_stores_no_message<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("").without_message());
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(
        (answer.run.status, answer.messages.len(), answer.text().as_str()),
        (RunStatus::Completed, 0, "")
    );
    assert_eq!(host.db.texts("SELECT role AS line FROM ai_engine_messages"), ["user"]);
}

async fn nul_in_an_answer_is_replaced<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["On\0ce"]));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "On\u{fffd}ce");
    assert_eq!(host.hub.appended(), "On\u{fffd}ce");
}

async fn blanks_before_the_first_word_hold_nothing_up<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder.max_unflushed_bytes(4)).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["\n\n\n", "\n\n\n", "Hello"]));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "\n\n\n\n\n\nHello");
}

async fn a_call_tried_again_begins_clean<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["\n\n", "lost"]).disconnect_at(5));
    host.fake.reply(Reply::deltas(["Once ", "upon"]));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!((answer.text().as_str(), answer.run.attempts), ("Once upon", 2));
    assert_eq!(host.hub.appended(), "Once upon");
}

async fn a_call_whose_answer_was_lost_is_not_added_twice<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    // The service does the work and keeps it, but its gateway breaks: nobody sees the answer.
    host.fake.reply(Reply::text("unseen").disconnect_at(0).finish_unseen());
    host.fake.reply(Reply::text("seen"));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.text(), "seen");
    let items = host.fake.conversation_items(&thread.remote_id.unwrap()).unwrap();
    let users = items.iter().filter(|item| item["role"] == "user").count();
    assert_eq!(users, 1, "{items:?}");
}

/// The client does not repeat it by itself: what became of it can be seen in the conversation alone.
async fn a_call_without_any_answer_is_looked_for_before_it_is_repeated<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let before = host.fake.requests().len();
    host.fake.intercept("POST", "/responses", Reply::hang_up());
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let requests = host.fake.requests();
    let asked: Vec<&str> =
        requests[before..].iter().map(|request| request.method.as_str()).collect();
    // The last one looks whether the answer is kept there, once.
    assert_eq!(asked, ["POST", "GET", "POST", "GET"]);
}

/// G1: at each request the provider receives, a writer could begin.
async fn no_transaction_is_open_during_a_call<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let (checked, seen) = (host.db.clone(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let note = std::sync::Arc::clone(&seen);
    host.fake.on_request(move |request| {
        let free = checked.with(|conn| conn.nobody_is_in_a_transaction());
        note.lock().unwrap().push((format!("{} {}", request.method, request.path), free));
    });
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    until_deleted(&host.db).await;
    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() >= 6, "conversation, response, deletions: {seen:?}");
    assert!(seen.iter().all(|(_, free)| *free), "{seen:?}");
}
