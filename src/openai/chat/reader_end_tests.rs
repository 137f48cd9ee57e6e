//! How an answer put together from chunks ends: whole, broken off, with an error, or at a limit.

use serde_json::json;

use super::reader_tests::{DONE, delta, event, finish, read, read_within, text};
use crate::openai::Error;

#[test]
fn an_answer_is_whole_by_its_reason_or_by_done() {
    let spent = |tokens| {
        event(&json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": tokens}}))
    };
    let late = |error: &str| {
        format!(
            "{}{}data: {{\"error\":{{\"message\":\"{error}\"}}}}\n\n",
            text("a"),
            finish("stop")
        )
    };
    for (case, body, reason, tokens) in [
        ("neither usage nor [DONE]", format!("{}{}", text("a"), finish("stop")), Some("stop"), 0),
        (
            "cut behind the reason",
            format!("{}{}data: {{\"cho", text("a"), finish("length")),
            Some("length"),
            0,
        ),
        ("no reason", format!("{}{DONE}", text("a")), None, 0),
        (
            "counts as it goes",
            format!("{}{}{}{}{DONE}", spent(1), text("a"), finish("stop"), spent(2)),
            Some("stop"),
            2,
        ),
        (
            "words behind the reason",
            format!("{}{}{DONE}", finish("stop"), text("a")),
            Some("stop"),
            0,
        ),
        ("an error behind the answer", late("late"), Some("stop"), 0),
        (
            "without the last blank line",
            format!("{}{}", text("a"), finish("stop").trim_end()),
            Some("stop"),
            0,
        ),
    ] {
        let read = read(&body);
        assert_eq!(read.pieces(), ["text a"], "{case}");
        assert_eq!(read.completion().finish_reason.as_deref(), reason, "{case}");
        assert_eq!(
            read.completion().usage.map_or(0, |usage| usage.output_tokens),
            tokens,
            "{case}"
        );
    }
}

#[test]
fn what_breaks_off_or_has_a_hole_is_an_error_behind_its_text() {
    for (case, body, error) in [
        ("no end", text("a"), "Disconnected"),
        ("half a chunk", format!("{}data: {{\"choices\": [{{\"de", text("a")), "Disconnected"),
        (
            "a hole",
            format!("{}data: {{\"choices\": [oops\n\n{}{DONE}", text("a"), finish("stop")),
            "an event of the stream",
        ),
        (
            "a hole and no end",
            format!("{}data: {{\"choices\": [oops\n\n", text("a")),
            "an event of the stream",
        ),
        (
            "another protocol",
            format!("{}data: {{\"type\":\"response.created\"}}\n\n", text("a")),
            "Responses API",
        ),
    ] {
        let read = read(&body);
        assert_eq!(read.streamed(), "a", "{case}");
        let found = read.error();
        assert!(found.contains(error), "{case}: {found}");
    }
    for (case, body, error) in [
        ("nothing", String::new(), "Disconnected"),
        ("[DONE] alone", DONE.to_owned(), "Malformed"),
        ("nonsense", format!("data: oops\n\n{DONE}"), "Malformed"),
        ("lists", format!("data: [1]\n\n{DONE}"), "no JSON object"),
    ] {
        let found = read(&body).error();
        assert!(found.contains(error), "{case}: {found}");
    }
    // Words between the chunks are no part of the answer, and no hole.
    let words = format!("{}data: still here\n\n{}{DONE}", text("a"), finish("stop"));
    assert_eq!(read(&words).pieces(), ["text a"]);
}

#[test]
fn errors_in_the_stream_are_known_in_every_shape() {
    for (shape, status, message) in [
        (
            json!({"error": {"message": "slow sk-secret-1", "type": "rate_limit_error", "code": null}}),
            Some(429),
            "slow [redacted]",
        ),
        (json!({"error": "broken"}), None, "broken"),
        (
            json!({"error": {"code": 502, "message": "bad"}, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}),
            Some(502),
            "bad",
        ),
        (
            json!({"choices": [{"index": 0, "delta": {}, "error": {"code": 503, "message": "busy"}, "finish_reason": "error"}]}),
            Some(503),
            "busy",
        ),
        (
            json!({"object": "error", "message": "gone", "type": "NotFoundError", "code": 404}),
            Some(404),
            "gone",
        ),
        (json!({"type": "error", "code": "server_error", "message": "flat"}), Some(500), "flat"),
        (json!({"detail": "no"}), None, "no"),
        (json!({"message": "odd", "status": "error"}), None, "odd"),
    ] {
        let read = read(&format!("{}{}{}", text("a"), event(&shape), finish("stop")));
        assert_eq!(read.streamed(), "a");
        let Err(Error::Api(api)) = &read.end else { panic!("{shape}: {:?}", read.end) };
        assert_eq!((api.status, api.message.as_str()), (status, message), "{shape}");
    }
    let named = format!("event: error\ndata: {}\n\n", json!({"message": "named"}));
    assert!(read(&named).error().contains("named"));
}

#[test]
fn all_that_is_kept_of_an_answer_is_bounded() {
    let thoughts = delta(json!({"reasoning": "x".repeat(500)})).repeat(3);
    let calls = delta(json!({"tool_calls": [{"function": {"name": "f"}}]})).repeat(30);
    for body in [thoughts, calls] {
        let error = read_within(&body, 1000).error();
        assert!(error.contains("max_body_bytes") && error.contains("1000"), "{error}");
    }
}
