//! What is of Chat Completions alone. What holds for it as for any protocol is in `conformance`, and what the network does to it in
//! `network`.

use ai_engine::openai::Protocol;
use ai_engine::testing::Reply;
use ai_engine::{
    AiEngine, AssistantDefinition, Error, History, MessageStatus, Role, RunStatus, prelude::*,
};
use serde_json::{Value, json};

use crate::support::*;
use crate::wire::openapi::Description;

on_each_database!(
    an_answer_is_streamed_stored_and_counted,
    the_second_turn_sees_the_first,
    a_cancelled_answer_keeps_its_text_and_leaves_the_provider,
    calls_and_their_outputs_are_sent_side_by_side,
    thoughts_are_no_part_of_the_answer,
    an_answer_that_was_cut_says_why,
    a_limit_is_sent_by_the_name_that_the_server_knows,
    what_cannot_be_had_is_refused_before_anything_is_stored,
    what_was_enqueued_elsewhere_and_cannot_be_had_fails_with_that_reason,
    a_run_takes_no_more_statements_than_over_responses,
);

fn chatting<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    let client = host.fake.openai_builder().protocol(Protocol::ChatCompletions).build().unwrap();
    engine(&host.db, &host.fake, &host.hub, |builder| builder.openai(client))
}

/// A host whose engine speaks Chat Completions.
async fn new<D: TestDatabase>(db: D) -> Host<D> {
    let mut host = Host::new(db).await;
    host.engine = chatting(&host);
    host
}

/// What was sent, of each call.
fn sent<D>(host: &Host<D>) -> Vec<Value> {
    let requests = host.fake.requests();
    requests
        .into_iter()
        .map(|request| {
            assert_eq!((&*request.method, &*request.path), ("POST", "/v1/chat/completions"));
            request.body.unwrap()
        })
        .collect()
}

fn roles(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().unwrap();
    messages.iter().map(|message| message["role"].as_str().unwrap()).collect()
}

fn look() -> Value {
    json!({
        "type": "function", "name": "look", "description": "Looks around.",
        "parameters": {"type": "object", "properties": {}},
    })
}

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{\"at\":1}"})
}

async fn an_answer_is_streamed_stored_and_counted<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).usage(7, 5));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!((answer.run.status, &*answer.text()), (RunStatus::Completed, "Once upon"));
    let usage = answer.run.usage;
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (7, 5, false));
    host.hub.until_text("Once ").await;
    let noted =
        "SELECT protocol || ' ' || substr(remote_id, 1, 9) AS line FROM ai_engine_responses";
    assert_eq!(host.db.texts(noted), ["chat_completions chatcmpl-"]);
    let sent = sent(&host);
    assert_eq!(sent[0]["stream_options"], json!({"include_usage": true}));
    assert_eq!(roles(&sent[0]), ["system", "user"]);
}

async fn the_second_turn_sees_the_first<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    thread.messages(&host.engine).create(Role::System, "Be brief.").await.unwrap();
    host.fake.strict_template();
    for (question, answer) in [("one", "first"), ("two", "second"), ("three", "third")] {
        host.fake.reply(Reply::text(answer));
        host.teller.ai_engine_run(&host.engine, &thread, question).await.unwrap();
    }
    let sent = sent(&host);
    let said: Vec<_> = sent[2]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|said| said["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["You tell stories.\n\nBe brief.", "one", "first", "two", "second", "three"]);
    assert_eq!(roles(&sent[2]), ["system", "user", "assistant", "user", "assistant", "user"]);
}

async fn a_cancelled_answer_keeps_its_text_and_leaves_the_provider<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon ", "a time"]).stall_at(3));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once upon ").await;
    let cancelled = thread.cancel(&host.engine).await.unwrap().unwrap();
    assert_eq!((cancelled.id, cancelled.status), (run.id, RunStatus::Cancelled));
    host.fake.disconnected(1).await;
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!(answer.text(), "Once upon ");
    assert_eq!(answer.message().unwrap().status, MessageStatus::Incomplete);
    assert!(answer.run.usage.estimated, "a stream that broke off tells no usage");
    host.teller.ai_engine_run(&host.engine, &thread, "again").await.unwrap();
}

async fn calls_and_their_outputs_are_sent_side_by_side<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    let with_tool = |text: &str| {
        host.teller
            .ai_engine_run(&host.engine, &thread, text)
            .definition(|definition| definition.tool(look()))
    };
    host.fake.reply(Reply::text("I look.").item(call("c_1")).item(call("c_2")));
    let answer = with_tool("Tell me").await.unwrap();
    assert_eq!((answer.run.status, &*answer.text()), (RunStatus::RequiresAction, "I look."));
    host.fake.reply(Reply::text("Once upon"));
    for call in thread.pending(&host.engine).await.unwrap() {
        host.engine.submit_output(call.id, json!({"seen": call.call_id})).await.unwrap();
    }
    assert_eq!(host.engine.answer(answer.run.id).await.unwrap().text(), "I look.\n\nOnce upon");
    let sent = sent(&host);
    assert_eq!(sent[0]["tools"][0]["function"]["name"], "look");
    assert_eq!(roles(&sent[1]), ["system", "user", "assistant", "tool", "tool"]);
    let said = &sent[1]["messages"];
    assert_eq!(said[2]["content"], "I look.");
    for (at, id) in ["c_1", "c_2"].into_iter().enumerate() {
        let call = &said[2]["tool_calls"][at];
        assert_eq!(
            (&call["id"], &call["function"]["arguments"]),
            (&json!(id), &json!("{\"at\":1}"))
        );
        assert_eq!(
            (&said[3 + at]["tool_call_id"], &said[3 + at]["content"]),
            (&json!(id), &json!(format!("{{\"seen\":\"{id}\"}}")))
        );
    }
    if let Some(description) = Description::find() {
        for body in &sent {
            description.check("CreateChatCompletionRequest", body);
            let known = description.properties("CreateChatCompletionRequest");
            assert!(body.as_object().unwrap().keys().all(|name| known.contains(&**name)), "{body}");
        }
    }
}

async fn thoughts_are_no_part_of_the_answer<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    for field in ["reasoning_content", "reasoning"] {
        host.fake
            .reply(Reply::deltas(["Once ", "upon"]).thoughts("Let me see.").thoughts_field(field));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        assert_eq!((answer.messages.len(), &*answer.text()), (1, "Once upon"), "{field}");
    }
    let thoughts = "SELECT count(*) FROM ai_engine_run_items WHERE kind = 'reasoning' AND CAST(item AS TEXT) LIKE '%summary_text%'";
    assert_eq!(host.db.number(thoughts), 2);
    let sent = sent(&host).pop().unwrap();
    assert_eq!(roles(&sent), ["system", "user", "assistant", "user"], "and are not sent back");
}

async fn an_answer_that_was_cut_says_why<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    for (cut, reason, word) in [
        ("max_output_tokens", "max_output_tokens", "length"),
        ("content_filter", "content_filter", "content_filter"),
    ] {
        host.fake.reply(Reply::text("Once upon").incomplete(cut));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        assert_eq!((answer.run.status, &*answer.text()), (RunStatus::Incomplete, "Once upon"));
        let told = (answer.run.reason.as_deref(), answer.run.provider_reason.as_deref());
        assert_eq!(told, (Some(reason), Some(word)));
    }
}

async fn a_limit_is_sent_by_the_name_that_the_server_knows<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    for (model, requests) in [("test-model", 1), ("gpt-5.4-mini", 3), ("gpt-5.4-mini", 4)] {
        host.fake.reply_always(Reply::text("Once upon"));
        let request = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
        let limited =
            request.definition(move |definition| definition.model(model).max_output_tokens(50));
        limited.await.unwrap();
        assert_eq!(host.fake.requests().len(), requests, "{model}");
    }
    let names = sent(&host)
        .into_iter()
        .map(|body| ["max_tokens", "max_completion_tokens"].map(|name| body.get(name).is_some()));
    let names: Vec<_> = names.collect();
    assert_eq!(names, [[true, true], [true, true], [false, true], [false, true]]);
}

async fn what_cannot_be_had_is_refused_before_anything_is_stored<D: TestDatabase>(db: D) {
    let host = new(db).await;
    let thread = host.thread().await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let searching =
        |definition: AssistantDefinition| definition.tool(json!({"type": "web_search"}));
    let refused = |error: Error| {
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert_eq!(error.http_status(), 501);
        let text = error.to_string();
        let words = ["web_search", "chat_completions", "Protocol::Responses"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let ask = || host.teller.ai_engine_run(&host.engine, &thread, "Tell me").definition(searching);
    refused(ask().await.unwrap_err());
    refused(ask().enqueue().await.unwrap_err());
    let of_chat = chat.run(&host.engine, searching(AssistantDefinition::new("m")), "Tell me");
    refused(of_chat.await.unwrap_err());
    // Of a stored assistant it is known in the transaction.
    let stored = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    let by_id = thread.run(&host.engine, &stored, "Tell me").definition(searching);
    refused(by_id.await.unwrap_err());
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
    assert_eq!(host.fake.requests(), []);
}

async fn what_was_enqueued_elsewhere_and_cannot_be_had_fails_with_that_reason<D: TestDatabase>(
    db: D,
) {
    let host = new(db).await;
    let thread = host.thread().await;
    let web = D::owners(AiEngine::builder(host.db.database())).build().unwrap();
    let searching =
        |definition: AssistantDefinition| definition.tool(json!({"type": "web_search"}));
    let request = host.teller.ai_engine_run(&web, &thread, "Tell me").definition(searching);
    let run = request.enqueue().await.unwrap();
    let error = host.engine.drive(run.id).await.unwrap_err();
    let Error::RunFailed { reason, message, .. } = &error else { panic!("{error}") };
    assert_eq!((reason.as_str(), error.http_status()), ("unsupported", 501));
    assert!(message.contains("web_search"), "{message}");
    assert_eq!(host.fake.requests(), []);
    host.teller.ai_engine_run(&host.engine, &thread, "again").await.unwrap();
}

async fn a_run_takes_no_more_statements_than_over_responses<D: TestDatabase + Raw>(db: D) {
    let host = Host::new(db).await;
    let chat = host.fake.openai_builder().protocol(Protocol::ChatCompletions).build().unwrap();
    let responses = host.fake.openai().unwrap();
    let (engine, watched) = watched_with(&host, |builder| {
        let builder = builder.history(History::Local).state(host.hub.clone());
        builder.provider("chat", chat).provider("responses", responses)
    });
    host.fake.reply_always(Reply::deltas(["Once ", "upon ", "a ", "time"]));
    let mut fewest = Vec::new();
    for provider in ["chat", "responses"] {
        let thread = host.thread().await;
        let mut taken = Vec::new();
        for _ in 0..4 {
            watched.forget();
            let request = host.teller.ai_engine_run(&engine, &thread, "Go on");
            let answer = request.provider(provider).await.unwrap();
            assert_eq!(answer.run.status, RunStatus::Completed);
            taken.push(watched.statements().len());
        }
        // What the engine does beside may be in some.
        fewest.push(taken.into_iter().min().unwrap());
    }
    assert!(fewest[0] <= fewest[1], "over Chat Completions, and over Responses: {fewest:?}");
}
