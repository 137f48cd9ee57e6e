use serde_json::{Value, json};

use super::{Client, FakeOpenAi, Gate, Reply, error_of};

fn message(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn texts(list: &Value) -> Vec<&str> {
    let data = list["data"].as_array().unwrap();
    data.iter().map(|item| item["content"][0]["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_conversation_lives_and_dies_but_its_items_stay() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let body = json!({"metadata": {"thread": "7"}, "items": [message("one"), message("two")]});
    let (status, conversation) = client.post("/conversations", body).await;
    assert_eq!(status, 200);
    assert_eq!(conversation["object"], "conversation");
    assert_eq!(conversation["metadata"], json!({"thread": "7"}));
    let id = conversation["id"].as_str().unwrap();
    let path = format!("/conversations/{id}");

    assert_eq!(client.get(&path).await, (200, conversation.clone()));
    let (_, changed) = client.post(&path, json!({"metadata": {"a": "b"}})).await;
    assert_eq!(changed["metadata"], json!({"a": "b"}));

    let item = fake.conversation_items(id).unwrap()[0]["id"].clone();
    let item = format!("{path}/items/{}", item.as_str().unwrap());
    assert_eq!(client.get(&item).await.0, 200);
    let (_, after) = client.delete(&item).await;
    assert_eq!(after["id"], conversation["id"]);
    assert_eq!(error_of(&client.get(&item).await).0, 404);

    let (status, deleted) = client.delete(&path).await;
    assert_eq!(status, 200);
    assert_eq!(deleted, json!({"id": id, "object": "conversation.deleted", "deleted": true}));
    assert_eq!(error_of(&client.delete(&path).await).0, 404);
    assert_eq!(fake.conversation_items(id), None);
    assert_eq!(fake.conversation_ids(), Vec::<String>::new());
    let left = fake.items();
    assert_eq!(left.len(), 1);
    let item = format!("{path}/items/{}", left[0]["id"].as_str().unwrap());
    assert_eq!(error_of(&client.delete(&item).await).0, 404);
}

#[tokio::test]
async fn items_come_in_pages() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let path = format!("/conversations/{id}/items");
    let names: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    let items = |range: std::ops::Range<usize>| json!({"items": names[range].iter().map(|n| message(n)).collect::<Vec<_>>()});
    let (_, added) = client.post(&path, items(0..20)).await;
    assert_eq!(texts(&added), &names[..20]);
    assert_eq!(added["has_more"], false);
    client.post(&path, items(20..25)).await;

    let (_, newest) = client.get(&path).await;
    let expected: Vec<&String> = names.iter().rev().take(20).collect();
    assert_eq!(texts(&newest), expected);
    assert_eq!(newest["has_more"], true);
    let after = newest["last_id"].as_str().unwrap();
    let (_, oldest) = client.get(&format!("{path}?after={after}")).await;
    assert_eq!(texts(&oldest), ["4", "3", "2", "1", "0"]);
    assert_eq!(oldest["has_more"], false);
    assert_eq!(oldest["first_id"], oldest["data"][0]["id"]);

    let (_, page) = client.get(&format!("{path}?order=asc&limit=2")).await;
    assert_eq!(texts(&page), ["0", "1"]);
    for bad in ["limit=0", "limit=101", "order=up", "after=nothing"] {
        let answer = client.get(&format!("{path}?{bad}")).await;
        assert!(matches!(error_of(&answer).0, 400 | 404), "{bad}");
    }
}

#[tokio::test]
async fn limits_of_items_and_metadata_hold() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let pairs = |count: usize| -> Value { (0..count).map(|n| (n.to_string(), "v")).collect() };
    let fine = [
        json!({}),
        json!({"metadata": null}),
        json!({"metadata": pairs(16)}),
        json!({"metadata": {"k".repeat(64): "v".repeat(512)}}),
        json!({"items": vec![message("x"); 20]}),
    ];
    for body in fine {
        assert_eq!(client.post("/conversations", body).await.0, 200);
    }
    let refused = [
        json!({"metadata": pairs(17)}),
        json!({"metadata": {"k".repeat(65): "v"}}),
        json!({"metadata": {"k": "v".repeat(513)}}),
        json!({"metadata": {"k": 1}}),
        json!({"items": vec![message("x"); 21]}),
        json!({"items": [{"role": "robot", "content": "x"}]}),
        json!({"items": [{"role": "user"}]}),
        json!({"items": "x"}),
    ];
    for body in refused {
        let answer = client.post("/conversations", body).await;
        assert_eq!(error_of(&answer).0, 400);
    }
    assert_eq!(fake.conversation_ids().len(), 5);
    assert_eq!(fake.items().len(), 20);
}

#[tokio::test]
async fn a_running_response_locks_its_conversation() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let items = format!("/conversations/{id}/items");
    client.post(&items, json!({"items": [message("before")]})).await;

    let gate = Gate::new();
    fake.reply(Reply::text("Hello there").hold_at(5, gate.clone()));
    let request = json!({"model": "m", "input": "hi", "conversation": {"id": id}});
    let stream = client.stream(request.clone()).await;
    gate.reached().await;

    let first = &fake.conversation_items(&id).unwrap()[0];
    let first = format!("{items}/{}", first["id"].as_str().unwrap());
    let answers = [
        client.post("/responses", request.clone()).await,
        client.post(&items, json!({"items": [message("x")]})).await,
        client.delete(&first).await,
    ];
    for answer in &answers {
        let (status, code, text) = error_of(answer);
        assert_eq!((status, code), (400, "conversation_locked"));
        assert_eq!(answer.1["error"]["param"], "conversation");
        assert_eq!(
            text,
            "Another process is currently operating on this conversation. Please retry in a few \
             seconds."
        );
    }
    assert_eq!(fake.conversation_items(&id).unwrap().len(), 1);
    assert_eq!(fake.responses_created(), 1);

    gate.open();
    stream.all().await;
    let held = fake.conversation_items(&id).unwrap();
    let roles: Vec<&Value> = held.iter().map(|item| &item["role"]).collect();
    assert_eq!(roles, ["user", "user", "assistant"]);
    assert!(held.iter().all(|item| item["id"].is_string()));
    fake.reply(Reply::text("Again"));
    assert_eq!(client.post("/responses", request).await.0, 200);
    assert_eq!(fake.conversation_items(&id).unwrap().len(), 5);
}

#[tokio::test]
async fn a_conversation_deleted_under_a_response_keeps_nothing_of_it() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let gate = Gate::new();
    fake.reply(Reply::text("Hello").hold_at(4, gate.clone()));
    let request = json!({"model": "m", "input": "hi", "conversation": id});
    let stream = client.stream(request).await;
    gate.reached().await;
    assert_eq!(client.delete(&format!("/conversations/{id}")).await.0, 200);
    gate.open();
    let events = stream.all().await;
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    assert_eq!(fake.items(), Vec::<Value>::new());
}
