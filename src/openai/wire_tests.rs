use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

fn response(value: Value) -> Response {
    Response::from_object(object(value), &Secrets::new(["sk-key-1234".to_owned()]))
}

#[test]
fn a_whole_response_is_read() {
    let read = response(json!({
        "id": "resp_1", "object": "response", "status": "incomplete", "model": "gpt-x-2026",
        "output": [{"type": "reasoning", "content": "hidden"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}],
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15},
        "incomplete_details": {"reason": "max_output_tokens"}, "error": null, "conversation": {"id": "conv_1"},
        "service_tier": "default"
    }));
    assert_eq!((read.id.as_str(), read.status.as_deref()), ("resp_1", Some("incomplete")));
    assert_eq!(read.model.as_deref(), Some("gpt-x-2026"));
    assert_eq!((read.output.len(), read.text().as_str()), (2, "Hi"));
    let usage = read.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens),
        (10, 4, 1)
    );
    assert_eq!((usage.output_tokens, usage.reasoning_tokens, usage.total_tokens()), (5, 2, 15));
    assert_eq!(read.incomplete_reason.as_deref(), Some("max_output_tokens"));
    assert_eq!(read.conversation_id.as_deref(), Some("conv_1"));
    assert_eq!(read.error, None);
    assert_eq!(read.raw["service_tier"], "default");
}

#[test]
fn an_empty_or_odd_response_is_no_error() {
    assert_eq!(response(json!({})), Response::default());
    let read = response(
        json!({"id": 7, "output": "x", "usage": [], "conversation": "conv_2", "status": null}),
    );
    assert_eq!((read.id.as_str(), read.output.len(), read.usage), ("", 0, None));
    assert_eq!(read.conversation_id.as_deref(), Some("conv_2"));
}

#[test]
fn a_failed_response_tells_why_without_the_key() {
    let read = response(
        json!({"error": {"code": "insufficient_quota", "message": "sk-key-1234 is out of credit"}}),
    );
    let error = read.error.unwrap();
    assert_eq!(error.code.as_deref(), Some("insufficient_quota"));
    assert_eq!(error.message, "[redacted] is out of credit");
    assert!(read.raw.is_empty());
    assert_eq!(response(json!({"error": "boom"})).error.unwrap().message, "boom");
}

#[test]
fn usage_accepts_the_names_of_chat_completions_and_missing_details() {
    let usage = Usage::from_object(&object(json!({"prompt_tokens": 3, "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 2}})));
    assert_eq!((usage.input_tokens, usage.cached_input_tokens), (3, 1));
    assert_eq!((usage.output_tokens, usage.reasoning_tokens, usage.cache_write_tokens), (4, 2, 0));
    let usage = Usage::from_object(&object(json!({"input_tokens": -1, "output_tokens": "2"})));
    assert_eq!(usage, Usage::default());
}

#[test]
fn conversations_and_pages_are_read() {
    let read = Conversation::from_object(object(
        json!({"id": "conv_1", "metadata": {"a": "b"}, "created_at": 9}),
    ));
    assert_eq!((read.id.as_str(), read.created_at), ("conv_1", Some(9)));
    assert_eq!(read.metadata["a"], "b");
    let page = ItemPage::from_object(object(
        json!({"data": [{"id": "a"}, 3, {"id": "b"}], "has_more": true}),
    ));
    assert_eq!(page.data.len(), 2);
    assert!(page.has_more);
    assert_eq!((page.first_id.as_deref(), page.last_id.as_deref()), (Some("a"), Some("b")));
}
