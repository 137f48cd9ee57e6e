use serde_json::{Value, json};

use super::{Client, ErrorEvent, FakeOpenAi, Gate, Reply, story};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|e| e["type"].as_str().unwrap()).collect()
}

fn deltas(events: &[Value]) -> String {
    let deltas = events.iter().filter(|e| e["type"] == "response.output_text.delta");
    deltas.map(|e| e["delta"].as_str().unwrap()).collect()
}

async fn streamed(reply: Reply) -> Vec<Value> {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(reply);
    client.stream(story("x")).await.all().await
}

#[tokio::test]
async fn events_come_in_the_usual_order() {
    let events = streamed(Reply::text("Hello  there,\nyou")).await;
    assert_eq!(
        types(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(deltas(&events), "Hello  there,\nyou");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let is_delta = event["type"] == "response.output_text.delta";
        assert_eq!(event["obfuscation"].is_string(), is_delta);
    }
    assert_eq!(events[0]["response"]["status"], "in_progress");
    let last = &events[11]["response"];
    assert_eq!(last["status"], "completed");
    assert_eq!(last["output"][0], events[10]["item"]);
    assert!(last["usage"]["output_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn obfuscation_can_be_switched_off() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("a b"));
    let mut request = story("x");
    request["stream_options"] = json!({"include_obfuscation": false});
    let events = client.stream(request).await.all().await;
    assert!(events.iter().all(|event| event["obfuscation"].is_null()));
}

#[tokio::test]
async fn items_precede_the_message() {
    let reasoning = json!({
        "type": "reasoning", "summary": [{"type": "summary_text", "text": "thinking"}],
    });
    let call = json!({
        "type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"é\":1}",
    });
    let events = streamed(Reply::text("x").item(reasoning).item(call)).await;
    let arguments: String = events
        .iter()
        .filter(|e| e["type"] == "response.function_call_arguments.delta")
        .map(|e| e["delta"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, "{\"é\":1}");
    let of = |kind: &str| events.iter().find(|e| e["type"] == kind).unwrap();
    assert_eq!(of("response.reasoning_summary_text.delta")["output_index"], 0);
    assert_eq!(of("response.function_call_arguments.done")["name"], "f");
    assert_eq!(of("response.output_text.delta")["output_index"], 2);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[1]["status"], "completed");
    assert_eq!(output[2]["type"], "message");
}

#[tokio::test]
async fn endings_other_than_completed() {
    let events = streamed(Reply::text("a b").incomplete("content_filter")).await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    let details = &last["response"]["incomplete_details"];
    assert_eq!(details, &json!({"reason": "content_filter"}));
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");

    let events = streamed(Reply::text("").failed("insufficient_quota", "No money.")).await;
    let expected = ["response.created", "response.in_progress", "error", "response.failed"];
    assert_eq!(types(&events), expected);
    assert_eq!(events[2]["error"]["code"], "insufficient_quota");
    let error = &events[3]["response"]["error"];
    assert_eq!(error, &json!({"code": "insufficient_quota", "message": "No money."}));

    let events = streamed(Reply::text("some").failed("server_error", "Oh.")).await;
    assert_eq!(deltas(&events), "some");
    assert_eq!(types(&events)[5..], ["error", "response.failed"]);

    let shaped = |shape| Reply::text("some").failed("server_error", "Oh.").error_event(shape);
    let events = streamed(shaped(ErrorEvent::Flat)).await;
    let error = json!({
        "type": "error", "sequence_number": 5, "code": "server_error", "message": "Oh.", "param": null,
    });
    assert_eq!(events[5..], [error]);
    let events = streamed(shaped(ErrorEvent::Untyped)).await;
    let error =
        json!({"code": "server_error", "type": "server_error", "message": "Oh.", "param": null});
    assert_eq!(events[5..], [json!({"error": error})]);

    let events = streamed(Reply::text("strea med").final_text("final")).await;
    assert_eq!(deltas(&events), "strea med");
    let message = &events.last().unwrap()["response"]["output"][0];
    assert_eq!(message["content"][0]["text"], "final");
}

#[tokio::test]
async fn a_failed_response_adds_nothing_to_its_conversation() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let request = json!({"model": "m", "input": "x", "conversation": id});
    fake.reply(Reply::text("a").failed("server_error", "Oh."));
    let (status, response) = client.post("/responses", request.clone()).await;
    assert_eq!((status, &response["status"]), (200, &json!("failed")));
    assert_eq!(fake.conversation_items(&id), Some(vec![]));
    fake.reply(Reply::text("a").incomplete("max_output_tokens"));
    client.post("/responses", request).await;
    assert_eq!(fake.conversation_items(&id).unwrap().len(), 2);
}

#[tokio::test]
async fn keepalives_and_raw_bytes_come_between() {
    let reply = Reply::text("a b")
        .keepalive_at(2)
        .raw_event_at(0, ": hello\n\n")
        .raw_event_at(11, "data: [DONE]\n\n");
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(reply);
    let mut request = story("x");
    request["stream"] = json!(true);
    let response = client.send("POST", "/responses", Some(&request)).await.unwrap();
    let body = response.text().await.unwrap();
    assert!(body.starts_with(": hello\n\nevent: response.created\n"), "{body}");
    assert!(body.ends_with("\n\ndata: [DONE]\n\n"), "{body}");
    let keepalive = "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":2}\n\n";
    assert!(body.contains(keepalive), "{body}");
    assert!(body.contains("\"sequence_number\":10"), "{body}");
}

#[tokio::test]
async fn gates_let_a_test_step_through_a_stream() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let gates = [Gate::new(), Gate::new()];
    let [first, second] = gates.clone();
    fake.reply(Reply::text("a b c").hold_at(5, first).hold_at(6, second));
    let mut stream = client.stream(story("x")).await;
    for number in 0..5 {
        let event = stream.next().await.unwrap().unwrap();
        assert_eq!(event["sequence_number"], number);
    }
    let id = fake.response_ids().remove(0);
    for (gate, delta) in gates.iter().zip(["b ", "c"]) {
        gate.reached().await;
        let (_, response) = client.get(&format!("/responses/{id}")).await;
        assert_eq!(response["status"], "in_progress");
        gate.open();
        assert_eq!(stream.next().await.unwrap().unwrap()["delta"], delta);
    }
    assert_eq!(stream.all().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_and_long_streams_are_whole() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = std::sync::Arc::new(Client::of(&fake));
    let words = vec!["word "; 20_000];
    fake.reply(Reply::deltas(words.clone()));
    let events = client.stream(story("x")).await.all().await;
    assert_eq!(events.len(), 20_008);
    assert_eq!(deltas(&events), words.concat());

    let gate = Gate::new();
    fake.reply_always(Reply::text("a b c").hold_at(5, gate.clone()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..120 {
        let client = std::sync::Arc::clone(&client);
        tasks.spawn(async move { client.stream(story("x")).await.all().await.len() });
    }
    gate.reached_by(120).await;
    gate.open();
    assert!(tasks.join_all().await.iter().all(|count| *count == 11));
}
