//! Assistants, threads and messages: what is made, changed, listed, and gone.

use serde_json::{Value, json};

use super::{API_KEY, Client, FakeOpenAi, Reply, error_of};

#[tokio::test]
async fn an_assistant_is_made_changed_and_gone() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let tool = json!({"type": "function", "function": {"name": "look"}});
    let settings = json!({"model": "m", "name": "Homer", "tools": [tool], "metadata": {"a": "b"}});
    let id = client.new_assistant(settings).await;
    assert!(id.starts_with("asst_"), "{id}");
    let path = format!("/assistants/{id}");
    let (_, read) = client.get(&path).await;
    assert_eq!((&read["name"], &read["tools"][0]), (&json!("Homer"), &tool));
    assert_eq!(fake.assistant(&id), Some(read));
    let (_, changed) = client.post(&path, json!({"instructions": "Sing."})).await;
    assert_eq!((&changed["name"], &changed["instructions"]), (&json!("Homer"), &json!("Sing.")));
    let other = client.new_assistant(json!({"model": "m"})).await;
    let (_, listed) = client.get("/assistants?order=asc&limit=1").await;
    assert_eq!((&listed["last_id"], &listed["has_more"]), (&json!(id), &json!(true)));
    let (_, listed) = client.get(&format!("/assistants?order=asc&after={id}")).await;
    assert_eq!((&listed["first_id"], &listed["has_more"]), (&json!(other), &json!(false)));
    let (_, listed) = client.get(&format!("/assistants?order=asc&before={other}")).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);

    let deleted = json!({"id": id, "object": "assistant.deleted", "deleted": true});
    assert_eq!(client.delete(&path).await, (200, deleted));
    for gone in [client.get(&path).await, client.delete(&path).await] {
        assert_eq!(error_of(&gone), (404, "", &*format!("No assistant found with id '{id}'.")));
    }
    assert_eq!(client.post(&path, json!({})).await.0, 404);
    assert_eq!(fake.assistant_ids(), [other]);
}

#[tokio::test]
async fn a_thread_keeps_its_messages() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_thread("Hello").await;
    assert!(id.starts_with("thread_"), "{id}");
    let (path, messages) = (format!("/threads/{id}"), format!("/threads/{id}/messages"));
    let (_, changed) = client.post(&path, json!({"metadata": {"a": "b"}})).await;
    assert_eq!(client.get(&path).await, (200, changed.clone()));
    assert_eq!(changed["metadata"]["a"], "b");

    let image = json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}});
    let content = json!([{"type": "text", "text": "Look"}, image]);
    let (_, second) =
        client.post(&messages, json!({"role": "assistant", "content": content})).await;
    let text = json!({"type": "text", "text": {"value": "Look", "annotations": []}});
    assert_eq!(second["content"], json!([text, image]));
    let here = format!("{messages}/{}", second["id"].as_str().unwrap());
    assert!(second["id"].as_str().unwrap().starts_with("msg_"));
    let (_, marked) = client.post(&here, json!({"metadata": {"c": "d"}})).await;
    assert_eq!(client.get(&here).await, (200, marked));
    let (_, listed) = client.get(&messages).await;
    assert_eq!((&listed["first_id"], listed["data"].as_array().unwrap().len()), (&second["id"], 2));
    assert_eq!(fake.thread_messages(&id).unwrap()[1]["metadata"]["c"], "d");

    let deleted = json!({"id": second["id"], "object": "thread.message.deleted", "deleted": true});
    assert_eq!(client.delete(&here).await, (200, deleted));
    assert_eq!((client.get(&here).await.0, client.delete(&here).await.0), (404, 404));
    assert_eq!(fake.thread_messages(&id).unwrap().len(), 1);
    let deleted = json!({"id": id, "object": "thread.deleted", "deleted": true});
    assert_eq!(client.delete(&path).await, (200, deleted));
    for gone in [&path, &messages, &here, &format!("{path}/runs")] {
        assert_eq!(client.get(gone).await.0, 404, "{gone}");
    }
    assert_eq!((fake.thread_ids(), fake.thread_messages(&id)), (Vec::new(), None));
}

#[tokio::test]
async fn there_is_no_such_api_without_its_header() {
    let fake = FakeOpenAi::start().await.unwrap();
    let http = reqwest::Client::new();
    let ask = async |beta: Option<&str>| {
        let mut request = http.get(format!("{}/assistants", fake.base_url())).bearer_auth(API_KEY);
        if let Some(beta) = beta {
            request = request.header("openai-beta", beta);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap())
    };
    for beta in [None, Some("assistants=v1")] {
        let refused = ask(beta).await;
        assert_eq!((error_of(&refused).0, error_of(&refused).1), (400, "invalid_beta"));
    }
    assert_eq!(ask(Some("realtime=v1, assistants=v2")).await.0, 200);
}

#[tokio::test]
async fn wrong_requests_of_assistants_are_refused() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let assistant = client.new_assistant(json!({"model": "m"})).await;
    let thread = client.new_thread("Hello").await;
    let (messages, runs) =
        (format!("/threads/{thread}/messages"), format!("/threads/{thread}/runs"));
    let said = |role: &str, content: Value| json!({"role": role, "content": content});
    let run = |name: &str, value: Value| json!({"assistant_id": assistant, name: value});
    let refused = [
        ("/assistants", json!({}), "model"),
        ("/assistants", json!({"model": "m", "max_tokens": 1}), "max_tokens"),
        ("/assistants", json!({"model": "m", "temperature": 3}), "temperature"),
        ("/assistants", json!({"model": "m", "metadata": {"n": 1}}), "metadata.n"),
        (
            "/assistants",
            json!({"model": "m", "tools": [{"type": "function"}]}),
            "tools[0].function.name",
        ),
        ("/threads", json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        ("/threads", json!({"items": []}), "items"),
        (&messages, said("system", json!("Hi")), "role"),
        (&messages, json!({"content": "Hi"}), "role"),
        (&messages, said("user", json!(" ")), "content"),
        (&messages, said("user", json!([{"type": "input_text", "text": "Hi"}])), "content[0].type"),
        (
            &messages,
            said("user", json!([{"type": "text", "text": {"value": "Hi"}}])),
            "content[0].text",
        ),
        (&messages, json!({"role": "user", "content": "Hi", "name": "Ada"}), "name"),
        (&runs, json!({}), "assistant_id"),
        (&runs, run("input", json!("Hi")), "input"),
        (&runs, run("max_completion_tokens", json!(16)), "max_completion_tokens"),
        (
            &runs,
            run("additional_messages", json!([{"role": "user"}])),
            "additional_messages[0].content",
        ),
    ];
    for (path, body, param) in refused {
        let answer = client.post(path, body.clone()).await;
        assert_eq!(
            (error_of(&answer).0, &answer.1["error"]["param"]),
            (400, &json!(param)),
            "{body}"
        );
    }
    let unknown = client.post(&runs, json!({"assistant_id": "asst_none"})).await;
    assert_eq!(error_of(&unknown), (404, "", "No assistant found with id 'asst_none'."));
    let nowhere = client.post("/threads/thread_none/runs", run("model", json!("m"))).await;
    assert_eq!(error_of(&nowhere), (404, "", "No thread found with id 'thread_none'."));
    assert_eq!((fake.responses_created(), fake.thread_ids().len()), (0, 1));
    assert_eq!(fake.thread_messages(&thread).unwrap().len(), 1);

    fake.reply(Reply::status(500, json!({})));
    let lost =
        json!({"assistant_id": assistant, "thread": {"messages": [said("user", json!("Hi"))]}});
    assert_eq!(client.post("/threads/runs", lost).await.0, 500);
    assert_eq!(fake.thread_ids(), [thread], "nothing is left of it");
}
