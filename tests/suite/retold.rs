//! G16: no thread fails for good. Whatever is stored, and whatever the provider made of it, the next turn is answered; and what
//! is said to be held there is there.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, EventKind, Page, Reason, Role, RunStatus, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    what_was_found_at_the_provider_and_what_follows_it_have_places_of_their_own,
    calls_of_every_kind_are_closed_before_the_next_turn,
    a_call_that_was_left_behind_is_closed,
    a_conversation_that_does_not_go_on_is_told_anew_once,
    a_call_that_cannot_be_closed_leads_to_a_new_conversation,
    reasoning_without_what_followed_it_does_not_travel,
    roles_alternate_whatever_became_of_a_turn,
    a_history_that_is_too_long_is_shortened_for_the_turn,
    a_question_that_is_too_long_alone_says_so,
    what_was_blank_before_an_overflow_is_not_kept,
    a_list_that_never_ends_costs_no_thread,
    a_list_that_is_missing_does_not_throw_a_living_conversation_away,
    a_server_that_ignores_conversations_is_found_out,
    a_server_that_keeps_conversations_is_asked_once,
    deletions_that_do_not_take_end,
    more_items_than_one_try_deletes_are_left_to_the_next,
    a_server_that_cannot_delete_closes_the_row,
    items_that_cannot_be_deleted_keep_no_conversation,
    a_server_that_lists_nothing_costs_no_thread,
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

async fn calls_of_every_kind_are_closed_before_the_next_turn<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = if conversing {
            Host::conversing(db.another()).await
        } else {
            Host::new(db.another()).await
        };
        for (call, output) in [
            (
                json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}),
                "function_call_output",
            ),
            (
                json!({"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "x"}),
                "custom_tool_call_output",
            ),
            (
                json!({"type": "local_shell_call", "call_id": "c3", "action": {"type": "exec", "command": ["ls"], "env": {}}, "status": "completed"}),
                "local_shell_call_output",
            ),
            (
                json!({"type": "shell_call", "call_id": "c4", "action": {"commands": ["ls"], "max_output_length": 100}, "status": "completed"}),
                "shell_call_output",
            ),
            (
                json!({"type": "apply_patch_call", "call_id": "c5", "operation": {}, "status": "completed"}),
                "apply_patch_call_output",
            ),
            (
                json!({"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "s", "name": "f", "arguments": "{}"}),
                "mcp_approval_response",
            ),
        ] {
            let thread = host.thread().await;
            let kind = call["type"].clone();
            host.fake.reply(Reply::deltas([""; 0]).without_message().item(call));
            let answer = host.teller.ai_engine_run(&host.engine, &thread, "look").await.unwrap();
            let told = (answer.run.status, answer.run.reason);
            assert_eq!(told, (RunStatus::Incomplete, Some(Reason::ToolCalls)), "{kind}");
            host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
            let sent = kinds(bodies(&host).last().unwrap());
            assert!(sent.contains(&output.to_owned()), "{kind}: {sent:?}");
            assert_eq!(sent.last().unwrap(), "message", "{kind}: {sent:?}");
        }
    }
}

async fn a_call_that_was_left_behind_is_closed<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let call =
        json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"});
    for stopped in [false, true] {
        let thread = host.thread().await;
        let reply = Reply::deltas(["I look. "]).item(call.clone()).finish_unseen();
        let gate = Gate::new();
        // In the middle of the call, which nobody here has seen whole then.
        let reply = if stopped { reply.hold_at(3, gate.clone()) } else { reply.disconnect_at(3) };
        host.fake.reply(reply);
        let run = host.teller.ai_engine_run(&host.engine, &thread, "look").submit().await.unwrap();
        if stopped {
            gate.reached().await;
            run.cancel(&host.engine).await.unwrap();
            gate.open();
        }
        let _ = host.engine.answer(run.id).await;
        let conversation = thread.remote_id.clone().unwrap();
        // The service goes on by itself, and keeps the call.
        until(|| {
            let items = host.fake.conversation_items(&conversation).unwrap_or_default();
            items.iter().any(|item| item["type"] == "function_call")
        })
        .await;
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        // A run whose stream broke before any output asks again, and closes the call with that.
        let bodies = bodies(&host);
        let first = if stopped { bodies.len() - 1 } else { bodies.len() - 2 };
        let sent: Vec<String> = bodies[first..].iter().flat_map(kinds).collect();
        assert_eq!(sent, ["function_call_output", "message"], "stopped: {stopped}");
        assert!(answer.run.notes.is_empty(), "the conversation went on: {:?}", answer.run.notes);
    }
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

async fn a_call_that_cannot_be_closed_leads_to_a_new_conversation<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    let call = json!({"type": "computer_call", "call_id": "c1", "action": {"type": "screenshot"}, "status": "completed"});
    host.fake.reply(Reply::text("I look.").item(call).disconnect_at(8).finish_unseen());
    let _ = host.teller.ai_engine_run(&host.engine, &thread, "look").await;
    let conversation = thread.remote_id.clone().unwrap();
    until(|| host.fake.conversation_items(&conversation).is_some_and(|items| items.len() > 2))
        .await;
    host.fake.reply(Reply::text("Fine."));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
    assert_eq!(answer.text(), "Fine.");
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_ne!(found.remote_id, thread.remote_id);
}

async fn reasoning_without_what_followed_it_does_not_travel<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thought = json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"});
    let thread = host.thread().await;
    let lonely = [
        Reply::deltas([""; 0])
            .without_message()
            .item(thought.clone())
            .incomplete("max_output_tokens"),
        Reply::deltas([""; 0]).without_message().item(thought.clone()).incomplete("content_filter"),
        Reply::deltas([" "]).item(thought.clone()),
    ];
    for reply in lonely {
        host.fake.reply(reply);
        let _ = host.teller.ai_engine_run(&host.engine, &thread, "think").await;
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "go on").await.unwrap();
        assert_eq!(answer.text(), "Fine.");
        let sent = kinds(bodies(&host).last().unwrap());
        assert!(!sent.contains(&"reasoning".to_owned()), "{sent:?}");
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

async fn a_history_that_is_too_long_is_shortened_for_the_turn<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = if conversing {
            Host::conversing(db.another()).await
        } else {
            Host::new(db.another()).await
        };
        let thread = host.thread().await;
        for text in ["one", "two", "three", "four"] {
            host.fake.reply(Reply::text("x".repeat(400)));
            host.teller.ai_engine_run(&host.engine, &thread, text).await.unwrap();
        }
        let overflow = || {
            Reply::status(
                400,
                json!({"error": {"message": "This model's maximum context length is 100 tokens.", "type": "invalid_request_error"}}),
            )
        };
        host.fake.reply(overflow());
        host.fake.reply(overflow());
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "newest").await.unwrap();
        assert_eq!((answer.text().as_str(), answer.run.attempts), ("Fine.", 3));
        assert_eq!(answer.run.notes, ["history_windowed"]);
        let body = bodies(&host).pop().unwrap();
        let told = texts(&body);
        assert!(told.len() < 9 && told.last() == Some(&said("user", "newest")), "{told:?}");
        assert!(body.get("conversation").is_none());
        // For that turn.
        host.fake.reply(Reply::text("Again."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "after").await.unwrap();
        assert!(answer.run.notes.is_empty());
        assert_eq!(bodies(&host).pop().unwrap().get("conversation").is_some(), conversing);
    }
}

/// Blanks that came before it are no part of the answer that is asked for next.
async fn what_was_blank_before_an_overflow_is_not_kept<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    for text in ["one", "two", "three"] {
        host.fake.reply(Reply::text("x".repeat(400)));
        host.teller.ai_engine_run(&host.engine, &thread, text).await.unwrap();
    }
    let overflow = Reply::deltas(["\n", "\n"]).failed("context_length_exceeded", "It is too long.");
    host.fake.reply(overflow);
    host.fake.reply(Reply::deltas(["Fi", "ne."]));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "newest").submit().await.unwrap();
    let (mut events, mut shown, mut replaced) = (run.events(&host.engine), String::new(), 0);
    while let Some(event) = events.next().await {
        match event.unwrap().kind {
            EventKind::MessageAppended { text, .. } => shown.push_str(&text),
            EventKind::MessageReplaced { .. } => replaced += 1,
            _ => {}
        }
    }
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.text().as_ref(), shown.as_str(), replaced), ("Fine.", "Fine.", 0));
    assert_eq!(answer.run.notes, ["history_windowed"]);
}

async fn a_question_that_is_too_long_alone_says_so<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "one").await.unwrap();
    let overflow = json!({"error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error", "code": 400}});
    host.fake.reply_always(Reply::status(400, overflow));
    let error =
        host.teller.ai_engine_run(&host.engine, &thread, "newest").await.unwrap_err().to_string();
    assert!(
        error.contains("context_length_exceeded") && error.contains("the newest question alone"),
        "{error}"
    );
    assert!(bodies(&host).len() < 10, "{}", bodies(&host).len());
}

/// A page of items of a conversation, as a server would send it.
fn page(items: &[(&str, &str)], has_more: bool) -> Value {
    let data: Vec<Value> = items
        .iter()
        .map(|(id, text)| json!({"type": "message", "id": id, "role": "user", "content": [{"type": "input_text", "text": text}]}))
        .collect();
    json!({"object": "list", "data": data, "has_more": has_more})
}

/// Neither one that shows the same items again, which is known by the second page, nor one that always has new ones.
async fn a_list_that_never_ends_costs_no_thread<D: TestDatabase>(db: D) {
    for (repeats, most) in [(true, 20), (false, 60)] {
        let host = Host::conversing(db.another()).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
        host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        for number in 0..200 {
            let number = if repeats { 0 } else { number };
            let (a, b) = (format!("a{number}"), format!("b{number}"));
            let items = page(&[(a.as_str(), "x"), (b.as_str(), "y")], true);
            host.fake.intercept("GET", "/items", Reply::status(200, items));
        }
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
        assert_eq!(answer.text(), "Fine.");
        // The given up one is being deleted meanwhile, from its oldest items on.
        let requests = host.fake.requests();
        let looks = requests.iter().filter(|sent| sent.query.contains("order=desc")).count();
        assert!(looks > 0 && looks < most, "{looks} looks");
        assert_eq!(texts(bodies(&host).last().unwrap()).len(), 3, "a new one was told all");
    }
}

async fn a_list_that_is_missing_does_not_throw_a_living_conversation_away<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    host.fake.intercept("GET", "/items", Reply::status(404, json!({"error": {"message": "no"}})));
    host.fake.reply(Reply::text("Fine."));
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_eq!(found.remote_id, thread.remote_id);
    assert_eq!(
        texts(bodies(&host).last().unwrap()).len(),
        3,
        "what may not be there is sent again"
    );
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

async fn deletions_that_do_not_take_end<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    for _ in 0..50 {
        host.fake.intercept(
            "GET",
            "/items",
            Reply::status(200, page(&[("a", "x"), ("b", "y")], false)),
        );
    }
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let noted =
        "SELECT count(*) FROM ai_engine_remote_deletions WHERE last_error LIKE '%still there%'";
    until(|| host.db.number(noted) == 1).await;
    let asked = host.fake.requests().iter().filter(|sent| sent.method == "DELETE").count();
    assert!(asked <= 6, "{asked} requests");
}

async fn more_items_than_one_try_deletes_are_left_to_the_next<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    for number in 0..11 {
        let ids: Vec<String> = (0..100).map(|item| format!("{number}_{item}")).collect();
        let items: Vec<_> = ids.iter().map(|id| (id.as_str(), "x")).collect();
        host.fake.intercept("GET", "/items", Reply::status(200, page(&items, true)));
    }
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let noted = "SELECT count(*) FROM ai_engine_remote_deletions WHERE last_error LIKE '%the next goes on%'";
    until(|| host.db.number(noted) == 1).await;
    until_deleted(&host.db).await;
}

async fn a_server_that_cannot_delete_closes_the_row<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for status in [405, 501] {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        for (method, path) in
            [("GET", "/items"), ("DELETE", "/conversations"), ("DELETE", "/responses")]
        {
            for _ in 0..4 {
                host.fake.intercept(
                    method,
                    path,
                    Reply::status(status, json!({"detail": "Method Not Allowed"})),
                );
            }
        }
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        until_deleted(&host.db).await;
    }
}

/// It lists items and deletes none: the conversation itself goes all the same.
async fn items_that_cannot_be_deleted_keep_no_conversation<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for status in [405, 501] {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        for _ in 0..4 {
            let refused = Reply::status(status, json!({"detail": "Method Not Allowed"}));
            host.fake.intercept("DELETE", "/items/", refused);
        }
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        until_deleted(&host.db).await;
        assert!(host.fake.conversation_ids().is_empty());
        let left =
            host.fake.requests().iter().filter(|request| request.path.contains("/items/")).count();
        assert!(left <= 4, "{left}");
        host.engine.recover().await.unwrap();
    }
}

/// A turn that was cut leaves a doubt, which a server that lists nothing never takes away.
async fn a_server_that_lists_nothing_costs_no_thread<D: TestDatabase>(db: D) {
    for status in [403, 405, 501] {
        let host = Host::conversing(db.another()).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
        host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        for _ in 0..4 {
            let refused = Reply::status(status, json!({"detail": "not here"}));
            host.fake.intercept("GET", "/items", refused);
        }
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
        assert_eq!(answer.text(), "Fine.", "{status}");
        let told = texts(bodies(&host).last().unwrap());
        assert_eq!(told.len(), 3, "{status}: all of it is told anew: {told:?}");
    }
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
