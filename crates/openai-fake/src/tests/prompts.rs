//! What the model would read, counted and compacted.

use serde_json::{Value, json};

use super::{Client, FakeOpenAi, story};

#[tokio::test]
async fn the_count_is_what_the_response_then_says() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.demo_pace(std::time::Duration::ZERO);
    let conversation = client.new_conversation().await;
    let bodies = [
        story("x"),
        json!({"model": "m", "input": "hi", "instructions": "Be short, be quick."}),
        json!({"model": "m", "input": "hi", "tools": [{"type": "function", "name": "look"}]}),
        json!({"model": "m", "input": "one more", "conversation": conversation}),
        json!({"model": "m", "input": "and more", "conversation": {"id": conversation}}),
    ];
    let mut counts = Vec::new();
    for body in bodies {
        let (status, count) = client.post("/responses/input_tokens", body.clone()).await;
        assert_eq!((status, &count["object"]), (200, &json!("response.input_tokens")));
        let (_, response) = client.post("/responses", body).await;
        assert_eq!(count["input_tokens"], response["usage"]["input_tokens"]);
        counts.push(count["input_tokens"].as_u64().unwrap());
    }
    let hi = client.post("/responses/input_tokens", json!({"input": "hi"})).await.1;
    let hi = hi["input_tokens"].as_u64().unwrap();
    assert!(counts[1] > hi && counts[2] > hi, "instructions and tools are read, too: {counts:?}");
    assert!(counts[4] > counts[3], "what was said before is read again: {counts:?}");
    assert_eq!(fake.responses_created(), 5);
}

#[tokio::test]
async fn a_compaction_keeps_what_the_user_said_and_can_be_gone_on_with() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.demo_pace(std::time::Duration::ZERO);
    let first = client.post("/responses", story("a boat")).await.1;
    let more = json!({"model": "m", "previous_response_id": first["id"], "input": [
        {"role": "developer", "content": "Be short."}, {"role": "user", "content": "Go on"},
    ]});
    let (status, compacted) = client.post("/responses/compact", more).await;
    assert_eq!((status, &compacted["object"]), (200, &json!("response.compaction")));
    let output = compacted["output"].as_array().unwrap();
    let kinds: Vec<(&Value, &Value)> = output.iter().map(|i| (&i["type"], &i["role"])).collect();
    let user = (&json!("message"), &json!("user"));
    assert_eq!(kinds, [user, user, (&json!("compaction"), &Value::Null)]);
    assert!(output[2]["encrypted_content"].is_string());
    let usage = &compacted["usage"];
    assert!(usage["input_tokens"].as_u64() > usage["output_tokens"].as_u64());

    let mut input = output.clone();
    input.push(json!({"role": "user", "content": "And then?"}));
    let (status, next) = client.post("/responses", json!({"model": "m", "input": input})).await;
    assert_eq!(status, 200, "{next}");
    assert!(super::text_of(&next).contains("then \"Go on\""));
    assert_eq!(fake.response_ids().len(), 2, "a compaction is no response");
}
