//! Servers that answer in another form than the protocol's: what was answered and paid is kept, read, and never asked for again
//! because of its form. One fact has one word on all of them.

mod bodies;
mod errors;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_engine::{Answer, Error, History, OpenAi, Reason, Run, RunStatus, prelude::*};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

on_each_database!(
    a_stream_that_says_it_is_done_ends_at_once,
    an_end_without_its_blank_line_counts_though_the_connection_stays_open,
    output_that_comes_before_the_end_alone_is_kept,
    messages_that_share_an_id_stay_apart,
    a_cut_at_the_length_has_one_word_on_every_server,
);

/// A server that answers each request with these bytes, as they are.
struct Server {
    url: String,
    heads: Arc<std::sync::Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `held`: the connection stays open behind the answer.
    async fn start(answers: Vec<Vec<u8>>, held: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let heads = Arc::default();
        let kept: Arc<std::sync::Mutex<Vec<String>>> = Arc::clone(&heads);
        let mut number = 0;
        let task = tokio::spawn(async move {
            let mut held_open = Vec::new();
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let answer = answers[number.min(answers.len() - 1)].clone();
                number += 1;
                let request = read_request(&mut stream).await;
                kept.lock().unwrap().push(request);
                stream.write_all(&answer).await.unwrap();
                if held {
                    held_open.push(stream);
                } else {
                    let _ = stream.shutdown().await;
                }
            }
        });
        Self { url, heads, task }
    }

    async fn events(body: &str) -> Self {
        Self::start(
            vec![answer("200 OK", "content-type: text/event-stream", body.as_bytes())],
            false,
        )
        .await
    }

    /// How often it was asked for an answer: looks into a conversation do not count.
    fn requests(&self) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.starts_with("POST")).count()
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the request ended early");
        bytes.extend_from_slice(&chunk[..read]);
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}

const BOTH: [History; 2] = [History::Local, History::Conversation];

async fn ask_with<D: TestDatabase>(
    host: &Host<D>,
    server: &Server,
    history: History,
    client: impl FnOnce(ai_engine::openai::OpenAiBuilder) -> ai_engine::openai::OpenAiBuilder,
) -> Result<Answer, Error> {
    let client = client(OpenAi::builder().api_key("sk-a-test-key").base_url(&server.url));
    let engine = ai_engine::AiEngine::builder(host.db.database()).history(history);
    let engine = D::owners(engine.openai(client.build().unwrap()).state(host.hub.clone()));
    let engine = engine.build().unwrap();
    // In the transaction of the host nobody makes the provider's conversation.
    let thread =
        host.db.with(|conn| host.user.assistant_threads(&engine).create_in(conn.session()));
    let thread = thread.unwrap();
    if history == History::Conversation {
        host.db.execute(&format!(
            "UPDATE ai_engine_assistant_threads SET remote_id = 'conv_1', protocol = 'responses', endpoint = '{}' WHERE id = {}",
            server.url, thread.id
        ));
    }
    host.teller.ai_engine_run(&engine, &thread, "Tell me").await
}

async fn ask<D: TestDatabase>(host: &Host<D>, server: &Server) -> Result<Answer, Error> {
    ask_with(host, server, History::Local, |client| client).await
}

fn newest<D: TestDatabase>(db: &D) -> Run {
    db.with(|conn| conn.runs()).pop().unwrap()
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

const CREATED: &str = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n";

fn delta(text: &str) -> String {
    format!(
        "data: {{\"type\":\"response.output_text.delta\",\"item_id\":\"m1\",\"output_index\":0,\"delta\":\"{text}\"}}\n\n"
    )
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

fn completed(output: &Value) -> String {
    event(&json!({"type": "response.completed", "response": {
        "id": "resp_1", "status": "completed", "output": output, "usage": {"input_tokens": 11, "output_tokens": 7}}}))
}

fn answer_of(status: &str, kind: &str, body: &str) -> Vec<u8> {
    answer(status, &format!("content-type: {kind}"), body.as_bytes())
}

async fn a_stream_that_says_it_is_done_ends_at_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for (text, expected) in [("Once upon", Reason::Disconnected), ("", Reason::Malformed)] {
        let said = if text.is_empty() { String::new() } else { delta(text) };
        let body = [CREATED, &said, "data: [DONE]\n\n"].concat();
        let server =
            Server::start(vec![answer_of("200 OK", "text/event-stream", &body)], true).await;
        let began = Instant::now();
        let told = ask(&host, &server).await;
        assert!(began.elapsed() < Duration::from_mins(1), "it does not wait for the idle timeout");
        assert_eq!(newest(&host.db).reason, Some(expected));
        assert_eq!(told.map(|answer| answer.text()).unwrap_or_default(), text);
        assert_eq!(server.requests(), 1);
    }
    // Some send the end behind it.
    let body =
        [&delta("Once "), "data: [DONE]\n\n", &completed(&json!([message("Once upon")]))].concat();
    let server = Server::events(&body).await;
    assert_eq!(ask(&host, &server).await.unwrap().text(), "Once upon");
}

async fn an_end_without_its_blank_line_counts_though_the_connection_stays_open<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    for end in ["\n", "\r\n", ""] {
        let last = completed(&json!([message("Once upon")]));
        let body = [CREATED, &delta("Once "), last.trim_end(), end].concat();
        let server =
            Server::start(vec![answer_of("200 OK", "text/event-stream", &body)], true).await;
        let began = Instant::now();
        assert_eq!(ask(&host, &server).await.unwrap().text(), "Once upon");
        assert!(began.elapsed() < Duration::from_mins(1), "it does not wait for the idle timeout");
    }
    for end in ["\n", ""] {
        let body = [CREATED, "data: [DONE]", end].concat();
        let server =
            Server::start(vec![answer_of("200 OK", "text/event-stream", &body)], true).await;
        let began = Instant::now();
        ask(&host, &server).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_mins(1), "it does not wait for the idle timeout");
        assert_eq!((newest(&host.db).reason, server.requests()), (Some(Reason::Malformed), 1));
    }
}

async fn output_that_comes_before_the_end_alone_is_kept<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let done = |index: i64, item: Value| {
        event(&json!({"type": "response.output_item.done", "output_index": index, "item": item}))
    };
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"});
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": []});
    let items = [done(2, call), done(0, thought), done(1, message("Once upon"))].concat();
    for end in [
        completed(&json!([])),
        event(
            &json!({"type": "response.completed", "response": {"id": "r", "status": "completed"}}),
        ),
    ] {
        for streamed in
            ["", &delta("Once upon").replace("\"output_index\":0", "\"output_index\":1")]
        {
            let server = Server::events(&[CREATED, streamed, &items, &end].concat()).await;
            host.db.execute("DELETE FROM ai_engine_run_items");
            let answer = ask(&host, &server).await.unwrap();
            assert_eq!((answer.text().as_str(), answer.messages.len()), ("Once upon", 1));
            assert_eq!(answer.run.reason, Some(Reason::ToolCalls));
            let kinds =
                host.db.texts("SELECT kind AS line FROM ai_engine_run_items ORDER BY position");
            assert_eq!(kinds, ["reasoning", "function_call", "function_call_output"]);
        }
    }
}

async fn messages_that_share_an_id_stay_apart<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let said = |index: i64, text: &str| {
        event(
            &json!({"type": "response.output_text.delta", "item_id": "m1", "output_index": index, "delta": text}),
        )
    };
    let end = completed(&json!([message("First, a plan."), message("Second, the answer.")]));
    let streamed = [said(0, "First, a plan."), said(1, "Second, the answer.")].concat();
    for streamed in [streamed.as_str(), ""] {
        let server = Server::events(&[CREATED, streamed, &end].concat()).await;
        let answer = ask(&host, &server).await.unwrap();
        let texts: Vec<_> = answer.messages.iter().map(|said| said.content.as_str()).collect();
        assert_eq!(texts, ["First, a plan.", "Second, the answer."]);
    }
}

async fn a_cut_at_the_length_has_one_word_on_every_server<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let end = |kind: &str, response: Value| event(&json!({"type": kind, "response": response}));
    let output = json!([message("Once upon")]);
    for details in [
        json!({"reason": "max_output_tokens"}),
        json!({"reason": "length"}),
        json!({"reason": "max_tokens"}),
        json!({}),
        Value::Null,
    ] {
        for kind in ["response.incomplete", "response.completed"] {
            let response = json!({"id": "r", "status": "incomplete", "incomplete_details": details, "output": output});
            let server = Server::events(&[CREATED, &end(kind, response)].concat()).await;
            let run = ask(&host, &server).await.unwrap().run;
            assert_eq!(
                (run.status, run.reason),
                (RunStatus::Incomplete, Some(Reason::MaxOutputTokens))
            );
            assert_eq!(
                run.provider_reason.as_deref(),
                details["reason"].as_str(),
                "the provider's word stays"
            );
        }
    }
    let declined = json!([{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}]);
    let server = Server::events(&completed(&declined)).await;
    let answer = ask(&host, &server).await.unwrap();
    assert_eq!(
        (answer.run.status, answer.run.reason.clone()),
        (RunStatus::Completed, Some(Reason::Refusal))
    );
    assert_eq!(answer.text(), "I cannot.");
}
