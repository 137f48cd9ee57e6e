//! The Assistants API: the thread at the provider is the conversation, a run there is a call, and nothing is left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ai_engine::openai::Protocol;
use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{
    AiEngine, AssistantThread, Content, OpenAi, Page, Reason, Role, Run, RunStatus, prelude::*,
};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    an_answer_is_streamed_and_the_second_turn_sees_the_first,
    system_texts_are_told_with_each_run,
    cancelling_keeps_what_was_said_and_cancels_the_run_there,
    a_run_that_failed_expired_or_was_cut_says_why,
    calls_of_functions_are_items_and_do_not_keep_the_thread_busy,
    a_thread_that_a_dead_process_left_busy_is_freed,
    a_thread_that_the_provider_lost_is_told_again,
    an_answer_whose_stream_broke_is_known_in_the_next_turn,
    a_picture_that_has_no_form_there_is_told_once,
    what_a_dead_process_left_is_found_also_while_the_list_changes,
    an_assistant_whose_creation_was_not_answered_is_found,
    a_thread_that_could_not_be_noted_is_deleted_all_the_same,
    a_chat_leaves_nothing_there,
    a_server_that_does_not_stream_is_followed,
);

fn client(fake: &FakeOpenAi) -> OpenAi {
    fake.openai_builder().protocol(Protocol::Assistants).build().unwrap()
}

async fn start<D: TestDatabase>(db: D) -> Host<D> {
    let host = Host::with(db, |builder| builder).await;
    let engine =
        engine(&host.db, &host.fake, &host.hub, |builder| builder.openai(client(&host.fake)));
    Host { engine, ..host }
}

async fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) -> Run {
    host.teller.ai_engine_run(&host.engine, thread, text).await.unwrap().run
}

/// How a run ended.
async fn ended<D: TestDatabase>(host: &Host<D>, run: &Run) -> Run {
    let _ = host.engine.answer(run.id).await;
    host.engine.find_run(run.id).await.unwrap()
}

/// All messages of a thread here, as `role: text`.
async fn said(engine: &AiEngine, thread: &AssistantThread) -> Vec<String> {
    let page = thread.messages(engine).list(Page::default()).await.unwrap();
    page.iter().map(|message| format!("{}: {}", message.role, message.content)).collect()
}

/// All messages of the only thread there, as `role: text`.
fn said_there(fake: &FakeOpenAi) -> Vec<String> {
    let ids = fake.thread_ids();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let text = |message: &Value| {
        let text = message["content"][0]["text"]["value"].as_str().unwrap_or_default();
        format!("{}: {text}", message["role"].as_str().unwrap())
    };
    fake.thread_messages(&ids[0]).unwrap().iter().map(text).collect()
}

fn runs_there(fake: &FakeOpenAi) -> Vec<String> {
    let ids = fake.thread_ids();
    let runs = ids.iter().flat_map(|id| fake.thread_runs(id).unwrap_or_default());
    runs.map(|run| run["status"].as_str().unwrap().to_owned()).collect()
}

/// The bodies of the requests for runs.
fn runs_asked_for(fake: &FakeOpenAi) -> Vec<Value> {
    let requests = fake.requests().into_iter();
    let runs =
        requests.filter(|request| request.method == "POST" && request.path.ends_with("/runs"));
    runs.map(|request| request.body.unwrap()).collect()
}

async fn an_answer_is_streamed_and_the_second_turn_sees_the_first<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon ", "a time."]).usage(7, 3));
    host.fake.reply(Reply::text("The end."));
    let first = ask(&host, &thread, "Tell me").await;
    assert_eq!(first.status, RunStatus::Completed);
    assert_eq!((first.usage.input_tokens, first.usage.output_tokens), (7, 3));
    host.hub.until_text("Once upon a time.").await;
    ask(&host, &thread, "And then?").await;
    let all =
        ["user: Tell me", "assistant: Once upon a time.", "user: And then?", "assistant: The end."];
    assert_eq!(said(&host.engine, &thread).await, all);
    assert_eq!(said_there(&host.fake), all, "and each question went once");
    let asked = runs_asked_for(&host.fake);
    assert_eq!(asked[1]["additional_messages"], json!([{"role": "user", "content": "And then?"}]));
    assert!(asked.iter().all(|run| run["model"] == "test-model" && run["stream"] == true));
    assert_eq!(host.fake.assistant_ids().len(), 1, "the teller's own, for both");
}

async fn system_texts_are_told_with_each_run<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    thread.messages(&host.engine).create(Role::System, "Be brief.").await.unwrap();
    host.fake.reply_always(Reply::text("Yes."));
    for text in ["first", "second"] {
        ask(&host, &thread, text).await;
    }
    for run in runs_asked_for(&host.fake) {
        let told = run["instructions"].as_str().unwrap();
        assert!(told.ends_with("Be brief."), "{told}");
    }
    let said = said_there(&host.fake);
    assert_eq!(said, ["user: first", "assistant: Yes.", "user: second", "assistant: Yes."]);
}

async fn cancelling_keeps_what_was_said_and_cancels_the_run_there<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon").hold_after("Once "));
    host.fake.reply(Reply::text("Fine."));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let run = run.cancel(&host.engine).await.unwrap();
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(said(&host.engine, &thread).await, ["user: Tell me", "assistant: Once "]);
    until(|| runs_there(&host.fake) == ["cancelled"]).await;
    assert_eq!(ask(&host, &thread, "Go on").await.status, RunStatus::Completed);
}

async fn a_run_that_failed_expired_or_was_cut_says_why<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let failed = RunStatus::Failed;
    for (reply, status, reason) in [
        (Reply::text("").failed("invalid_prompt", "no"), failed, Reason::from("invalid_prompt")),
        (
            Reply::text("Once").incomplete("max_output_tokens"),
            RunStatus::Incomplete,
            Reason::MaxOutputTokens,
        ),
    ] {
        let thread = host.thread().await;
        host.fake.reply(reply);
        let asked =
            host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
        let run = ended(&host, &asked).await;
        assert_eq!((run.status, run.reason), (status, Some(reason)));
    }
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon").hold_after("Once "));
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    host.fake.expire_runs();
    let run = ended(&host, &asked).await;
    assert_eq!((run.status, run.reason), (RunStatus::Incomplete, Some(Reason::from("expired"))));
    assert_eq!(said(&host.engine, &thread).await, ["user: Tell me", "assistant: Once "]);
}

async fn calls_of_functions_are_items_and_do_not_keep_the_thread_busy<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    let call =
        json!({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"});
    host.fake.reply(Reply::text("I look.").item(call));
    host.fake.reply(Reply::text("Stars."));
    let run = ask(&host, &thread, "first").await;
    assert_eq!((run.status, run.reason), (RunStatus::Incomplete, Some(Reason::ToolCalls)));
    let kinds =
        host.db.number("SELECT count(*) FROM ai_engine_run_items WHERE kind = 'function_call'");
    assert_eq!(kinds, 1);
    assert_eq!(ask(&host, &thread, "second").await.status, RunStatus::Completed);
    assert_eq!(runs_there(&host.fake), ["cancelled", "completed"]);
}

async fn a_thread_that_a_dead_process_left_busy_is_freed<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("One."));
    ask(&host, &thread, "first").await;
    // What another process began, of which nothing is known here.
    let there = host.fake.thread_ids().remove(0);
    host.fake.reply(Reply::text("Two.").hold_at(0, Gate::new()));
    let assistant = post(&host.fake, "assistants", &json!({"model": "test-model"})).await;
    let path = format!("threads/{there}/runs");
    post(&host.fake, &path, &json!({"assistant_id": assistant["id"]})).await;
    host.fake.reply(Reply::text("Three."));
    assert_eq!(ask(&host, &thread, "second").await.status, RunStatus::Completed);
    assert_eq!(runs_there(&host.fake), ["completed", "cancelled", "completed"]);
    let said = said_there(&host.fake);
    assert_eq!(said.iter().filter(|said| *said == "user: second").count(), 1, "{said:?}");
}

async fn post(fake: &FakeOpenAi, path: &str, body: &Value) -> Value {
    let client = reqwest::Client::new();
    let request = client.post(format!("{}/{path}", fake.base_url())).body(body.to_string());
    let request = request.header("content-type", "application/json");
    let request = request.header("openai-beta", "assistants=v2");
    let request = request.bearer_auth(ai_engine::testing::API_KEY);
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

async fn a_thread_that_the_provider_lost_is_told_again<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    host.fake.reply_always(Reply::text("Yes."));
    ask(&host, &thread, "first").await;
    let there = host.fake.thread_ids().remove(0);
    client(&host.fake);
    let gone = reqwest::Client::new().delete(format!("{}/threads/{there}", host.fake.base_url()));
    let gone = gone.header("openai-beta", "assistants=v2").bearer_auth(ai_engine::testing::API_KEY);
    assert!(gone.send().await.unwrap().status().is_success());
    assert_eq!(ask(&host, &thread, "second").await.status, RunStatus::Completed);
    let all = ["user: first", "assistant: Yes.", "user: second", "assistant: Yes."];
    assert_eq!(said_there(&host.fake), all);
}

async fn an_answer_whose_stream_broke_is_known_in_the_next_turn<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    host.fake.reply(Reply::text("Fine."));
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "first").submit().await.unwrap();
    ended(&host, &asked).await;
    assert_eq!(ask(&host, &thread, "second").await.status, RunStatus::Completed);
    let said = said_there(&host.fake);
    let times = |text: &str| said.iter().filter(|said| *said == text).count();
    assert_eq!((times("user: first"), times("user: second")), (1, 1), "{said:?}");
}

/// Words stand for it there, by which it has to be known again.
async fn a_picture_that_has_no_form_there_is_told_once<D: TestDatabase>(db: D) {
    let host = Host::with(db, |builder| builder).await;
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.provider("assistants", client(&host.fake))
    });
    let host = Host { engine, ..host };
    let thread = host.thread().await;
    host.fake.reply(Reply::text("A tree."));
    let shown = Content::text("See?").image("image/png", *b"PNG");
    host.teller.ai_engine_run(&host.engine, &thread, shown).await.unwrap();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(8));
    host.fake.reply(Reply::text("Fine."));
    for text in ["first", "second"] {
        let request = host.teller.ai_engine_run(&host.engine, &thread, text);
        ended(&host, &request.provider("assistants").submit().await.unwrap()).await;
    }
    let said = said_there(&host.fake);
    let times = |text: &str| said.iter().filter(|said| *said == text).count();
    let told = ["user: See?", "assistant: A tree.", "user: first", "user: second"];
    assert_eq!(told.map(times), [1; 4], "{said:?}");
}

/// A page of the list begins behind an assistant that another process has just deleted.
async fn what_a_dead_process_left_is_found_also_while_the_list_changes<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let of = |key: &str| json!({"model": "test-model", "metadata": {"ai_engine_key": key}});
    let ours = post(&host.fake, "assistants", &of("ours")).await;
    let mut others = Vec::new();
    for _ in 0..120 {
        others.push(post(&host.fake, "assistants", &of("of others")).await);
    }
    let (server, deleted) = (host.fake.clone(), AtomicBool::new(false));
    host.fake.on_request(move |request| {
        let is_second = request.method == "GET" && request.query.contains("after=");
        if is_second && !deleted.swap(true, Ordering::SeqCst) {
            let unknown = json!({"error": {"message": "no such item", "param": "after"}});
            server.intercept("GET", "/assistants", Reply::status(404, unknown));
        }
    });
    host.db.execute(&format!(
        "INSERT INTO ai_engine_remote_deletions (endpoint, protocol, kind, remote_id, created_at) \
         VALUES ('{}', 'assistants', 'assistants_of_key', 'ours', CURRENT_TIMESTAMP)",
        host.fake.base_url(),
    ));
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    let left = host.fake.assistant_ids();
    let is_there = |one: &Value| left.iter().any(|id| one["id"] == **id);
    assert!(others.iter().all(is_there), "one of others is deleted");
    assert!(!is_there(&ours), "it is still there");
}

async fn an_assistant_whose_creation_was_not_answered_is_found<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let (server, seen) = (host.fake.clone(), AtomicBool::new(false));
    host.fake.on_request(move |request| {
        let makes = request.method == "POST" && request.path.ends_with("/assistants");
        if makes && !seen.swap(true, Ordering::SeqCst) {
            // It is made, and the answer says that it is not.
            let (gate, body) = (Gate::new(), request.body.clone().unwrap());
            let refusal = json!({"error": {"message": "no", "type": "invalid_request_error"}});
            let reply = Reply::status(400, refusal).hold_at(0, gate.clone());
            server.intercept("POST", "/assistants", reply);
            let server = server.clone();
            tokio::spawn(async move {
                post(&server, "assistants", &body).await;
                gate.open();
            });
        }
    });
    let asked = chat.run(&host.engine, "test-model", "Tell me").submit().await.unwrap();
    assert_eq!(ended(&host, &asked).await.status, RunStatus::Failed);
    until_deleted(&host.db).await;
    assert_eq!(host.fake.assistant_ids(), Vec::<String>::new());
}

async fn a_thread_that_could_not_be_noted_is_deleted_all_the_same<D: TestDatabase>(db: D) {
    let host = start(db).await;
    // The note is tried for as long as a lease holds.
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.openai(client(&host.fake)).lease(Duration::from_secs(1))
    });
    let host = Host { engine, ..host };
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    refuse(&host.db, "remote_deletions", "INSERT", "NEW.kind = 'conversation'");
    let (server, db, seen) = (host.fake.clone(), host.db.clone(), AtomicBool::new(false));
    host.fake.on_request(move |request| {
        if request.method == "DELETE" && !seen.swap(true, Ordering::SeqCst) {
            // The provider does not delete it now, and the database takes notes again.
            let path = request.path.trim_start_matches("/v1").to_owned();
            let refusal = json!({"error": {"message": "no", "type": "invalid_request_error"}});
            server.intercept("DELETE", &path, Reply::status(400, refusal));
            let name = "refuse_remote_deletions_INSERT";
            db.execute(&if db.url().starts_with("postgres") {
                format!("DROP TRIGGER {name} ON ai_engine_remote_deletions")
            } else {
                format!("DROP TRIGGER {name}")
            });
        }
    });
    let asked = chat.run(&host.engine, "test-model", "Tell me").submit().await.unwrap();
    assert_eq!(ended(&host, &asked).await.status, RunStatus::Failed);
    until(|| host.fake.thread_ids().is_empty()).await;
    until_deleted(&host.db).await;
}

async fn a_chat_leaves_nothing_there<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    for (text, answer) in [("Hello", "Hi."), ("Well?", "Well.")] {
        host.fake.reply(Reply::text(answer));
        chat.run(&host.engine, "test-model", text).await.unwrap();
        until(|| host.fake.thread_ids().is_empty() && host.fake.assistant_ids().is_empty()).await;
    }
    let last = runs_asked_for(&host.fake).pop().unwrap();
    let expected = json!([
        {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Well?"},
    ]);
    assert_eq!(last["additional_messages"], expected);
}

async fn a_server_that_does_not_stream_is_followed<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Whole.").ignore_stream());
    assert_eq!(ask(&host, &thread, "first").await.status, RunStatus::Completed);
    assert_eq!(said(&host.engine, &thread).await, ["user: first", "assistant: Whole."]);
}
