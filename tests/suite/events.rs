//! Events: every reader is told everything once, whenever it comes, wherever the run is driven, and after what a cursor says.

mod cursors;
mod elsewhere;

use std::collections::BTreeMap;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AiEngine, AssistantThread, Error, Event, EventKind, Events, Page, Role, Run, prelude::*,
};
use futures_util::future::join_all;

use crate::support::*;

on_each_database!(
    a_run_is_told_from_its_submission_to_its_end,
    the_events_of_a_run_are_a_part_of_those_of_its_thread,
    every_reader_is_told_every_word_once_whenever_it_comes,
    messages_without_a_run_are_told_in_their_place,
    a_run_cancelled_before_it_began_was_never_started,
    a_long_thread_is_told_from_its_beginning,
    chats_have_events_too,
    the_end_of_a_thread_ends_its_events,
);

/// What a reader was told, put together as a page would.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    /// In the order of their telling: kinds, without text.
    story: Vec<String>,
    /// The text of each message, by id.
    texts: BTreeMap<i64, String>,
}

impl Told {
    fn take(&mut self, event: &Event) {
        let line = match &event.kind {
            EventKind::RunQueued { run, .. }
            | EventKind::RunStarted { run, .. }
            | EventKind::RunSettled { run, .. } => {
                format!("run {} {}", run.id, run.status)
            }
            EventKind::MessageStarted { message, .. } => {
                let before = self.texts.insert(message.id, message.content.clone());
                assert_eq!(before, None, "told twice: {event:?}");
                format!("{} {} started", message.role, message.id)
            }
            EventKind::MessageAppended { message_id, offset, text, .. } => {
                let told = self.texts.get_mut(message_id).expect("text before its message");
                assert_eq!(*offset, told.len(), "a gap, or text told twice: {event:?}");
                assert!(!text.is_empty());
                told.push_str(text);
                return;
            }
            EventKind::MessageReplaced { message, .. } => {
                self.texts.insert(message.id, message.content.clone());
                format!("message {} replaced", message.id)
            }
            EventKind::MessageSettled { message, .. } => {
                assert_eq!(self.texts.get(&message.id), Some(&message.content), "all was told");
                format!("message {} settled", message.id)
            }
            other => panic!("{other:?}"),
        };
        self.story.push(line);
    }

    fn take_all(&mut self, events: &[Event]) {
        for event in events {
            self.take(event);
        }
    }

    fn of(events: &[Event]) -> Self {
        let mut page = Self::default();
        page.take_all(events);
        page
    }
}

/// Reads until something is told that `last` looks for.
async fn until(events: &mut Events, last: impl Fn(&EventKind) -> bool + Send + Sync) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        let event = events.next().await.expect("events have no end").unwrap();
        let found = last(&event.kind);
        told.push(event);
        if found {
            return told;
        }
    }
}

fn settled(kind: &EventKind) -> bool {
    matches!(kind, EventKind::RunSettled { .. })
}

fn says(text: &'static str) -> impl Fn(&EventKind) -> bool {
    move |kind| matches!(kind, EventKind::MessageAppended { text: told, .. } if told.contains(text))
}

async fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) -> Run {
    host.teller.ai_engine_run(&host.engine, thread, text).submit().await.unwrap()
}

async fn a_run_is_told_from_its_submission_to_its_end<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon a time."));
    let mut events =
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").stream().await.unwrap();
    let run = events.run().id;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event.unwrap());
    }
    let page = Told::of(&told);
    let ids: Vec<i64> = page.texts.keys().copied().collect();
    let expected = [
        format!("run {run} queued"),
        format!("user {} started", ids[0]),
        format!("run {run} in_progress"),
        format!("assistant {} started", ids[1]),
        format!("message {} settled", ids[1]),
        format!("run {run} completed"),
    ];
    assert_eq!(page.story, expected);
    assert_eq!(page.texts.into_values().collect::<Vec<_>>(), ["Tell me", "Once upon a time."]);

    // As JSON: flat, with its name and its cursor.
    let json = serde_json::to_value(&told[0]).unwrap();
    assert_eq!(json["event"], told[0].name());
    assert_eq!(json["cursor"], told[0].cursor.to_string());
    assert_eq!((&json["run"]["id"], &json["run"]["status"]), (&run.into(), &"queued".into()));
    assert_eq!(json["run"]["started_at"], serde_json::Value::Null, "as it was then");
}

async fn the_events_of_a_run_are_a_part_of_those_of_its_thread<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    for text in ["one", "two", "three"] {
        host.fake.reply(Reply::text(text));
        let run = ask(&host, &thread, text).await;
        host.engine.answer(run.id).await.unwrap();
    }
    let runs = thread.runs(&host.engine, Page::default()).await.unwrap();
    let mut all = Vec::new();
    let mut events = thread.events(&host.engine);
    for _ in &runs {
        all.extend(until(&mut events, settled).await);
    }
    let mut parts = Vec::new();
    for run in runs.iter().rev() {
        let mut events = run.events(&host.engine);
        while let Some(event) = events.next().await {
            parts.push(event.unwrap());
        }
    }
    assert_eq!(parts, all);
    // A thread's cursor from before, within and after a run.
    let (second, third) = (&runs[1], &runs[0]);
    let within = all.iter().position(
        |event| matches!(&event.kind, EventKind::RunStarted { run, .. } if run.id == second.id),
    );
    let within = within.unwrap();
    let mut rest = second.events(&host.engine).after(all[within].cursor.clone());
    assert_eq!(rest.next().await.unwrap().unwrap(), all[within + 1]);
    let mut whole = third.events(&host.engine).after(all[within].cursor.clone());
    assert!(
        matches!(whole.next().await.unwrap().unwrap().kind, EventKind::RunQueued { run, .. } if run.id == third.id)
    );
    let end = all.last().unwrap().cursor.clone();
    assert!(second.events(&host.engine).after(end).next().await.is_none());
}

async fn every_reader_is_told_every_word_once_whenever_it_comes<D: TestDatabase>(db: D) {
    const WORDS: usize = 12;
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    // Events 4 … 15 are the words; each waits for its gate.
    let gates: Vec<Gate> = (0..WORDS).map(|_| Gate::new()).collect();
    let words =
        ["Once ", "upon ", "a ", "time ", "€", "ß", "日本", "😀", " there ", "was ", "a ", "rose"];
    let reply = Reply::deltas(words);
    let reply =
        gates.iter().enumerate().fold(reply, |reply, (n, gate)| reply.hold_at(4 + n, gate.clone()));
    host.fake.reply(reply);

    let mut readers = Vec::new();
    let mut read = |engine: &AiEngine| {
        let mut events = thread.events(engine);
        readers.push(tokio::spawn(async move { Told::of(&until(&mut events, settled).await) }));
    };
    read(&host.engine);
    read(&other);
    let run = ask(&host, &thread, "Tell me").await;
    for gate in &gates {
        gate.reached().await;
        for _ in 0..8 {
            read(&host.engine);
        }
        read(&other);
        gate.open();
    }
    host.engine.answer(run.id).await.unwrap();
    read(&host.engine);
    read(&other);
    let pages: Vec<Told> = join_all(readers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(pages[0].texts.values().last().unwrap(), &words.concat());
    for page in &pages {
        assert_eq!(page, &pages[0]);
    }
}

async fn messages_without_a_run_are_told_in_their_place<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let mut events = thread.events(&host.engine);
    let messages = thread.messages(&host.engine);
    let said = messages.create(Role::System, "Be brief.").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert!(matches!(&first.kind, EventKind::MessageStarted { message, .. } if *message == said));
    ask(&host, &thread, "Tell me").await;
    until(&mut events, settled).await;
    // Another process adds one: only the database knows.
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let said = thread.messages(&other).create(Role::Assistant, "Imported.").await.unwrap();
    let next = events.next().await.unwrap().unwrap().kind;
    assert!(matches!(&next, EventKind::MessageStarted { message, .. } if *message == said));
}

async fn a_run_cancelled_before_it_began_was_never_started<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = submit_undriven(&host, &thread);
    run.cancel(&host.engine).await.unwrap();
    let mut events = run.events(&host.engine);
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event.unwrap().name());
    }
    assert_eq!(told, ["run_queued", "message_started", "run_settled"]);
}

async fn a_long_thread_is_told_from_its_beginning<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    // More turns than are read at once, and a hole in their numbers.
    let row = |n: i64| {
        format!(
            "({}, {n}, 0, 'user', 'completed', 'message {n}', 'absent', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
            thread.id
        )
    };
    let rows: Vec<String> = (1..=150).filter(|n| !(40..110).contains(n)).map(row).collect();
    host.db.execute(&format!(
        "INSERT INTO ai_engine_messages (assistant_thread_id, seq, position, role, status, content, remote_state, created_at, updated_at) VALUES {};
         UPDATE ai_engine_assistant_threads SET next_seq = 151",
        rows.join(", ")
    ));
    let mut events = thread.events(&host.engine);
    for n in (1..=150).filter(|n| !(40..110).contains(n)) {
        let event = events.next().await.unwrap().unwrap();
        let EventKind::MessageStarted { message, .. } = event.kind else { panic!("{event:?}") };
        assert_eq!((message.seq, message.content), (n, format!("message {n}")));
    }
    ask(&host, &thread, "Tell me").await;
    until(&mut events, settled).await;
}

async fn chats_have_events_too<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let mut events = chat.events(&host.engine);
    host.fake.reply(Reply::text("Hi."));
    let answer = chat.run(&host.engine, "test-model", "Hello").await.unwrap();
    let told = until(&mut events, settled).await;
    assert_eq!(Told::of(&told).texts.into_values().collect::<Vec<_>>(), ["Hello", "Hi."]);
    let last = &told.last().unwrap().kind;
    assert!(matches!(last, EventKind::RunSettled { run, .. } if *run == answer.run), "{last:?}");
    assert!(told.last().unwrap().cursor.to_string().starts_with(&format!("c{}.", chat.id)));
}

async fn the_end_of_a_thread_ends_its_events<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    host.fake.reply(Reply::deltas(["Once ", "upon"]).stall_at(5));
    let run = ask(&host, &thread, "Tell me").await;
    let mut of_thread = [thread.events(&host.engine), thread.events(&other)];
    let mut of_run = [run.events(&host.engine), run.events(&other)];
    for events in &mut of_thread {
        until(events, says("Once ")).await;
    }
    for events in &mut of_run {
        while !says("Once ")(&events.next().await.unwrap().unwrap().kind) {}
    }
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    for mut events in of_thread {
        let end = events.next().await.unwrap().unwrap_err();
        assert!(matches!(&end, Error::NotFound { what: "assistant thread", .. }), "{end}");
    }
    for mut events in of_run {
        let end = events.next().await.unwrap().unwrap_err();
        assert!(matches!(end, Error::RunGone(id) if id == run.id), "{end}");
    }
    let end = thread.events(&host.engine).next().await.unwrap().unwrap_err();
    assert!(matches!(end, Error::NotFound { .. }), "{end}");
}
