//! What is answered in another form than the protocol's: other codings, other types, JSON that is none.

use ai_engine::{Error, History, Reason, RunStatus};
use serde_json::json;

use super::{
    BOTH, CREATED, Server, answer, answer_of, ask, ask_with, completed, delta, message, newest,
};
use crate::support::*;

on_each_database!(
    characters_that_were_cut_in_two_are_put_together_or_replaced,
    events_that_are_nearly_json_are_read_and_others_skipped,
    bodies_are_what_they_are_and_not_what_they_are_called,
    a_body_that_is_no_response_is_no_empty_success,
    a_whole_answer_that_was_paid_is_kept_whatever_it_says_of_its_state,
    a_coding_that_was_not_asked_for_is_named_and_asked_once,
);

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
