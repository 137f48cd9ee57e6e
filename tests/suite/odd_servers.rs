//! Servers that answer in another form than the protocol's: what was answered and paid is kept, read, and never asked for again
//! because of its form. One fact has one word on all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_engine::testing::Reply;
use ai_engine::{Answer, Error, History, OpenAi, Reason, Run, RunStatus, prelude::*};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

on_each_database!(
    characters_that_were_cut_in_two_are_put_together_or_replaced,
    events_that_are_nearly_json_are_read_and_others_skipped,
    bodies_are_what_they_are_and_not_what_they_are_called,
    a_body_that_is_no_response_is_no_empty_success,
    a_whole_answer_that_was_paid_is_kept_whatever_it_says_of_its_state,
    a_coding_that_was_not_asked_for_is_named_and_asked_once,
    a_stream_that_says_it_is_done_ends_at_once,
    an_end_without_its_blank_line_counts_though_the_connection_stays_open,
    output_that_comes_before_the_end_alone_is_kept,
    messages_that_share_an_id_stay_apart,
    errors_in_the_stream_are_those_of_an_answer,
    errors_in_the_stream_are_known_by_their_looks,
    what_only_looks_like_an_error_in_the_stream_costs_no_answer,
    a_conversation_is_told_anew_after_errors_in_the_stream,
    what_a_failed_response_used_is_kept,
    a_cut_at_the_length_has_one_word_on_every_server,
    tries_of_the_client_are_counted,
    a_server_without_the_address_says_so,
    what_a_gateway_echoes_of_our_secrets_is_not_stored,
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

async fn characters_that_were_cut_in_two_are_put_together_or_replaced<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let end = || completed(&json!([message("Hi 😀 there")]));
    let pair = [delta(r"Hi \ud83d"), delta(r"\ude00 there")].concat();
    let server = Server::events(&[CREATED, &pair, &end()].concat()).await;
    host.hub.forget();
    let answer = ask(&host, &server).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.run.usage.output_tokens), ("Hi 😀 there", 7));
    assert_eq!(host.hub.appended(), "Hi 😀 there", "as it was streamed, too");

    // Half of one where its other half never comes; in the last event; in one that nobody reads.
    let lonely = [delta(r"Hi \ud83d"), delta(" there")].concat();
    let last = r#"data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi \ude00"}]}],"usage":{"input_tokens":1,"output_tokens":2}}}"#;
    let unread = r#"data: {"type":"response.new_thing","x":"\ud83d"}"#;
    for (body, text) in [
        ([CREATED, &lonely].concat(), "Hi \u{fffd} there"),
        ([&delta("Hi "), last, "\n\n"].concat(), "Hi \u{fffd}"),
        ([&delta("Hi "), unread, "\n\n", &completed(&json!([message("Hi ")]))].concat(), "Hi "),
    ] {
        let server = Server::events(&body).await;
        let answer = ask(&host, &server).await.unwrap();
        assert_eq!((answer.text().as_str(), server.requests()), (text, 1), "{body}");
    }
    let whole = r#"{"id":"r","status":"completed","output":[{"type":"message","role":"assistant","content":"Hi \ud83d"}]}"#;
    let json = answer_of("200 OK", "application/json", whole);
    let server = Server::start(vec![json], false).await;
    assert_eq!(ask(&host, &server).await.unwrap().text(), "Hi \u{fffd}");
    let refused = r#"{"error":{"message":"bad \ud83d","code":"odd_code","type":"t"}}"#;
    let server =
        Server::start(vec![answer_of("400 Bad Request", "application/json", refused)], false).await;
    let error = ask(&host, &server).await.unwrap_err();
    assert!(error.to_string().contains("bad \u{fffd}"), "{error}");
    assert_eq!(newest(&host.db).reason.as_deref(), Some("odd_code"));
}

fn answer_of(status: &str, kind: &str, body: &str) -> Vec<u8> {
    answer(status, &format!("content-type: {kind}"), body.as_bytes())
}

async fn events_that_are_nearly_json_are_read_and_others_skipped<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let end = completed(&json!([message("Once upon")]));
    let odd = [
        r#""x":NaN"#.to_owned(),
        r#""x":-Infinity"#.to_owned(),
        r#""x":1e999"#.to_owned(),
        r#""x":[1,2,]"#.to_owned(),
        format!(r#""x":{deep}"#),
        "\"x\":\"a\tb\u{1}\"".to_owned(),
        r#""x":"\x""#.to_owned(),
    ];
    for history in BOTH {
        for odd in &odd {
            // In a delta, of which the text counts.
            let delta = format!(
                "data: {{\"type\":\"response.output_text.delta\",\"item_id\":\"m1\",\"output_index\":0,\"delta\":\"Once \",{odd}}}\n\n"
            );
            let server = Server::events(&[&delta, end.as_str()].concat()).await;
            host.hub.forget();
            let answer = ask_with(&host, &server, history, |client| client).await.unwrap();
            assert_eq!((answer.text().as_str(), server.requests()), ("Once upon", 1), "{odd}");
            assert!(host.hub.appended().starts_with("Once "), "{odd}");
        }
        for nonsense in ["oops", "{\"type\":", "[1,2]", "7", "{{}}"] {
            let body = [&delta("Once "), "data: ", nonsense, "\n\n", &end].concat();
            let server = Server::events(&body).await;
            let answer = ask_with(&host, &server, history, |client| client).await.unwrap();
            assert_eq!((answer.text().as_str(), server.requests()), ("Once upon", 1), "{nonsense}");
            // Without an end it was the end: what there was is kept, and nothing asked again.
            let body = [CREATED, "data: ", nonsense, "\n\n"].concat();
            let server = Server::events(&body).await;
            ask_with(&host, &server, history, |client| client).await.unwrap_err();
            assert_eq!(newest(&host.db).reason, Some(Reason::Malformed), "{nonsense}");
            assert_eq!(server.requests(), 1, "{nonsense}: {history:?}");
        }
    }
}

async fn bodies_are_what_they_are_and_not_what_they_are_called<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let labels = [
        "content-type: text/event-stream",
        "content-type: text/plain",
        "",
        "content-type: application/json",
    ];
    let overflow = r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    let whole = json!({"id": "resp_1", "status": "completed", "output": [message("Once upon")]})
        .to_string();
    let events = [CREATED, &delta("Once "), &completed(&json!([message("Once upon")]))].concat();
    let waited_for = format!(": PROCESSING\n\n: PROCESSING\n\n{overflow}");
    let chat = json!({"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"message": {"content": "Hi"}}]}).to_string();
    for history in BOTH {
        for label in labels {
            for mark in ["", "\u{feff}", "\r\n "] {
                for (body, expected) in [
                    (overflow, Err(Reason::ContextLengthExceeded)),
                    (whole.as_str(), Ok("Once upon")),
                    (events.as_str(), Ok("Once upon")),
                    ("<!doctype html><title>Sign in</title>", Err(Reason::Malformed)),
                    ("upstream not ready", Err(Reason::Malformed)),
                    ("error code: 502", Err(Reason::Malformed)),
                    ("internal error\n", Err(Reason::Malformed)),
                    ("rate limited", Err(Reason::Malformed)),
                    ("deployment not found", Err(Reason::Malformed)),
                    (waited_for.as_str(), Err(Reason::ContextLengthExceeded)),
                    ("", Err(Reason::Malformed)),
                    (r#"{"detail":"Not authenticated"}"#, Err(Reason::Malformed)),
                    (chat.as_str(), Err(Reason::Malformed)),
                    ("{}", Err(Reason::Malformed)),
                ] {
                    let answer = answer("200 OK", label, format!("{mark}{body}").as_bytes());
                    let server = Server::start(vec![answer], false).await;
                    let told = ask_with(&host, &server, history, |client| client).await;
                    let about = format!("{history:?} {label:?} {mark:?} {body}: {told:?}");
                    match (told, expected) {
                        (Ok(answer), Ok(text)) => assert_eq!(answer.text(), text, "{about}"),
                        (Err(Error::RunFailed { reason, .. }), Err(expected)) => {
                            assert_eq!(reason, expected, "{about}");
                        }
                        _ => panic!("{about}"),
                    }
                    // A history that is too long for the provider's conversation is tried by our own.
                    let overflows = body.ends_with(overflow) && history == History::Conversation;
                    assert_eq!(server.requests(), 1 + usize::from(overflows), "{about}");
                }
            }
        }
    }
    let server = Server::start(vec![answer("200 OK", "", chat.as_bytes())], false).await;
    let error = ask(&host, &server).await.unwrap_err().to_string();
    assert!(error.contains("Chat Completions"), "{error}");
}

async fn a_body_that_is_no_response_is_no_empty_success<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for (body, reason) in [
        (json!({"status": "ok"}), "malformed"),
        (json!({"status": "success", "data": []}), "malformed"),
        (json!({"status": 200, "output": "none"}), "malformed"),
        (json!({"status": "in_progress", "output": []}), "malformed"),
        (json!({"id": "r", "status": "queued"}), "malformed"),
        (json!({"status": "error", "message": "no"}), "provider_error"),
        (json!({"status": 404, "message": "model 'x' not found"}), "model_not_found"),
        (json!({"status": "error", "code": "invalid_api_key", "message": "no"}), "invalid_api_key"),
        (json!({"code": 401, "message": "no"}), "invalid_api_key"),
        (
            json!({"object": "error", "type": "BadRequestError", "message": "no"}),
            "invalid_request_error",
        ),
        (
            json!({"id": "req_1", "error": {"code": "invalid_api_key", "message": "no"}}),
            "invalid_api_key",
        ),
        (
            json!({"id": "req_1", "type": "error", "error": {"type": "permission_error", "message": "no"}}),
            "permission_denied",
        ),
    ] {
        for history in BOTH {
            // There a 404 is looked into, at a server that has this answer for everything.
            if reason == "model_not_found" && history == History::Conversation {
                continue;
            }
            let body = body.to_string();
            let server =
                Server::start(vec![answer_of("200 OK", "application/json", &body)], false).await;
            let error = ask_with(&host, &server, history, |client| client).await.unwrap_err();
            let Error::RunFailed { reason: told, message, .. } = error else { panic!("{body}") };
            assert_eq!((told.as_str(), server.requests()), (reason, 1), "{body}: {message}");
        }
    }
}

async fn a_whole_answer_that_was_paid_is_kept_whatever_it_says_of_its_state<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    let mut begun = message("Once upon");
    begun["status"] = json!("in_progress");
    for (status, item, expected) in [
        ("in_progress", message("Once upon"), RunStatus::Completed),
        ("queued", message("Once upon"), RunStatus::Completed),
        ("in_progress", begun, RunStatus::Incomplete),
    ] {
        let body = json!({"id": "r", "status": status, "output": [item]}).to_string();
        let server =
            Server::start(vec![answer_of("200 OK", "application/json", &body)], false).await;
        let answer = ask(&host, &server).await.unwrap();
        assert_eq!((answer.text().as_str(), answer.run.status), ("Once upon", expected), "{body}");
        assert_eq!(server.requests(), 1, "{body}");
    }
    for bytes in [b"\xED\xA0\xBD".as_slice(), b"\xE9", b"\xF0\x9F"] {
        let body = json!({"id": "r", "status": "completed", "output": [message("Once # upon")]});
        let body = body.to_string();
        let (before, after) = body.split_once('#').unwrap();
        let body = [before.as_bytes(), bytes, after.as_bytes()].concat();
        let server =
            Server::start(vec![answer("200 OK", "content-type: application/json", &body)], false)
                .await;
        let text = ask(&host, &server).await.unwrap().text();
        assert!(text.starts_with("Once \u{fffd}") && text.ends_with(" upon"), "{text}");
        assert_eq!(server.requests(), 1);
    }
}

async fn a_coding_that_was_not_asked_for_is_named_and_asked_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let body = completed(&json!([message("Once upon")]));
    for plain in
        ["utf-8", "none", "identity, identity", "identity\r\ncontent-encoding: identity", ""]
    {
        let headers = format!("content-encoding: {plain}");
        let server = Server::start(vec![answer("200 OK", &headers, body.as_bytes())], false).await;
        assert_eq!(ask(&host, &server).await.unwrap().text(), "Once upon", "{plain:?}");
    }
    for coded in ["identity, gzip", "identity\r\ncontent-encoding: gzip"] {
        let headers = format!("content-encoding: {coded}");
        let server = Server::start(vec![answer("200 OK", &headers, b"\x1f\x8b\x08")], false).await;
        let error = ask(&host, &server).await.unwrap_err().to_string();
        assert!(error.contains("gzip"), "{error}");
    }
    for coding in ["gzip", "deflate", "br", "zstd", "GZIP"] {
        for history in BOTH {
            let headers = format!("content-type: text/event-stream\r\ncontent-encoding: {coding}");
            let server =
                Server::start(vec![answer("200 OK", &headers, b"\x1f\x8b\x08\0\0\0")], false).await;
            let error = ask_with(&host, &server, history, |client| client).await.unwrap_err();
            assert!(error.to_string().contains(&coding.to_ascii_lowercase()), "{error}");
            assert_eq!(newest(&host.db).reason, Some(Reason::Malformed));
            assert_eq!(server.requests(), 1);
            let head = server.heads.lock().unwrap()[0].to_ascii_lowercase();
            assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
        }
        let headers = format!("content-encoding: {coding}");
        let server =
            Server::start(vec![answer("401 Unauthorized", &headers, b"\x1f\x8b\x08\0\xff")], false)
                .await;
        let error = ask(&host, &server).await.unwrap_err().to_string();
        assert!(error.contains("401") && error.contains(&coding.to_ascii_lowercase()), "{error}");
        assert_eq!(newest(&host.db).reason, Some(Reason::InvalidApiKey));
    }
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

async fn errors_in_the_stream_are_those_of_an_answer<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let overflow = json!({"code": "context_length_exceeded", "message": "Too long."});
    for (data, reason, requests) in [
        (
            json!({"type": "response.error", "error": {"code": "invalid_api_key", "message": "no"}}),
            "invalid_api_key",
            1,
        ),
        (json!({"type": "response.failed", "error": overflow}), "context_length_exceeded", 1),
        (
            json!({"type": "response.failed", "response": {"error": overflow}}),
            "context_length_exceeded",
            1,
        ),
        (json!({"type": "error", "code": 400, "message": "no"}), "invalid_request_error", 1),
        (json!({"type": "error", "error": {"code": "401", "message": "no"}}), "invalid_api_key", 1),
        (
            json!({"error": {"status_code": 404, "message": "model 'x' not found"}}),
            "model_not_found",
            1,
        ),
        (
            json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}),
            "rate_limit_exceeded",
            3,
        ),
        (json!({"type": "error", "error": {"code": 503, "message": "busy"}}), "server_error", 3),
        (json!({"type": "error", "status": "500", "message": "busy"}), "server_error", 3),
        (
            json!({"type": "error", "code": "insufficient_quota", "message": "no"}),
            "insufficient_quota",
            1,
        ),
    ] {
        let server = Server::events(&[CREATED, &event(&data)].concat()).await;
        let error = ask(&host, &server).await.unwrap_err();
        let Error::RunFailed { reason: told, message, .. } = error else {
            panic!("{data}: {error}")
        };
        assert_eq!((told.as_str(), server.requests()), (reason, requests), "{data}: {message}");
        assert!(!message.is_empty(), "{data}");
        assert_eq!(newest(&host.db).attempts, i64::try_from(requests).unwrap(), "{data}");
    }
}

async fn errors_in_the_stream_are_known_by_their_looks<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let failed = |error: Value| json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "error": error}});
    for (data, reason, requests) in [
        (failed(json!({"code": "server_error", "message": "It broke."})), "server_error", 3),
        (
            failed(json!({"code": "rate_limit_exceeded", "message": "slow"})),
            "rate_limit_exceeded",
            3,
        ),
        (failed(json!({"code": "429", "message": "slow"})), "rate_limit_exceeded", 3),
        (failed(json!({"code": 503, "message": "busy"})), "server_error", 3),
        (failed(json!({"code": "404", "message": "model 'x' not found"})), "model_not_found", 1),
        (failed(json!({"code": "401", "message": "no"})), "invalid_api_key", 1),
        (failed(json!({"type": "forbidden", "message": "no"})), "permission_denied", 1),
        (failed(json!({"message": "no"})), "provider_error", 1),
        (json!({"type": "error", "code": "internal_error", "message": "no"}), "server_error", 3),
        (
            json!({"type": "error", "error": {"code": "too_many_requests", "message": "no"}}),
            "rate_limit_exceeded",
            3,
        ),
        (json!({"type": "error", "code": "unauthorized", "message": "no"}), "invalid_api_key", 1),
        (json!({"type": "error", "code": "not_found", "message": "no"}), "not_found", 1),
        (
            json!({"object": "error", "message": "no", "type": "BadRequestError", "param": null, "code": 400}),
            "invalid_request_error",
            1,
        ),
        (json!({"type": "rate_limit_error", "message": "no"}), "rate_limit_exceeded", 3),
        (json!({"message": "no", "code": "invalid_api_key"}), "invalid_api_key", 1),
        (json!({"status": 403, "message": "no"}), "permission_denied", 1),
        (json!({"status": "error", "message": "no"}), "provider_error", 1),
        (json!({"detail": "Not authenticated"}), "provider_error", 1),
    ] {
        is_refused(&host, &event(&data), reason, requests).await;
    }
    for (data, reason, requests) in [
        (json!({"type": "invalid_request_error", "message": "no"}), "invalid_request_error", 1),
        (json!({"type": "gateway", "message": "no"}), "gateway", 1),
        (json!({"detail": "no"}), "provider_error", 1),
        (json!({"message": "no"}), "provider_error", 1),
        (json!({"type": "overloaded_error", "message": "no"}), "server_error", 3),
    ] {
        is_refused(&host, &format!("event: error\n{}", event(&data)), reason, requests).await;
    }
}

async fn is_refused<D: TestDatabase>(host: &Host<D>, said: &str, reason: &str, requests: usize) {
    let server = Server::events(&[CREATED, said].concat()).await;
    let error = ask(host, &server).await.unwrap_err();
    let Error::RunFailed { reason: told, message, .. } = error else { panic!("{said}: {error}") };
    assert_eq!((told.as_str(), server.requests()), (reason, requests), "{said}: {message}");
}

async fn what_only_looks_like_an_error_in_the_stream_costs_no_answer<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for data in [
        json!({"type": "notice", "message": "the model is loaded", "code": "model_fallback"}),
        json!({"type": "progress", "message": "half", "status": 200}),
        json!({"type": "response.code_error.delta", "message": "no", "code": "internal_error"}),
        json!({"message": "warming up"}),
        json!({"status": "ok", "message": "warming up"}),
        json!({"type": "gateway", "error": null, "message": "fine"}),
    ] {
        let body = [CREATED, &event(&data), &completed(&json!([message("Once")]))].concat();
        let server = Server::events(&body).await;
        assert_eq!(ask(&host, &server).await.unwrap().text(), "Once", "{data}");
    }
}

/// G16: no thread fails for good.
async fn a_conversation_is_told_anew_after_errors_in_the_stream<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let unanswered = "No tool output found for function call c1.";
    let lost = "Conversation with id 'conv_1' not found.";
    let failed = |error: Value| json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "error": error}});
    for (data, is_lost) in [
        (json!({"type": "error", "code": null, "message": unanswered, "param": null}), false),
        (
            json!({"type": "error", "error": {"type": "invalid_request_error", "code": null, "message": unanswered}}),
            false,
        ),
        (failed(json!({"code": "server_error", "message": unanswered})), false),
        (failed(json!({"code": "invalid_prompt", "message": unanswered})), false),
        (failed(json!({"code": "404", "message": lost})), true),
        (failed(json!({"code": "invalid_prompt", "message": lost})), true),
        (json!({"error": {"type": "invalid_request_error", "code": null, "message": lost}}), true),
        (json!({"type": "error", "code": "conversation_not_found", "message": "gone"}), true),
        (
            json!({"type": "error", "code": null, "message": "The conversation does not exist."}),
            true,
        ),
    ] {
        let thread = host.thread().await;
        host.fake.reply(Reply::text("One."));
        host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        let old = thread.remote_id.clone().unwrap();
        if is_lost {
            let gone = Reply::status(404, json!({"error": {"message": "gone"}}));
            host.fake.intercept("GET", &format!("/conversations/{old}"), gone);
        }
        host.fake.reply(Reply::text("").raw_event_at(0, event(&data)).end_at(0));
        host.fake.reply(Reply::text("Two."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await;
        let answer = answer.unwrap_or_else(|error| panic!("{data}: {error}"));
        assert_eq!(answer.text(), "Two.", "{data}");
        assert_eq!(answer.run.notes, ["conversation_retold"], "{data}");
    }
}

async fn what_a_failed_response_used_is_kept<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    // Each try is paid.
    for (code, tries) in [("insufficient_quota", 1), ("server_error", 3)] {
        let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed",
            "error": {"code": code, "message": "no"}, "usage": {"input_tokens": 11, "output_tokens": 7}}});
        let server = Server::events(&[CREATED, &event(&failed)].concat()).await;
        ask(&host, &server).await.unwrap_err();
        let run = newest(&host.db);
        let used = (run.usage.input_tokens, run.usage.output_tokens);
        assert_eq!(used, (11 * tries, 7 * tries), "{code}");
        assert_eq!(run.provider_reason.as_deref(), Some(code));
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

async fn tries_of_the_client_are_counted<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let busy = answer("503 Service Unavailable", "retry-after-ms: 1", b"{}");
    let good = answer_of("200 OK", "text/event-stream", &completed(&json!([message("Once")])));
    let server = Server::start(vec![busy.clone(), busy, good], false).await;
    let run = ask(&host, &server).await.unwrap().run;
    assert_eq!((run.attempts, server.requests()), (3, 3));
}

async fn a_server_without_the_address_says_so<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for (status, kind, body) in [
        ("404 Not Found", "text/html", "<html>404</html>"),
        ("404 Not Found", "text/plain", "404 page not found"),
        ("404 Not Found", "application/json", r#"{"detail":"Not Found"}"#),
        ("404 Not Found", "text/plain", ""),
        ("405 Method Not Allowed", "application/json", r#"{"detail":"Method Not Allowed"}"#),
        (
            "404 Not Found",
            "application/json",
            r#"{"error":{"message":"Invalid URL (POST /v1/responses)","type":"invalid_request_error","code":null}}"#,
        ),
    ] {
        let server = Server::start(vec![answer_of(status, kind, body)], false).await;
        let error = ask(&host, &server).await.unwrap_err();
        let Error::RunFailed { reason, message, .. } = error else { panic!("{body}: {error}") };
        assert_eq!(reason, Reason::UnknownPath, "{body}: {message}");
        assert!(message.contains("base_url"), "{body}: {message}");
    }
    let unknown = r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#;
    let server =
        Server::start(vec![answer_of("404 Not Found", "application/json", unknown)], false).await;
    ask(&host, &server).await.unwrap_err();
    assert_eq!(newest(&host.db).reason, Some(Reason::ModelNotFound));
}

async fn what_a_gateway_echoes_of_our_secrets_is_not_stored<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let echo = "key sk-a-test-key header hdr-0123456789 unexpected";
    let body = json!({"error": {"message": echo, "code": echo, "type": echo}}).to_string();
    for answer in [
        answer_of("400 Bad Request", "application/json", &body),
        answer_of("400 Bad Request", "text/plain", echo),
        answer_of("200 OK", "text/plain", echo),
        answer_of("200 OK", "text/event-stream", &format!("data: {body}\n\n")),
        answer_of("200 OK", "text/event-stream", &format!("data: {echo}\n\n")),
    ] {
        let server = Server::start(vec![answer], false).await;
        let told = ask_with(&host, &server, History::Local, |client| {
            client.header("api-key", "hdr-0123456789").header("x-short", "une")
        });
        let error = told.await.unwrap_err();
        for text in [format!("{error} {error:?}"), host.db.rows("ai_engine_runs").concat()] {
            assert!(!text.contains("sk-a-test-key") && !text.contains("hdr-0123"), "{text}");
        }
        assert!(error.to_string().contains("unexpected"), "{error}");
    }
}
