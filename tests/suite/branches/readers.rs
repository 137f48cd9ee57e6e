//! Readers of a conversation that branches: each puts together the same page, whenever it comes and wherever it reads.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, AssistantThread, Cursor, Event, EventKind, Page, Role, prelude::*};

use super::{ask, listed, messages};
use crate::support::*;

on_each_database!(
    a_superseded_turn_is_told_before_what_takes_its_place,
    every_reader_puts_the_same_page_together_whenever_it_comes,
    the_events_of_a_run_are_told_wherever_it_is,
    a_page_of_messages_is_followed_across_branches,
    a_turn_that_left_in_the_middle_of_its_telling_is_told_to_have_left,
);

/// What a browser makes of the events.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Shown {
    /// Each turn with its messages.
    turns: Vec<(i64, Vec<(i64, String)>)>,
    /// Turns that were told to have left, in order.
    pub left: Vec<i64>,
}

impl Shown {
    pub fn take(&mut self, event: &Event) {
        let message = |turns: &mut Vec<(i64, Vec<(i64, String)>)>, id: i64| -> (usize, usize) {
            let place = turns.iter().enumerate().find_map(|(at, (_, said))| {
                said.iter().position(|(known, _)| *known == id).map(|slot| (at, slot))
            });
            place.unwrap_or_else(|| panic!("of an unknown message: {event:?}"))
        };
        match &event.kind {
            EventKind::RunQueued { run, .. } => self.begin(run.seq, event),
            EventKind::RunStarted { run, .. } | EventKind::RunSettled { run, .. } => {
                let last = self.turns.iter().any(|(seq, _)| *seq == run.seq);
                assert!(last, "of an unknown turn: {event:?}");
            }
            EventKind::MessageStarted { message, .. } => {
                if message.run_id.is_none() {
                    self.begin(message.seq, event);
                }
                let turn = self.turns.iter_mut().find(|(seq, _)| *seq == message.seq).unwrap();
                assert!(turn.1.iter().all(|(id, _)| *id != message.id), "told twice: {event:?}");
                turn.1.push((message.id, message.content.clone()));
            }
            EventKind::MessageAppended { message_id, offset, text, .. } => {
                let (at, slot) = message(&mut self.turns, *message_id);
                let told = &mut self.turns[at].1[slot].1;
                assert_eq!(told.len(), *offset, "a gap, or told twice: {event:?}");
                told.push_str(text);
            }
            EventKind::MessageReplaced { message: row, .. } => {
                let (at, slot) = message(&mut self.turns, row.id);
                self.turns[at].1[slot].1.clone_from(&row.content);
            }
            EventKind::MessageSettled { message: row, .. } => {
                let (at, slot) = message(&mut self.turns, row.id);
                assert_eq!(self.turns[at].1[slot].1, row.content);
            }
            EventKind::TurnSuperseded { seq, .. } => {
                let at = self.turns.iter().position(|(turn, _)| turn == seq);
                self.turns.remove(at.unwrap_or_else(|| panic!("not shown: {event:?}: {self:?}")));
                self.left.push(*seq);
            }
            other => panic!("{other:?}"),
        }
    }

    /// What a reader is told that was cut off and may have been catching up then, as all are on a busy machine: it may be told to
    /// take away what it does not know.
    fn take_what_is_known(&mut self, events: &[Event]) {
        for event in events {
            let known = match &event.kind {
                EventKind::TurnSuperseded { seq, .. } => {
                    self.turns.iter().any(|(turn, _)| turn == seq)
                }
                _ => true,
            };
            if known {
                self.take(event);
            }
        }
    }

    fn begin(&mut self, seq: i64, event: &Event) {
        assert!(self.turns.iter().all(|(turn, _)| *turn != seq), "shown twice: {event:?}");
        self.turns.push((seq, Vec::new()));
    }

    pub fn texts(&self) -> Vec<String> {
        let said = self.turns.iter().flat_map(|(_, said)| said);
        said.map(|(_, text)| text.clone()).collect()
    }
}

/// Reads on until this message of the host's is told.
pub async fn until_said(
    events: &mut ai_engine::Events,
    text: &str,
    mut heard: impl FnMut(&Event) + Send,
) {
    loop {
        let event = events.next().await.expect("events have no end").unwrap();
        heard(&event);
        if matches!(&event.kind, EventKind::MessageStarted { message, .. } if message.content == text)
        {
            return;
        }
    }
}

/// Reads behind a place until this message.
async fn rest(
    engine: &AiEngine,
    thread: &AssistantThread,
    after: Option<Cursor>,
    text: &str,
) -> Vec<Event> {
    let mut events = thread.events(engine);
    if let Some(cursor) = after {
        // As text, as a browser gives it back.
        events = events.resume(Some(&cursor.to_string())).await.unwrap();
    }
    let mut told = Vec::new();
    until_said(&mut events, text, |event| told.push(event.clone())).await;
    told
}

async fn say<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) {
    thread.messages(&host.engine).create(Role::System, text).await.unwrap();
}

async fn a_superseded_turn_is_told_before_what_takes_its_place<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let mut here = thread.events(&host.engine);
    let mut there = thread.events(&other);
    let first = ask(&host, &thread, "q1", "a1").await;
    ask(&host, &thread, "q2", "a2").await;
    say(&host, &thread, "now").await;
    until_said(&mut here, "now", |_| ()).await;
    until_said(&mut there, "now", |_| ()).await;
    host.fake.reply(Reply::text("b1"));
    let again = first.regenerate(&host.engine).await.unwrap().run;
    for events in [&mut here, &mut there] {
        let mut names = Vec::new();
        for _ in 0..4 {
            let event = events.next().await.unwrap().unwrap();
            names.push(match &event.kind {
                EventKind::TurnSuperseded { seq, run_id, .. } => {
                    assert_eq!(run_id.is_none(), *seq == 3, "{event:?}");
                    assert_eq!(run_id.is_some_and(|id| id == first.id), *seq == 1);
                    assert_eq!(serde_json::to_value(&event).unwrap()["seq"], *seq);
                    format!("{} {seq}", event.name())
                }
                EventKind::RunQueued { run, .. } => format!("{} {}", event.name(), run.seq),
                other => panic!("{other:?}"),
            });
        }
        let expected =
            ["turn_superseded 1", "turn_superseded 2", "turn_superseded 3", "run_queued 4"];
        assert_eq!(names, expected);
    }
    assert_eq!(again.seq, 4);
}

/// Regenerates, edits, chooses, truncates and cuts, so that turns leave and come back more than once.
async fn a_life<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) {
    let part = serde_json::json!({"type": "output_text", "text": "a1", "annotations": []});
    let second = serde_json::json!({"type": "message", "id": "msg_first", "role": "assistant", "status": "completed", "content": [part]});
    let engine = &host.engine;
    say(host, thread, "begin").await;
    host.fake.reply(Reply::text("more").item(second));
    let first = host.teller.ai_engine_run(engine, thread, "q1").await.unwrap().run;
    let next = ask(host, thread, "q2", "a2").await;
    host.fake.reply(Reply::text("b2"));
    let again = next.regenerate(engine).await.unwrap().run;
    thread.choose(engine, &next).await.unwrap();
    thread.choose(engine, &again).await.unwrap();
    ask(host, thread, "q3", "a3").await;
    thread.choose(engine, &next).await.unwrap();
    let said = messages(host, thread).await;
    // Within a turn: it goes, and comes back shorter.
    thread.truncate_after(engine, &said[2]).await.unwrap();
    assert_eq!(listed(host, thread).await, ["begin", "q1", "a1"]);
    ask(host, thread, "q4", "a4").await;
    host.fake.reply(Reply::text("c1"));
    thread.edit(engine, &said[1], "p1").await.unwrap();
    host.fake.reply(Reply::text("d2"));
    // Off the path: the path there comes back with the new turn.
    again.regenerate(engine).await.unwrap();
    thread.choose(engine, &first).await.unwrap();
}

async fn every_reader_puts_the_same_page_together_whenever_it_comes<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let live = [&host.engine, &other].map(|engine| {
        let (engine, thread) = (engine.clone(), thread.clone());
        tokio::spawn(async move { rest(&engine, &thread, None, "end").await })
    });
    a_life(&host, &thread).await;
    say(&host, &thread, "end").await;
    let page = listed(&host, &thread).await;
    let put = |told: &[Event]| {
        let mut shown = Shown::default();
        for event in told {
            shown.take(event);
        }
        shown
    };
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    for live in live {
        let told = live.await.unwrap();
        assert_eq!(put(&told).texts(), page);
        // From each of its places, in another life.
        for (at, event) in told.iter().enumerate().take(told.len() - 1) {
            let more = rest(&later, &thread, Some(event.cursor.clone()), "end").await;
            let mut shown = put(&told[..=at]);
            shown.take_what_is_known(&more);
            assert_eq!(shown.texts(), page, "after {}: {more:#?}", event.cursor);
        }
    }
    // Who comes late is told of the path alone, and so is who is cut off while he catches up.
    for engine in [&host.engine, &later] {
        let told = rest(engine, &thread, None, "end").await;
        let shown = put(&told);
        assert_eq!((shown.texts(), shown.left), (page.clone(), Vec::new()));
        for (at, event) in told.iter().enumerate().take(told.len() - 1) {
            let mut shown = put(&told[..=at]);
            let more = rest(engine, &thread, Some(event.cursor.clone()), "end").await;
            shown.take_what_is_known(&more);
            assert_eq!(shown.texts(), page, "after {}", event.cursor);
        }
    }
}

async fn the_events_of_a_run_are_told_wherever_it_is<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = ask(&host, &thread, "q1", "a1").await;
    let mut events = run.events(&host.engine);
    let mut told = vec![events.next().await.unwrap().unwrap()];
    run.regenerate(&host.engine).await.unwrap();
    while let Some(event) = events.next().await {
        told.push(event.unwrap());
    }
    let names: Vec<&str> = told.iter().map(Event::name).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("run_queued", "run_settled"));
    assert!(!names.contains(&"turn_superseded"), "{names:?}");
    let later = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let count = |mut events: ai_engine::RunEvents| async move {
        let mut count = 0;
        while let Some(event) = events.next().await {
            event.unwrap();
            count += 1;
        }
        count
    };
    assert_eq!(count(run.events(&later)).await, told.len());
    // Chosen again it is told in another place of the thread; a cursor from there is one of the run, too.
    thread.choose(&host.engine, &run).await.unwrap();
    say(&host, &thread, "end").await;
    let of_thread = rest(&later, &thread, None, "end").await;
    for (at, event) in of_thread.iter().enumerate().take(told.len()) {
        let left = count(run.events(&later).after(event.cursor.clone())).await;
        assert_eq!(left, told.len() - 1 - at, "after {}", event.cursor);
    }
}

async fn a_page_of_messages_is_followed_across_branches<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let first = ask(&host, &thread, "q1", "a1").await;
    ask(&host, &thread, "q2", "a2").await;
    first.regenerate(&host.engine).await.unwrap();
    thread.choose(&host.engine, &first).await.unwrap();
    let last = messages(&host, &thread).await.pop().unwrap();
    say(&host, &thread, "next").await;
    let told = rest(&host.engine, &thread, Some(Cursor::after(&last)), "next").await;
    let names: Vec<&str> = told.iter().map(Event::name).collect();
    assert_eq!(names, ["run_settled", "message_started"]);
    let said = messages(&host, &thread).await;
    thread.truncate_after(&host.engine, &said[1]).await.unwrap();
    say(&host, &thread, "end").await;
    let told = rest(&host.engine, &thread, Some(Cursor::after(said.last().unwrap())), "end").await;
    let names: Vec<&str> = told.iter().map(Event::name).collect();
    assert_eq!(names, ["turn_superseded", "turn_superseded", "message_started"]);
    let all = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert_eq!(all.len(), 3);
}

async fn a_turn_that_left_in_the_middle_of_its_telling_is_told_to_have_left<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["Once ", "upon"]).hold_at(5, gate.clone()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "q1").submit().await.unwrap();
    let mut shown = [Shown::default(), Shown::default()];
    let mut readers = [thread.events(&host.engine), thread.events(&other)];
    let mut cursors = Vec::new();
    for (events, shown) in readers.iter_mut().zip(&mut shown) {
        loop {
            let event = events.next().await.unwrap().unwrap();
            shown.take(&event);
            if matches!(event.kind, EventKind::MessageAppended { .. }) {
                cursors.push(event.cursor);
                break;
            }
        }
    }
    host.fake.reply(Reply::text("b1"));
    let cancelled = run.cancel(&host.engine).await.unwrap();
    cancelled.retry(&host.engine).await.unwrap();
    say(&host, &thread, "end").await;
    for ((events, shown), cursor) in readers.iter_mut().zip(&mut shown).zip(cursors) {
        let mut again = shown.clone();
        until_said(events, "end", |event| shown.take(event)).await;
        assert_eq!(
            (shown.texts(), &shown.left),
            (vec!["q1".into(), "b1".into(), "end".into()], &vec![1])
        );
        for event in rest(&other, &thread, Some(cursor), "end").await {
            again.take(&event);
        }
        assert_eq!(&again, shown);
    }
}
