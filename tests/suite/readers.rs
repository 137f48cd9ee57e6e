//! Readers that come from outside: cursors nobody of ours wrote, a web server that is to end, and runs asked for by their ids.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Cursor, Error, EventKind, RunStatus, prelude::*};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use futures_util::StreamExt;

use crate::support::*;

on_each_database!(
    cursors_at_their_extremes_are_refused_or_go_on,
    a_cursor_is_checked_before_the_first_event,
    a_place_of_an_owner_is_checked_before_the_first_event,
    numbers_without_a_turn_cost_nothing,
    a_forged_digest_replaces_the_text_once,
    a_web_server_with_a_connected_browser_ends_and_the_browser_goes_on_elsewhere,
    whoever_waits_for_an_answer_is_told_of_the_shutdown,
    a_run_is_found_and_stopped_by_its_owner_alone,
);

async fn cursors_at_their_extremes_are_refused_or_go_on<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Ünce ", "üpon"]).hold_at(5, gate.clone()));
    let live = host.teller.ai_engine_run(&host.engine, &thread, "More").submit().await.unwrap();
    host.hub.until_text("Ünce ").await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let id = thread.id;
    let largest = 1_i64 << 53;
    let texts = [
        format!("t{id}.0"),
        format!("t{id}.1b"),
        format!("t{id}.1b.0:1:1"),
        format!("t{id}.1b.0:{largest}:1"),
        format!("t{id}.1b{largest}"),
        format!("t{id}.1b.{largest}"),
        format!("t{id}.2b.0:1:1"),
        format!("t{id}.2b.0:2:ffffffffffffffff"),
        format!("t{id}.2b.0:{largest}:0"),
        format!("t{id}.2b.5:3:0"),
        format!("t{id}.{largest}"),
        format!("t{id}.{largest}b"),
        format!("t{id}.3"),
        format!("t{id}.4"),
    ];
    for text in &texts {
        let cursor: Cursor = text.parse().unwrap();
        for engine in [&host.engine, &other] {
            let mut events = thread.events(engine).after(cursor.clone());
            // An event, an error, or nothing yet: never a panic, never a busy loop.
            let _ = tokio::time::timeout(Duration::from_millis(300), events.next()).await;
            let mut events = live.events(engine).after(cursor.clone());
            let _ = tokio::time::timeout(Duration::from_millis(300), events.next()).await;
        }
    }
    for text in [format!("t{id}.{largest}"), format!("t{id}.{largest}b"), format!("t{id}.4")] {
        let mut events = thread.events(&host.engine).after(text.parse().unwrap());
        let error = events.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "cursor", .. }), "{text}: {error}");
        assert!(error.to_string().contains("ahead"), "{text}: {error}");
    }
    gate.open();
    host.engine.answer(live.id).await.unwrap();
}

async fn a_cursor_is_checked_before_the_first_event<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other, deleted) = (host.thread().await, host.thread().await, host.thread().await);
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.user.assistant_threads(&host.engine).destroy(deleted.id).await.unwrap();
    let engine = &host.engine;
    let refused = [
        "garbage".to_owned(),
        "t1.9223372036854775807".to_owned(),
        format!("t{}.0", other.id),
        format!("c{}.0", thread.id),
        format!("t{}.7", thread.id),
    ];
    for text in &refused {
        let error = thread.events(engine).resume(Some(text)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "cursor", .. }), "{text}: {error}");
        let error = answer.run.events(engine).resume(Some(text)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "cursor", .. }), "{text}: {error}");
    }
    for text in [None, Some(format!("t{}.0", deleted.id))] {
        let error = deleted.events(engine).resume(text.as_deref()).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    for none in [None, Some(""), Some(" ")] {
        let mut events = thread.events(engine).resume(none).await.unwrap();
        let first = events.next().await.unwrap().unwrap();
        assert!(matches!(first.kind, EventKind::RunQueued { .. }));
    }
    // Each place that was given out is one to go on from.
    let all: Vec<_> = answer.run.events(engine).map(Result::unwrap).collect().await;
    for (index, event) in all.iter().enumerate() {
        let text = event.cursor.to_string();
        let rest = answer.run.events(engine).resume(Some(&text)).await.unwrap();
        let rest: Vec<_> = rest.map(Result::unwrap).collect().await;
        assert_eq!(rest, all[index + 1..], "{text}");
    }
}

async fn a_place_of_an_owner_is_checked_before_the_first_event<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let theirs = User { id: host.user.id + 1, ..host.user.clone() };
    let (thread, deleted, others) =
        (host.thread().await, host.thread().await, theirs.assistant_threads(&host.engine));
    let others = others.create().await.unwrap();
    host.user.assistant_threads(&host.engine).destroy(deleted.id).await.unwrap();
    let events = || host.user.events(&host.engine);
    let now = events().now().await.unwrap().to_string();
    let now = now.split('~').next().unwrap();
    let later = "o9999999999999".to_owned();
    let refused =
        ["garbage".to_owned(), later.clone(), "o-1".to_owned(), format!("{now}~t{}.7", thread.id)];
    for text in &refused {
        let error = events().resume(Some(text)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "cursor", .. }), "{text}: {error}");
    }
    let error = events().after(later.parse().unwrap()).next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("ahead"), "{error}");
    // What is gone, or another owner's, is left out.
    for id in [deleted.id, others.id] {
        events().resume(Some(&format!("{now}~t{id}.7"))).await.unwrap();
    }
    for none in [None, Some(""), Some(" ")] {
        events().resume(none).await.unwrap();
    }
}

async fn numbers_without_a_turn_cost_nothing<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "one").await.unwrap();
    // As many requests were refused, or somebody meant mischief.
    host.db.execute("UPDATE ai_engine_assistant_threads SET next_seq = 4000000000000");
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "two").await.unwrap();
    let mut events =
        thread.events(&host.engine).after(format!("t{}.1", thread.id).parse().unwrap());
    let next = events.next().await.unwrap().unwrap();
    assert!(matches!(next.kind, EventKind::RunQueued { run, .. } if run.id == answer.run.id));
    let mut events =
        thread.events(&host.engine).after(format!("t{}.3000000000", thread.id).parse().unwrap());
    let next = events.next().await.unwrap().unwrap();
    assert!(matches!(next.kind, EventKind::RunQueued { run, .. } if run.id == answer.run.id));
}

async fn a_forged_digest_replaces_the_text_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon ", "a time"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    let forged = format!("t{}.1b.0:3:1", thread.id).parse().unwrap();
    let events = run.events(&host.engine).after(forged);
    gate.open();
    let names: Vec<_> = events.map(|event| event.unwrap().name()).collect().await;
    assert_eq!(names, ["message_replaced", "run_settled"]);
}

/// The events of a thread as a web server sends them.
async fn sse<D: TestDatabase>(
    State((engine, user, thread)): State<(ai_engine::AiEngine, User, i64)>,
    headers: HeaderMap,
) -> Result<Body, String> {
    let _ = std::marker::PhantomData::<D>;
    let thread = user.assistant_threads(&engine).find(thread).await.map_err(|e| e.to_string())?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let events = thread.events(&engine).resume(last).await.map_err(|e| e.to_string())?;
    Ok(Body::from_stream(events.map(|event| {
        event.map(|event| {
            let data = serde_json::to_string(&event).unwrap();
            format!("id: {}\nevent: {}\ndata: {data}\n\n", event.cursor, event.name())
        })
    })))
}

/// What a browser reads until the server ends the stream.
async fn browse(
    address: std::net::SocketAddr,
    last: Option<String>,
    told: &tokio::sync::watch::Sender<String>,
) {
    let mut request = reqwest::Client::new().get(format!("http://{address}/"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut response = request.send().await.unwrap();
    while let Ok(Some(chunk)) = response.chunk().await {
        told.send_modify(|text| text.push_str(std::str::from_utf8(&chunk).unwrap()));
    }
}

/// The text that was appended, as a page would show it, and the last place.
fn shown(told: &str) -> (String, Option<String>) {
    let mut text = String::new();
    for data in told.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: serde_json::Value = serde_json::from_str(data).unwrap();
        if event["event"] == "message_appended" {
            text.push_str(event["text"].as_str().unwrap());
        }
    }
    (text, told.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().map(str::to_owned))
}

async fn a_web_server_with_a_connected_browser_ends_and_the_browser_goes_on_elsewhere<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply_to("Tell", Reply::deltas(["Once ", "upon"]).stall_at(6));
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let serve = |engine: ai_engine::AiEngine, stop: tokio::sync::oneshot::Receiver<()>| {
        let state = (engine.clone(), host.user.clone(), thread.id);
        async move {
            let app =
                axum::Router::new().route("/", axum::routing::get(sse::<D>)).with_state(state);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = axum::serve(listener, app).with_graceful_shutdown(async move {
                let _ = stop.await;
                engine.shutdown(Duration::from_secs(2)).await.unwrap();
            });
            (address, tokio::spawn(async move { server.await.unwrap() }))
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (address, server) = serve(host.engine.clone(), stopped).await;
    let told = tokio::sync::watch::Sender::new(String::new());
    let mut seen = told.subscribe();
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    let reading = browse(address, None, &told);
    let ending = async {
        seen.wait_for(|told| shown(told).0 == "Once upon").await.unwrap();
        stop.send(()).unwrap();
        // It would wait for the browser, who would wait for ever.
        server.await.unwrap();
    };
    tokio::join!(reading, ending);

    let (_stop, never) = tokio::sync::oneshot::channel();
    let (address, _server) = serve(other.clone(), never).await;
    let last = shown(&told.borrow()).1;
    assert_eq!(other.recover().await.unwrap().settled, 1, "it was given up");
    let mut seen = told.subscribe();
    let answered = async {
        host.fake.reply_to("Go", Reply::text(" a time."));
        host.teller.ai_engine_run(&other, &thread, "Go on").await.unwrap();
        seen.wait_for(|told| shown(told).0 == "Once upon a time.").await.unwrap();
    };
    tokio::select! {
        () = browse(address, last, &told) => panic!("the server ended"),
        () = answered => {}
    }
    let ends = told.borrow().matches("event: run_settled").count();
    assert!(ends >= 1, "{ends}");
}

async fn whoever_waits_for_an_answer_is_told_of_the_shutdown<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    host.fake.reply_to("Tell", Reply::deltas(["Once ", "upon"]).stall_at(5));
    let driven =
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    let nobodys = submit_undriven(&host, &other);
    host.hub.until_text("Once ").await;
    let (one, two, three) = tokio::join!(
        host.engine.answer(driven.id),
        host.engine.answer(nobodys.id),
        host.engine.shutdown(Duration::from_secs(1)),
    );
    three.unwrap();
    for waited in [one, two] {
        assert!(matches!(waited, Err(Error::ShuttingDown)), "{waited:?}");
    }
}

async fn a_run_is_found_and_stopped_by_its_owner_alone<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let bob = User { id: 2, name: "Bob".to_owned() };
    host.fake.reply_always(Reply::deltas(["Once ", "upon"]).stall_at(5));
    let runs = [
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap(),
        chat.run(&host.engine, "m", "Tell me").submit().await.unwrap(),
    ];
    for run in runs {
        for refused in
            [bob.find_run(&host.engine, run.id).await, bob.cancel_run(&host.engine, run.id).await]
        {
            assert!(matches!(refused, Err(Error::NotFound { what: "run", .. })), "{refused:?}");
        }
        assert_eq!(host.user.find_run(&host.engine, run.id).await.unwrap().id, run.id);
        let stopped = host.user.cancel_run(&host.engine, run.id).await.unwrap();
        assert_eq!(stopped.status, RunStatus::Cancelled);
    }
    let missing = host.user.find_run(&host.engine, 999).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
}
