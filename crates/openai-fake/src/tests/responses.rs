use serde_json::{Value, json};

use super::{Client, FakeOpenAi, Reply, error_of, text_of};

#[tokio::test]
async fn a_response_is_stored_read_and_deleted() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("Hello there").usage(11, 2));
    let request = json!({
        "model": "m-1", "input": "hi", "instructions": "Be short.", "metadata": {"k": "v"},
        "tools": [{"type": "function", "name": "f"}],
    });
    let (status, response) = client.post("/responses", request).await;
    assert_eq!(status, 200);
    assert_eq!(response["status"], "completed");
    assert_eq!(response["model"], "m-1");
    assert_eq!(response["instructions"], "Be short.");
    assert_eq!(response["tools"][0]["strict"], true);
    assert_eq!(text_of(&response), "Hello there");
    assert_eq!(response["usage"]["input_tokens"], 11);
    assert_eq!(response["usage"]["total_tokens"], 13);
    assert_eq!(response["usage"]["input_tokens_details"]["cached_tokens"], 0);

    let id = response["id"].as_str().unwrap().to_owned();
    let path = format!("/responses/{id}");
    assert_eq!(client.get(&path).await, (200, response));
    let (_, inputs) = client.get(&format!("{path}/input_items")).await;
    assert_eq!(inputs["data"][0]["content"][0]["text"], "hi");
    let cancel = client.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(error_of(&cancel).0, 400);
    assert_eq!(fake.response_ids(), [id.as_str()]);
    let deleted = json!({"id": id, "object": "response", "deleted": true});
    assert_eq!(client.delete(&path).await, (200, deleted));
    assert_eq!(error_of(&client.delete(&path).await).0, 404);
    assert_eq!(error_of(&client.get(&path).await).0, 404);
    assert_eq!(fake.response_ids(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unstored_response_leaves_no_trace() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    fake.reply(Reply::text("Hello"));
    let request = json!({"model": "m", "input": "hi", "conversation": id, "store": false});
    let (_, response) = client.post("/responses", request).await;
    let path = format!("/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.0, 404);
    assert_eq!(fake.conversation_items(&id), Some(vec![]));
    let chained = json!({"model": "m", "input": "x", "previous_response_id": response["id"]});
    let answer = client.post("/responses", chained).await;
    assert_eq!(error_of(&answer).1, "previous_response_not_found");
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let refused = [
        (json!({"input": "x"}), 400, "missing_required_parameter"),
        (json!({"model": "m"}), 400, "missing_required_parameter"),
        (json!({"model": "m", "input": 7}), 400, "invalid_type"),
        (
            json!({"model": "m", "input": "x", "max_output_tokens": 15}),
            400,
            "integer_below_min_value",
        ),
        (json!({"model": "m", "input": "x", "temperature": 2.1}), 400, "decimal_above_max_value"),
        (json!({"model": "m", "input": "x", "temperature": -1}), 400, "decimal_below_min_value"),
        (json!({"model": "m", "input": "x", "tools": [{}]}), 400, "missing_required_parameter"),
        (
            json!({"model": "m", "input": "x", "background": true, "store": false}),
            400,
            "invalid_value",
        ),
        (json!({"model": "m", "input": "x", "conversation": "conv_none"}), 404, ""),
        (
            json!({"model": "m", "input": "x", "previous_response_id": "resp_none"}),
            400,
            "previous_response_not_found",
        ),
        (
            json!({"model": "m", "input": "x", "conversation": "a", "previous_response_id": "b"}),
            400,
            "mutually_exclusive_parameters",
        ),
        (
            json!({"model": "m", "input": [{"type": "reasoning", "id": "rs_none", "summary": []}]}),
            404,
            "",
        ),
        (json!({"model": "m", "input": [{"type": "item_reference", "id": "msg_none"}]}), 404, ""),
    ];
    for (body, status, code) in refused {
        let answer = client.post("/responses", body.clone()).await;
        let (got_status, got_code, _) = error_of(&answer);
        assert_eq!((got_status, got_code), (status, code), "{body}");
    }
    assert_eq!(fake.responses_created(), 0);
    assert_eq!(fake.requests().len(), 13);
}

#[tokio::test]
async fn calls_and_outputs_must_pair_up() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let call = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"});
    fake.reply_to("call it", Reply::text("").item(call).without_message());
    let ask = |input: Value| json!({"model": "m", "input": input, "conversation": id});
    let output =
        |call: &str| json!([{"type": "function_call_output", "call_id": call, "output": "sunny"}]);

    let (_, response) = client.post("/responses", ask(json!("call it"))).await;
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    assert_eq!(response["output"][0]["type"], "function_call");
    assert!(response["output"][0]["id"].is_string());

    let answer = client.post("/responses", ask(json!("and now?"))).await;
    assert_eq!(error_of(&answer).2, "No tool output found for function call c1.");
    assert_eq!(answer.1["error"]["param"], "input");
    let answer = client.post("/responses", ask(output("c2"))).await;
    let text = error_of(&answer).2;
    assert_eq!(text, "No tool call found for function call output with call_id c2.");

    let (status, response) = client.post("/responses", ask(output("c1"))).await;
    assert_eq!(status, 200);
    assert_eq!(text_of(&response), "(demo model) The tool answered: sunny");
    let kinds: Vec<Value> = fake.items().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(
        fake.conversation_items(&id).unwrap().len(),
        4,
        "user, call, output, answer, but not the refused turns: {kinds:?}"
    );
}

#[tokio::test]
async fn a_chain_of_responses_carries_its_context() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.demo_pace(std::time::Duration::ZERO);
    let first = json!({"model": "m", "input": "I like boats"});
    let (_, first) = client.post("/responses", first).await;
    let second = json!({"model": "m", "input": "And you?", "previous_response_id": first["id"]});
    let (_, second) = client.post("/responses", second).await;
    assert!(text_of(&second).contains("Earlier you asked: \"I like boats\"."));
    let third = json!({"model": "m", "input": "Hm", "previous_response_id": second["id"]});
    let (_, third) = client.post("/responses", third).await;
    assert!(text_of(&third).contains("\"I like boats\", then \"And you?\"."));
    assert!(third["usage"]["input_tokens"].as_u64() > second["usage"]["input_tokens"].as_u64());
}

#[tokio::test]
async fn replies_go_to_whom_they_are_meant_for() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply_always(Reply::text("always"));
    fake.reply(Reply::text("queued"));
    fake.reply_to("tea", Reply::text("for tea").reply_model("m-9"));
    let ask = |text: &str| client.post("/responses", json!({"model": "m", "input": text}));
    assert_eq!(text_of(&ask("coffee").await.1), "queued");
    let (_, tea) = ask("some tea").await;
    assert_eq!((text_of(&tea).as_str(), &tea["model"]), ("for tea", &json!("m-9")));
    assert_eq!(text_of(&ask("some tea").await.1), "always");
    assert_eq!(text_of(&ask("more").await.1), "always");
}
