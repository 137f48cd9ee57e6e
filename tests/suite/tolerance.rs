//! What servers send in practice: other shapes, missing fields, unknown things. None of it is an error.

mod values;

use ai_engine::testing::Reply;
use ai_engine::{Answer, Error, RunStatus, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    streams_of_every_shape_give_the_same_answer,
    streams_that_end_badly_keep_what_there_was,
    error_events_of_every_shape_are_typed,
    error_bodies_of_every_shape_are_typed,
    several_messages_come_in_order,
);

/// A stream of exactly these bytes.
fn raw(body: &str) -> Reply {
    Reply::text("").raw_event_at(0, body.to_owned()).end_at(0)
}

/// `data:` lines with the type as `event:` line too.
fn events(data: &[&str]) -> String {
    let event = |data: &&str| {
        let kind = data.split('"').nth(3).unwrap_or_default();
        format!("event: {kind}\ndata: {data}\n\n")
    };
    data.iter().map(event).collect::<Vec<_>>().concat()
}

/// `data:` lines alone.
fn data_only(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect::<Vec<_>>().concat()
}

/// The stream as documented.
fn documented() -> String {
    events(&[CREATED, ADDED, ONCE, UPON, COMPLETED])
}

/// The stream with this before, between and after its events.
fn everywhere(between: &str) -> String {
    let documented = documented();
    let parts: Vec<&str> = documented.split_inclusive("\n\n").collect();
    format!("{between}{}{between}", parts.join(between))
}

/// The stream with these sequence numbers; null for none.
fn numbered(number: impl Fn(usize) -> Value) -> String {
    let data = [CREATED, ADDED, ONCE, UPON, COMPLETED].into_iter().enumerate().map(|(at, data)| {
        let mut event: Value = serde_json::from_str(data).unwrap();
        match number(at) {
            Value::Null => {}
            number => event["sequence_number"] = number,
        }
        event.to_string()
    });
    data_only(&data.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>())
}

const CREATED: &str =
    r#"{"type":"response.created","response":{"id":"r1","status":"in_progress"}}"#;
const ADDED: &str = r#"{"type":"response.output_item.added","item":{"id":"m1","type":"message","role":"assistant","content":[]}}"#;
const ONCE: &str = r#"{"type":"response.output_text.delta","item_id":"m1","delta":"Once "}"#;
const UPON: &str = r#"{"type":"response.output_text.delta","item_id":"m1","delta":"upon"}"#;
const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"r1","status":"completed","model":"m","output":[{"type":"message","id":"m1","role":"assistant","content":[{"type":"output_text","text":"Once upon"}]}],"usage":{"input_tokens":3,"output_tokens":2}}}"#;

async fn ask<D: TestDatabase>(host: &Host<D>, reply: Reply) -> ai_engine::Result<Answer> {
    let thread = host.thread().await;
    host.fake.reply(reply);
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await
}

async fn streams_of_every_shape_give_the_same_answer<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let bare = r#"{"type":"response.completed","response":{"id":"r1","status":"completed"}}"#;
    let unknown = r#"{"type":"response.dreaming.delta","dream":{"deep":true}}"#;
    let keepalive = r#"{"type":"keepalive","sequence_number":7}"#;
    let reasoning = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs1","summary":[]}}"#;
    let once_at_1 = r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Once "}"#;
    let upon_at_1 = r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"upon"}"#;
    let thought = r#"{"type":"response.completed","response":{"id":"r1","status":"completed","output":[{"type":"reasoning","id":"rs1","summary":[]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Once upon"}]}]}}"#;
    let done = r#"{"type":"response.output_text.done","item_id":"m1","text":"Once upon"}"#;
    let odd = r#"{"type":"response.completed","response":{"id":42,"status":"finished","service_tier":"warp","created_at":1.5,"output":[{"type":"message","id":"m1","role":"assistant","status":"odd","content":[{"type":"output_text","text":"Once upon","annotations":null}],"phase":"final_answer"}],"usage":{"input_tokens":"3","output_tokens":null},"new":[1]}}"#;
    let other_id = r#"{"type":"response.completed","response":{"id":"r2","status":"completed"}}"#;
    let string = r#"{"type":"response.completed","response":{"id":"r1","status":"completed","output":[{"type":"message","role":"assistant","content":"Once upon"}]}}"#;
    let refusal = r#"{"type":"response.refusal.delta","item_id":"m1","delta":"upon"}"#;
    let cases = [
        ("as documented", events(&[CREATED, ADDED, ONCE, UPON, COMPLETED])),
        ("without event lines", data_only(&[CREATED, ADDED, ONCE, UPON, COMPLETED])),
        ("without the first events", data_only(&[ONCE, UPON, COMPLETED])),
        ("with unknown events", events(&[CREATED, unknown, ONCE, keepalive, UPON, COMPLETED])),
        ("with comments", format!(": ping\n\n{}: ping\n\n", events(&[ONCE, UPON, COMPLETED]))),
        ("with comments everywhere", everywhere(": ping\n\n")),
        ("with comments inside events", documented().replace("\ndata:", "\n: ping\ndata:")),
        ("with keepalives everywhere", everywhere(&data_only(&[keepalive]))),
        ("with bare pings everywhere", everywhere("event: ping\ndata: {}\n\n")),
        ("with empty data everywhere", everywhere("data:\n\n")),
        ("with [DONE] everywhere", everywhere("data: [DONE]\n\n")),
        ("with an id and a retry time", documented().replace("event:", "id: 7\nretry: 9\nevent:")),
        ("with numbers that repeat", numbered(|_| json!(3))),
        ("with numbers that fall", numbered(|at| json!(9 - at))),
        ("with gaps in the numbers", numbered(|at| json!(at * 1000))),
        ("with numbers now and then", numbered(|at| if at == 1 { json!(1) } else { json!(null) })),
        ("with odd numbers", numbered(|at| [json!("1"), json!(-1), json!(1e300)][at % 3].clone())),
        ("with [DONE] at the end", format!("{}data: [DONE]\n\n", events(&[ONCE, UPON, COMPLETED]))),
        ("without output in the end event", events(&[CREATED, ONCE, UPON, bare])),
        (
            "with another id in each event",
            events(&[CREATED, &CREATED.replace("r1", "r0"), ONCE, UPON, other_id]),
        ),
        ("with another id at the end", events(&[CREATED, ONCE, UPON, other_id])),
        ("without deltas", events(&[CREATED, COMPLETED])),
        ("with done instead of deltas", events(&[CREATED, ADDED, done, bare])),
        ("with deltas and done", events(&[CREATED, ADDED, ONCE, UPON, done, bare])),
        ("with reasoning first", events(&[CREATED, reasoning, once_at_1, upon_at_1, thought])),
        ("with odd values", events(&[CREATED, ONCE, UPON, odd])),
        ("with content as text", events(&[CREATED, string])),
        ("with a refusal", events(&[CREATED, ONCE, refusal, bare])),
        (
            "with a mark at the start",
            format!("\u{feff}{}", events(&[CREATED, ONCE, UPON, COMPLETED])),
        ),
        ("with CRLF", events(&[CREATED, ONCE, UPON, COMPLETED]).replace('\n', "\r\n")),
        ("without the last blank line", events(&[ONCE, UPON, COMPLETED]).trim_end().to_owned()),
    ];
    for (shape, body) in cases {
        let answer =
            ask(&host, raw(&body)).await.unwrap_or_else(|error| panic!("{shape}: {error}"));
        let told = (answer.run.status, answer.text(), answer.messages.len());
        assert_eq!(told, (RunStatus::Completed, "Once upon".to_owned(), 1), "{shape}");
    }
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_run_items WHERE kind = 'reasoning'"),
        1
    );
}

async fn streams_that_end_badly_keep_what_there_was<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let cases = [
        ("no end event", events(&[CREATED, ONCE, UPON]), "disconnected"),
        (
            "[DONE] and no end event",
            format!("{}data: [DONE]\n\n", events(&[ONCE, UPON])),
            "disconnected",
        ),
        (
            "cut in an event",
            format!("{}data: {{\"type\":\"resp", events(&[ONCE, UPON])),
            "disconnected",
        ),
        ("no JSON", format!("{}data: oops\n\n", events(&[ONCE, UPON])), "malformed"),
    ];
    for (shape, body, reason) in cases {
        let answer =
            ask(&host, raw(&body)).await.unwrap_or_else(|error| panic!("{shape}: {error}"));
        let told = (answer.run.status, answer.run.reason.as_deref(), answer.text());
        assert_eq!(told, (RunStatus::Incomplete, Some(reason), "Once upon".to_owned()), "{shape}");
    }
}

async fn error_events_of_every_shape_are_typed<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let cases = [
        r#"{"type":"error","code":"insufficient_quota","message":"You ran out.","param":null}"#,
        r#"{"type":"error","error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You ran out."}}"#,
        r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You ran out."}}"#,
        r#"{"type":"response.failed","response":{"id":"r1","status":"failed","error":{"code":"insufficient_quota","message":"You ran out."}}}"#,
    ];
    for event in cases {
        let error = ask(&host, raw(&data_only(&[CREATED, event]))).await.unwrap_err();
        let Error::RunFailed { reason, message, .. } = error else { panic!("{event}: {error}") };
        assert_eq!(
            (reason.as_str(), message.contains("You ran out.")),
            ("insufficient_quota", true),
            "{event}: {message}"
        );
    }
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_messages WHERE role = 'assistant'"),
        0
    );
}

async fn error_bodies_of_every_shape_are_typed<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let cases = [
        json!({"error": {"message": "Too hot.", "type": "invalid_request_error", "param": "temperature", "code": null}}),
        json!({"error": {"message": "Too hot.", "type": "invalid_request_error", "code": 400}}),
        json!({"error": "Too hot."}),
        json!({"detail": "Too hot."}),
        json!({"object": "error", "message": "Too hot."}),
        json!("Too hot."),
    ];
    for body in cases {
        let error = ask(&host, Reply::status(400, body.clone())).await.unwrap_err();
        let Error::RunFailed { message, .. } = error else { panic!("{body}: {error}") };
        assert!(message.contains("Too hot."), "{body}: {message}");
    }
}

async fn several_messages_come_in_order<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let body = events(&[
        CREATED,
        r#"{"type":"response.output_text.delta","item_id":"a","output_index":0,"delta":"First."}"#,
        r#"{"type":"response.output_text.delta","item_id":"b","output_index":2,"delta":"Second."}"#,
        r#"{"type":"response.completed","response":{"id":"r1","status":"completed","usage":{"input_tokens":1,"output_tokens":5},"output":[{"type":"message","id":"a","role":"assistant","content":[{"type":"output_text","text":"First."}]},{"type":"reasoning","id":"rs","summary":[]},{"type":"message","id":"b","role":"assistant","content":[{"type":"output_text","text":"Second."}]}]}}"#,
    ]);
    let answer = ask(&host, raw(&body)).await.unwrap();
    let told: Vec<_> = answer.messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(told, ["First.", "Second."]);
    assert_eq!(answer.text(), "First.\n\nSecond.");
    assert_eq!(answer.run.usage.output_tokens, 5, "counted once");
    assert_eq!(host.db.number("SELECT sum(output_tokens) FROM ai_engine_messages"), 5);
}
