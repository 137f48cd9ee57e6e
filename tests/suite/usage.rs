//! G18: what the provider did not report is estimated and says so; what it reported wins; what was not sent costs nothing.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, Error, OpenAi, RunStatus, Usage, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    a_cancelled_answer_is_estimated,
    an_answer_that_broke_off_is_estimated,
    a_server_that_reports_none_is_estimated,
    a_reported_usage_wins,
    an_answer_that_was_lost_is_part_of_the_sum,
    a_failed_response_that_is_made_again_costs_what_it_reported,
    what_was_refused_or_never_sent_costs_nothing,
);

/// The question and the instructions of the host's assistant, at a quarter of their bytes and some for the frame.
const SENT: i64 = 11;

fn told(usage: Usage) -> (i64, i64, bool) {
    assert_eq!((usage.cached_input_tokens, usage.reasoning_tokens), (0, 0));
    (usage.input_tokens, usage.output_tokens, usage.estimated)
}

async fn a_cancelled_answer_is_estimated<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let run = run.cancel(&host.engine).await.unwrap();
    assert_eq!((run.status, told(run.usage)), (RunStatus::Cancelled, (SENT, 2, true)));
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!(answer.message().unwrap().usage, run.usage);
    for seen in [json!(answer.run), json!(answer.messages[0])] {
        assert_eq!(seen["usage"]["estimated"], true, "{seen}");
    }
    assert_eq!(host.engine.find_run(run.id).await.unwrap().usage, run.usage, "as it is stored");
    gate.open();
}

async fn an_answer_that_broke_off_is_estimated<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Incomplete);
    assert_eq!(told(answer.run.usage), (SENT, 3, true));
}

async fn a_server_that_reports_none_is_estimated<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon").without_usage());
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(told(answer.run.usage), (SENT, 3, true));
    assert_eq!(answer.message().unwrap().usage, answer.run.usage);

    // Its calls are output as well.
    let call = json!({"type": "function_call", "name": "look", "arguments": "{}"});
    host.fake.reply(Reply::text("Once upon").item(call).without_usage());
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Again").await.unwrap();
    assert!(answer.run.usage.output_tokens > 10, "{:?}", answer.run.usage);
    assert!(answer.run.usage.input_tokens > SENT, "the history was sent as well");
}

async fn a_reported_usage_wins<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    for reply in [Reply::text("Once"), Reply::text("Once").incomplete("max_output_tokens")] {
        host.fake.reply(reply.usage(20, 1));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        assert_eq!(told(answer.run.usage), (20, 1, false));
    }
}

async fn an_answer_that_was_lost_is_part_of_the_sum<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("lost").disconnect_at(3));
    host.fake.reply(Reply::text("Once upon").usage(20, 3));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(answer.run.attempts, 2);
    assert_eq!(told(answer.run.usage), (SENT + 20, 3, true), "estimated, since a part of it is");
    assert_eq!(told(answer.message().unwrap().usage), (20, 3, false));
}

async fn a_failed_response_that_is_made_again_costs_what_it_reported<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let failed = json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "output": [],
        "error": {"code": "server_error", "message": "no"}, "usage": {"input_tokens": 5, "output_tokens": 1}}});
    host.fake.reply(Reply::deltas([""]).raw_event_at(0, format!("data: {failed}\n\n")).end_at(1));
    host.fake.reply(Reply::text("Once upon").usage(20, 3));
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(told(answer.run.usage), (25, 4, false));
}

async fn what_was_refused_or_never_sent_costs_nothing<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let body = json!({"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
    host.fake.reply(Reply::status(404, body));
    let error = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
    let Error::RunFailed { run_id, .. } = error else { panic!("{error}") };
    assert_eq!(host.engine.find_run(run_id).await.unwrap().usage, Usage::default(), "refused");

    let gate = Gate::new();
    host.fake.reply(Reply::text("Once").hold_at(4, gate.clone()));
    let first = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    let waits = host.teller.ai_engine_run(&host.engine, &thread, "Again").when_busy(Busy::Queue);
    let waits = waits.submit().await.unwrap().cancel(&host.engine).await.unwrap();
    assert_eq!((waits.status, waits.usage), (RunStatus::Cancelled, Usage::default()), "not begun");
    gate.open();
    host.engine.answer(first.id).await.unwrap();

    let (_held, address) = closed();
    let client = OpenAi::builder()
        .api_key("k")
        .base_url(format!("http://{address}/v1"))
        .max_retries(0)
        .build()
        .unwrap();
    let builder = D::owners(ai_engine::AiEngine::builder(host.db.database())).openai(client);
    let engine = builder.state(host.hub.clone()).build().unwrap();
    let error = host.teller.ai_engine_run(&engine, &thread, "Tell me").await.unwrap_err();
    let Error::RunFailed { run_id, .. } = error else { panic!("{error}") };
    assert_eq!(engine.find_run(run_id).await.unwrap().usage, Usage::default(), "not reached");
}
