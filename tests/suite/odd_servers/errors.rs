//! Errors on odd servers: in the stream, by their looks, and what they quote.

use ai_engine::testing::Reply;
use ai_engine::{Error, History, Reason, prelude::*};
use serde_json::{Value, json};

use super::{CREATED, Server, answer, answer_of, ask, ask_with, completed, event, message, newest};
use crate::support::*;

on_each_database!(
    errors_in_the_stream_are_those_of_an_answer,
    errors_in_the_stream_are_known_by_their_looks,
    what_only_looks_like_an_error_in_the_stream_costs_no_answer,
    a_conversation_is_told_anew_after_errors_in_the_stream,
    what_a_failed_response_used_is_kept,
    tries_of_the_client_are_counted,
    a_server_without_the_address_says_so,
    what_a_gateway_echoes_of_our_secrets_is_not_stored,
);

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
