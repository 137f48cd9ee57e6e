//! The fake's Chat Completions and Assistants, against OpenAI's own API description.

use ai_engine::testing::{FakeOpenAi, Reply};
use serde_json::{Value, json};

use super::{call, look, openapi::Description, raw::Raw, reasoning};

/// What the description names and only some answers have: what a request has to ask for.
const OPTIONAL: [&str; 3] = ["metadata", "moderation", "obfuscation"];

fn replies() -> Vec<Reply> {
    let refusal = json!({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]});
    vec![
        Reply::text("Hello there."),
        Reply::text("I look.").item(reasoning()).item(call()),
        Reply::deltas([""; 0]).item(call()).item(call_of("call_2")).without_message(),
        Reply::text("Well.").item(refusal),
        Reply::text("One two").incomplete("max_output_tokens"),
    ]
}

fn call_of(id: &str) -> Value {
    let mut call = call();
    call["call_id"] = json!(id);
    call
}

/// The tool as both protocols have it.
fn wrapped() -> Value {
    let mut function = look();
    function.as_object_mut().unwrap().remove("type");
    json!({"type": "function", "function": function})
}

/// Follows the schema, has all that it names, and nothing else.
#[track_caller]
fn check_whole(description: &Description, schema: &str, value: &Value) {
    description.check(schema, value);
    let named = description.properties(schema);
    let present = value.as_object().unwrap();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !OPTIONAL.contains(*name) && !present.contains_key(**name))
        .collect();
    assert!(missing.is_empty(), "{value:#} lacks {missing:?} of {schema}");
    let unknown: Vec<_> = present.keys().filter(|name| !named.contains(&***name)).collect();
    assert!(unknown.is_empty(), "{schema} has no {unknown:?}");
}

async fn ok(fake: &FakeOpenAi, method: &str, path: &str, body: Option<Value>) -> Raw {
    let answer = Raw::send(fake, method, path, body.as_ref()).await;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    answer
}

#[tokio::test]
async fn the_fakes_chat_completions_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let ask = |stream: bool| {
        let mut body = json!({
            "model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [wrapped()], "n": 2,
        });
        if stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        description.check("CreateChatCompletionRequest", &body);
        Some(body)
    };
    // The description has no such end of a run.
    let filtered = Reply::text("One two").incomplete("content_filter");
    for reply in replies().into_iter().chain([filtered]) {
        fake.reply(reply.clone());
        let whole = ok(&fake, "POST", "/chat/completions", ask(false)).await.json();
        check_whole(description, "CreateChatCompletionResponse", &whole);
        fake.reply(reply);
        let streamed = ok(&fake, "POST", "/chat/completions", ask(true)).await;
        let body = streamed.body.strip_suffix("data: [DONE]\n\n").unwrap();
        let chunks = Raw { body: body.to_owned(), ..streamed }.events();
        for chunk in &chunks {
            check_whole(description, "CreateChatCompletionStreamResponse", chunk);
        }
        assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
    }
    for body in [json!({"model": "m"}), json!({"model": "m", "messages": [{"role": "robot"}]})] {
        let refused = Raw::send(&fake, "POST", "/chat/completions", Some(&body)).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        description.check("ErrorResponse", &refused.json());
    }
}

/// What open models think, as the Responses API has it; in a chat it is not described.
#[tokio::test]
async fn the_fakes_thoughts_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    fake.reply_always(Reply::text("Hello.").thoughts("Hm, well."));
    let ask = json!({"model": "m", "input": "Hi", "stream": true});
    let events = ok(&fake, "POST", "/responses", Some(ask)).await.events();
    let told = super::check_events(description, &events);
    let deltas = told.iter().filter(|kind| *kind == "response.reasoning_text.delta");
    assert_eq!(deltas.count(), 2, "{told:?}");
    let done = &events.last().unwrap()["response"]["output"][0];
    description.check("ReasoningItem", done);
}

#[tokio::test]
async fn the_fakes_assistants_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let answers = async |method: &str, path: &str, body: Option<Value>, schema: &str| {
        let value = ok(&fake, method, path, body).await.json();
        description.check(schema, &value);
        value
    };
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    let new = json!({"model": "m", "name": "Homer", "tools": [wrapped()]});
    description.check("CreateAssistantRequest", &new);
    let assistant = answers("POST", "/assistants", Some(new), "AssistantObject").await;
    let homer = format!("/assistants/{}", id(&assistant));
    let changed = json!({"instructions": "Sing.", "metadata": {"a": "b"}});
    answers("POST", &homer, Some(changed), "AssistantObject").await;
    check_whole(description, "AssistantObject", &assistant);
    answers("GET", "/assistants", None, "ListAssistantsResponse").await;

    let said = json!({"role": "user", "content": "Hi"});
    let new = json!({"messages": [said]});
    description.check("CreateThreadRequest", &new);
    let thread = answers("POST", "/threads", Some(new), "ThreadObject").await;
    check_whole(description, "ThreadObject", &thread);
    let here = format!("/threads/{}", id(&thread));
    let (messages, runs) = (format!("{here}/messages"), format!("{here}/runs"));
    let message = answers("POST", &messages, Some(said), "MessageObject").await;
    check_whole(description, "MessageObject", &message);

    let run = json!({"assistant_id": assistant["id"]});
    fake.reply(Reply::text("I look.").item(call()).hold_after("I "));
    let begun = answers("POST", &runs, Some(run.clone()), "RunObject").await;
    check_whole(description, "RunObject", &begun);
    fake.held("I ").await;
    answers("GET", &messages, None, "ListMessagesResponse").await;
    let path = format!("{runs}/{}", id(&begun));
    answers("POST", &format!("{path}/cancel"), Some(json!({})), "RunObject").await;
    for (reply, status) in [
        (Reply::text("Stars."), "completed"),
        (Reply::text("Stars").failed("server_error", "Sorry."), "failed"),
        (Reply::text("Stars").incomplete("max_output_tokens"), "incomplete"),
        (Reply::text("I look.").item(call()), "requires_action"),
    ] {
        fake.reply(reply);
        let mut streamed = run.clone();
        streamed["stream"] = json!(true);
        ok(&fake, "POST", &runs, Some(streamed)).await;
        let last = fake.thread_runs(thread["id"].as_str().unwrap()).unwrap().pop().unwrap();
        assert_eq!(last["status"], status);
        let path = format!("{runs}/{}", id(&last));
        check_whole(description, "RunObject", &answers("GET", &path, None, "RunObject").await);
        let steps = answers("GET", &format!("{path}/steps"), None, "ListRunStepsResponse").await;
        for step in steps["data"].as_array().unwrap() {
            check_whole(description, "RunStepObject", step);
        }
    }
    fake.expire_runs();
    answers("GET", &runs, None, "ListRunsResponse").await;
    let all = answers("GET", &messages, None, "ListMessagesResponse").await;
    let one = format!("{messages}/{}", all["last_id"].as_str().unwrap());
    answers("GET", &one, None, "MessageObject").await;
    answers("DELETE", &one, None, "DeleteMessageResponse").await;
    answers("DELETE", &here, None, "DeleteThreadResponse").await;
    answers("DELETE", &homer, None, "DeleteAssistantResponse").await;
    for (method, path) in
        [("GET", &*here), ("GET", &*homer), ("POST", "/assistants"), ("GET", &*runs)]
    {
        let refused = Raw::send(&fake, method, path, None).await;
        assert!((400..500).contains(&refused.status), "{}", refused.body);
        description.check("ErrorResponse", &refused.json());
    }
}

#[tokio::test]
async fn the_fakes_run_events_follow_the_description() {
    let Some(description) = Description::find() else {
        return;
    };
    let fake = FakeOpenAi::start().await.unwrap();
    let assistant = json!({"model": "m", "tools": [wrapped()]});
    let assistant = ok(&fake, "POST", "/assistants", Some(assistant)).await.json();
    let said = json!({"role": "user", "content": "Hi"});
    let run = json!({
        "assistant_id": assistant["id"], "stream": true, "thread": {"messages": [said]},
    });
    description.check("CreateThreadAndRunRequest", &run);
    let check = |answer: &Raw| {
        for event in answer.named_events() {
            description.check("AssistantStreamEvent", &event);
        }
        answer.named_events().pop().unwrap()["event"].clone()
    };
    let failed = Reply::text("One").failed("server_error", "Sorry.");
    for reply in replies().into_iter().chain([failed]) {
        fake.reply(reply);
        let answer = ok(&fake, "POST", "/threads/runs", Some(run.clone())).await;
        assert_eq!(check(&answer), "done");
        let thread = fake.thread_ids().pop().unwrap();
        let last = fake.thread_runs(&thread).unwrap().pop().unwrap();
        if last["status"] == "requires_action" {
            let calls = &last["required_action"]["submit_tool_outputs"]["tool_calls"];
            let output = |call: &Value| json!({"tool_call_id": call["id"], "output": "Stars."});
            let outputs: Vec<Value> = calls.as_array().unwrap().iter().map(output).collect();
            let outputs = json!({"tool_outputs": outputs, "stream": true});
            description.check("SubmitToolOutputsRunRequest", &outputs);
            let path = format!("/threads/{thread}/runs/{}", last["id"].as_str().unwrap());
            fake.reply(Reply::text("Stars."));
            let path = format!("{path}/submit_tool_outputs");
            assert_eq!(check(&ok(&fake, "POST", &path, Some(outputs)).await), "done");
        }
    }
    let wrong = json!({"event": "thread.run.completed", "data": {"id": "run_1"}});
    assert!(!description.errors("AssistantStreamEvent", &wrong).is_empty(), "it can fail");
}
