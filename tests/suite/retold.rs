//! G16: no thread fails for good. Whatever is stored, and whatever the provider made of it, the next turn is answered; and what
//! is said to be held there is there.

mod calls;
mod lengths;
mod lists;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, Page, Role, RunStatus, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    what_was_found_at_the_provider_and_what_follows_it_have_places_of_their_own,
    a_conversation_that_does_not_go_on_is_told_anew_once,
    roles_alternate_whatever_became_of_a_turn,
    a_server_that_ignores_conversations_is_found_out,
    a_server_that_keeps_conversations_is_asked_once,
    a_conversation_that_lost_what_it_held_is_told_anew,
    an_assistant_that_speaks_first_does_not_begin_the_history,
    a_conversation_without_an_id_is_malformed,
    a_server_without_conversations_says_what_to_do,
    a_thread_destroyed_in_mid_call_leaves_nothing_behind,
);

fn bodies<D>(host: &Host<D>) -> Vec<Value> {
    let posts = host.fake.requests().into_iter();
    let posts = posts.filter(|sent| sent.method == "POST" && sent.path.ends_with("/responses"));
    posts.map(|sent| sent.body.unwrap()).collect()
}

fn kinds(body: &Value) -> Vec<String> {
    let kind = |item: &Value| item["type"].as_str().unwrap_or("message").to_owned();
    body["input"].as_array().unwrap().iter().map(kind).collect()
}

fn texts(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = body["input"].as_array().unwrap().iter();
    items.map(|item| (text(&item["role"]), text(&item["content"]))).collect()
}

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

fn refused(message: &str) -> Reply {
    Reply::status(
        400,
        json!({"error": {"message": message, "type": "invalid_request_error", "param": "input", "code": null}}),
    )
}

/// A page of items of a conversation, as a server would send it.
fn page(items: &[(&str, &str)], has_more: bool) -> Value {
    let data: Vec<Value> = items
        .iter()
        .map(|(id, text)| json!({"type": "message", "id": id, "role": "user", "content": [{"type": "input_text", "text": text}]}))
        .collect();
    json!({"object": "list", "data": data, "has_more": has_more})
}

async fn a_conversation_that_does_not_go_on_is_told_anew_once<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for message in [
        "No tool output found for computer call call_1.",
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        "Duplicate item found with id msg_1. Remove duplicate items from your input and try again.",
    ] {
        let thread = host.thread().await;
        host.fake.reply(Reply::text("One."));
        host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        host.fake.reply(refused(message));
        host.fake.reply(Reply::text("Two."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
        assert_eq!(
            (answer.text().as_str(), answer.run.notes),
            ("Two.", vec!["conversation_retold".to_owned()])
        );
        let told = [said("user", "first"), said("assistant", "One."), said("user", "second")];
        assert_eq!(texts(bodies(&host).last().unwrap()), told);
        let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
        let old = thread.remote_id.unwrap();
        assert_ne!(found.remote_id.as_ref(), Some(&old));
        // The old one is given up, not forgotten.
        until(|| !host.fake.conversation_ids().contains(&old)).await;
        // Once: what is refused again is an error.
        host.fake.reply(refused(message));
        host.fake.reply(refused(message));
        host.teller.ai_engine_run(&host.engine, &found, "third").await.unwrap_err();
        host.fake.reply(Reply::text("Four."));
        let answer = host.teller.ai_engine_run(&host.engine, &found, "fourth").await.unwrap();
        assert_eq!(answer.text(), "Four.");
    }
}

async fn roles_alternate_whatever_became_of_a_turn<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let ask = |text: &'static str| host.teller.ai_engine_run(&host.engine, &thread, text);
    host.fake.reply_to("fails", Reply::status(400, json!({"error": {"message": "no"}})));
    host.fake.reply_to("blank", Reply::text(" "));
    let gate = Gate::new();
    host.fake.reply_to("stopped", Reply::text("never").hold_at(0, gate.clone()));
    ask("fails").await.unwrap_err();
    ask("blank").await.unwrap();
    let stopped = ask("stopped").submit().await.unwrap();
    gate.reached().await;
    stopped.cancel(&host.engine).await.unwrap();
    thread.messages(&host.engine).create(Role::System, "Be brief.").await.unwrap();
    thread.messages(&host.engine).create(Role::User, "From elsewhere.").await.unwrap();
    host.fake.reply_to("cut", Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    ask("cut").await.unwrap();
    host.fake.reply_to("newest", Reply::text("Fine."));
    ask("newest").when_busy(Busy::Queue).await.unwrap();
    let body = bodies(&host).pop().unwrap();
    assert_eq!(
        texts(&body),
        [
            said("user", "From elsewhere.\n\ncut"),
            said("assistant", "Once upon\n\n[This answer breaks off here.]"),
            said("user", "newest"),
        ]
    );
    assert_eq!(body["instructions"], "You tell stories.\n\nBe brief.");
    let stored = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(stored.len(), 9, "all of it stays stored and visible");
}

/// Servers that take a conversation and ignore it: the second turn would know nothing, while the rows said that it did.
async fn a_server_that_ignores_conversations_is_found_out<D: TestDatabase>(db: D) {
    for (status, body) in [
        (200, page(&[], false)),
        (200, page(&[("msg_of_somebody", "What somebody else said.")], false)),
        (404, json!({"error": {"message": "Not Found"}})),
        (405, json!({"detail": "Method Not Allowed"})),
    ] {
        let host = Host::conversing(db.another()).await;
        let thread = host.thread().await;
        host.fake.intercept("GET", "/items", Reply::status(status, body));
        host.fake.reply(Reply::text("One."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        assert_eq!((answer.text().as_ref(), answer.run.status), ("One.", RunStatus::Completed));
        assert_eq!(answer.run.notes, ["conversation_ignored"], "{status}");
        let held = "SELECT count(*) FROM ai_engine_messages WHERE remote_state <> 'absent'";
        assert_eq!(host.db.number(held), 0, "{status}");
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
        assert!(answer.run.notes.is_empty());
        let body = bodies(&host).pop().unwrap();
        assert!(body.get("conversation").is_none());
        let told = [said("user", "first"), said("assistant", "One."), said("user", "second")];
        assert_eq!(texts(&body), told, "{status}");
        // What was made there is not left behind.
        until_deleted(&host.db).await;
        let mut requests = host.fake.requests().into_iter();
        let conversation = thread.remote_id.unwrap();
        assert!(
            requests.any(|sent| sent.method == "DELETE" && sent.path.ends_with(&conversation)),
            "{status}"
        );
    }
}

/// One look, and only after the first turn: it costs each later turn nothing.
async fn a_server_that_keeps_conversations_is_asked_once<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for _ in 0..2 {
        let thread = host.thread().await;
        for text in ["first", "second"] {
            let asked = host.teller.ai_engine_run(&host.engine, &thread, text);
            assert!(asked.await.unwrap().run.notes.is_empty());
        }
    }
    let looks = host.fake.requests().into_iter().filter(|request| request.method == "GET");
    assert_eq!(looks.count(), 1);
    // One that names its items otherwise than in the stream has the question.
    let host = Host::conversing(host.db.another()).await;
    let thread = host.thread().await;
    let items = page(&[("of_another_name", "first")], false);
    host.fake.intercept("GET", "/items", Reply::status(200, items));
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "first");
    assert!(asked.await.unwrap().run.notes.is_empty());
}

/// A server that lost its memory, and takes an unknown id for a new conversation.
async fn a_conversation_that_lost_what_it_held_is_told_anew<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("One."));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    host.fake.intercept("GET", "/items", Reply::status(200, page(&[], false)));
    host.fake.reply(Reply::text("Fine."));
    host.teller.ai_engine_run(&host.engine, &thread, "third").await.unwrap();
    let told = texts(bodies(&host).last().unwrap());
    assert_eq!(told.len(), 5, "all of it is told: {told:?}");
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_ne!(found.remote_id, thread.remote_id);
}

/// History from elsewhere, or a greeting: templates that want the user to begin take it.
async fn an_assistant_that_speaks_first_does_not_begin_the_history<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let messages = thread.messages(&host.engine);
    messages.create(Role::System, "Be brief.").await.unwrap();
    messages.create(Role::Assistant, "Hello, I tell stories.").await.unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let told: Vec<String> = texts(&bodies(&host)[0]).into_iter().map(|(role, _)| role).collect();
    assert_eq!(told, ["user", "assistant", "user"]);
}

async fn a_conversation_without_an_id_is_malformed<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let thread = host.db.with(|conn| threads.create_in(conn.session())).unwrap();
    for body in
        [json!({"id": "", "object": "conversation"}), json!({"object": "conversation"}), json!({})]
    {
        host.fake.intercept("POST", "/conversations", Reply::status(200, body.clone()));
        let error = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("malformed") && text.contains("History::Local"), "{body}: {text}");
    }
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
}

async fn a_server_without_conversations_says_what_to_do<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    for (status, body) in
        [(404, json!({"detail": "Not Found"})), (405, json!({})), (501, json!({"error": "no"}))]
    {
        let thread = host.db.with(|conn| threads.create_in(conn.session())).unwrap();
        for _ in 0..3 {
            host.fake.intercept("POST", "/conversations", Reply::status(status, body.clone()));
        }
        let error = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("keeps no conversations") && text.contains("History::Local"),
            "{text}"
        );
        assert!(text.contains(&host.fake.base_url()), "{text}");
        host.fake.intercept("POST", "/conversations/none", Reply::status(200, json!({})));
    }
}

async fn a_thread_destroyed_in_mid_call_leaves_nothing_behind<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for at in [0, 1, 2] {
        let thread = host.thread().await;
        let gate = Gate::new();
        host.fake.reply(Reply::text("Once upon").hold_at(at, gate.clone()).finish_unseen());
        let run =
            host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
        gate.reached().await;
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        gate.open();
        let _ = host.engine.answer(run.id).await;
        until(|| host.fake.response_ids().is_empty() && host.fake.conversation_ids().is_empty())
            .await;
        until_deleted(&host.db).await;
    }
}

/// The provider did the work of a call whose answer was lost: what it left is stored with the run, and the second answer behind it.
async fn what_was_found_at_the_provider_and_what_follows_it_have_places_of_their_own<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let call = |id: &str| json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "f", "arguments": "{}", "status": "completed"});
    let lost = Reply::text("").without_message().item(call("lost"));
    host.fake.reply(lost.disconnect_at(0).finish_unseen());
    host.fake.reply(Reply::text("").without_message().item(call("seen")));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.reason.as_deref(), Some("tool_calls"), "{:?}", answer.run.error);
    let places =
        "SELECT call_id || ' ' || position AS line FROM ai_engine_run_items ORDER BY position";
    assert_eq!(host.db.texts(places), ["lost 1", "lost 2", "seen 3", "seen 4"]);
}
