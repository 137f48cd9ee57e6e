//! The events of all conversations of an owner: each is told as its own stream tells it, once, wherever the reader begins.

use std::collections::BTreeMap;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AssistantThread, Cursor, EventKind, Messageable, OwnerCursor, OwnerEvent, OwnerEvents, Page,
    Run, prelude::*,
};

use crate::support::*;

on_each_database!(
    every_conversation_is_told_as_it_tells_itself,
    every_place_resumes_in_another_process,
    an_old_conversation_is_told_from_where_it_goes_on,
    what_is_over_leaves_the_place,
    what_is_over_with_a_change_of_the_path_leaves_it_too,
    a_reader_that_stood_still_is_told_all,
    a_conversation_that_cannot_be_read_is_left_out,
    a_page_takes_its_place_before_it_reads,
    the_conversations_of_others_are_none_of_it,
);

fn settled(kind: &EventKind) -> bool {
    matches!(kind, EventKind::RunSettled { .. })
}

async fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) -> Run {
    host.teller.ai_engine_run(&host.engine, thread, text).submit().await.unwrap()
}

/// Until so many runs have ended.
async fn until_ended(events: &mut OwnerEvents, runs: usize) -> Vec<OwnerEvent> {
    let mut told = Vec::new();
    let mut ended = 0;
    while ended < runs {
        let event = events.next().await.unwrap().unwrap();
        ended += usize::from(settled(&event.kind));
        told.push(event);
    }
    told
}

/// What a reader was told of each conversation, its pieces of text put together.
fn by_conversation(told: &[(Messageable, &EventKind)]) -> BTreeMap<String, (Vec<String>, String)> {
    let mut all: BTreeMap<String, (Vec<String>, String)> = BTreeMap::new();
    for (of, kind) in told {
        let (story, text) = all.entry(of.to_string()).or_default();
        match kind {
            EventKind::MessageAppended { offset, text: more, .. } => {
                let begins = story.last().map(String::as_str);
                if begins == Some("message_started") && *offset == 0 {
                    text.push('|');
                }
                text.push_str(more);
            }
            kind => story.push(kind.name().to_owned()),
        }
    }
    all
}

fn of_owner(told: &[OwnerEvent]) -> BTreeMap<String, (Vec<String>, String)> {
    {
        let told: Vec<_> = told.iter().map(|event| (event.messageable, &event.kind)).collect();
        by_conversation(&told)
    }
}

async fn every_conversation_is_told_as_it_tells_itself<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let (first, second) = (host.thread().await, host.thread().await);
    // One that is going on already, and two readers of it, here and in another process.
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    ask(&host, &first, "Tell me").await;
    gate.reached().await;
    let mut readers = [host.user.events(&host.engine), host.user.events(&other)];
    for events in &mut readers {
        let begins = events.next().await.unwrap().unwrap();
        assert_eq!(begins.name(), "run_queued");
    }
    host.fake.reply(Reply::text("There was"));
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    ask(&host, &second, "And?").await;
    host.fake.reply(Reply::text("a rose"));
    chat.run(&host.engine, "test-model", "And?").submit().await.unwrap();
    gate.open();
    let [here, there] = &mut readers;
    let here = until_ended(here, 3).await;
    let there = until_ended(there, 3).await;
    let mut alone = Vec::new();
    for mut events in
        [first.events(&host.engine), second.events(&host.engine), chat.events(&host.engine)]
    {
        loop {
            let event = events.next().await.unwrap().unwrap();
            let ended = settled(&event.kind);
            alone.push((event.cursor.to_string(), event.kind));
            if ended {
                break;
            }
        }
    }
    let of = |cursor: &str| {
        let id = cursor[1..].split('.').next().unwrap().parse().unwrap();
        if cursor.starts_with('t') {
            Messageable::AssistantThread(id)
        } else {
            Messageable::Chat(id)
        }
    };
    let alone: Vec<_> = alone.iter().map(|(cursor, kind)| (of(cursor), kind)).collect();
    let mut alone = by_conversation(&alone);
    // Of the first one its beginning was taken above.
    alone.get_mut(&Messageable::AssistantThread(first.id).to_string()).unwrap().0.remove(0);
    assert_eq!(of_owner(&here), alone);
    assert_eq!(of_owner(&there), alone);
}

async fn every_place_resumes_in_another_process<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (first, second) = (host.thread().await, host.thread().await);
    let mut events = host.user.events(&host.engine);
    let begins = events.now().await.unwrap();
    let mut told = Vec::new();
    for (thread, words) in [(&first, ["Once ", "upon"]), (&second, ["There ", "was"])] {
        let gate = Gate::new();
        host.fake.reply(Reply::deltas(words).hold_at(5, gate.clone()));
        ask(&host, thread, "Tell me").await;
        loop {
            let event = events.next().await.unwrap().unwrap();
            if matches!(event.kind, EventKind::MessageAppended { .. }) {
                gate.open();
            }
            let ended = settled(&event.kind);
            told.push(event);
            if ended {
                break;
            }
        }
    }
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let all = of_owner(&told);
    let places = std::iter::once(begins).chain(told.iter().map(|event| event.cursor.clone()));
    for (index, place) in places.enumerate().take(told.len()) {
        let place = place.to_string();
        let ended = told[..index].iter().filter(|event| settled(&event.kind)).count();
        let mut events = host.user.events(&later).resume(Some(&place)).await.unwrap();
        let mut page = told[..index].to_vec();
        page.extend(until_ended(&mut events, 2 - ended).await);
        assert_eq!(of_owner(&page), all, "after {place}");
    }
}

async fn an_old_conversation_is_told_from_where_it_goes_on<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once"));
    let run = ask(&host, &thread, "Tell me").await;
    host.engine.answer(run.id).await.unwrap();
    until_announced(&host.db).await;
    for table in ["messages", "runs", "assistant_threads"] {
        let times = "created_at = '2026-01-01 00:00:00', updated_at = '2026-01-01 00:00:00'";
        host.db.execute(&format!("UPDATE ai_engine_{table} SET {times}"));
    }
    let mut events = host.user.events(&host.engine);
    let place = events.now().await.unwrap();
    assert!(!place.to_string().contains('~'), "nothing happens: {place}");
    host.fake.reply(Reply::text("upon"));
    let again = ask(&host, &thread, "And?").await;
    let told = until_ended(&mut events, 1).await;
    let runs: Vec<i64> = told
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::RunQueued { run, .. } => Some(run.id),
            _ => None,
        })
        .collect();
    assert_eq!(runs, [again.id]);
}

async fn what_is_over_leaves_the_place<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (old, new) = (host.thread().await, host.thread().await);
    host.fake.reply(Reply::text("Once"));
    let run = ask(&host, &old, "Tell me").await;
    host.engine.answer(run.id).await.unwrap();
    let all = format!(
        "UPDATE ai_engine_assistant_threads SET updated_at = '2026-01-01 00:00:00' WHERE id = {}",
        old.id
    );
    host.db.execute(&all);
    // A place of an hour ago, when the old one had just ended.
    let ago = chrono::Utc::now().timestamp_millis() - 3_600_000;
    let place = format!("o{ago}~t{}.1", old.id);
    let mut events = host.user.events(&host.engine).resume(Some(&place)).await.unwrap();
    host.fake.reply(Reply::text("upon"));
    ask(&host, &new, "Tell me").await;
    let told = until_ended(&mut events, 1).await;
    // With the look after the first one it is left.
    let mut last = told.last().unwrap().cursor.to_string();
    while last.contains(&format!("~t{}.", old.id)) {
        host.fake.reply(Reply::text("a time"));
        ask(&host, &new, "And?").await;
        last = until_ended(&mut events, 1).await.last().unwrap().cursor.to_string();
    }
    assert!(last.contains(&format!("~t{}.", new.id)), "{last}");
    assert!(told.iter().all(|event| event.messageable == Messageable::AssistantThread(new.id)));
}

async fn a_page_takes_its_place_before_it_reads<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = ask(&host, &thread, "Tell me").await;
    run.until_text(&host.engine, "Once ").await.unwrap();
    let place = host.user.events(&host.engine).now().await.unwrap();
    let turns = thread.turns(&host.engine, Page::default()).await.unwrap();
    let place = place.with(turns.follow());
    let mut events = host.user.events(&host.engine).after(place);
    gate.open();
    let told = until_ended(&mut events, 1).await;
    let EventKind::MessageAppended { offset, text, .. } = &told[0].kind else { panic!("{told:?}") };
    assert_eq!((*offset, text.as_str()), (5, "upon"), "what the page shows is not told again");
}

async fn the_conversations_of_others_are_none_of_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let theirs = User { id: host.user.id + 1, ..host.user.clone() };
    let thread = theirs.assistant_threads(&host.engine).create().await.unwrap();
    let mine = host.thread().await;
    host.fake.reply(Reply::text("secret"));
    let run = ask(&host, &thread, "Tell me").await;
    host.engine.answer(run.id).await.unwrap();
    let place: OwnerCursor = host.user.events(&host.engine).now().await.unwrap();
    let forged: Cursor = format!("t{}.0", thread.id).parse().unwrap();
    let forged = place.with(Some(forged)).to_string();
    let of_mine = || host.user.events(&host.engine);
    let resumed = of_mine().resume(Some(&forged)).await.unwrap();
    for mut events in [resumed, of_mine().after(forged.parse().unwrap())] {
        host.fake.reply(Reply::text("Once"));
        ask(&host, &mine, "Tell me").await;
        let told = until_ended(&mut events, 1).await;
        assert!(
            told.iter().all(|event| event.messageable == Messageable::AssistantThread(mine.id)),
            "{told:?}"
        );
        let place = told.last().unwrap().cursor.to_string();
        assert!(!place.contains(&format!("~t{}.", thread.id)), "{place}");
    }
    for strange in ["t1.1", "o1~", "x"] {
        let refused = host.user.events(&host.engine).resume(Some(strange)).await;
        assert_eq!(refused.unwrap_err().http_status(), 422);
    }
}

/// Behind a turn that left there is no turn; behind one that came back neither.
async fn what_is_over_with_a_change_of_the_path_leaves_it_too<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let mut place = format!("o{}", chrono::Utc::now().timestamp_millis() - 3_600_000);
    let mut changed = Vec::new();
    for comes_back in [false, true] {
        let thread = host.thread().await;
        let mut events = thread.events(&host.engine);
        let mut runs = Vec::new();
        for text in ["Once", "upon"] {
            host.fake.reply(Reply::text(text));
            runs.push(ask(&host, &thread, "Tell me").await);
            while !settled(&events.next().await.unwrap().unwrap().kind) {}
        }
        let messages = thread.messages(&host.engine).list(Page::default()).await.unwrap();
        thread.truncate_after(&host.engine, &messages[1]).await.unwrap();
        let mut last = events.next().await.unwrap().unwrap();
        assert_eq!(last.name(), "turn_superseded");
        if comes_back {
            thread.choose(&host.engine, &runs[1]).await.unwrap();
            while !settled(&last.kind) {
                last = events.next().await.unwrap().unwrap();
            }
        }
        place = format!("{place}~{}", last.cursor);
        changed.push(thread);
    }
    let new = host.thread().await;
    until_announced(&host.db).await;
    // It has a number that stands for nothing, as a refused request with a known key leaves it.
    host.db.execute(
        "UPDATE ai_engine_assistant_threads SET next_seq = next_seq + 1, updated_at = '2026-01-01 00:00:00'",
    );
    let mut events = host.user.events(&host.engine).resume(Some(&place)).await.unwrap();
    let mut last = place;
    while changed.iter().any(|thread| last.contains(&format!("~t{}.", thread.id))) {
        host.fake.reply(Reply::text("a time"));
        ask(&host, &new, "And?").await;
        let told = until_ended(&mut events, 1).await;
        assert!(
            told.iter().all(|event| event.messageable == Messageable::AssistantThread(new.id)),
            "{told:?}"
        );
        last = told.last().unwrap().cursor.to_string();
    }
}

/// When the last look was that an event's reader knows of, in milliseconds since 1970.
fn looked(told: &[OwnerEvent]) -> i64 {
    let place = told.last().unwrap().cursor.to_string();
    place[1..].split('~').next().unwrap().parse().unwrap()
}

/// A body that nobody takes from for a while, as a browser in a tunnel: of the looks that passed meanwhile the last one is kept, which
/// goes back no further than a minute. The change bears a time just before that.
async fn a_reader_that_stood_still_is_told_all<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (first, second) = (host.thread().await, host.thread().await);
    let place = host.user.events(&host.engine).now().await.unwrap();
    let mut readers = [0, 1].map(|_| host.user.events(&host.engine).after(place.clone()));
    host.fake.reply(Reply::text("Once"));
    ask(&host, &second, "Tell me").await;
    let [still, other] = &mut readers;
    let stood = looked(&until_ended(still, 1).await);
    until_ended(other, 1).await;
    host.fake.reply(Reply::text("upon"));
    let run = ask(&host, &first, "Tell me").await;
    host.engine.answer(run.id).await.unwrap();
    until_announced(&host.db).await;
    let time = chrono::DateTime::from_timestamp_millis(stood - 59_500).unwrap();
    host.db.execute(&format!(
        "UPDATE ai_engine_assistant_threads SET updated_at = '{}' WHERE id = {}",
        time.format("%F %T%.6f"),
        first.id
    ));
    let mut more = 0;
    let mut told = Vec::new();
    while told.is_empty() || looked(&told) < stood + 2_000 {
        host.fake.reply(Reply::text("a time"));
        ask(&host, &second, "And?").await;
        // The first one may have been told of before its time was changed.
        loop {
            told = until_ended(other, 1).await;
            if told.last().unwrap().messageable == Messageable::AssistantThread(second.id) {
                break;
            }
        }
        more += 1;
    }
    let waits = std::time::Duration::from_secs(30);
    let told = tokio::time::timeout(waits, until_ended(still, more + 1)).await;
    let told = told.expect("it was told all");
    assert!(told.iter().any(|event| event.messageable == Messageable::AssistantThread(first.id)));
}

/// A row that nobody can read, in one of them.
async fn a_conversation_that_cannot_be_read_is_left_out<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (broken, whole) = (host.thread().await, host.thread().await);
    for thread in [&broken, &whole] {
        host.fake.reply(Reply::text("Once"));
        let run = ask(&host, thread, "Tell me").await;
        host.engine.answer(run.id).await.unwrap();
    }
    until_announced(&host.db).await;
    host.db.execute(&format!(
        "UPDATE ai_engine_messages SET role = 'strange' WHERE assistant_thread_id = {}",
        broken.id
    ));
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let ago = chrono::Utc::now().timestamp_millis();
    let place = format!("o{ago}~t{}.0~t{}.0", broken.id, whole.id);
    let mut events = host.user.events(&later).resume(Some(&place)).await.unwrap();
    let told = until_ended(&mut events, 1).await;
    assert!(
        told.iter().all(|event| event.messageable == Messageable::AssistantThread(whole.id)),
        "{told:?}"
    );
}
