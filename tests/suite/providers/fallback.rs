//! A provider that fails before the first word is stood in for by the next one that the definition names; never after a word (G11).

use std::time::Duration;

use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{
    AiEngine, Answer, AssistantDefinition, Error, EventKind, History, Reason, Recovery, RunStatus,
    prelude::*,
};
use serde_json::json;

use super::{Two, asked_last, by};
use crate::enqueue::without_provider;
use crate::support::*;

on_each_database!(
    what_another_server_may_not_have_is_asked_there,
    what_no_server_would_answer_is_not_asked_again,
    after_a_word_nobody_else_is_asked,
    those_that_fail_are_asked_in_order_and_all_are_on_record,
    a_server_that_cannot_be_reached_or_is_silent_is_stood_in_for,
    an_overflow_is_shortened_before_another_one_is_asked,
    a_cancelled_run_asks_nobody_else,
    what_lost_attempts_cost_is_kept,
    a_crash_between_two_attempts_is_made_good,
);

fn refused(status: u16, code: &str, kind: &str, message: &str) -> Reply {
    let error = json!({"message": message, "type": kind, "code": code, "param": null});
    Reply::status(status, json!({ "error": error }))
}

/// A definition that names `local` as the next one.
fn falling_back(usual: AssistantDefinition) -> AssistantDefinition {
    usual.fallback("local", "small")
}

/// Asks on a new thread.
async fn ask<D: TestDatabase>(two: &Two<D>) -> Result<Answer, Error> {
    let thread = two.host.thread().await;
    let request = two.host.teller.ai_engine_run(&two.host.engine, &thread, "Tell me");
    request.definition(falling_back).await
}

fn notes(answer: &Answer) -> Vec<&str> {
    answer.run.notes.iter().map(String::as_str).collect()
}

async fn what_another_server_may_not_have_is_asked_there<D: TestDatabase>(db: D) {
    for history in [History::Local, History::Conversation] {
        let two = Two::with(db.another(), history, history).await;
        let usual = "invalid_request_error";
        for (what, reply) in [
            ("500", refused(500, "server_error", "server_error", "oops")),
            ("503", refused(503, "overloaded", "overloaded_error", "too much to do")),
            ("429", refused(429, "rate_limit_exceeded", "requests", "slow down")),
            ("quota", refused(429, "insufficient_quota", "insufficient_quota", "no money")),
            ("401", refused(401, "invalid_api_key", usual, "wrong key")),
            ("403", refused(403, "", "permission_error", "not in your country")),
            ("no model", refused(404, "model_not_found", usual, "no such model")),
            ("no path", Reply::status(404, json!({"detail": "Not Found"}))),
            ("redirect", Reply::redirect(301, "http://elsewhere.example/")),
            ("an unknown word", refused(418, "teapot", "teapot", "short and stout")),
            ("hang up", Reply::hang_up()),
            ("broken off", Reply::text("never").disconnect_at(2)),
            ("failed", Reply::deltas([""; 0]).without_message().failed("server_error", "oops")),
            ("blank", Reply::deltas([" "]).failed("rate_limit_exceeded", "slow down")),
        ] {
            two.host.fake.reply_always(reply);
            let (_, before) = two.answered();
            two.local.reply(Reply::text("Instead"));
            let answer = ask(&two).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(answer.text(), "Instead", "{what}");
            assert_eq!(by(&answer.run), ("local", "small"), "{what}");
            assert_eq!(notes(&answer), ["fallback"], "{what}");
            assert_eq!(
                (answer.run.status, answer.run.reason),
                (RunStatus::Completed, None),
                "{what}"
            );
            assert_eq!(two.answered().1, before + 1, "{what}");
            assert_eq!(asked_last(&two.local)["model"], "small", "{what}");
        }
        until_announced(&two.host.db).await;
    }
}

async fn what_no_server_would_answer_is_not_asked_again<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let filtered = || Reply::deltas([""; 0]).without_message();
    for (what, reply, reason) in [
        (
            "400",
            refused(400, "invalid_value", "invalid_request_error", "no"),
            Reason::from("invalid_value"),
        ),
        ("422", refused(422, "", "odd", "no"), Reason::from("odd")),
        (
            "content",
            refused(400, "content_filter", "invalid_request_error", "no"),
            Reason::ContentFilter,
        ),
        ("filtered", filtered().incomplete("content_filter"), Reason::ContentFilter),
        ("unreadable", Reply::status(200, json!("?")), Reason::Malformed),
        ("cut", filtered().incomplete("max_output_tokens"), Reason::MaxOutputTokens),
    ] {
        two.host.fake.reply_always(reply);
        let told = match ask(&two).await {
            Err(Error::RunFailed { reason, .. }) => reason,
            Ok(answer) => answer.run.reason.unwrap(),
            Err(error) => panic!("{what}: {error}"),
        };
        assert_eq!(told, reason, "{what}");
        assert_eq!(two.local.requests().len(), 0, "{what}");
    }
}

async fn after_a_word_nobody_else_is_asked<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    for reply in [
        Reply::deltas(["Once ", "upon"]).disconnect_at(5),
        Reply::deltas(["Once ", "upon"]).failed("server_error", "oops"),
    ] {
        two.host.fake.reply(reply);
        let answer = ask(&two).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Incomplete);
        assert!(answer.text().starts_with("Once "));
        assert_eq!((by(&answer.run), notes(&answer).len()), (("openai", "test-model"), 0));
    }
    assert_eq!(two.answered(), (2, 0));
}

async fn those_that_fail_are_asked_in_order_and_all_are_on_record<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let fakes = [FakeOpenAi::start().await.unwrap(), FakeOpenAi::start().await.unwrap()];
        let clients = fakes.clone().map(|fake| fake.openai().unwrap());
        let host = Host::with(db, |builder| {
            let [second, third] = clients;
            builder.provider("third", third).provider("second", second)
        });
        let host = host.await;
        let thread = host.thread().await;
        let all = |usual: AssistantDefinition| usual.fallback("second", "b").fallback("third", "c");
        let ask = || host.teller.ai_engine_run(&host.engine, &thread, "Tell me").definition(all);
        host.fake.reply(refused(401, "invalid_api_key", "x", "first"));
        fakes[0].reply(refused(404, "model_not_found", "x", "second"));
        fakes[1].reply(refused(403, "permission_denied", "x", "third"));
        let Err(Error::RunFailed { run_id, reason, message, .. }) = ask().await else { panic!() };
        assert_eq!(reason, Reason::PermissionDenied);
        assert!(message.contains("third"), "{message}");
        let run = host.engine.find_run(run_id).await.unwrap();
        assert_eq!((by(&run), run.attempts), (("third", "c"), 3));
        assert_eq!(run.notes, ["fallback"]);
        let rows = host.db.texts(
            "SELECT endpoint || ' ' || protocol || ' ' || model AS line FROM ai_engine_responses ORDER BY id",
        );
        let at = |fake: &FakeOpenAi, model: &str| (fake.base_url(), model.to_owned());
        let expected = [at(&host.fake, "test-model"), at(&fakes[0], "b"), at(&fakes[1], "c")];
        assert_eq!(rows.len(), 3);
        for (row, (endpoint, model)) in rows.iter().zip(expected) {
            assert!(row.starts_with(&endpoint) && row.ends_with(&format!("responses {model}")), "{row}");
        }
        let open = "SELECT count(*) FROM ai_engine_responses WHERE finished_at IS NULL";
        assert_eq!(host.db.number(open), 0);

        // The one in the middle answers: its words, its server in the span, and nobody behind it.
        host.fake.reply(refused(401, "invalid_api_key", "x", "first"));
        fakes[0].reply(Reply::text("Here.").reply_model("b-2026"));
        let mut events = thread.events(&host.engine);
        let answer = ask().await.unwrap();
        assert_eq!((by(&answer.run), answer.text().as_str()), (("second", "b"), "Here."));
        assert_eq!(answer.messages.last().unwrap().model.as_deref(), Some("b-2026"));
        assert_eq!(fakes[1].requests().len(), 1);
        // To readers it was queued as it was asked for.
        loop {
            let event = events.next().await.unwrap().unwrap();
            if let EventKind::RunQueued { run: seen, .. } = &event.kind
                && seen.id == answer.run.id
            {
                assert_eq!((seen.model.as_str(), seen.provider.as_deref()), ("test-model", None));
                break;
            }
        }
        // The first run may have gone by before the recorder was heard of.
        let id = answer.run.id.to_string();
        let of_run = |span: &SpanSeen| {
            span.is_closed() && span.fields.get("ai_engine.run.id") == Some(&id)
        };
        until(|| recorder.runs().iter().any(of_run)).await;
        let span = recorder.runs().into_iter().find(of_run).unwrap();
        let port = fakes[0].base_url().rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
        for (name, expected) in [
            ("ai_engine.run.provider", "second"),
            ("gen_ai.request.model", "b"),
            ("gen_ai.response.model", "b-2026"),
            ("server.port", &port),
        ] {
            assert_eq!(span.fields.get(name).map(String::as_str), Some(expected), "{name}");
        }
    })
    .await;
}

async fn a_server_that_cannot_be_reached_or_is_silent_is_stood_in_for<D: TestDatabase>(db: D) {
    let local = FakeOpenAi::start().await.unwrap();
    let (_socket, address) = closed();
    let nobody = ai_engine::OpenAi::builder().api_key("k").base_url(format!("http://{address}/v1"));
    let nobody = nobody.retry_delay(Duration::from_millis(1)).build().unwrap();
    let silent = FakeOpenAi::start().await.unwrap();
    silent.reply_always(Reply::text("never").stall_at(0));
    let patience = Duration::from_millis(200);
    let impatient = silent.openai_builder().idle_timeout(patience).max_retries(0).build().unwrap();
    let host = Host::with(db, |builder| {
        let builder = builder.provider("nobody", nobody).provider("silent", impatient);
        builder.provider("local", local.openai().unwrap())
    });
    let host = host.await;
    for name in ["nobody", "silent"] {
        let thread = host.thread().await;
        local.reply(Reply::text("Here."));
        let request = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").provider(name);
        let answer = request.definition(falling_back).await.unwrap();
        assert_eq!((by(&answer.run), notes(&answer)), (("local", "small"), vec!["fallback"]));
    }
}

async fn an_overflow_is_shortened_before_another_one_is_asked<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let (host, engine) = (&two.host, &two.host.engine);
    let thread = host.thread().await;
    for text in ["one", "two"] {
        host.teller.ai_engine_run(engine, &thread, text).await.unwrap();
    }
    let (_, before) = two.answered();
    let long =
        refused(400, "context_length_exceeded", "invalid_request_error", "maximum context length");
    host.fake.reply_always(long);
    two.local.reply(Reply::text("Here."));
    let request = host.teller.ai_engine_run(engine, &thread, "three").definition(falling_back);
    let answer = request.await.unwrap();
    assert_eq!(by(&answer.run), ("local", "small"));
    assert_eq!(notes(&answer), ["history_windowed", "fallback"]);
    assert_eq!(two.answered().1, before + 1);
    assert_eq!(two.local.last_input().texts("user"), ["one", "two", "three"], "the whole history");
}

async fn a_cancelled_run_asks_nobody_else<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let (host, engine) = (&two.host, &two.host.engine);
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("never").hold_at(1, gate.clone()).disconnect_at(2));
    let request = host.teller.ai_engine_run(engine, &thread, "Tell me").definition(falling_back);
    let run = request.submit().await.unwrap();
    gate.reached().await;
    run.cancel(engine).await.unwrap();
    gate.open();
    let _ = engine.answer(run.id).await;
    assert_eq!(engine.find_run(run.id).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(two.answered(), (1, 0));
}

async fn what_lost_attempts_cost_is_kept<D: TestDatabase>(db: D) {
    let two = Two::new(db).await;
    let failed = || Reply::deltas([""; 0]).without_message().failed("invalid_api_key", "no");
    two.host.fake.reply_always(failed());
    two.local.reply(Reply::text("Here.").usage(100, 5));
    let answer = ask(&two).await.unwrap();
    // A response that failed reports none: what it was sent is estimated.
    let sum = two.host.db.number("SELECT sum(input_tokens) FROM ai_engine_responses");
    let lost = "SELECT input_tokens FROM ai_engine_responses WHERE usage_estimated";
    let lost = two.host.db.number(lost);
    let usage = answer.run.usage;
    assert_eq!((usage.input_tokens, usage.output_tokens, sum), (100 + lost, 5, 100 + lost));
    assert!(usage.estimated && lost > 0);
    let own = answer.messages.last().unwrap().usage;
    assert_eq!((own.input_tokens, own.output_tokens), (100, 5), "a message costs its own call");
    // Nothing was done by a server that refused.
    two.host.fake.reply_always(refused(401, "invalid_api_key", "x", "no"));
    two.local.reply(Reply::text("Here.").usage(100, 5));
    let usage = ask(&two).await.unwrap().run.usage;
    assert_eq!((usage.input_tokens, usage.estimated), (100, false));
}

const END_LEASES: &str = "UPDATE ai_engine_workers SET lease_ends_at = 0";

async fn a_crash_between_two_attempts_is_made_good<D: TestDatabase>(db: D) {
    for history in [History::Local, History::Conversation] {
        for (point, retry) in [
            // The second attempt is noted and not made.
            ("call.committed:2", "no"),
            ("call.committing:2", "no"),
            ("call.committed:2", "yes"),
            ("call.answered", "no"),
        ] {
            let two = Two::with(db.another(), history, history).await;
            let host = &two.host;
            let thread = host.thread().await;
            host.fake.reply(refused(401, "invalid_api_key", "x", "no"));
            let (id, local) = (thread.id.to_string(), two.local.base_url());
            let settings = [
                ("AI_ENGINE_CRASH_AT", point),
                ("CHILD_LOCAL", &local),
                ("CHILD_THREAD", &id),
                ("CHILD_RETRY", retry),
            ];
            let test = "providers::fallback::the_process_that_dies";
            let mut child = Process::start(host, test, &settings);
            assert!(!child.ended().success(), "{point} was not reached");
            host.db.execute(END_LEASES);
            let found = without_provider(host).recover().await.unwrap();
            let run = host.engine.find_run(host.db.number("SELECT max(id) FROM ai_engine_runs"));
            let run = run.await.unwrap();
            if retry == "yes" {
                // It asks whom it asked first, who is well again.
                assert_eq!(found.retried, 1, "{point}");
                assert_eq!((run.provider.as_deref(), run.model.as_str()), (None, "test-model"));
                host.engine.recover().await.unwrap();
                let answer = host.engine.answer(run.id).await.unwrap();
                assert_eq!(by(&answer.run), ("openai", "test-model"));
                assert_eq!(
                    (answer.run.status, two.local.responses_created()),
                    (RunStatus::Completed, 0)
                );
                continue;
            }
            assert_eq!(
                (run.status, run.reason.as_deref()),
                (RunStatus::Incomplete, Some("interrupted"))
            );
            let last = if point.starts_with("call.committing") { "openai" } else { "local" };
            assert_eq!(by(&run).0, last, "{point}");
            // The next turn tells both what they lack.
            for name in ["local", "openai"] {
                let request = host.teller.ai_engine_run(&host.engine, &thread, "Go on");
                assert_eq!(request.provider(name).await.unwrap().run.status, RunStatus::Completed);
            }
            let open = "SELECT count(*) FROM ai_engine_responses WHERE finished_at IS NULL";
            assert_eq!(host.db.number(open), 0, "{point}");
            host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
            until_deleted(&host.db).await;
            assert!(
                host.fake.conversation_ids().is_empty() && two.local.conversation_ids().is_empty()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that dies in the test here"]
async fn the_process_that_dies() {
    let engine: AiEngine = engine_of_this_process(&Hub::default());
    let threads = ada().assistant_threads(&engine);
    let thread = threads.find(setting("CHILD_THREAD").parse().unwrap()).await.unwrap();
    let request =
        scheherazade().ai_engine_run(&engine, &thread, "Tell me").definition(falling_back);
    let recovery = if setting("CHILD_RETRY") == "yes" { Recovery::Retry } else { Recovery::Settle };
    let _ = request.recovery(recovery).await;
}
