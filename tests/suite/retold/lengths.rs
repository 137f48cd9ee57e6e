//! Histories and questions that are too long for the model.

use ai_engine::testing::Reply;
use ai_engine::{EventKind, prelude::*};
use serde_json::json;

use super::{bodies, said, texts};
use crate::support::*;

on_each_database!(
    a_history_that_is_too_long_is_shortened_for_the_turn,
    what_was_blank_before_an_overflow_is_not_kept,
    a_question_that_is_too_long_alone_says_so,
);

async fn a_history_that_is_too_long_is_shortened_for_the_turn<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = if conversing {
            Host::conversing(db.another()).await
        } else {
            Host::new(db.another()).await
        };
        let thread = host.thread().await;
        for text in ["one", "two", "three", "four"] {
            host.fake.reply(Reply::text("x".repeat(400)));
            host.teller.ai_engine_run(&host.engine, &thread, text).await.unwrap();
        }
        let overflow = || {
            Reply::status(
                400,
                json!({"error": {"message": "This model's maximum context length is 100 tokens.", "type": "invalid_request_error"}}),
            )
        };
        host.fake.reply(overflow());
        host.fake.reply(overflow());
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "newest").await.unwrap();
        assert_eq!((answer.text().as_str(), answer.run.attempts), ("Fine.", 3));
        assert_eq!(answer.run.notes, ["history_windowed"]);
        let body = bodies(&host).pop().unwrap();
        let told = texts(&body);
        assert!(told.len() < 9 && told.last() == Some(&said("user", "newest")), "{told:?}");
        assert!(body.get("conversation").is_none());
        // For that turn.
        host.fake.reply(Reply::text("Again."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "after").await.unwrap();
        assert!(answer.run.notes.is_empty());
        assert_eq!(bodies(&host).pop().unwrap().get("conversation").is_some(), conversing);
    }
}

/// Blanks that came before it are no part of the answer that is asked for next.
async fn what_was_blank_before_an_overflow_is_not_kept<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    for text in ["one", "two", "three"] {
        host.fake.reply(Reply::text("x".repeat(400)));
        host.teller.ai_engine_run(&host.engine, &thread, text).await.unwrap();
    }
    let overflow = Reply::deltas(["\n", "\n"]).failed("context_length_exceeded", "It is too long.");
    host.fake.reply(overflow);
    host.fake.reply(Reply::deltas(["Fi", "ne."]));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "newest").submit().await.unwrap();
    let (mut events, mut shown, mut replaced) = (run.events(&host.engine), String::new(), 0);
    while let Some(event) = events.next().await {
        match event.unwrap().kind {
            EventKind::MessageAppended { text, .. } => shown.push_str(&text),
            EventKind::MessageReplaced { .. } => replaced += 1,
            _ => {}
        }
    }
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.text().as_ref(), shown.as_str(), replaced), ("Fine.", "Fine.", 0));
    assert_eq!(answer.run.notes, ["history_windowed"]);
}

async fn a_question_that_is_too_long_alone_says_so<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "one").await.unwrap();
    let overflow = json!({"error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error", "code": 400}});
    host.fake.reply_always(Reply::status(400, overflow));
    let error =
        host.teller.ai_engine_run(&host.engine, &thread, "newest").await.unwrap_err().to_string();
    assert!(
        error.contains("context_length_exceeded") && error.contains("the newest question alone"),
        "{error}"
    );
    assert!(bodies(&host).len() < 10, "{}", bodies(&host).len());
}
