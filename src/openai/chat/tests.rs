//! Calls against a real socket.

use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::openai::Error;
use crate::openai::test_server::{Reply, Server};

const ANSWER: &str = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn request() -> CreateChatCompletion {
    CreateChatCompletion {
        model: "m".to_owned(),
        messages: vec![json!({"role": "user", "content": "Hi"})],
        max_tokens: Some(50),
        ..CreateChatCompletion::default()
    }
}

async fn open(server: &Server) -> Result<ChatStream> {
    server.client().chat_completions().stream(&request(), &Arc::default()).await
}

/// The text, and how it ended.
async fn drain(mut stream: ChatStream) -> (String, Result<Completion>) {
    let mut said = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChatEvent::Text { delta, .. }) => said.push_str(&delta),
            Ok(ChatEvent::Ended(end)) => return (said, Ok(*end)),
            Ok(_) => {}
            Err(error) => return (said, Err(error)),
        }
    }
    panic!("it just stops")
}

async fn answered(reply: Reply) -> (String, Result<Completion>) {
    let server = Server::start([reply]).await;
    match open(&server).await {
        Ok(stream) => drain(stream).await,
        Err(error) => (String::new(), Err(error)),
    }
}

fn body(sent: &str) -> Value {
    serde_json::from_str(sent.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn refusal(message: &str) -> Reply {
    let body = json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
    Reply::new("400 Bad Request", "", &body)
}

#[tokio::test]
async fn a_request_goes_to_its_path_and_its_answer_ends_at_done() {
    let mut server = Server::start([Reply::events(&format!("{ANSWER}{DONE}")).held_open()]).await;
    let (said, end) = drain(open(&server).await.unwrap()).await;
    assert_eq!((said.as_str(), end.unwrap().finish_reason.as_deref()), ("Hi", Some("stop")));
    let sent = server.request();
    assert!(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("authorization: Bearer ") && sent.contains("accept: text/event-stream"));
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true,
        "stream_options": {"include_usage": true}, "max_tokens": 50, "max_completion_tokens": 50,
    });
    assert_eq!(body(&sent), expected);
    server.client_left().await;
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    let mut server = Server::start([Reply::events(&ANSWER[..80]).held_open()]).await;
    drop(open(&server).await.unwrap());
    server.client_left().await;
}

#[tokio::test]
async fn a_whole_answer_with_its_connection_held_open_is_waited_for_no_longer() {
    let mut server = Server::start([Reply::open_chunks(ANSWER).held_open()]).await;
    let stream = open(&server).await.unwrap();
    tokio::time::pause();
    let (said, end) = drain(stream).await;
    assert_eq!((said.as_str(), end.is_ok()), ("Hi", true));
    server.client_left().await;
}

#[tokio::test]
async fn a_connection_that_breaks_takes_nothing_from_an_answer_that_is_whole() {
    let (said, end) = answered(Reply::open_chunks(ANSWER)).await;
    assert_eq!((said.as_str(), end.is_ok()), ("Hi", true));
    let half = &ANSWER[..ANSWER.find("\n\n").unwrap() + 2];
    for reply in [Reply::open_chunks(half), Reply::events(half)] {
        let (said, end) = answered(reply).await;
        assert_eq!(said, "Hi");
        assert!(matches!(end, Err(Error::Disconnected { .. })), "{end:?}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_is_an_answer() {
    let whole = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Hi", "refusal": null, "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        }}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    });
    let (said, end) = answered(Reply::json(&whole.to_string())).await;
    let end = end.unwrap();
    assert_eq!((said.as_str(), end.id.as_deref(), end.pieces.len()), ("", Some("chatcmpl-1"), 4));
    assert_eq!(end.usage.unwrap().output_tokens, 2);
    for (reply, expected) in [
        (r#"{"object":"response","output":[],"status":"completed"}"#, "Responses API"),
        (r#"{"object":"chat.completion","choices":[]}"#, "without an answer"),
        (r#"{"model":"m"}"#, "no choices"),
        (
            r#"{"choices":[{"error":{"message":"broken","code":502}}]}"#,
            "HTTP 502 Bad Gateway: broken",
        ),
        (r#"{"error":{"message":"busy"}}"#, "busy"),
        ("<html>", "`base_url`"),
    ] {
        let (_, end) = answered(Reply::json(reply)).await;
        let error = end.unwrap_err().to_string();
        assert!(error.contains(expected), "{reply}: {error}");
    }
}

#[tokio::test]
async fn a_refused_name_gives_way_to_the_other_once_and_for_all() {
    let old = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    let answer = || Reply::events(&format!("{ANSWER}{DONE}"));
    let mut server = Server::start([refusal(old), answer(), answer()]).await;
    let client = server.client();
    let tries = Arc::default();
    for _ in 0..2 {
        let stream = client.chat_completions().stream(&request(), &tries).await.unwrap();
        assert_eq!(drain(stream).await.0, "Hi");
    }
    assert_eq!(tries.load(std::sync::atomic::Ordering::Relaxed), 3);
    let names = |sent: &str| {
        let body = body(sent);
        ["max_tokens", "max_completion_tokens"].map(|name| body.get(name).is_some())
    };
    assert_eq!(names(&server.request()), [true, true]);
    assert_eq!(names(&server.request()), [false, true]);
    assert_eq!(names(&server.request()), [false, true], "and it is remembered");
}

#[tokio::test]
async fn a_value_that_is_refused_is_not_sent_by_another_name() {
    let mut server = Server::start([refusal("max_tokens is too large: 50"), refusal("x")]).await;
    let error = open(&server).await.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
    server.request();
    assert!(!server.has_more_requests());
}

#[tokio::test]
async fn a_failure_before_the_answer_is_tried_again() {
    let busy = Reply::new("503 Busy", "retry-after-ms: 1\r\n", "{}");
    let mut server = Server::start([busy, Reply::events(&format!("{ANSWER}{DONE}"))]).await;
    assert_eq!(drain(open(&server).await.unwrap()).await.0, "Hi");
    assert_eq!(server.request(), server.request());
}
