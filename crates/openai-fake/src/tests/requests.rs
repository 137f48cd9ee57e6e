use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{API_KEY, Client, FakeOpenAi, Reply, Request, error_of, story};

#[tokio::test]
async fn requests_are_recorded_whole() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    fake.reply(Reply::text("x"));
    let sent = client.send("POST", "/responses?a=b", Some(&story("x"))).await;
    let response = sent.unwrap();
    let recorded: Request = fake.requests().remove(0);
    assert_eq!((recorded.method.as_str(), recorded.path.as_str()), ("POST", "/v1/responses"));
    assert_eq!(recorded.query, "a=b");
    assert_eq!(recorded.body, Some(story("x")));
    assert_eq!(recorded.headers["authorization"], format!("Bearer {API_KEY}"));
    assert_eq!(response.headers()["x-request-id"], recorded.request_id.as_str());
    assert_eq!(response.headers()["openai-version"], "2020-10-01");
    assert!(!format!("{recorded:?}").contains(API_KEY));
}

#[tokio::test]
async fn hooks_come_before_everything_else() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    fake.on_request(move |request| {
        assert_eq!(request.method, "GET");
        counter.fetch_add(1, Ordering::SeqCst);
    });
    client.get("/conversations/none").await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn unknown_paths_and_bad_bodies_are_refused() {
    let fake = FakeOpenAi::start().await.unwrap();
    let client = Client::of(&fake);
    for path in ["/nothing", "/responses/resp_none", "/conversations/conv_none/items"] {
        assert_eq!(error_of(&client.get(path).await).0, 404);
    }
    let http = reqwest::Client::new();
    let url = format!("{}/responses", fake.base_url());
    let keyless = http.post(&url).body(story("x").to_string());
    assert_eq!(keyless.send().await.unwrap().status(), 401);
    let empty = http.post(&url).header("authorization", "Bearer ");
    assert_eq!(empty.send().await.unwrap().status(), 401);
    let broken = http.post(&url).header("authorization", "Bearer k").body("{");
    assert_eq!(broken.send().await.unwrap().status(), 400);
    assert_eq!(fake.requests().len(), 6);
}

#[tokio::test]
async fn a_body_beyond_all_limits_is_refused() {
    let fake = FakeOpenAi::start().await.unwrap();
    let http = reqwest::Client::new();
    let request = http
        .post(format!("{}/responses", fake.base_url()))
        .header("authorization", "Bearer k")
        .body(vec![b' '; 128 * 1024 * 1024 + 1]);
    assert_eq!(request.send().await.unwrap().status(), 413);
    assert_eq!(fake.requests()[0].body, None);
}
