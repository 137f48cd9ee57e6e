//! What Chat Completions refuse.

use serde_json::{Value, json};

use super::{Client, FakeOpenAi, Reply, error_of};

fn said(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn calling(id: &str) -> Value {
    let call = json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    json!({"role": "assistant", "content": null, "tool_calls": [call]})
}

fn output(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "sunny"})
}

async fn ask(client: &Client, messages: Value) -> (u16, Value) {
    client.post("/chat/completions", json!({"model": "m", "messages": messages})).await
}

#[tokio::test]
async fn wrong_messages_are_refused() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let hi = || said("user", "Hi");
    let part = |part: Value| json!([{"role": "user", "content": [part]}]);
    let refused = [
        (Value::Null, "messages", "missing_required_parameter"),
        (json!([]), "messages", "empty_array"),
        (json!("Hi"), "messages", "invalid_type"),
        (json!([{"content": "Hi"}]), "messages[0].role", "missing_required_parameter"),
        (json!([said("robot", "Hi")]), "messages[0].role", "invalid_value"),
        (json!([hi(), {"role": "user"}]), "messages[1].content", ""),
        (json!([{"role": "assistant", "content": null}]), "messages[0].content", ""),
        (json!([{"role": "user", "content": []}]), "messages[0].content", "empty_array"),
        (json!([{"role": "user", "content": 7}]), "messages[0].content", "invalid_type"),
        (
            json!([{"role": "user", "content": "Hi", "id": "msg_1"}]),
            "messages[0].id",
            "unknown_parameter",
        ),
        (
            json!([{"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}]),
            "messages[0].reasoning_content",
            "unknown_parameter",
        ),
        (
            part(json!({"type": "input_text", "text": "Hi"})),
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            part(json!({"type": "text", "value": "Hi"})),
            "messages[0].content[0].value",
            "unknown_parameter",
        ),
        (
            json!([hi(), {"role": "assistant", "tool_calls": []}]),
            "messages[1].tool_calls",
            "empty_array",
        ),
        (
            json!([hi(), {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {}}]}]),
            "messages[1].tool_calls[0].function.name",
            "missing_required_parameter",
        ),
        (
            json!([hi(), {"role": "tool", "content": "sunny"}]),
            "messages[1].tool_call_id",
            "missing_required_parameter",
        ),
    ];
    for (messages, param, code) in refused {
        let answer = ask(&client, messages.clone()).await;
        let (status, got, _) = error_of(&answer);
        assert_eq!(
            (status, &answer.1["error"]["param"], got),
            (400, &json!(param), code),
            "{messages}"
        );
    }
    assert_eq!(fake.responses_created(), 0);
}

#[tokio::test]
async fn calls_are_followed_by_their_outputs() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let hi = said("user", "Hi");
    let lone = "Invalid parameter: messages with role 'tool' must be a response to a preceeding \
                message with 'tool_calls'.";
    let open = "An assistant message with 'tool_calls' must be followed by tool messages responding \
                to each 'tool_call_id'. The following tool_call_ids did not have response messages: c1";
    for (messages, param, text) in [
        (json!([hi, output("c1")]), "messages.[1].role", lone),
        (json!([hi, calling("c1"), output("c2")]), "messages.[2].role", lone),
        (json!([hi, calling("c1"), output("c1"), hi, output("c1")]), "messages.[4].role", lone),
        (json!([hi, calling("c1")]), "messages.[2].role", open),
        (json!([hi, calling("c1"), hi, output("c1")]), "messages.[2].role", open),
    ] {
        let answer = ask(&client, messages).await;
        assert_eq!(error_of(&answer), (400, "", text));
        assert_eq!(answer.1["error"]["param"], param);
    }
    let (status, answer) = ask(&client, json!([hi, calling("c1"), output("c1")])).await;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!((status, text), (200, "(demo model) The tool answered: sunny"));
}

#[tokio::test]
async fn parameters_are_checked() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply_always(Reply::text("Hello"));
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let refused = [
        (json!({"model": null}), "model", "missing_required_parameter"),
        (json!({"input": "Hi"}), "input", "unknown_parameter"),
        (json!({"max_output_tokens": 5}), "max_output_tokens", "unknown_parameter"),
        (json!({"temperature": 3}), "temperature", "decimal_above_max_value"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens", "integer_below_min_value"),
        (json!({"n": 129}), "n", "integer_above_max_value"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options", ""),
        (
            json!({"stream": true, "stream_options": {"usage": true}}),
            "stream_options.usage",
            "unknown_parameter",
        ),
        (json!({"tools": []}), "tools", "empty_array"),
        (
            json!({"tools": [{"type": "function", "name": "f"}]}),
            "tools[0].name",
            "unknown_parameter",
        ),
        (
            json!({"tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        (json!({"model": "gpt-5.4-mini", "max_tokens": 9}), "max_tokens", "unsupported_parameter"),
        (json!({"model": "gpt-6-luna", "tools": tool}), "reasoning_effort", ""),
        (
            json!({"model": "gpt-5.4", "tools": tool, "reasoning_effort": "low"}),
            "reasoning_effort",
            "",
        ),
    ];
    let body = |settings: &Value| {
        let mut body = json!({"model": "m", "messages": [said("user", "Hi")]});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        body
    };
    for (settings, param, code) in refused {
        let answer = client.post("/chat/completions", body(&settings)).await;
        let (status, got, _) = error_of(&answer);
        assert_eq!(
            (status, &answer.1["error"]["param"], got),
            (400, &json!(param), code),
            "{settings}"
        );
    }
    for settings in [
        json!({"max_tokens": 9}),
        json!({"model": "gpt-5.4-mini", "max_completion_tokens": 9, "tools": tool}),
        json!({"model": "gpt-6-luna", "tools": tool, "reasoning_effort": "none"}),
        json!({"model": "gpt-6-luna", "reasoning_effort": "high"}),
    ] {
        let answer = client.post("/chat/completions", body(&settings)).await;
        assert_eq!(answer.0, 200, "{settings}: {}", answer.1);
    }
    fake.models(["m-1"]);
    let answer = client.post("/chat/completions", body(&json!({}))).await;
    assert_eq!((error_of(&answer).0, error_of(&answer).1), (404, "model_not_found"));
}

#[tokio::test]
async fn a_strict_template_takes_turns() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply_always(Reply::text("Hello"));
    let [system, user, assistant] = ["system", "user", "assistant"].map(|role| said(role, "Hi"));
    let taken = [
        json!([user]),
        json!([system, user, assistant, user]),
        json!([system, user, calling("c1"), output("c1"), assistant, user]),
        json!([user, calling("c1"), output("c1"), calling("c2"), output("c2")]),
    ];
    let turns = "Conversation roles must alternate user/assistant/user/assistant/...";
    let first = "System message must be at the beginning.";
    let refused = [
        (json!([user, user]), turns),
        (json!([system, assistant]), turns),
        (json!([user, assistant, assistant]), turns),
        (json!([system, system, user]), first),
        (json!([user, system]), first),
        (json!([said("developer", "Hi"), user]), first),
    ];
    for messages in taken.iter().chain(refused.iter().map(|(messages, _)| messages)) {
        assert_eq!(ask(&client, messages.clone()).await.0, 200, "{messages}");
    }
    fake.strict_template();
    for messages in taken {
        assert_eq!(ask(&client, messages.clone()).await.0, 200, "{messages}");
    }
    for (messages, text) in refused {
        let (status, body) = ask(&client, messages.clone()).await;
        let error = &body["error"];
        assert_eq!(
            (status, &error["code"], &error["type"]),
            (500, &json!(500), &json!("server_error"))
        );
        assert!(error["message"].as_str().unwrap().ends_with(text), "{messages}: {error}");
    }
}
