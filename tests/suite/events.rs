//! Events: every reader is told everything once, whenever it comes, wherever the run is driven, and after what a cursor says.

use std::collections::BTreeMap;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AiEngine, AssistantThread, Cursor, Error, Event, EventKind, Events, Page, Role, Run, RunStatus,
    prelude::*,
};
use futures_util::future::join_all;

use crate::support::*;

on_each_database!(
    a_run_is_told_from_its_submission_to_its_end,
    the_events_of_a_run_are_a_part_of_those_of_its_thread,
    every_reader_is_told_every_word_once_whenever_it_comes,
    every_cursor_resumes_where_it_was_taken,
    a_page_of_messages_is_followed_without_a_gap,
    messages_without_a_run_are_told_in_their_place,
    a_run_of_another_process_is_followed_for_all_readers_at_once,
    another_process_is_told_of_a_replaced_text,
    words_lost_in_a_crash_come_as_a_replaced_text,
    a_queued_run_is_followed_into_the_process_that_drives_it,
    a_run_that_another_process_took_is_followed_there,
    a_run_cancelled_before_it_began_was_never_started,
    a_long_thread_is_told_from_its_beginning,
    chats_have_events_too,
    a_cursor_of_elsewhere_is_refused_by_name,
    a_cursor_newer_than_the_last_look_is_none_of_elsewhere,
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

async fn every_cursor_resumes_where_it_was_taken<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    thread.messages(&host.engine).create(Role::System, "Be brief.").await.unwrap();
    let mut told = Vec::new();
    let mut events = thread.events(&host.engine);
    for words in [["Once ", "upon ", "a time"], ["And ", "then", "."]] {
        let gates = [Gate::new(), Gate::new()];
        let reply = Reply::deltas(words).hold_at(5, gates[0].clone()).hold_at(6, gates[1].clone());
        host.fake.reply(reply);
        ask(&host, &thread, "Tell me").await;
        for gate in &gates {
            let grew = |kind: &EventKind| matches!(kind, EventKind::MessageAppended { .. });
            told.extend(until(&mut events, grew).await);
            gate.open();
        }
        told.extend(until(&mut events, settled).await);
    }
    assert!(told.len() > 2 * 9, "each word was an event: {told:#?}");

    // Another process, or a later life of this one.
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    for (index, event) in told.iter().enumerate().take(told.len() - 1) {
        let cursor: Cursor = event.cursor.to_string().parse().unwrap();
        let mut events = thread.events(&later).after(cursor);
        let mut page = Told::of(&told[..=index]);
        let mut rest = Vec::new();
        while rest.last() != told.last() {
            rest.push(events.next().await.unwrap().unwrap());
        }
        page.take_all(&rest);
        assert_eq!(page, Told::of(&told), "after {}", event.cursor);
    }
}

async fn a_page_of_messages_is_followed_without_a_gap<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = ask(&host, &thread, "Tell me").await;
    host.hub.until_text("Once ").await;
    let listed = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    let [user, assistant] = &listed[..] else { panic!("{listed:?}") };

    let mut behind_user = thread.events(&host.engine).after(Cursor::after(user));
    let first = behind_user.next().await.unwrap().unwrap();
    assert!(matches!(first.kind, EventKind::RunStarted { .. }), "{first:?}");
    let mut behind_all = thread.events(&host.engine).after(Cursor::after(assistant));
    gate.open();
    let told = until(&mut behind_all, settled).await;
    let EventKind::MessageAppended { offset, text, .. } = &told[0].kind else { panic!("{told:?}") };
    assert_eq!((*offset, text.as_str()), (5, "upon"));

    host.engine.answer(run.id).await.unwrap();
    let listed = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    let mut behind_all = thread.events(&host.engine).after(Cursor::after(&listed[1]));
    let end = behind_all.next().await.unwrap().unwrap();
    assert!(settled(&end.kind), "a settled message is not told again: {end:?}");
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

async fn read_all(
    readers: &mut [Events],
    pages: &mut [Told],
    last: impl Fn(&EventKind) -> bool + Sync + Send,
) {
    for (events, page) in readers.iter_mut().zip(pages) {
        page.take_all(&until(events, &last).await);
    }
}

async fn a_run_of_another_process_is_followed_for_all_readers_at_once<D: Raw>(db: D) {
    const READERS: usize = 50;
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let (other, watched) = watched(&host);

    let gates = [Gate::new(), Gate::new(), Gate::new()];
    let words = ["Once ", "upon ", "a ", "time"];
    let reply = gates
        .iter()
        .enumerate()
        .fold(Reply::deltas(words), |reply, (n, gate)| reply.hold_at(5 + n, gate.clone()));
    host.fake.reply(reply);
    let run = ask(&host, &thread, "Tell me").await;
    let mut readers: Vec<Events> = (0..READERS).map(|_| thread.events(&other)).collect();
    let mut pages = vec![Told::default(); READERS];
    read_all(&mut readers, &mut pages, says("Once ")).await;
    // All have joined: from here on nobody has a reason to ask on its own.
    watched.forget();
    for (gate, word) in gates.iter().zip(["upon ", "a ", "time"]) {
        gate.open();
        read_all(&mut readers, &mut pages, says(word)).await;
    }
    read_all(&mut readers, &mut pages, settled).await;

    let statements = watched.statements();
    let looks = statements
        .iter()
        .filter(|sql| sql.contains("\"next_seq\"") || sql.contains("`next_seq`"))
        .count();
    assert!(looks >= 3, "{statements:#?}");
    assert!(statements.len() <= looks * 6, "{} statements in {looks} looks", statements.len());
    assert_eq!(pages[0].texts.values().last().unwrap(), "Once upon a time");
    assert!(pages.iter().all(|page| *page == pages[0]));
    // And what the process that drives it told is the same.
    let mut own = thread.events(&host.engine);
    assert_eq!(Told::of(&until(&mut own, settled).await), pages[0]);
    host.engine.answer(run.id).await.unwrap();
}

async fn another_process_is_told_of_a_replaced_text<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["abcd"]).final_text("€€€").hold_at(5, gate.clone()));
    let run = ask(&host, &thread, "Tell me").await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let mut readers = [run.events(&host.engine), run.events(&other)];
    for events in &mut readers {
        while !says("abcd")(&events.next().await.unwrap().unwrap().kind) {}
    }
    gate.open();
    for events in &mut readers {
        // The two texts have the same number of bytes at no boundary in common.
        let next = events.next().await.unwrap().unwrap();
        assert!(
            matches!(&next.kind, EventKind::MessageReplaced { message, .. } if message.content == "€€€"),
            "{next:?}"
        );
        let last = events.next().await.unwrap().unwrap();
        assert!(
            matches!(last.kind, EventKind::RunSettled { run, .. } if run.status == RunStatus::Completed)
        );
        assert!(events.next().await.is_none());
    }
    // A reader that comes later is told the final text only.
    let mut events = run.events(&other);
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event.unwrap());
    }
    assert_eq!(Told::of(&told).texts.values().last().unwrap(), "€€€");
}

async fn words_lost_in_a_crash_come_as_a_replaced_text<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once upon a time"]));
    let run = ask(&host, &thread, "Tell me").await;
    let mut events = thread.events(&host.engine);
    let told = until(&mut events, says("Once upon")).await;
    let cursor = told.last().unwrap().cursor.clone();
    host.engine.answer(run.id).await.unwrap();
    // As recovery leaves it when the last words were not stored yet.
    host.db.execute(
        "UPDATE ai_engine_messages SET content = 'Once ', status = 'incomplete' WHERE role = 'assistant';
         UPDATE ai_engine_runs SET status = 'incomplete', reason = 'interrupted'",
    );
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let mut events = thread.events(&later).after(cursor);
    let next = events.next().await.unwrap().unwrap();
    assert!(
        matches!(&next.kind, EventKind::MessageReplaced { message, .. } if message.content == "Once "),
        "{next:?}"
    );
    assert!(settled(&events.next().await.unwrap().unwrap().kind));
}

async fn a_queued_run_is_followed_into_the_process_that_drives_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let reader = D::owners(AiEngine::builder(host.db.database())).build().unwrap();
    let run = submit_undriven(&host, &thread);
    let mut here = thread.events(&host.engine);
    let mut elsewhere = thread.events(&reader);
    let asked = |kind: &EventKind| matches!(kind, EventKind::MessageStarted { .. });
    let mut pages =
        [Told::of(&until(&mut here, asked).await), Told::of(&until(&mut elsewhere, asked).await)];
    assert_eq!(pages[0].story.len(), 2, "queued, and the user's message: {pages:?}");
    host.fake.reply(Reply::text("Once."));
    assert_eq!(host.engine.recover().await.unwrap().driven, 1);
    for (page, events) in pages.iter_mut().zip([&mut here, &mut elsewhere]) {
        page.take_all(&until(events, settled).await);
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[0].story.last().unwrap(), &format!("run {} completed", run.id));
    assert_eq!(pages[0].texts.values().last().unwrap(), "Once.");
}

async fn a_run_that_another_process_took_is_followed_there<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = ask(&host, &thread, "Tell me").await;
    let mut events = thread.events(&host.engine);
    let mut page = Told::of(&until(&mut events, says("Once ")).await);
    host.db.execute("UPDATE ai_engine_workers SET lease_ends_at = 0");
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    assert_eq!(other.recover().await.unwrap().settled, 1);
    // The first process wakes up, finds that it lost the run, and follows it.
    gate.open();
    page.take_all(&until(&mut events, settled).await);
    assert_eq!(page.story.last().unwrap(), &format!("run {} incomplete", run.id));
    let stored = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(
        page.texts.into_values().collect::<Vec<_>>(),
        stored.into_iter().map(|m| m.content).collect::<Vec<_>>()
    );
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

async fn a_cursor_of_elsewhere_is_refused_by_name<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    host.teller.ai_engine_run(&host.engine, &other, "Tell me").await.unwrap();
    let cursor = until(&mut other.events(&host.engine), settled).await.pop().unwrap().cursor;
    let refused =
        thread.events(&host.engine).after(cursor.clone()).next().await.unwrap().unwrap_err();
    assert!(matches!(&refused, Error::Invalid { field: "cursor", .. }), "{refused}");
    let said = refused.to_string();
    assert!(
        said.contains(&format!("assistant thread {}", other.id))
            && said.contains(&cursor.to_string()),
        "{said}"
    );

    let ahead: Cursor = format!("t{}.77", thread.id).parse().unwrap();
    let mut events = thread.events(&host.engine).after(ahead);
    let refused = events.next().await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("is ahead of its conversation"), "{refused}");
    assert!(events.next().await.is_none(), "an error is the last item");
}

async fn a_cursor_newer_than_the_last_look_is_none_of_elsewhere<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    host.teller.ai_engine_run(&host.engine, &thread, "one").await.unwrap();
    // A reader there: what that process knows is as old as its last look.
    let mut early = thread.events(&other);
    until(&mut early, settled).await;
    let mut here = thread.events(&host.engine);
    until(&mut here, settled).await;
    host.teller.ai_engine_run(&host.engine, &thread, "two").await.unwrap();
    let cursor = until(&mut here, settled).await.pop().unwrap().cursor;
    let mut late = thread.events(&other).after(cursor);
    let third = ask(&host, &thread, "three").await;
    let next = late.next().await.unwrap().unwrap();
    assert!(
        matches!(&next.kind, EventKind::RunQueued { run, .. } if run.id == third.id),
        "{next:?}"
    );
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
