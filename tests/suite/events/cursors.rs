//! Places: each resumes where it was taken, and one of elsewhere is refused.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Cursor, Error, EventKind, Page, Role, prelude::*};

use super::{Told, ask, settled, until};
use crate::support::*;

on_each_database!(
    every_cursor_resumes_where_it_was_taken,
    a_page_of_messages_is_followed_without_a_gap,
    a_cursor_of_elsewhere_is_refused_by_name,
    a_cursor_newer_than_the_last_look_is_none_of_elsewhere,
);

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
