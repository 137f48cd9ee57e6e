//! Calls against a real socket.

use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::openai::test_server::{Reply, Server};
use crate::openai::{Error, Order};

const ANSWER: &str = "event: thread.run.created\ndata: {\"id\":\"run_1\",\"object\":\"thread.run\",\"status\":\"queued\"}\n\n\
    event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"delta\":{\"content\":[{\"index\":0,\"type\":\"text\",\"text\":{\"value\":\"Hi\"}}]}}\n\n";
const END: &str = "event: thread.run.completed\ndata: {\"id\":\"run_1\",\"status\":\"completed\"}\n\nevent: done\ndata: [DONE]\n\n";

fn request() -> CreateRun {
    CreateRun { assistant_id: "asst_1".to_owned(), model: "m".to_owned(), ..CreateRun::default() }
}

async fn open(server: &Server) -> Result<RunStream> {
    server.client().assistants().stream("thread_1", &request(), true, &Arc::default()).await
}

/// The text, and how it ended.
async fn drain(mut stream: RunStream) -> (String, Result<Run>) {
    let mut said = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(RunEventKind::Text { delta, .. }) => said.push_str(&delta),
            Ok(RunEventKind::Ended(run) | RunEventKind::Whole(run)) => return (said, Ok(*run)),
            Ok(_) => {}
            Err(error) => return (said, Err(error)),
        }
    }
    panic!("it just stops")
}

#[tokio::test]
async fn every_call_has_its_path_and_the_header_of_the_api() {
    let assistant = || Reply::json(r#"{"id":"asst_1"}"#);
    let thread = || Reply::json(r#"{"id":"thread_1"}"#);
    let run = || Reply::json(r#"{"id":"run_1","status":"cancelled"}"#);
    let list = Reply::json(
        r#"{"data":[{"id":"msg_2","role":"assistant","run_id":"run_1","content":[{"type":"text","text":{"value":"Hi","annotations":[
            {"type":"file_citation","text":"x","file_citation":{"file_id":"file-1"}}]}}]},
            {"id":"msg_1","role":"user","content":[{"type":"text","text":{"value":"Yes?"}}]}],"has_more":true}"#,
    );
    let gone = || Reply::json(r#"{"deleted":true}"#);
    let made = Reply::json(
        r#"{"data":[{"id":"asst_1","metadata":{"of":"us"}},{"metadata":{}}],"has_more":true}"#,
    );
    let (made_there, changed) = (assistant(), assistant());
    let replies =
        [made_there, changed, made, gone(), thread(), thread(), gone(), list, run(), run()];
    let mut server = Server::start(replies).await;
    let client = server.client();
    let assistants = client.assistants();
    let settings = AssistantSettings { model: "m".to_owned(), ..AssistantSettings::default() };
    assert_eq!(assistants.create(&settings, true, &Arc::default()).await.unwrap(), "asst_1");
    assistants.update("asst_1", &settings).await.unwrap();
    let newest = ListItems { limit: Some(2), order: Some(Order::NewestFirst), after: None };
    let made = assistants.list(&newest).await.unwrap();
    let expected = vec![("asst_1".to_owned(), json!({"of": "us"}))];
    assert_eq!((made.assistants, made.has_more), (expected, true));
    assistants.delete("asst_1").await.unwrap();
    assert_eq!(assistants.create_thread().await.unwrap(), "thread_1");
    assistants.retrieve_thread("thread_1").await.unwrap();
    assistants.delete_thread("thread_1").await.unwrap();
    let page = assistants.messages("thread_1", &newest).await.unwrap();
    assert!(assistants.retrieve_run("thread_1", "run_1").await.unwrap().is_over());
    assistants.cancel_run("thread_1", "run_1").await.unwrap();
    for expected in [
        "POST /v1/assistants ",
        "POST /v1/assistants/asst_1 ",
        "GET /v1/assistants?limit=2&order=desc ",
        "DELETE /v1/assistants/asst_1 ",
        "POST /v1/threads ",
        "GET /v1/threads/thread_1 ",
        "DELETE /v1/threads/thread_1 ",
        "GET /v1/threads/thread_1/messages?limit=2&order=desc ",
        "GET /v1/threads/thread_1/runs/run_1 ",
        "POST /v1/threads/thread_1/runs/run_1/cancel ",
    ] {
        let sent = server.request();
        assert!(sent.starts_with(expected), "{expected}: {sent}");
        assert!(sent.contains("openai-beta: assistants=v2\r\n"), "{sent}");
    }
    let items: Vec<&Value> = page.data.iter().map(|message| message.item.as_value()).collect();
    let source = json!({"type": "file_citation", "text": "x", "file_id": "file-1"});
    let expected = json!([
        {"type": "message", "id": "msg_2", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": [source]}]},
        {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "Yes?"}]},
    ]);
    assert_eq!(json!(items), expected);
    assert!(page.has_more);
}

#[tokio::test]
async fn a_run_is_streamed_and_its_connection_closed_at_its_end() {
    let mut server = Server::start([Reply::events(&format!("{ANSWER}{END}")).held_open()]).await;
    let (said, run) = drain(open(&server).await.unwrap()).await;
    assert_eq!((said.as_str(), run.unwrap().id.as_str()), ("Hi", "run_1"));
    let sent = server.request();
    assert!(sent.starts_with("POST /v1/threads/thread_1/runs HTTP/1.1\r\n"), "{sent}");
    let body: Value = serde_json::from_str(sent.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"assistant_id": "asst_1", "model": "m", "stream": true}));
    server.client_left().await;
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    let mut server = Server::start([Reply::events(ANSWER).held_open()]).await;
    drop(open(&server).await.unwrap());
    server.client_left().await;
}

#[tokio::test]
async fn an_id_of_another_kind_is_no_answer_and_is_named() {
    for body in [r#"{"id":"conv_77"}"#, r#"{"id":"asst_"}"#, "{}", r#"{"id":7}"#] {
        let server = Server::start([Reply::json(body)]).await;
        let error = server
            .client()
            .assistants()
            .create(&AssistantSettings::default(), true, &Arc::default())
            .await;
        let error = error.unwrap_err();
        let id = if body.contains("conv_77") { "conv_77" } else { "asst_" };
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(id) && text.contains("\"asst_\""), "{text}");
    }
}

#[tokio::test]
async fn a_query_of_the_base_url_is_on_every_request_and_shown_nowhere() {
    let thread = || Reply::json(r#"{"id":"thread_1"}"#);
    let list = Reply::json(r#"{"data":[]}"#);
    let mut server = Server::start([thread(), list]).await;
    let url = format!("{}/api/projects/x/?api-version=v1&code=hush-hush-hush", server.url);
    let client = server.builder().base_url(&url).build().unwrap();
    client.assistants().create_thread().await.unwrap();
    let list = ListItems { limit: Some(2), ..ListItems::default() };
    client.assistants().messages("thread_1", &list).await.unwrap();
    let query = "?api-version=v1&code=hush-hush-hush";
    let sent = server.request();
    assert!(sent.contains(&format!("/api/projects/x/threads{query} ")), "{sent}");
    let sent = server.request();
    assert!(sent.contains(&format!("/threads/thread_1/messages{query}&limit=2 ")), "{sent}");
    let shown = format!("{client:?} {} {}", client.base_url(), client.endpoint());
    assert!(!shown.contains("hush") && client.endpoint().ends_with("/api/projects/x"), "{shown}");
}

#[test]
fn the_run_in_the_way_is_found_in_what_servers_say() {
    let error = |status, message: &str| {
        let message = message.to_owned();
        Error::from(crate::openai::ApiError { status: Some(status), message, ..Default::default() })
    };
    for (error, expected) in [
        (error(400, "Thread thread_1 already has an active run run_a1."), Some("run_a1")),
        (
            error(400, "Can't add messages to thread_1 while a run run_B2 is active."),
            Some("run_B2"),
        ),
        (error(400, "No active run."), None),
        (error(404, "Run run_1 is not active"), None),
        (error(400, "Unknown run_1"), None),
    ] {
        assert_eq!(run_in_the_way(&error).as_deref(), expected, "{error}");
    }
}
