use serde_json::{Value, json};

use super::{Client, FakeOpenAi, Gate, Reply, error_of, text_of};

fn request(streamed: bool) -> Value {
    json!({"model": "m", "input": "x", "background": true, "stream": streamed})
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect()
}

fn id_of(response: &Value) -> String {
    response["id"].as_str().unwrap().to_owned()
}

async fn status(client: &Client, id: &str) -> Value {
    client.get(&format!("/responses/{id}")).await.1["status"].clone()
}

#[tokio::test]
async fn it_goes_from_queued_to_its_end_without_a_client() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let conversation = client.new_conversation().await;
    let [queued, running] = [Gate::new(), Gate::new()];
    let reply = Reply::text("Hello there");
    fake.reply(reply.hold_at(2, queued.clone()).hold_at(6, running.clone()));
    let mut request = request(false);
    request["conversation"] = json!(conversation);
    let (code, begun) = client.post("/responses", request.clone()).await;
    assert_eq!(
        (code, &begun["status"], &begun["background"]),
        (200, &json!("queued"), &json!(true))
    );
    let id = id_of(&begun);
    queued.reached().await;
    assert_eq!(status(&client, &id).await, "queued");
    queued.open();
    running.reached().await;
    assert_eq!(status(&client, &id).await, "in_progress");
    let locked = client.post("/responses", request).await;
    assert_eq!(error_of(&locked).1, "conversation_locked");
    running.open();
    let done = loop {
        let (_, response) = client.get(&format!("/responses/{id}")).await;
        if response["status"] != "in_progress" {
            break response;
        }
    };
    assert_eq!((&done["status"], text_of(&done).as_str()), (&json!("completed"), "Hello there"));
    assert_eq!(fake.conversation_items(&conversation).unwrap().len(), 2);
}

#[tokio::test]
async fn a_dropped_stream_is_resumed_where_it_was() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let gate = Gate::new();
    fake.reply(Reply::text("a b c").hold_at(6, gate.clone()));
    let mut stream = client.stream(request(true)).await;
    let first = stream.next().await.unwrap().unwrap();
    let id = id_of(&first["response"]);
    assert_eq!(first["response"]["status"], "queued");
    assert_eq!(stream.next().await.unwrap().unwrap()["type"], "response.queued");
    drop(stream);
    fake.client_left(&id).await;
    gate.reached().await;
    assert_eq!(status(&client, &id).await, "in_progress");

    // What was recorded, then what is said from now on.
    let mut resumed = client.resume(&id, 1).await;
    assert_eq!(resumed.next().await.unwrap().unwrap()["type"], "response.in_progress");
    gate.open();
    let rest = resumed.all().await;
    assert_eq!(numbers(&rest), (3..12).collect::<Vec<_>>());
    assert_eq!(text_of(&rest.last().unwrap()["response"]), "a b c");
    // Once more, when all is over; and after the last event there is none.
    assert_eq!(numbers(&client.resume(&id, 9).await.all().await), [10, 11]);
    assert_eq!(client.resume(&id, 11).await.all().await, Vec::<Value>::new());
    assert_eq!(fake.disconnects(), 1);
    assert_eq!(fake.responses_created(), 1);
}

#[tokio::test]
async fn a_client_that_read_the_last_event_has_not_left_too_early() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    // Nothing follows its last event, number 9, not even the end of the body.
    fake.reply(Reply::text("a").stall_at(10));
    let mut stream = client.stream(request(true)).await;
    while stream.next().await.unwrap().unwrap()["type"] != "response.completed" {}
    drop(stream);
    fake.reply(Reply::text("a").stall_at(9));
    let mut stream = client.stream(request(true)).await;
    let id = id_of(&stream.next().await.unwrap().unwrap()["response"]);
    drop(stream);
    fake.client_left(&id).await;
    assert_eq!(fake.disconnects(), 1, "the second client alone");
}

#[tokio::test]
async fn cuts_concern_one_connection_each() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let reply = Reply::text("a b c").disconnect_at(5).end_at(7).keepalive_at(8);
    fake.reply(reply.raw_event_at(13, "data: {\"type\": \"late\"}\n\n").without_event_lines());
    let (first, clean) = client.stream_unnamed(request(true)).await.rest().await;
    assert_eq!((numbers(&first), clean), ((0..5).collect(), false));
    let id = id_of(&first[0]["response"]);
    let (second, clean) = client.resume(&id, 4).await.unnamed().rest().await;
    assert_eq!((numbers(&second), clean), (vec![5, 6], true));
    let third = client.resume(&id, 6).await.unnamed().all().await;
    assert_eq!(numbers(&third[..6]), (7..13).collect::<Vec<_>>());
    assert_eq!((&third[1]["type"], &third[6]["type"]), (&json!("keepalive"), &json!("late")));
    assert_eq!(status(&client, &id).await, "completed");
    assert_eq!(fake.disconnects(), 0);

    fake.reply(Reply::text("unseen").disconnect_at(0));
    assert!(client.send("POST", "/responses", Some(&request(false))).await.is_err());
    let id = fake.response_ids().pop().unwrap();
    while status(&client, &id).await != "completed" {}
}

#[tokio::test]
async fn cancelling_stops_it_once_and_for_all() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let conversation = client.new_conversation().await;
    let gate = Gate::new();
    fake.reply(Reply::text("a b").hold_at(6, gate.clone()));
    let mut request = request(true);
    request["conversation"] = json!(conversation);
    let mut stream = client.stream(request.clone()).await;
    let id = id_of(&stream.next().await.unwrap().unwrap()["response"]);
    gate.reached().await;
    let path = format!("/responses/{id}/cancel");
    let (code, cancelled) = client.post(&path, json!({})).await;
    assert_eq!((code, &cancelled["status"]), (200, &json!("cancelled")));
    assert_eq!(numbers(&stream.all().await), [1, 2, 3, 4, 5], "it ends in good order");
    gate.open();
    assert_eq!(client.post(&path, json!({})).await, (200, cancelled));
    assert_eq!(fake.conversation_items(&conversation), Some(vec![]));

    // The conversation is free; what is over stays as it is.
    fake.reply(Reply::text("c"));
    let done = client.stream(request).await.all().await.pop().unwrap()["response"].clone();
    let path = format!("/responses/{}/cancel", id_of(&done));
    assert_eq!(client.post(&path, json!({})).await, (200, done));
    assert_eq!(error_of(&client.post("/responses/resp_none/cancel", json!({})).await).0, 404);
}

#[tokio::test]
async fn only_a_stream_can_be_resumed() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply_always(Reply::text("a"));
    let (_, foreground) = client.post("/responses", json!({"model": "m", "input": "x"})).await;
    let (_, background) = client.post("/responses", request(false)).await;
    for response in [foreground, background] {
        let path = format!("/responses/{}?stream=true", id_of(&response));
        assert_eq!(error_of(&client.get(&path).await).0, 400);
    }
    let events = client.stream(request(true)).await.all().await;
    let id = id_of(&events[0]["response"]);
    let path = format!("/responses/{id}?stream=true&starting_after=x");
    assert_eq!(error_of(&client.get(&path).await).1, "invalid_type");
    assert_eq!(error_of(&client.get("/responses/resp_none?stream=true").await).0, 404);
}

#[tokio::test]
async fn a_stopped_server_stops_what_runs_in_the_background() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let gate = Gate::new();
    fake.reply(Reply::text("a").hold_at(3, gate.clone()));
    let mut stream = client.stream(request(true)).await;
    gate.reached().await;
    fake.shutdown();
    while let Ok(event) = stream.next().await {
        assert!(event.is_some(), "it is cut, not ended");
    }
    assert_eq!(fake.disconnects(), 0);
}
