//! History with the provider: the local database is the truth, and each call sends what the provider lacks.

use ai_engine::openai::unstable::{Conversations, CreateConversation};
use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{Page, RunStatus, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    doubtful_messages_are_looked_up_before_the_next_call,
    an_answer_that_was_completed_unseen_is_not_sent_again,
    a_locked_conversation_is_looked_into_before_each_call,
    a_question_without_an_answer_leaves_the_history,
    a_conversation_the_provider_lost_is_told_again,
    an_unknown_model_costs_no_conversation,
    a_conversation_in_use_is_not_replaced_by_a_late_one,
    what_only_the_lost_conversation_could_read_stays_behind,
    a_thread_moves_to_another_endpoint_with_its_history,
    a_thread_made_in_the_hosts_transaction_gets_its_conversation_at_the_first_run,
    a_thread_is_created_while_the_provider_is_down,
    chats_are_local_whatever_the_mode,
    history_stays_within_its_budget,
);

fn sent(fake: &FakeOpenAi) -> Vec<(String, String)> {
    let body = fake
        .requests()
        .into_iter()
        .rev()
        .find(|request| request.path.ends_with("/responses"))
        .unwrap()
        .body
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(&item["role"]), text(&item["content"])))
        .collect()
}

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

async fn doubtful_messages_are_looked_up_before_the_next_call<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    host.fake.reply(Reply::text("Fine."));
    let broken = host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    assert_eq!(broken.run.status, RunStatus::Incomplete);
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    // The service keeps nothing of a call whose client left, so all of it travels.
    assert_eq!(
        sent(&host.fake),
        [
            said("user", "first"),
            said("assistant", "Once upon\n\n[This answer breaks off here.]"),
            said("user", "second")
        ]
    );
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_messages WHERE remote_state = 'held'"),
        4
    );
}

async fn an_answer_that_was_completed_unseen_is_not_sent_again<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6).finish_unseen());
    host.fake.reply(Reply::text("Fine."));
    let broken = host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    assert_eq!(broken.text(), "Once upon");
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    assert_eq!(sent(&host.fake), [said("user", "second")]);
    let conversation = thread.remote_id.unwrap();
    assert_eq!(host.fake.conversation_items(&conversation).unwrap().len(), 4, "nothing twice");
}

/// Whoever holds the lock may be about to add what we would send: the answer to a call that we broke off.
async fn a_locked_conversation_is_looked_into_before_each_call<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(5));
    let broken = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(broken.run.status, RunStatus::Incomplete);
    let before = host.fake.requests().len();
    let locked = json!({"error": {"message": "Another response", "code": "conversation_locked"}});
    host.fake.intercept("POST", "/responses", Reply::status(400, locked));
    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    let asked: Vec<String> =
        host.fake.requests().into_iter().skip(before).map(|request| request.method).collect();
    // The last one looks whether the answer is kept there, once.
    assert_eq!(asked, ["GET", "POST", "GET", "POST", "GET"]);
}

async fn a_question_without_an_answer_leaves_the_history<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::status(
        401,
        json!({"error": {"message": "no", "type": "invalid_request_error"}}),
    ));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap_err();
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    assert_eq!(sent(&host.fake), [said("user", "second")]);
    let stored = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(stored.len(), 3, "it stays stored and visible");
    let looks = host.fake.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(looks, 1, "a refusal leaves no doubt to look up");
}

async fn a_conversation_the_provider_lost_is_told_again<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("One."));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    let lost = thread.remote_id.clone().unwrap();
    Conversations::of(&host.fake.openai().unwrap()).delete(&lost).await.unwrap();

    host.fake.reply(Reply::text("Two."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    assert_eq!(answer.text(), "Two.");
    assert_eq!(
        sent(&host.fake),
        [said("user", "first"), said("assistant", "One."), said("user", "second")]
    );
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_ne!(found.remote_id.unwrap(), lost);
}

async fn a_conversation_in_use_is_not_replaced_by_a_late_one<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let client = host.fake.openai().unwrap();
    let empty = CreateConversation::default();
    let used = Conversations::of(&client).create(&empty).await.unwrap().id;
    // While one tab waits for the thread's conversation, another has found the thread and given it one.
    let (db, endpoint, other) = (host.db.clone(), host.fake.base_url(), used.clone());
    host.fake.on_request(move |request| {
        if request.method == "POST" && request.path.ends_with("/conversations") {
            db.execute(&format!(
                "UPDATE ai_engine_assistant_threads SET remote_id = '{other}', endpoint = '{endpoint}', \
                 protocol = 'responses'"
            ));
        }
    });
    let thread = host.thread().await;
    assert_eq!(thread.remote_id.as_ref(), Some(&used));
    until_deleted(&host.db).await;
    assert_eq!(host.fake.conversation_ids(), [used], "the late one is deleted");
}

async fn an_unknown_model_costs_no_conversation<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let unknown = json!({"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}});
    host.fake.reply(Reply::status(404, unknown));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap_err();
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_eq!(found.remote_id, thread.remote_id);
    assert_eq!(host.fake.conversation_ids().len(), 1);
}

async fn what_only_the_lost_conversation_could_read_stays_behind<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let reasoning = json!({"type": "reasoning", "summary": []});
    let call =
        json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"});
    host.fake.reply(Reply::text("One.").item(reasoning).item(call));
    let ask = |text: &'static str| host.teller.ai_engine_run(&host.engine, &thread, text);
    ask("first").await.unwrap();
    let openai = host.fake.openai().unwrap();
    let (lost, kept) = (thread.remote_id.clone().unwrap(), host.fake.items());
    for item in &kept {
        let id = item["id"].as_str().unwrap();
        Conversations::of(&openai).delete_item(&lost, id).await.unwrap();
    }
    Conversations::of(&openai).delete(&lost).await.unwrap();

    host.fake.reply(Reply::text("Two."));
    assert_eq!(ask("second").await.unwrap().text(), "Two.");
    // The lost conversation is being deleted meanwhile.
    let mut calls = host.fake.requests();
    calls.retain(|request| request.path == "/v1/responses");
    let body = calls.pop().unwrap().body.unwrap();
    let kinds: Vec<_> =
        body["input"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "function_call", "message", "function_call_output", "message"]);
}

async fn a_thread_moves_to_another_endpoint_with_its_history<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("One."));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();

    let elsewhere = FakeOpenAi::start().await.unwrap();
    let moved = engine(&host.db, &elsewhere, &host.hub, |builder| {
        builder.history(ai_engine::History::Conversation)
    });
    host.teller.ai_engine_run(&moved, &thread, "second").await.unwrap();
    assert_eq!(
        sent(&elsewhere),
        [said("user", "first"), said("assistant", "One."), said("user", "second")]
    );
    // The old conversation is not forgotten: it waits to be deleted where it was made.
    let sql = "SELECT remote_id AS line FROM ai_engine_remote_deletions";
    assert_eq!(host.db.texts(sql), [thread.remote_id.unwrap()]);
}

async fn a_thread_made_in_the_hosts_transaction_gets_its_conversation_at_the_first_run<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::conversing(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let thread = host.db.with(|conn| threads.create_in(conn.session())).unwrap();
    assert!(thread.remote_id.is_none());
    assert!(host.fake.requests().is_empty(), "no HTTP in the host's transaction");
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    let found = threads.find(thread.id).await.unwrap();
    assert_eq!(host.fake.conversation_ids(), [found.remote_id.unwrap()]);
}

async fn a_thread_is_created_while_the_provider_is_down<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    host.fake.intercept(
        "POST",
        "/conversations",
        Reply::status(401, json!({"error": {"message": "no"}})),
    );
    let thread = host.thread().await;
    assert!(thread.remote_id.is_none());
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
}

async fn chats_are_local_whatever_the_mode<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    host.fake.reply(Reply::text("Hello."));
    let answer = chat.run(&host.engine, "some-model", "Hi").await.unwrap();
    assert_eq!((answer.text().as_str(), answer.run.model.as_str()), ("Hello.", "some-model"));
    assert!(answer.messages[0].in_chat());
    let body = host.fake.requests().pop().unwrap().body.unwrap();
    assert_eq!((&body["store"], &body["model"]), (&json!(false), &json!("some-model")));
    assert_eq!(chat.messages(&host.engine).list(Page::default()).await.unwrap().len(), 2);
    assert_eq!(chat.runs(&host.engine, Page::default()).await.unwrap(), [answer.run]);

    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["slow ", "answer"]).hold_at(5, gate));
    let run = chat.run(&host.engine, "some-model", "again").submit().await.unwrap();
    host.hub.until_text("slow ").await;
    assert_eq!(chat.cancel(&host.engine).await.unwrap().unwrap().status, RunStatus::Cancelled);
    host.engine.answer(run.id).await.unwrap();
    host.user.chats(&host.engine).destroy(chat.id).await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
}

async fn history_stays_within_its_budget<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let brief = || ai_engine::AssistantDefinition::new("m").max_prompt_tokens(256);
    let long = "x".repeat(900);
    for question in [long.as_str(), "short", "last"] {
        host.fake.reply(Reply::text("ok"));
        chat.run(&host.engine, brief(), question).await.unwrap();
    }
    let last: Vec<_> = sent(&host.fake).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        last,
        [long.as_str(), "ok", "short", "ok", "last"],
        "230 tokens and their frames fit"
    );
    host.fake.reply(Reply::text("ok"));
    chat.run(&host.engine, brief(), "y".repeat(400)).await.unwrap();
    let last: Vec<_> = sent(&host.fake).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        last,
        ["short", "ok", "last", "ok", &"y".repeat(400)],
        "the oldest turn went, whole"
    );
}
