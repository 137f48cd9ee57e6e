//! What waits behind an answer is told to the readers that ask for it.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AssistantThread, Busy, Event, EventKind, Events, Messageable, OwnerEvent, OwnerEvents, Run,
    prelude::*,
};

use crate::support::*;

on_each_database!(
    what_waits_behind_an_answer_is_told_whenever_it_changes,
    what_waits_is_told_again_after_a_reconnect,
    the_stream_of_an_owner_tells_where_it_waits,
    a_reader_that_does_not_ask_is_told_of_a_question_in_its_turn,
);

async fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, text: &str) -> Run {
    let request = host.teller.ai_engine_run(&host.engine, thread, text);
    request.when_busy(Busy::Queue).submit().await.unwrap()
}

/// An answer that is being written, until its gate opens.
async fn busy<D: TestDatabase>(host: &Host<D>) -> (AssistantThread, Gate) {
    let (thread, gate) = (host.thread().await, Gate::new());
    host.fake.reply_to("one", Reply::text("1 is written.").hold_at(0, gate.clone()));
    host.fake.reply_to("two", Reply::text("2"));
    ask(host, &thread, "one").await;
    gate.reached().await;
    (thread, gate)
}

fn texts(kind: &EventKind) -> Option<Vec<String>> {
    let EventKind::Waiting { messages, .. } = kind else { return None };
    Some(messages.iter().map(|message| message.content.clone()).collect())
}

/// The next questions that wait, and the event that said so.
async fn waiting(events: &mut Events) -> (Vec<String>, Event) {
    loop {
        let event = events.next().await.unwrap().unwrap();
        if let Some(texts) = texts(&event.kind) {
            return (texts, event);
        }
    }
}

async fn what_waits_behind_an_answer_is_told_whenever_it_changes<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, gate) = busy(&host).await;
    let other = engine(&host.db, &host.fake, &host.hub, |builder| builder);
    for reading in [&host.engine, &other] {
        let mut events = thread.events(reading).with_waiting();
        let two = ask(&host, &thread, "two").await;
        let (texts, event) = waiting(&mut events).await;
        assert_eq!(texts, ["two"]);
        let EventKind::Waiting { messages, .. } = &event.kind else { unreachable!() };
        assert_eq!((messages[0].run_id, messages[0].seq), (Some(two.id), two.seq));
        let three = ask(&host, &thread, "three").await;
        assert_eq!(waiting(&mut events).await.0, ["two", "three"]);
        host.engine.cancel_run(two.id).await.unwrap();
        assert_eq!(waiting(&mut events).await.0, ["three"]);
        host.engine.cancel_run(three.id).await.unwrap();
        assert_eq!(waiting(&mut events).await.0, [""; 0]);
    }

    let mut events = thread.events(&other).with_waiting();
    let two = ask(&host, &thread, "two").await.id;
    assert_eq!(waiting(&mut events).await.0, ["two"]);
    gate.open();
    // When its turn comes it waits no more, and its own events tell of it.
    let (mut waiting, mut asked) = (1, false);
    loop {
        match events.next().await.unwrap().unwrap().kind {
            EventKind::Waiting { messages, .. } => waiting = messages.len(),
            EventKind::MessageStarted { message, .. } if message.is_user() => {
                asked |= message.run_id == Some(two);
            }
            EventKind::RunSettled { run, .. } if run.id == two => break,
            _ => {}
        }
    }
    assert_eq!((waiting, asked), (0, true));
}

async fn what_waits_is_told_again_after_a_reconnect<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, gate) = busy(&host).await;
    let mut events = thread.events(&host.engine).with_waiting();
    ask(&host, &thread, "two").await;
    let (_, event) = waiting(&mut events).await;
    let place = event.cursor.to_string();
    let again = thread.events(&host.engine).resume(Some(&place)).await.unwrap();
    let mut again = again.with_waiting();
    let first = again.next().await.unwrap().unwrap();
    assert_eq!((first.kind, first.cursor), (event.kind, event.cursor));
    gate.open();
}

async fn a_reader_that_does_not_ask_is_told_of_a_question_in_its_turn<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, gate) = busy(&host).await;
    let (mut plain, mut asked) =
        (thread.events(&host.engine), thread.events(&host.engine).with_waiting());
    ask(&host, &thread, "two").await;
    waiting(&mut asked).await;
    gate.open();
    loop {
        let event = tokio::time::timeout(Duration::from_mins(1), plain.next()).await.unwrap();
        match event.unwrap().unwrap().kind {
            EventKind::Waiting { messages, .. } => panic!("{messages:?}"),
            EventKind::MessageSettled { message, .. } if message.content == "2" => break,
            _ => {}
        }
    }
}

async fn the_stream_of_an_owner_tells_where_it_waits<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, gate) = busy(&host).await;
    let owner = &host.user;
    let place = owner.events(&host.engine).now().await.unwrap();
    let mut plain = owner.events(&host.engine).after(place.clone());
    // In either order: the one does not undo the other.
    let both = [
        owner.events(&host.engine).with_waiting().after(place.clone()),
        owner.events(&host.engine).after(place).with_waiting(),
    ];
    let run = ask(&host, &thread, "two").await.id;
    for mut events in both {
        let (texts, event) = waiting_anywhere(&mut events).await;
        assert_eq!(
            (texts, event.messageable),
            (vec!["two".to_owned()], Messageable::AssistantThread(thread.id))
        );
        let place = event.cursor.to_string();
        let again = owner.events(&host.engine).with_waiting();
        let mut again = again.resume(Some(&place)).await.unwrap();
        assert_eq!(waiting_anywhere(&mut again).await.0, ["two"]);
    }
    gate.open();
    loop {
        match plain.next().await.unwrap().unwrap().kind {
            EventKind::Waiting { messages, .. } => panic!("{messages:?}"),
            EventKind::RunSettled { run: settled, .. } if settled.id == run => break,
            _ => {}
        }
    }
}

async fn waiting_anywhere(events: &mut OwnerEvents) -> (Vec<String>, OwnerEvent) {
    loop {
        let event = events.next().await.unwrap().unwrap();
        if let Some(texts) = texts(&event.kind) {
            return (texts, event);
        }
    }
}
