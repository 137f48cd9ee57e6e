//! What goes over the wire, against OpenAI's own API description: each request of the engine, each answer of the fake.
//!
//! The description is the file that `AI_ENGINE_OPENAPI` names, else `../shared/openai-spec/openapi.json` where it is;
//! without it those tests pass with a line that says so.

mod background;
mod fakes;
mod older;
pub mod openapi;
mod raw;
mod requests;

use ai_engine::testing::{API_KEY, Reply, Request};
use ai_engine::{AiEngine, AssistantDefinition, AssistantThread, Error, History, Role, prelude::*};
use serde_json::{Value, json};

use crate::support::*;
use openapi::Description;
use raw::Raw;

/// An assistant that sets all that can be set.
struct Narrator {
    id: i32,
}

ai_engine::record! { Narrator { id: i32 } as "Narrator" }

impl Assistable for Narrator {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new("gpt-5.4-mini")
            .name("Homer")
            .description("Not sent.")
            .instructions("You sing.")
            .temperature(0.7)
            .top_p(0.9)
            .max_output_tokens(500)
            .max_prompt_tokens(10_000)
            .reasoning(json!({"effort": "low"}))
            .metadata("tenant", "t-1")
            .tool(look())
            .parameter("parallel_tool_calls", false)
            .parameter("include", json!(["reasoning.encrypted_content"]))
            .parameter("truncation", "auto")
    }
}

fn look() -> Value {
    json!({
        "type": "function", "name": "look", "description": "Looks around.", "strict": true,
        "parameters": {
            "type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"],
            "additionalProperties": false,
        },
    })
}

fn reasoning() -> Value {
    json!({
        "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "c2VhbGVk",
    })
}

fn call() -> Value {
    json!({
        "type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{\"where\":\"up\"}",
    })
}

async fn ask(engine: &AiEngine, thread: &AssistantThread, text: &str) {
    let narrator = Narrator { id: 1 };
    narrator.ai_engine_run(engine, thread, text).await.unwrap();
}

/// Tells what came of the calls that wait, so that the run goes on to its answer.
async fn carry_out(engine: &AiEngine, thread: &AssistantThread) {
    for call in thread.pending(engine).await.unwrap() {
        engine.submit_output(call.id, json!({"seen": "stars"})).await.unwrap();
        engine.answer(call.run_id).await.unwrap();
    }
}

/// All that the engine sends in the life of a thread: calls and their outputs, an answer that broke off, a chat.
async fn requests(history: History) -> Vec<Request> {
    let host = Host::with(Sqlite::fresh(), |builder| builder.history(history)).await;
    let thread = host.thread().await;
    let messages = thread.messages(&host.engine);
    messages.create(Role::System, "Be brief.").await.unwrap();
    host.fake.reply(Reply::text("I look.").item(reasoning()).item(call()));
    ask(&host.engine, &thread, "first").await;
    host.fake.reply(Reply::text("I see."));
    carry_out(&host.engine, &thread).await;
    host.fake.reply(Reply::text("Stars.").item(reasoning()));
    ask(&host.engine, &thread, "second").await;
    host.fake.reply(Reply::text("And a moon.").disconnect_at(6));
    ask(&host.engine, &thread, "third").await;
    host.fake.reply(Reply::text("Good night."));
    ask(&host.engine, &thread, "fourth").await;
    host.fake.reply(Reply::text("Hello."));
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    chat.run(&host.engine, "gpt-5.4-mini", "Hello").await.unwrap();
    host.fake.requests()
}

fn check_request(description: &Description, request: &Request) {
    let schema = match (&*request.method, &*request.path) {
        ("POST", "/v1/responses") => "CreateResponse",
        ("POST", "/v1/conversations") => "CreateConversationBody",
        ("GET", path) if path.starts_with("/v1/conversations/") => {
            assert_eq!(request.body, None);
            return;
        }
        other => panic!("{other:?} is not expected"),
    };
    let body = request.body.as_ref().unwrap();
    description.check(schema, body);
    let known = description.properties(schema);
    for name in body.as_object().unwrap().keys() {
        assert!(known.contains(&**name), "{schema} has no {name}");
    }
}

/// The bodies of the calls of a model.
fn calls(requests: &[Request]) -> Vec<&Value> {
    let calls = requests.iter().filter(|request| request.path == "/v1/responses");
    calls.map(|request| request.body.as_ref().unwrap()).collect()
}

fn kinds(body: &Value) -> Vec<&str> {
    let input = body["input"].as_array().unwrap().iter();
    input.map(|item| item["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_local_history_follow_the_description() {
    let requests = requests(History::Local).await;
    let calls = calls(&requests);
    assert_eq!(calls.len(), requests.len());
    assert_eq!(
        kinds(calls[1]),
        ["message", "reasoning", "function_call", "message", "function_call_output"]
    );
    assert!(calls.iter().all(|body| body["store"] == json!(false)));
    // What a system message says is part of the instructions: many servers take it nowhere else.
    assert_definition(calls[0], "You sing.\n\nBe brief.");
    if let Some(description) = Description::find() {
        for request in &requests {
            check_request(description, request);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_a_conversation_follow_the_description() {
    let requests = requests(History::Conversation).await;
    let calls = calls(&requests);
    assert_eq!(kinds(calls[0]), ["message", "message"]);
    assert_eq!(kinds(calls[1]), ["function_call_output"]);
    // The answer that broke off made the engine look what the conversation holds.
    assert!(requests.iter().any(|request| request.method == "GET"));
    assert_definition(calls[0], "You sing.");
    if let Some(description) = Description::find() {
        for request in &requests {
            check_request(description, request);
        }
    }
}

/// The definition arrives as it was made.
fn assert_definition(body: &Value, instructions: &str) {
    let expected = json!({
        "model": "gpt-5.4-mini", "instructions": instructions, "temperature": 0.7, "top_p": 0.9,
        "max_output_tokens": 500, "reasoning": {"effort": "low"}, "metadata": {"tenant": "t-1"},
        "tools": [look()], "parallel_tool_calls": false,
        "include": ["reasoning.encrypted_content"], "truncation": "auto", "stream": true,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
    for name in ["name", "description", "max_prompt_tokens", "max_completion_tokens"] {
        assert!(body.get(name).is_none(), "{name} is not for the provider");
    }
}

/// The checks above can fail.
#[test]
fn the_description_refuses_what_is_wrong() {
    let Some(description) = Description::find() else {
        return;
    };
    let body = |name: &str, value: Value| {
        let mut body =
            json!({"model": "m", "input": [{"type": "message", "role": "user", "content": "Hi"}]});
        body[name] = value;
        body
    };
    description.check("CreateResponse", &body("temperature", json!(1)));
    for (name, value) in [
        ("temperature", json!(3)),
        ("store", json!("no")),
        ("reasoning", json!({"effort": "much"})),
        ("metadata", json!({"n": 1})),
        ("tools", json!([{"type": "function"}])),
        ("input", json!([{"type": "message", "role": "robot", "content": "Hi"}])),
        ("input", json!([{"type": "function_call", "call_id": "call_1", "name": "look"}])),
        ("input", json!([{"type": "reasoning", "summary": []}])),
    ] {
        let body = body(name, value);
        assert!(!description.errors("CreateResponse", &body).is_empty(), "{body}");
    }
    let event = json!({"type": "response.output_text.delta", "sequence_number": 1, "delta": "x"});
    assert!(!description.errors("ResponseStreamEvent", &event).is_empty());
    assert!(!description.properties("CreateResponse").contains("prompt_text"));
}

// The rest needs no description.

/// The fake's deliberate differences from the description are those of the real service: what it was seen to send.
fn as_described(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        // No usage before the end, and no user where none was named.
        for name in ["usage", "user"] {
            if fields.get(name) == Some(&Value::Null) {
                fields.remove(name);
            }
        }
        // An empty page has neither a first nor a last item.
        if fields.get("object") == Some(&json!("list")) && fields["data"] == json!([]) {
            fields.insert("first_id".to_owned(), json!(""));
            fields.insert("last_id".to_owned(), json!(""));
        }
        // The error event nests what the description has flat.
        if fields.get("type") == Some(&json!("error"))
            && let Some(Value::Object(error)) = fields.remove("error")
        {
            let error = error.into_iter().filter(|(name, _)| name != "type");
            fields.extend(error);
        }
    }
    match value {
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, as_described(value))).collect()
        }
        other => other,
    }
}

/// Checks each event and returns their types.
fn check_events(description: &Description, events: &[Value]) -> Vec<String> {
    let mut kinds = Vec::new();
    for event in events {
        let kind = event["type"].as_str().unwrap().to_owned();
        if kind == "keepalive" {
            // Seen at the real service, but not described.
            assert!(event["sequence_number"].is_u64());
        } else {
            let mut event = event.clone();
            if event.get("response").is_some() {
                event["response"] = as_described(event["response"].take());
            }
            description.check("ResponseStreamEvent", &as_described(event));
        }
        kinds.push(kind);
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_sent_and_never_told() {
    let echo = format!("Incorrect API key provided: {API_KEY}.");
    let body =
        json!({"error": {"message": echo, "type": API_KEY, "param": API_KEY, "code": API_KEY}});
    let event = json!({
        "type": "error", "error": {"type": API_KEY, "code": API_KEY, "message": echo, "param": API_KEY},
    });
    let replies = [
        Reply::status(401, body),
        Reply::status(401, json!(echo)),
        Reply::text("Hi").raw_event_at(2, format!("event: error\ndata: {event}\n\n")),
        Reply::deltas([""; 0]).failed(API_KEY, &*echo),
        Reply::status(200, json!(format!("{API_KEY} is no object"))),
    ];
    for reply in replies {
        let host = Host::new(Sqlite::fresh()).await;
        let thread = host.thread().await;
        host.fake.reply(reply.clone());
        let failed = host.teller.ai_engine_run(&host.engine, &thread, "Hi").await.unwrap_err();
        assert!(matches!(failed, Error::RunFailed { .. }), "{failed}");
        let run = host.db.texts(
            "SELECT coalesce(reason, '') || ' ' || coalesce(error, '') AS line FROM ai_engine_runs",
        );
        let heard: Vec<String> = host.hub.all().iter().map(|heard| format!("{heard:?}")).collect();
        let told = format!(
            "{failed} {failed:?} {run:?} {heard:?} {:?} {:?}",
            host.engine,
            host.fake.requests()
        );
        assert!(!told.contains(API_KEY), "{reply:?}: {told}");
        let sent = host.fake.requests();
        assert!(
            sent.iter()
                .all(|request| request.headers["authorization"] == format!("Bearer {API_KEY}"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_repeated_is_sent_again_unchanged() {
    let locked = json!({"error": {
        "message": "Another process is currently operating on this conversation.", "type": "invalid_request_error",
        "param": "conversation", "code": "conversation_locked",
    }});
    let limited = json!({"error": {
        "message": "Slow down.", "type": "requests", "param": null, "code": "rate_limit_exceeded",
    }});
    let wait = |reply: Reply| reply.header("retry-after-ms", "1");
    for first in [
        wait(Reply::status(503, json!({}))),
        wait(Reply::status(429, limited)),
        wait(Reply::status(400, locked)),
        Reply::hang_up(),
    ] {
        let host = Host::conversing(Sqlite::fresh()).await;
        let thread = host.thread().await;
        host.fake.intercept("POST", "/responses", first);
        host.fake.reply(Reply::text("Hello."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Hi").await.unwrap();
        assert_eq!(answer.text(), "Hello.");
        let requests = host.fake.requests();
        let calls = calls(&requests);
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0], calls[1]);
        assert_eq!(host.fake.responses_created(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_quota_is_not_asked_again() {
    let host = Host::new(Sqlite::fresh()).await;
    let thread = host.thread().await;
    let quota = json!({"error": {
        "message": "You exceeded your current quota.", "type": "insufficient_quota", "param": null,
        "code": "insufficient_quota",
    }});
    host.fake.intercept("POST", "/responses", Reply::status(429, quota));
    let failed = host.teller.ai_engine_run(&host.engine, &thread, "Hi").await.unwrap_err();
    assert!(
        matches!(&failed, Error::RunFailed { reason, .. } if reason == "insufficient_quota"),
        "{failed}"
    );
    assert_eq!(host.fake.requests().len(), 1);
}
