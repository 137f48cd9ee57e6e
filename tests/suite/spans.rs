//! A run's span and event: the names of the conventions, the submitter's trace in whichever process, and no text unless the host
//! asks for it.

use std::sync::{Arc, Mutex};

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, Busy, Error, RunStatus, TraceContext, prelude::*};
use serde_json::{Value, json};
use tracing::{Instrument, Span, info_span};

use crate::support::*;

on_each_database!(
    a_run_has_a_span_and_an_event_in_the_names_of_the_conventions,
    a_bare_models_run_is_a_chat,
    a_failed_run_says_so,
    each_run_is_a_child_of_the_span_it_was_submitted_in,
    a_trace_context_reaches_whichever_process_drives_the_run,
    the_hosts_tracing_system_can_do_a_run_no_harm,
    what_is_no_trace_context_is_refused,
    what_was_said_is_shown_where_the_host_asks_for_it,
);

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn field<'s>(span: &'s SpanSeen, name: &str) -> &'s str {
    span.fields.get(name).map_or("", String::as_str)
}

async fn a_run_has_a_span_and_an_event_in_the_names_of_the_conventions<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::new(db).await;
        let thread = host.thread().await;
        let reply = Reply::text("Once upon").usage(20, 3).reply_model("test-model-2026");
        host.fake.reply(reply);
        let request = info_span!(target: "host", "request");
        let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit();
        let run = asked.instrument(request.clone()).await.unwrap();
        assert!(host.engine.answer(run.id).await.is_ok());
        let span = recorder.closed_run().await;
        assert_eq!(span.parent, request.id().map(|id| id.into_u64()));
        for (name, expected) in [
            ("otel.name", "invoke_agent Scheherazade"),
            ("otel.kind", "internal"),
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.agent.name", "Scheherazade"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "test-model"),
            ("gen_ai.response.model", "test-model-2026"),
            ("gen_ai.conversation.id", &format!("assistant_thread:{}", thread.id)),
            ("gen_ai.usage.input_tokens", "20"),
            ("gen_ai.usage.output_tokens", "3"),
            ("server.address", "127.0.0.1"),
            ("ai_engine.run.id", &run.id.to_string()),
            ("ai_engine.run.status", "completed"),
            ("ai_engine.run.attempts", "1"),
            ("ai_engine.usage.estimated", "false"),
        ] {
            assert_eq!(field(&span, name), expected, "{name}");
        }
        assert!(field(&span, "gen_ai.response.id").starts_with("resp_"), "{span:?}");
        for number in ["server.port", "ai_engine.run.first_word_ms", "ai_engine.run.queued_ms"] {
            assert!(field(&span, number).parse::<u64>().is_ok(), "{number}: {span:?}");
        }
        assert!(field(&span, "gen_ai.response.time_to_first_chunk").parse::<f64>().is_ok());
        for absent in ["error.type", "otel.status_code", "ai_engine.traceparent"] {
            assert_eq!(field(&span, absent), "", "{absent}");
        }

        let events = recorder.events("the run ended");
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.within, Some(span.id));
        for (name, expected) in
            [("status", "completed"), ("input_tokens", "20"), ("output_tokens", "3")]
        {
            assert_eq!(event.fields[name], expected);
        }
        for number in ["duration_ms", "first_word_ms", "attempts"] {
            assert!(event.fields[number].parse::<u64>().is_ok(), "{number}: {event:?}");
        }
        let words = recorder.words();
        for text in ["Tell me", "Once", "You tell stories"] {
            assert!(!words.contains(text), "{text:?} in {words}");
        }
    })
    .await;
}

async fn a_bare_models_run_is_a_chat<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::new(db).await;
        let chat = host.user.chats(&host.engine).create().await.unwrap();
        host.fake.reply(Reply::text("Hello"));
        chat.run(&host.engine, "bare-model", "Hi").await.unwrap();
        let span = recorder.closed_run().await;
        assert_eq!((field(&span, "otel.name"), span.parent), ("chat bare-model", None));
        assert_eq!((field(&span, "otel.kind"), field(&span, "gen_ai.agent.name")), ("client", ""));
        assert_eq!(field(&span, "gen_ai.conversation.id"), format!("chat:{}", chat.id));
    })
    .await;
}

async fn a_failed_run_says_so<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::new(db).await;
        let thread = host.thread().await;
        let body = json!({"error": {"message": "SECRET", "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
        host.fake.reply(Reply::status(404, body));
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
        let span = recorder.closed_run().await;
        let told = [
            "error.type",
            "otel.status_code",
            "ai_engine.run.status",
            "ai_engine.run.reason",
            "gen_ai.usage.input_tokens",
        ];
        let told = told.map(|name| field(&span, name));
        assert_eq!(told, ["model_not_found", "ERROR", "failed", "model_not_found", "0"]);
        assert!(!recorder.words().contains("SECRET"));
    })
    .await;
}

/// Driven at once, after a wait, or after the commit of a transaction of the host's; and held open no longer.
async fn each_run_is_a_child_of_the_span_it_was_submitted_in<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::new(db).await;
        let (thread, other) = (host.thread().await, host.thread().await);
        let gate = Gate::new();
        host.fake.reply(Reply::text("first").hold_at(5, gate.clone()));
        let spans = ["a", "b", "c"].map(|name| info_span!(target: "host", "request", name));
        let ask = |thread| host.teller.ai_engine_run(&host.engine, thread, "Tell me");
        let first = ask(&thread).submit().instrument(spans[0].clone()).await.unwrap();
        gate.reached().await;
        let waits = ask(&thread).when_busy(Busy::Queue).submit();
        let waits = waits.instrument(spans[1].clone()).await.unwrap();
        let within = spans[2]
            .in_scope(|| host.db.with(|conn| ask(&other).submit_in(conn.session()).unwrap()));
        gate.open();
        let ids = spans.clone().map(|span| span.id().map(|id| id.into_u64()));
        drop(spans);
        for run in [&first, &waits, &within] {
            host.engine.answer(run.id).await.unwrap();
        }
        until(|| recorder.runs().len() == 3 && recorder.runs().iter().all(SpanSeen::is_closed))
            .await;
        for (run, parent) in [first, waits, within].iter().zip(ids) {
            let id = run.id.to_string();
            let span = recorder.runs().into_iter().find(|s| field(s, "ai_engine.run.id") == id);
            assert_eq!(span.unwrap().parent, parent, "{run:?}");
            let parent = tracing::span::Id::from_u64(parent.unwrap());
            until(|| recorder.span(&parent).is_closed()).await;
        }
    })
    .await;
}

/// What the host's tracing system was asked, and how it behaves.
#[derive(Clone, Default)]
struct Otel {
    current: Option<String>,
    panics: bool,
    recorder: Option<Recorder>,
    adopted: Arc<Mutex<Vec<(u64, String, bool)>>>,
}

impl TraceContext for Otel {
    fn current(&self) -> Option<String> {
        self.current.clone()
    }

    fn adopt(&self, span: &Span, traceparent: &str) {
        let id = span.id().unwrap();
        let entered = self.recorder.as_ref().is_some_and(|recorder| recorder.span(&id).entered);
        self.adopted.lock().unwrap().push((id.into_u64(), traceparent.to_owned(), entered));
        assert!(!self.panics, "the host's door is broken");
    }
}

fn with_door<D: TestDatabase>(host: &Host<D>, door: &Otel) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, |builder| builder.trace_context(door.clone()))
}

async fn a_trace_context_reaches_whichever_process_drives_the_run<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::new(db).await;
        let thread = host.thread().await;
        let otel = Otel { recorder: Some(recorder.clone()), ..Otel::default() };
        // One that only submits: it has no provider's runtime to drive it, and no door.
        let (client, db) = (host.fake.openai().unwrap(), host.db.clone());
        let (teller, asked) = (host.teller.clone(), thread.clone());
        let submitting = std::thread::spawn(move || {
            let builder = D::owners(AiEngine::builder(db.database()));
            let engine = builder.openai(client).build().unwrap();
            let request = teller.ai_engine_run(&engine, &asked, "Tell me").trace_context(PARENT);
            db.with(|conn| request.submit_in(conn.session())).unwrap()
        });
        let run = submitting.join().unwrap();
        let another = with_door(&host, &otel);
        another.recover().await.unwrap();
        another.answer(run.id).await.unwrap();
        let span = recorder.closed_run().await;
        let adopted = otel.adopted.lock().unwrap().clone();
        assert_eq!(adopted, [(span.id, PARENT.to_owned(), false)], "before it is entered");
        assert_eq!(field(&span, "ai_engine.traceparent"), PARENT);
    })
    .await;
}

async fn the_hosts_tracing_system_can_do_a_run_no_harm<D: TestDatabase>(db: D) {
    const STORED: &str = "SELECT coalesce(CAST(submission AS TEXT), 'nothing') AS line FROM ai_engine_runs ORDER BY id";
    recorded(|recorder| async move {
        let host = Host::new(db).await;
        let thread = host.thread().await;
        let request = info_span!(target: "host", "request");
        let current = |current: &str| Otel { current: Some(current.to_owned()), ..Otel::default() };
        let known = current(PARENT);
        let broken = Otel { panics: true, ..current(PARENT) };
        for door in [&known, &broken, &current("nonsense"), &Otel::default()] {
            let engine = with_door(&host, door);
            let asked = host.teller.ai_engine_run(&engine, &thread, "Tell me").submit();
            let run = asked.instrument(request.clone()).await.unwrap();
            let answer = engine.answer(run.id).await.unwrap();
            assert_eq!(answer.run.status, RunStatus::Completed);
        }
        let stored = host.db.texts(STORED);
        assert!(stored[0].contains(PARENT) && stored[1].contains(PARENT), "{stored:?}");
        assert!(!stored[2..].iter().any(|known| known.contains("trace")), "{stored:?}");
        let submitter = request.id().map(|id| id.into_u64());
        let parents: Vec<_> = recorder.runs().iter().map(|span| span.parent).collect();
        // One that the host's system knows by name need not be held open.
        assert_eq!(parents, [None, None, submitter, submitter]);
        assert_eq!(recorder.events("the host's trace context panicked").len(), 1);
    })
    .await;
}

async fn what_is_no_trace_context_is_refused<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    for text in ["", "nonsense", &PARENT.to_uppercase(), &format!("{PARENT}-{}", "0".repeat(1000))]
    {
        let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
        let error = asked.trace_context(text).submit().await.unwrap_err();
        assert!(matches!(&error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains("trace_context"), "{error}");
    }
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
}

async fn what_was_said_is_shown_where_the_host_asks_for_it<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::with(db, |builder| builder.trace_content(150)).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::text("Once upon").incomplete("max_output_tokens"));
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        let span = recorder.closed_run().await;
        let said = |name: &str| serde_json::from_str::<Value>(field(&span, name)).unwrap();
        let asked = json!([{"role": "user", "parts": [{"type": "text", "content": "Tell me"}]}]);
        assert_eq!(said("gen_ai.input.messages"), asked);
        let answered = json!([{"role": "assistant", "finish_reason": "length", "parts": [{"type": "text", "content": "Once upon"}]}]);
        assert_eq!(said("gen_ai.output.messages"), answered);

        let long = "long ".repeat(100);
        host.teller.ai_engine_run(&host.engine, &thread, long).await.unwrap();
        until(|| recorder.runs().len() == 2 && recorder.runs()[1].is_closed()).await;
        let shown = recorder.runs()[1].fields["gen_ai.input.messages"].clone();
        assert!(shown.len() <= 150 && shown.contains("long …"), "{shown}");
    })
    .await;
}
