//! Ids, counts, texts and statuses as servers send them.

use ai_engine::testing::Reply;
use ai_engine::{Error, RunStatus, prelude::*};
use serde_json::{Value, json};

use super::{COMPLETED, ONCE, UPON, ask, data_only, documented, raw};
use crate::support::*;

on_each_database!(
    ids_of_every_form_are_kept,
    nul_is_replaced_wherever_it_comes,
    usage_is_read_as_far_as_it_is_told,
    an_end_that_contradicts_itself_is_no_success,
);

async fn ids_of_every_form_are_kept<D: TestDatabase>(db: D) {
    let ids = [
        "6f1c1d0e-6b3a-4c7e-9a55-0f7d5a3e9b21",
        "42",
        "-1e9",
        "a b/c?d#e%f'\\\"g",
        "é漢🦀",
        &"x".repeat(20_000),
    ];
    for conversing in [false, true] {
        let host = if conversing {
            Host::conversing(db.clone()).await
        } else {
            Host::new(db.clone()).await
        };
        // The raw answers below are in no conversation; that they are kept here is known by then.
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        for id in ids {
            let quoted = json!(id).to_string();
            // One id for the response and its message: ids of two kinds may be alike.
            let body = documented().replace("\"r1\"", &quoted).replace("\"m1\"", &quoted);
            let thread = host.thread().await;
            host.fake.reply(raw(&body));
            let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
            let answer = run.await.unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!((answer.run.status, &*answer.text()), (RunStatus::Completed, "Once upon"));
            let newest =
                "SELECT remote_id AS line FROM ai_engine_responses ORDER BY id DESC LIMIT 1";
            assert_eq!(host.db.texts(newest), [id]);
            if host.conversing {
                assert_eq!(answer.message().unwrap().remote_id.as_deref(), Some(id));
            }
            host.fake.reply(Reply::text("And then."));
            host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
        }
        host.db.execute("DELETE FROM storytellers; DELETE FROM users;");
    }
}

async fn nul_is_replaced_wherever_it_comes<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let odd = |text: &str| text.replace("r1", r"r\u00001").replace("m1", r"m\u00001");
    let body = odd(&documented()).replace("\"model\":\"m\"", r#""model":"m\u0000""#);
    let answer = ask(&host, raw(&body)).await.unwrap();
    assert_eq!(answer.message().unwrap().model.as_deref(), Some("m\u{fffd}"));
    let failed =
        r#"{"type":"error","code":"a\u0000b","message":"It\u0000 broke.","param":"\u0000"}"#;
    let refused = json!({"error": {"message": "It\0 broke.", "code": "a\0b"}});
    let replies = [
        raw(&data_only(&[failed])),
        Reply::deltas([""; 0]).failed("a\0b", "It\0 broke."),
        Reply::status(400, refused),
    ];
    for reply in replies {
        let error = ask(&host, reply).await.unwrap_err();
        let Error::RunFailed { reason, message, .. } = error else { panic!("{error}") };
        assert_eq!(reason, "a\u{fffd}b");
        assert!(message.contains("It\u{fffd} broke."), "{message}");
    }
    let incomplete = r#"{"type":"response.incomplete","response":{"id":"r1","status":"incomplete","incomplete_details":{"reason":"a\u0000b"}}}"#;
    let answer = ask(&host, raw(&data_only(&[ONCE, incomplete]))).await.unwrap();
    assert_eq!(answer.run.reason.as_deref(), Some("a\u{fffd}b"));
}

async fn usage_is_read_as_far_as_it_is_told<D: TestDatabase>(db: D) {
    /// What is told is nothing, so it is estimated.
    const NONE: (i64, i64, i64) = (11, 3, 0);
    let host = Host::new(db).await;
    let cases = [
        (json!(null), NONE),
        (json!({}), NONE),
        (json!({"total_tokens": 5}), NONE),
        (json!({"input_tokens": 0, "output_tokens": 0}), NONE),
        (json!({"input_tokens": 3, "output_tokens": 2}), (3, 2, 0)),
        (json!({"input_tokens": 3, "input_tokens_details": null, "output_tokens": 2}), (3, 2, 0)),
        (json!({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}), (3, 0, 1)),
        (json!({"prompt_tokens": 3, "completion_tokens": 2}), (3, 2, 0)),
        (json!({"input_tokens": -3, "output_tokens": 2.5}), NONE),
        (json!("3"), NONE),
    ];
    for (usage, expected) in cases {
        let mut end: Value = serde_json::from_str(COMPLETED).unwrap();
        end["response"]["usage"] = usage.clone();
        let body = data_only(&[ONCE, UPON, &end.to_string()]);
        let run = ask(&host, raw(&body)).await.unwrap_or_else(|e| panic!("{usage}: {e}")).run;
        assert_eq!(run.usage.estimated, expected == NONE, "{usage}");
        let told = (run.usage.input_tokens, run.usage.output_tokens, run.usage.cached_input_tokens);
        assert_eq!((run.status, told), (RunStatus::Completed, expected), "{usage}");
    }
}

/// Some servers end every stream with `response.completed`, and tell only inside whether it was.
async fn an_end_that_contradicts_itself_is_no_success<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let cases = [
        (
            json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
            (RunStatus::Incomplete, Some("max_output_tokens")),
        ),
        (
            json!({"status": "completed", "incomplete_details": {"reason": "length"}}),
            (RunStatus::Incomplete, Some("max_output_tokens")),
        ),
        // Servers that give no reason mean their length.
        (json!({"status": "incomplete"}), (RunStatus::Incomplete, Some("max_output_tokens"))),
        (
            json!({"status": "failed", "error": {"code": "server_error", "message": "It broke."}}),
            (RunStatus::Incomplete, Some("server_error")),
        ),
        (json!({"status": "completed", "incomplete_details": {}}), (RunStatus::Completed, None)),
    ];
    for (response, expected) in cases {
        let end = json!({"type": "response.completed", "response": response}).to_string();
        let answer = ask(&host, raw(&data_only(&[ONCE, UPON, &end]))).await.unwrap();
        assert_eq!((answer.run.status, answer.run.reason.as_deref()), expected, "{end}");
        assert_eq!(answer.text(), "Once upon", "{end}");
        // A server that does not stream says it in one piece.
        let mut whole = response.clone();
        whole["id"] = json!("r1");
        whole["output"] = json!([{"type": "message", "role": "assistant", "content": "Once upon"}]);
        let answer = ask(&host, Reply::status(200, whole)).await.unwrap();
        assert_eq!((answer.run.status, answer.run.reason.as_deref()), expected, "{response}");
        assert_eq!(answer.text(), "Once upon", "{response}");
    }
    // An answer that was cut without a word of it cannot be told from a whole one.
    let cut = r#"{"type":"response.completed","response":{"id":"r1","status":"completed","output":[{"type":"message","id":"m1","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":"Once "}]}]}}"#;
    let answer = ask(&host, raw(&data_only(&[ONCE, UPON, cut]))).await.unwrap();
    assert_eq!((answer.run.status, &*answer.text()), (RunStatus::Completed, "Once "));
}
