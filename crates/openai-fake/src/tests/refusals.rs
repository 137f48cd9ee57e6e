//! What the service does not let pass: names, models and keys that it does not know, and requests without any input.

use serde_json::{Value, json};

use super::{API_KEY, Client, FakeOpenAi, error_of, story};

/// Sends each body, which must be refused for the parameter beside it.
async fn assert_unknown(client: &Client, path: &str, cases: &[(Value, &str)]) {
    for (body, param) in cases {
        let answer = client.post(path, body.clone()).await;
        let message = format!("Unknown parameter: '{param}'.");
        assert_eq!(error_of(&answer), (400, "unknown_parameter", message.as_str()), "{body}");
        assert_eq!(answer.1["error"]["param"], *param);
    }
}

#[tokio::test]
async fn unknown_parameters_are_refused_by_name() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "m", "input": "hi"});
        body[name] = value;
        body
    };
    let input = |item: Value| json!({"model": "m", "input": [item]});
    let cases = [
        (with("max_tokens", json!(20)), "max_tokens"),
        (with("reasoning", json!({"budget": 1})), "reasoning.budget"),
        (with("text", json!({"form": {}})), "text.form"),
        (with("conversation", json!({"id": "c", "x": 1})), "conversation.x"),
        (
            with("tools", json!([{"type": "function", "name": "f", "function": {}}])),
            "tools[0].function",
        ),
        (input(json!({"role": "user", "content": "hi", "name": "ada"})), "input[0].name"),
        (
            input(
                json!({"role": "user", "content": [{"type": "input_text", "text": "hi", "x": 1}]}),
            ),
            "input[0].content[0].x",
        ),
        (
            input(json!({"type": "reasoning", "summary": [], "status": "completed"})),
            "input[0].status",
        ),
    ];
    assert_unknown(&client, "/responses", &cases).await;
    for path in ["/responses/input_tokens", "/responses/compact"] {
        assert_unknown(&client, path, &[(with("stream", json!(true)), "stream")]).await;
    }
    let conversation = client.new_conversation().await;
    let here = format!("/conversations/{conversation}");
    let cases = [(json!({"metadata": {}, "name": "x"}), "name")];
    assert_unknown(&client, "/conversations", &cases).await;
    assert_unknown(&client, &here, &cases).await;
    let item = json!({"role": "user", "content": "hi"});
    assert_unknown(&client, &format!("{here}/items"), &[(json!({"items": [item], "at": 0}), "at")])
        .await;
    assert_eq!(fake.responses_created(), 0);
    assert_eq!(fake.items(), Vec::<Value>::new());
}

#[tokio::test]
async fn what_the_service_said_may_be_said_to_it() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(
        super::Reply::text("Hello")
            .item(json!({"type": "reasoning", "summary": [], "encrypted_content": "e"}))
            .item(json!({"type": "function_call", "name": "f", "arguments": "{}"})),
    );
    let (_, response) = client.post("/responses", story("x")).await;
    let mut input = response["output"].as_array().unwrap().clone();
    let call_id = &input[1]["call_id"];
    input.push(json!({"type": "function_call_output", "call_id": call_id, "output": "1"}));
    let (status, said) = client.post("/responses", json!({"model": "m", "input": input})).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test]
async fn models_are_any_until_there_is_a_list() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.demo_pace(std::time::Duration::ZERO);
    assert_eq!(client.post("/responses", story("x")).await.0, 200);
    assert_eq!(client.get("/models/anything").await.1["id"], "anything");
    let (_, all) = client.get("/models").await;
    assert_eq!((&all["object"], &all["data"][0]["id"]), (&json!("list"), &json!("demo")));

    fake.models(["gpt-a", "gpt-b"]);
    let (_, all) = client.get("/models").await;
    let ids: Vec<&Value> = all["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["gpt-a", "gpt-b"]);
    assert_eq!(client.get("/models/gpt-b").await.1, all["data"][1]);
    assert_eq!(error_of(&client.get("/models/m").await).1, "model_not_found");

    let body = |model: &str| json!({"model": model, "input": "hi"});
    for path in ["/responses", "/responses/compact", "/responses/input_tokens"] {
        let refused = client.post(path, body("m")).await;
        let message = "The requested model 'm' does not exist.";
        assert_eq!(error_of(&refused), (404, "model_not_found", message));
        assert_eq!(refused.1["error"]["param"], "model");
        assert_eq!(client.post(path, body("gpt-a")).await.0, 200);
    }
    assert_eq!(fake.responses_created(), 2);
}

#[tokio::test]
async fn keys_are_any_until_there_is_a_list() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    assert_eq!(client.get("/models").await.0, 200);
    fake.keys(["sk-other"]);
    let refused = client.get("/models").await;
    let (status, code, message) = error_of(&refused);
    assert_eq!((status, code), (401, "invalid_api_key"));
    assert!(!message.contains(API_KEY), "{message}");
    fake.keys(["sk-other", API_KEY]);
    assert_eq!(client.get("/models").await.0, 200);
}

#[tokio::test]
async fn a_request_needs_something_to_answer() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.demo_pace(std::time::Duration::ZERO);
    let (_, before) = client.post("/responses", story("x")).await;
    let conversation = client.new_conversation().await;
    for input in [json!(""), json!([]), Value::Null] {
        for path in ["/responses", "/responses/compact", "/responses/input_tokens"] {
            let refused = client.post(path, json!({"model": "m", "input": input})).await;
            assert_eq!(error_of(&refused).0, 400, "{path} {input}");
            assert_eq!(error_of(&refused).1, "missing_required_parameter");
        }
        for (name, value) in [
            ("conversation", json!(conversation)),
            ("previous_response_id", before["id"].clone()),
            ("prompt", json!({"id": "pmpt_1"})),
        ] {
            let mut body = json!({"model": "m", "input": input});
            body[name] = value;
            assert_eq!(client.post("/responses", body).await.0, 200, "{name} {input}");
        }
    }
    // A prompt brings its model along.
    let answer = client.post("/responses", json!({"prompt": {"id": "pmpt_1"}})).await;
    assert_eq!(answer.0, 200);
}
