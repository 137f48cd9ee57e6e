//! Calls against a real socket; streams have a file of their own.

use std::time::{Duration, Instant};

use super::test_server::{KEY, Reply, Server};
use super::*;

pub(super) const RESPONSE: &str = r#"{"id":"resp_1","status":"completed","error":null}"#;
pub(super) const BRIEF: Duration = Duration::from_millis(50);

pub(super) fn request() -> CreateResponse {
    let mut request = CreateResponse::new("m");
    request.input.push(Item::message("user", "Hi"));
    request
}

fn locked() -> Reply {
    let body = r#"{"error":{"message":"Another process","type":"invalid_request_error","code":"conversation_locked"}}"#;
    Reply::new("400 Bad Request", "retry-after-ms: 1\r\n", body)
}

#[tokio::test]
async fn a_request_carries_path_headers_and_body() {
    let mut server = Server::start([Reply::json(RESPONSE)]).await;
    let client = server
        .builder()
        .organization("org-1")
        .project("proj_1")
        .header("x-gateway", "g")
        .build()
        .unwrap();
    let response = client.responses().create(&request()).await.unwrap();
    assert_eq!(response.id, "resp_1");
    let sent = server.request();
    assert!(sent.starts_with("POST /v1/responses HTTP/1.1\r\n"), "{sent}");
    for line in [
        "authorization: Bearer sk-test-key",
        "openai-organization: org-1",
        "openai-project: proj_1",
        "x-gateway: g",
        "accept: application/json",
        "content-type: application/json",
        "user-agent: ai-engine/",
    ] {
        assert!(sent.contains(&format!("\r\n{line}")), "{line} in {sent}");
    }
    assert!(
        sent.ends_with(
            r#"{"input":[{"content":"Hi","role":"user","type":"message"}],"model":"m"}"#
        ),
        "{sent}"
    );
}

#[tokio::test]
async fn without_a_key_there_is_no_authorization_unless_the_url_has_one() {
    let mut server =
        Server::start([Reply::json(RESPONSE), Reply::json(RESPONSE), Reply::json(RESPONSE)]).await;
    let url = server.url.clone();
    let with_user = url.replace("//", "//user:pass@");
    for (builder, expected) in [
        (OpenAi::builder().base_url(&url), None),
        (OpenAi::builder().base_url(&with_user), Some("authorization: Basic dXNlcjpwYXNz\r\n")),
        (server.builder().base_url(&with_user), Some("authorization: Bearer sk-test-key\r\n")),
    ] {
        let client = builder.build().unwrap();
        assert_eq!(client.base_url(), url);
        client.responses().retrieve("resp_1").await.unwrap();
        let sent = server.request();
        assert_eq!(
            sent.matches("authorization:").count(),
            usize::from(expected.is_some()),
            "{sent}"
        );
        assert!(sent.contains(expected.unwrap_or_default()), "{sent}");
    }
}

#[tokio::test]
async fn every_call_has_its_path_and_query() {
    let mut server = Server::start((0..12).map(|_| Reply::json("{\"id\":\"x\"}"))).await;
    let client = server.builder().base_url(format!("{}/", server.url)).build().unwrap();
    let (conversations, responses) = (client.conversations(), client.responses());
    let items = [Item::message("user", "Hi")];
    let list = ListItems {
        after: Some("a&b".to_owned()),
        limit: Some(100),
        order: Some(Order::OldestFirst),
    };

    conversations
        .create(&CreateConversation { items: items.to_vec(), ..Default::default() })
        .await
        .unwrap();
    assert!(server.request().starts_with("POST /v1/conversations HTTP"));
    conversations.retrieve("conv_1").await.unwrap();
    assert!(server.request().starts_with("GET /v1/conversations/conv_1 HTTP"));
    conversations.delete("conv_1").await.unwrap();
    assert!(server.request().starts_with("DELETE /v1/conversations/conv_1 HTTP"));
    conversations.create_items("conv_1", &items).await.unwrap();
    let sent = server.request();
    assert!(sent.starts_with("POST /v1/conversations/conv_1/items HTTP"), "{sent}");
    assert!(
        sent.ends_with(r#"{"items":[{"content":"Hi","role":"user","type":"message"}]}"#),
        "{sent}"
    );
    conversations.list_items("conv_1", &list).await.unwrap();
    assert!(
        server
            .request()
            .starts_with("GET /v1/conversations/conv_1/items?after=a%26b&limit=100&order=asc HTTP")
    );
    conversations.list_items("conv_1", &ListItems::default()).await.unwrap();
    assert!(server.request().starts_with("GET /v1/conversations/conv_1/items HTTP"));
    conversations.delete_item("conv_1", "msg_1").await.unwrap();
    assert!(server.request().starts_with("DELETE /v1/conversations/conv_1/items/msg_1 HTTP"));
    responses.retrieve("resp_1").await.unwrap();
    assert!(server.request().starts_with("GET /v1/responses/resp_1 HTTP"));
    responses.cancel("resp_1").await.unwrap();
    assert!(server.request().starts_with("POST /v1/responses/resp_1/cancel HTTP"));
    responses.delete("resp_1").await.unwrap();
    assert!(server.request().starts_with("DELETE /v1/responses/resp_1 HTTP"));
    // The answer is no stream; what was asked for counts here.
    responses.resume("resp_1", Some(7)).await.unwrap_err();
    assert!(
        server.request().starts_with("GET /v1/responses/resp_1?stream=true&starting_after=7 HTTP")
    );
}

#[tokio::test]
async fn an_id_cannot_change_the_path() {
    let mut server = Server::start([Reply::json("{}")]).await;
    let client = server.client();
    client.responses().retrieve("a/../b?c#d%2F").await.unwrap();
    let sent = server.request();
    assert!(sent.starts_with("GET /v1/responses/a%2F..%2Fb%3Fc%23d%252F HTTP"), "{sent}");
    for id in ["", ".", ".."] {
        let error = client.conversations().delete(id).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
}

#[tokio::test]
async fn more_than_twenty_items_are_not_sent() {
    let mut server = Server::start([]).await;
    let items = vec![Item::message("user", "x"); 21];
    let error = server.client().conversations().create_items("conv_1", &items).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    let create = CreateConversation { items, ..Default::default() };
    let error = server.client().conversations().create(&create).await.unwrap_err();
    assert!(error.to_string().contains("at most 20"), "{error}");
    assert!(!server.has_more_requests());
}

#[tokio::test]
async fn too_many_requests_are_tried_again_after_the_delay_asked_for() {
    let busy = Reply::new("429 Too Many Requests", "retry-after: 0.03\r\n", "{}");
    let mut server = Server::start([busy, Reply::json(RESPONSE)]).await;
    let started = Instant::now();
    server.client().responses().create(&request()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(server.request(), server.request());
}

#[tokio::test]
async fn a_locked_conversation_is_tried_again_until_the_retries_are_used_up() {
    let mut server = Server::start([locked(), locked(), locked(), Reply::json(RESPONSE)]).await;
    let error = server.client().responses().create(&request()).await.unwrap_err();
    assert!(error.api().unwrap().is_conversation_locked() && error.is_retryable());
    assert!((0..3).all(|_| server.has_more_requests()) && !server.has_more_requests());
}

#[tokio::test]
async fn an_exhausted_quota_is_reported_at_once() {
    let body = r#"{"error":{"message":"out of credit","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let reply =
        Reply::new("429 Too Many Requests", "retry-after-ms: 1\r\nx-request-id: req_9\r\n", body);
    let mut server = Server::start([reply, Reply::json(RESPONSE)]).await;
    let error = server.client().responses().create(&request()).await.unwrap_err();
    assert!(error.api().unwrap().is_quota_exhausted() && !error.is_retryable());
    assert_eq!(error.api().unwrap().request_id.as_deref(), Some("req_9"));
    server.request();
    assert!(!server.has_more_requests());
}

#[tokio::test]
async fn a_delay_over_a_minute_is_left_to_the_caller() {
    let mut server =
        Server::start([Reply::new("503 Busy", "retry-after: 61\r\n", ""), Reply::json(RESPONSE)])
            .await;
    let error = server.client().responses().create(&request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(61)));
    server.request();
    assert!(!server.has_more_requests());
}

#[tokio::test]
async fn an_unknown_object_is_not_found() {
    let body = r#"{"error":{"message":"No such conversation","type":"invalid_request_error"}}"#;
    let server = Server::start([Reply::new("404 Not Found", "", body)]).await;
    let error = server.client().conversations().delete("conv_1").await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("No such conversation"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_refused_and_named() {
    let reply = Reply::new(
        "308 Permanent Redirect",
        "location: https://elsewhere.example/v1/responses\r\n",
        "",
    );
    let mut server = Server::start([reply, Reply::json(RESPONSE)]).await;
    let error = server.client().responses().create(&request()).await.unwrap_err();
    assert!(error.to_string().contains("https://elsewhere.example/v1/responses"), "{error}");
    assert!(error.to_string().contains("base_url"), "{error}");
    server.request();
    assert!(!server.has_more_requests());
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error_without_secrets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let base_url = format!("http://user:secret@{address}/v1");
    let client = OpenAi::builder().base_url(base_url).max_retries(0).build().unwrap();
    let error = client.responses().create(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_retryable(), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_disconnected() {
    let server = Server::start([Reply::raw("")]).await;
    let client = server.builder().max_retries(0).build().unwrap();
    let error = client.responses().create(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_into_the_idle_timeout() {
    let mut server = Server::start([Reply::raw("").held_open()]).await;
    let client = server.builder().idle_timeout(BRIEF).max_retries(0).build().unwrap();
    let error = client.responses().create(&request()).await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { setting: "idle_timeout", limit: BRIEF, .. }),
        "{error:?}"
    );
    server.client_left().await;
}

#[tokio::test]
async fn an_echoed_key_is_in_no_error() {
    let body = format!(r#"{{"error":{{"message":"Incorrect API key {KEY}","code":"{KEY}"}}}}"#);
    let echo = Reply::new("401 Unauthorized", &format!("x-request-id: {KEY}\r\n"), &body);
    let redirect = Reply::new("302 Found", &format!("location: /?key={KEY}\r\n"), "");
    let nonsense = Reply::json(&format!("{KEY} is no JSON"));
    let server = Server::start([echo, redirect, nonsense]).await;
    for _ in 0..3 {
        let error = server.client().responses().create(&request()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("[redacted]") && !text.contains(KEY), "{text}");
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_or_of_another_form_is_an_error() {
    let replies = [
        Reply::json(&"x".repeat(101)),
        Reply::json("[]"),
        Reply::json(r#"{"error":{"message":"m"}}"#),
    ];
    let server = Server::start(replies).await;
    let client = server.builder().max_body_bytes(100).build().unwrap();
    let error = client.responses().retrieve("r").await.unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 100, setting: "max_body_bytes", .. }),
        "{error:?}"
    );
    let error = client.responses().retrieve("r").await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
    let error = client.responses().retrieve("r").await.unwrap_err();
    assert_eq!(error.api().unwrap().message, "m");
}

#[tokio::test]
async fn a_deletion_is_done_when_its_status_says_so() {
    let cut = Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{");
    let server =
        Server::start([Reply::raw("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"), cut])
            .await;
    let client = server.client();
    client.responses().delete("resp_1").await.unwrap();
    client.conversations().delete("conv_1").await.unwrap();
}
