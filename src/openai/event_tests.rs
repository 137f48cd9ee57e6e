use serde_json::json;

use super::*;
use crate::openai::SseEvent;

fn decode(sse: &SseEvent, secrets: &Secrets) -> Result<(StreamEvent, Halves)> {
    super::decode(&sse.event, &sse.data, secrets)
}

fn sse(name: &str, data: &str) -> SseEvent {
    SseEvent { event: name.to_owned(), data: data.to_owned(), complete: true }
}

fn read(data: &Value) -> StreamEvent {
    named("message", &data.to_string())
}

fn named(name: &str, data: &str) -> StreamEvent {
    decode(&sse(name, data), &Secrets::new(["sk-key-1234".to_owned()])).unwrap().0
}

#[test]
fn a_text_delta_is_read() {
    let event = read(
        &json!({"type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1",
        "output_index": 1, "content_index": 0, "delta": "Hi", "logprobs": [], "obfuscation": "xyz"}),
    );
    assert_eq!(event.sequence_number, Some(4));
    let expected = StreamEventKind::OutputTextDelta {
        item_id: Some("msg_1".to_owned()),
        output_index: Some(1),
        content_index: Some(0),
        delta: "Hi".to_owned(),
    };
    assert_eq!(event.kind, expected);
}

#[test]
fn missing_and_wrongly_typed_fields_count_as_absent() {
    let event = read(
        &json!({"type": "response.output_text.delta", "sequence_number": "4", "output_index": -1}),
    );
    let expected = StreamEventKind::OutputTextDelta {
        item_id: None,
        output_index: None,
        content_index: None,
        delta: String::new(),
    };
    assert_eq!((event.sequence_number, event.kind), (None, expected));
    let event = read(&json!({"type": "response.completed", "response": "resp_1"}));
    assert_eq!(event.response(), Some(&Response::default()));
}

#[test]
fn every_end_is_terminal_and_nothing_else_is() {
    for kind in ["completed", "failed", "incomplete", "cancelled"] {
        let event = read(
            &json!({"type": format!("response.{kind}"), "response": {"id": "resp_1", "status": kind}}),
        );
        assert!(event.is_terminal(), "{kind}");
        assert_eq!(event.response().unwrap().id, "resp_1");
        assert_eq!(StreamEvent::from_response(event.response().unwrap().clone()).kind, event.kind);
    }
    for kind in ["created", "queued", "in_progress"] {
        let event =
            read(&json!({"type": format!("response.{kind}"), "response": {"id": "resp_1"}}));
        assert!(!event.is_terminal() && event.response().is_some(), "{kind}");
    }
    assert!(!read(&json!({"type": "error", "message": "m"})).is_terminal());
}

#[test]
fn items_refusals_and_function_calls_are_read() {
    let event = read(
        &json!({"type": "response.output_item.done", "output_index": 2, "item": {"id": "fc_1"}}),
    );
    assert!(matches!(event.kind, StreamEventKind::OutputItemDone { output_index: Some(2), item }
        if item.id() == Some("fc_1")));
    let event = read(&json!({"type": "response.refusal.done", "refusal": "no"}));
    assert!(matches!(event.kind, StreamEventKind::RefusalDone { refusal, .. } if refusal == "no"));
    let event = read(&json!({"type": "response.function_call_arguments.delta", "delta": "{\"a\""}));
    assert!(
        matches!(event.kind, StreamEventKind::FunctionCallArgumentsDelta { delta, .. } if delta == "{\"a\"")
    );
    let event = read(
        &json!({"type": "response.function_call_arguments.done", "name": "f", "arguments": "{}"}),
    );
    assert!(
        matches!(event.kind, StreamEventKind::FunctionCallArgumentsDone { name: Some(name), arguments, .. }
        if name == "f" && arguments == "{}")
    );
}

#[test]
fn errors_are_read_in_every_shape_without_the_key() {
    let flat = json!({"type": "error", "code": "server_error", "message": "bad sk-key-1234", "param": null});
    let nested = json!({"type": "error", "sequence_number": 2,
        "error": {"type": "server_error", "code": "server_error", "message": "bad sk-key-1234", "param": null}});
    let untyped = json!({"error": {"message": "bad sk-key-1234", "code": "server_error"}});
    let foreign =
        json!({"type": "gateway", "error": {"message": "bad sk-key-1234", "code": "server_error"}});
    for data in [flat, nested, untyped, foreign] {
        let StreamEventKind::Error(error) = read(&data).kind else { panic!("no error: {data}") };
        assert_eq!(
            (error.message.as_str(), error.code.as_deref()),
            ("bad [redacted]", Some("server_error"))
        );
        assert!(error.is_retryable() && error.status == Some(500));
    }
    assert!(matches!(named("error", r#"{"message":"m"}"#).kind, StreamEventKind::Error(_)));
    assert!(
        matches!(read(&json!({"error": "text"})).kind, StreamEventKind::Error(error) if error.message == "text")
    );
}

#[test]
fn unknown_events_keep_their_json() {
    let data = json!({"type": "response.hologram.delta", "sequence_number": 3, "x": [1]});
    let event = read(&data);
    let StreamEventKind::Other { kind, raw } = event.kind else { panic!("known") };
    assert_eq!((kind.as_str(), event.sequence_number), ("response.hologram.delta", Some(3)));
    assert_eq!(Value::Object(raw), data);
}

#[test]
fn the_event_line_names_data_without_a_type() {
    assert!(matches!(named("response.completed", "{}").kind, StreamEventKind::Completed(_)));
    assert!(
        matches!(named("message", "{}").kind, StreamEventKind::Other { kind, .. } if kind.is_empty())
    );
}

#[test]
fn a_completed_event_is_what_its_response_says() {
    use StreamEventKind as Kind;
    let completed =
        |response: Value| read(&json!({"type": "response.completed", "response": response})).kind;
    assert!(matches!(completed(json!({"status": "completed"})), Kind::Completed(_)));
    assert!(matches!(completed(json!({"status": "odd"})), Kind::Completed(_)));
    assert!(matches!(completed(json!({"status": "incomplete"})), Kind::Incomplete(_)));
    assert!(matches!(completed(json!({"status": "failed"})), Kind::Failed(_)));
    assert!(matches!(completed(json!({"status": "cancelled"})), Kind::Cancelled(_)));
    let cut = json!({"status": "completed", "incomplete_details": {"reason": "length"}});
    assert!(matches!(completed(cut), Kind::Incomplete(_)));
}

#[test]
fn signs_of_life_are_no_events_of_the_response() {
    let event = read(&json!({"type": "keepalive", "sequence_number": 9}));
    assert_eq!((event.sequence_number, event.kind), (Some(9), StreamEventKind::Keepalive));
    assert_eq!(named("ping", "").kind, StreamEventKind::Keepalive);
}

#[test]
fn done_tells_nothing_and_other_text_is_malformed() {
    assert_eq!(named("message", " [DONE]").kind, StreamEventKind::Done);
    for data in ["oops", "[1]", "7", "{\"type\":"] {
        let error = decode(&sse("message", data), &Secrets::default()).unwrap_err();
        assert!(matches!(&error, Error::Malformed { excerpt, .. } if excerpt == data), "{error}");
    }
    let error = decode(&sse("message", "sk-key-1234"), &Secrets::new(["sk-key-1234".to_owned()]))
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sk-key-1234"));
}
