use std::time::Duration;

use serde_json::json;

use super::{Client, FakeOpenAi, Gate, Reply, story, text_of};

#[tokio::test]
async fn a_cut_connection_breaks_the_body_after_the_earlier_events() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let mut request = story("x");
    request["conversation"] = json!(id);
    for n in [0, 1, 4, 5, 9] {
        fake.reply(Reply::text("Hello there").disconnect_at(n));
        let (events, clean) = client.stream(request.clone()).await.rest().await;
        assert!(!clean);
        assert_eq!(events.len(), n);
    }
    assert_eq!(fake.conversation_items(&id), Some(vec![]));
    assert_eq!(fake.disconnects(), 0, "the server left, not the client");

    fake.reply(Reply::text("Hello there").end_at(5));
    let (events, clean) = client.stream(request.clone()).await.rest().await;
    assert_eq!((events.len(), clean), (5, true));
    let (_, response) = client.get(&format!("/responses/{}", fake.response_ids()[5])).await;
    assert_eq!(response["status"], "cancelled");
}

#[tokio::test]
async fn a_long_stream_is_flushed_before_its_cut() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::deltas(vec!["word "; 20_000]).disconnect_at(19_000));
    let (events, clean) = client.stream(story("x")).await.rest().await;
    assert_eq!((events.len(), clean), (19_000, false));
}

#[tokio::test]
async fn a_response_may_finish_unseen() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let request = json!({"model": "m", "input": "x", "conversation": id});
    for n in [5, 8, 9] {
        fake.reply(Reply::text("Hello there").disconnect_at(n).finish_unseen());
        let (events, clean) = client.stream(request.clone()).await.rest().await;
        assert_eq!((events.len(), clean), (n, false));
        let last = fake.response_ids().pop().unwrap();
        let (_, response) = client.get(&format!("/responses/{last}")).await;
        assert_eq!(response["status"], "completed");
        assert_eq!(text_of(&response), "Hello there");
    }
    assert_eq!(fake.conversation_items(&id).unwrap().len(), 6);
}

#[tokio::test]
async fn the_server_sees_a_client_leave_a_stream() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let id = client.new_conversation().await;
    let mut request = story("x");
    request["conversation"] = json!(id);
    fake.reply(Reply::text("Hello there").stall_at(5));
    let mut stream = client.stream(request.clone()).await;
    let event = stream.next().await.unwrap().unwrap();
    let response = event["response"]["id"].as_str().unwrap().to_owned();
    drop(stream);
    fake.client_left(&response).await;
    assert_eq!(fake.disconnects(), 1);

    let (_, object) = client.get(&format!("/responses/{response}")).await;
    assert_eq!(object["status"], "cancelled");
    assert_eq!(fake.conversation_items(&id), Some(vec![]));
    fake.reply(Reply::text("free again"));
    assert_eq!(client.post("/responses", request).await.0, 200);
}

#[tokio::test]
async fn the_server_sees_a_client_leave_without_a_stream() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let gate = Gate::new();
    fake.reply(Reply::text("Hello").hold_at(2, gate.clone()));
    let request = story("x");
    tokio::select! {
        _ = client.post("/responses", request) => panic!("the gate is closed"),
        () = gate.reached() => {}
    }
    fake.disconnected(1).await;
    assert_eq!(fake.disconnects(), 1);
}

#[tokio::test]
async fn a_connection_may_close_without_an_answer() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    for reply in [Reply::hang_up(), Reply::text("x").disconnect_at(3)] {
        fake.reply(reply);
        let sent = client.send("POST", "/responses", Some(&story("x"))).await;
        assert!(sent.is_err());
    }
    assert_eq!(fake.responses_created(), 1, "hanging up creates none");
}

#[tokio::test]
async fn statuses_and_headers_are_scripted() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let body = json!({"error": {"message": "Slow down.", "type": "requests", "code": null}});
    fake.reply(Reply::status(429, body.clone()).header("Retry-After", "3"));
    let sent = client.send("POST", "/responses", Some(&story("x"))).await;
    let response = sent.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "3");
    assert_eq!(response.text().await.unwrap(), body.to_string());
    assert_eq!(fake.responses_created(), 0);

    fake.reply(Reply::text("x").header("x-ratelimit-limit-requests", "7"));
    let stream = client.stream(story("x")).await;
    assert_eq!(stream.response.headers()["x-ratelimit-limit-requests"], "7");
    fake.reply(Reply::text("x").header("not a name", "7"));
    assert_eq!(client.post("/responses", story("x")).await.0, 500);

    fake.intercept("delete", "/conversations/", Reply::status(503, json!({})));
    let id = client.new_conversation().await;
    let path = format!("/conversations/{id}");
    assert_eq!(client.delete(&path).await.0, 503);
    assert_eq!(client.delete(&path).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn delays_follow_the_clock_of_tokio() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let reply = Reply::text("a b c");
    let reply = reply.first_token_after(Duration::from_mins(1));
    fake.reply(reply.pace(Duration::from_secs(10)));
    let start = tokio::time::Instant::now();
    client.post("/responses", story("x")).await;
    let took = start.elapsed().as_secs();
    assert!((80..82).contains(&took), "{took}");
}

#[tokio::test]
async fn shutdown_cuts_what_is_open() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("Hello").stall_at(1));
    let mut stream = client.stream(story("x")).await;
    stream.next().await.unwrap();
    fake.shutdown();
    assert!(stream.next().await.is_err());
    assert!(client.send("GET", "/conversations/c", None).await.is_err());
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(fake.disconnects(), 0);
}

#[tokio::test]
async fn the_last_handle_stops_the_server() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("Hello").stall_at(1));
    let mut stream = client.stream(story("x")).await;
    stream.next().await.unwrap();
    let other = fake.clone();
    drop(fake);
    assert_eq!(client.post("/conversations", json!({})).await.0, 200);
    drop(other);
    assert!(stream.next().await.is_err());
    assert!(client.send("GET", "/conversations/c", None).await.is_err());
}
