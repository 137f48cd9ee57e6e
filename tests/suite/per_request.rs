//! What a request changes for its own run: the run keeps it, the assistant does not.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Assistant, Error, Recovery, RunRequest, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    a_request_may_add_instructions_and_take_another_model,
    a_chat_may_take_another_definition_for_one_question,
    what_a_request_makes_of_a_definition_is_checked_as_any,
    a_run_that_is_asked_again_is_asked_as_it_was_submitted,
);

fn sent<D>(host: &Host<D>) -> Value {
    host.fake.requests().pop().unwrap().body.unwrap()
}

fn otherwise(request: RunRequest) -> RunRequest {
    request
        .instructions("Be brief.")
        .definition(|usual| {
            assert_eq!(usual.instructions.as_deref(), Some("You tell stories.\n\nBe brief."));
            usual.model("other-model").temperature(0.5)
        })
        .instructions("In French.")
        .instructions("")
}

async fn assistant<D: TestDatabase>(host: &Host<D>) -> Assistant {
    host.teller.create_openai_assistant(&host.engine).await.unwrap()
}

async fn a_request_may_add_instructions_and_take_another_model<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let stored = assistant(&host).await;
    let before = host.db.rows("ai_engine_assistants");
    for by_the_struct in [true, false] {
        let request = if by_the_struct {
            host.teller.ai_engine_run(&host.engine, &thread, "Tell me")
        } else {
            thread.run(&host.engine, &stored, "Tell me")
        };
        let answer = otherwise(request).await.unwrap();
        assert_eq!(answer.run.model, "other-model");
        assert_eq!(answer.run.assistant_id, Some(stored.id));
        let asked = sent(&host);
        assert_eq!(asked["model"], "other-model");
        assert_eq!(asked["temperature"], json!(0.5));
        assert_eq!(asked["instructions"], "You tell stories.\n\nBe brief.\n\nIn French.");
    }
    assert_eq!(host.db.rows("ai_engine_assistants"), before);
    // The next one asks as ever.
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.model, "test-model");
    let asked = sent(&host);
    assert_eq!((&asked["model"], &asked["temperature"]), (&json!("test-model"), &Value::Null));
    assert_eq!(asked["instructions"], "You tell stories.");
    assert_eq!(host.db.rows("ai_engine_assistants"), before);
}

async fn a_chat_may_take_another_definition_for_one_question<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let request = chat.run(&host.engine, "test-model", "Tell me").instructions("Be brief.");
    let request = request.definition(|usual| usual.max_output_tokens(77));
    request.await.unwrap();
    let asked = sent(&host);
    assert_eq!(asked["instructions"], "Be brief.");
    assert_eq!(asked["max_output_tokens"], 77);
}

async fn what_a_request_makes_of_a_definition_is_checked_as_any<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let stored = assistant(&host).await;
    let requests = || {
        [
            host.teller.ai_engine_run(&host.engine, &thread, "Tell me"),
            thread.run(&host.engine, &stored, "Tell me"),
        ]
    };
    for request in requests() {
        let refused =
            request.definition(|usual| usual.temperature(3.0)).submit().await.unwrap_err();
        assert!(refused.to_string().contains("temperature"), "{refused}");
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    }
    for request in requests() {
        let request = request.instructions("a\0b");
        let nul = host.db.with(|conn| request.submit_in(conn.session())).unwrap_err();
        assert!(matches!(nul, Error::Invalid { .. }), "{nul}");
    }
    let [request, _] = requests();
    let nameless = request.definition(|usual| usual.model(" ")).enqueue().await.unwrap_err();
    assert!(matches!(nameless, Error::Invalid { .. }), "{nameless}");
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
}

async fn a_run_that_is_asked_again_is_asked_as_it_was_submitted<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.fake.demo_pace(Duration::ZERO);
    let thread = host.thread().await;
    let stored = assistant(&host).await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("lost").hold_at(0, gate.clone()));
    host.fake.reply(Reply::text("found"));
    let process = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let request = otherwise(thread.run(&process, &stored, "Tell me"));
    let run = request.recovery(Recovery::Retry).submit().await.unwrap();
    gate.reached().await;
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    assert_eq!(host.engine.recover().await.unwrap().retried, 1);
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.run.model.as_str()), ("found", "other-model"));
    let asked: Vec<Value> =
        host.fake.requests().into_iter().filter_map(|request| request.body).collect();
    assert_eq!(asked.len(), 2);
    for name in ["model", "temperature", "instructions"] {
        assert_eq!(asked[0][name], asked[1][name], "{name}");
    }
    assert_eq!(asked[1]["instructions"], "You tell stories.\n\nBe brief.\n\nIn French.");
}
