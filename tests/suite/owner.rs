//! Deleting a record with all that belongs to it, finding what records left behind, and going from a run back to its record.

use std::time::Duration;

use ai_engine::testing::Reply;
use ai_engine::{
    AiEngine, Assistant, CompositeId, Error, Forgotten, Orphan, Page, Role, UnregisteredType,
    prelude::*,
};

use crate::support::*;

on_each_database!(
    forgetting_a_record_deletes_all_of_it_and_nothing_else,
    forgetting_rolls_back_with_the_hosts_transaction,
    forgetting_stops_an_active_run,
    orphans_are_found_page_by_page_and_can_be_deleted,
    a_loader_that_fails_hides_no_other_orphan,
    a_run_leads_to_the_record_that_was_asked,
    the_last_assistant_of_a_thread_is_the_newest_that_is_there,
    a_composite_key_owns_threads_and_hears_of_them,
);

async fn forgetting_a_record_deletes_all_of_it_and_nothing_else<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let engine = &host.engine;
    for _ in 0..2 {
        let thread = host.thread().await;
        host.teller.ai_engine_run(engine, &thread, "Tell me").await.unwrap();
    }
    let chat = host.user.chats(engine).create().await.unwrap();
    chat.run(engine, "test-model", "Hi").await.unwrap();
    let bob = User { id: 2, name: "Bob".to_owned() };
    let kept = bob.assistant_threads(engine).create().await.unwrap();
    let answer = host.teller.ai_engine_run(engine, &kept, "Tell me").await.unwrap();

    let forgotten = host.db.with(|conn| {
        conn.transaction(&mut |conn| engine.forget_in(conn.session(), &host.user).map(drop))?;
        // What is gone is gone.
        conn.transaction(&mut |conn| {
            assert_eq!(engine.forget_in(conn.session(), &host.user)?, Forgotten::default());
            Ok(())
        })
    });
    forgotten.unwrap();
    assert_eq!(host.db.number("SELECT id FROM ai_engine_assistant_threads"), kept.id);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_chats"), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 2);
    until_deleted(&host.db).await;
    assert_eq!(host.fake.conversation_ids(), [kept.remote_id.clone().unwrap()]);

    // A record that is an assistant, in a transaction of the engine's.
    let counts = engine.forget(&host.teller).await.unwrap();
    assert_eq!((counts.assistants, counts.threads, counts.chats, counts.runs), (1, 0, 0, 0));
    assert!(host.teller.assistant(engine).await.unwrap().is_none());
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_assistant_versions"), 0);
    assert_eq!(engine.find_run(answer.run.id).await.unwrap().assistant_id, None);
    let counts = engine.forget(&bob).await.unwrap();
    assert_eq!((counts.assistants, counts.threads, counts.chats, counts.runs), (0, 1, 0, 1));
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
    until_deleted(&host.db).await;
    assert!(host.fake.conversation_ids().is_empty());
}

async fn forgetting_rolls_back_with_the_hosts_transaction<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    let rolled_back = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            let counts = host.engine.forget_in(conn.session(), &host.user)?;
            assert_eq!((counts.threads, counts.runs), (1, 1));
            Err(Error::host("changed my mind"))
        })
    });
    rolled_back.unwrap_err();
    assert_eq!(thread.messages(&host.engine).list(Page::default()).await.unwrap().len(), 2);
}

async fn forgetting_stops_an_active_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).stall_at(5));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").submit().await.unwrap();
    host.hub.until_text("Once ").await;
    host.engine.forget(&host.user).await.unwrap();
    // Sooner than the client gives up a stream that stalls.
    let stopped = tokio::time::timeout(Duration::from_secs(30), host.fake.disconnected(1));
    stopped.await.expect("the run goes on");
    assert!(matches!(host.engine.answer(run.id).await, Err(Error::RunGone(id)) if id == run.id));
}

/// All that are left, each of which must be found once.
async fn orphans(engine: &AiEngine) -> (Vec<Orphan>, Vec<UnregisteredType>) {
    let mut orphans = engine.orphans();
    let mut found = Vec::new();
    while let Some(orphan) = orphans.next().await {
        found.push(orphan.unwrap());
    }
    (found, orphans.unregistered().to_vec())
}

async fn orphans_are_found_page_by_page_and_can_be_deleted<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let engine = &host.engine;
    host.user.assistant_threads(engine).create().await.unwrap();
    host.teller.create_openai_assistant(engine).await.unwrap();
    assert_eq!(orphans(engine).await.0, [], "nobody is gone");

    // More than are looked at at once, of threads and of chats; the loader knows Ada and Bob alone.
    for id in 1000..1130 {
        let gone = User { id, name: String::new() };
        host.db.with(|conn| {
            if id % 2 == 0 {
                gone.assistant_threads(engine).create_in(conn.session()).unwrap();
            }
            if id % 3 != 1 || id % 2 == 1 {
                gone.chats(engine).create_in(conn.session()).unwrap();
            }
        });
    }
    let bob = User { id: 2, name: "Bob".to_owned() };
    bob.chats(engine).create().await.unwrap();
    host.db.execute("DELETE FROM users WHERE id = 2");
    let (found, unknown) = orphans(engine).await;
    let mut ids: Vec<i32> = found.iter().map(|orphan| orphan.id.parse().unwrap()).collect();
    ids.sort_unstable();
    let expected: Vec<i32> = std::iter::once(2).chain(1000..1130).collect();
    assert_eq!(ids, expected);
    for orphan in &found {
        let id: i32 = orphan.id.parse().unwrap();
        let threads = u64::from(id != 2 && id % 2 == 0);
        let chats = u64::from(id == 2 || id % 3 != 1 || id % 2 == 1);
        assert_eq!(
            (orphan.kind.as_str(), orphan.threads, orphan.chats, orphan.assistants),
            ("User", threads, chats, 0),
            "{id}"
        );
    }
    // Assistants have a type of their own here, of which there is no loader.
    let [unknown] = unknown.as_slice() else { panic!("{unknown:?}") };
    assert_eq!((unknown.kind.as_str(), unknown.threads, unknown.assistants), ("Storyteller", 0, 1));

    for orphan in found {
        let counts = host
            .db
            .with(|conn| engine.forget_owner_in(conn.session(), &orphan.kind, &orphan.id))
            .unwrap();
        let counts = (counts.threads, counts.chats, counts.assistants);
        let left = (orphan.threads, orphan.chats, orphan.assistants);
        assert_eq!(counts, left);
    }
    assert_eq!(orphans(engine).await.0, []);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_assistant_threads"), 1);
}

async fn a_loader_that_fails_hides_no_other_orphan<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for id in [998, 999] {
        let gone = User { id, name: String::new() };
        gone.chats(&host.engine).create().await.unwrap();
    }
    host.db.execute("UPDATE ai_engine_chats SET chattable_id = 'nine' WHERE chattable_id = '998'");
    let mut orphans = host.engine.orphans();
    let mut errors = Vec::new();
    let mut found = Vec::new();
    while let Some(orphan) = orphans.next().await {
        match orphan {
            Ok(orphan) => found.push(orphan.id),
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(found, ["999"]);
    assert!(
        matches!(errors.as_slice(), [Error::OwnerId { kind, id, .. }] if kind == "User" && id == "nine"),
        "{errors:?}"
    );

    host.db.execute("ALTER TABLE users RENAME TO people");
    let refused = host.engine.orphans().next().await.unwrap().unwrap_err();
    host.db.execute("ALTER TABLE people RENAME TO users");
    assert!(matches!(refused, Error::Database(_) | Error::OwnerId { .. }), "{refused:?}");
}

/// A storyteller by another key.
struct Bard(String);

ai_engine::record! { Bard(String) as "Storyteller" }

async fn a_run_leads_to_the_record_that_was_asked<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let engine = &host.engine;
    let thread = host.thread().await;
    let asked = host.teller.ai_engine_run(engine, &thread, "Tell me").await.unwrap().run;
    assert_eq!(asked.assistable_id::<Storyteller>().unwrap(), Some(7));
    assert_eq!(asked.assistable_id::<User>().unwrap(), None, "of another type");
    assert_eq!(asked.assistable_id::<Bard>().unwrap().as_deref(), Some("7"));
    assert_eq!(asked.assistant_version, Some(1));

    let assistant = engine.assistant(asked.assistant_id.unwrap()).await.unwrap().unwrap();
    assert_eq!(assistant.record_id::<Storyteller>().unwrap(), Some(7));
    assert_eq!(assistant.record_id::<User>().unwrap(), None);
    let stored = thread.run(engine, &assistant, "Go on").await.unwrap().run;
    assert_eq!(
        (stored.assistable_id::<Storyteller>().unwrap(), stored.assistant_version),
        (Some(7), Some(1))
    );
    let chat = host.user.chats(engine).create().await.unwrap();
    let bare = chat.run(engine, "test-model", "Hi").await.unwrap().run;
    assert_eq!(
        (bare.assistable_id::<Storyteller>().unwrap(), bare.assistant_version),
        (None, None)
    );
    assert_eq!(
        host.db.number("SELECT count(*) FROM ai_engine_runs WHERE submission IS NULL"),
        1,
        "nothing is stored where nothing is known"
    );

    // It outlives the assistant.
    host.teller.delete_openai_assistant(engine).await.unwrap();
    assert!(engine.assistant(assistant.id).await.unwrap().is_none());
    let later = engine.find_run(asked.id).await.unwrap();
    assert_eq!(later.assistant_id, None);
    assert_eq!(later.assistable_id::<Storyteller>().unwrap(), Some(7));

    host.db.execute(
        "UPDATE ai_engine_runs SET submission = '{\"assistable\":[\"Storyteller\",\"seven\"],\"assistant_version\":1}'",
    );
    let odd = engine.find_run(asked.id).await.unwrap();
    let refused = odd.assistable_id::<Storyteller>().unwrap_err();
    assert!(matches!(&refused, Error::OwnerId { id, .. } if id == "seven"), "{refused:?}");
    host.db.execute("UPDATE ai_engine_runs SET submission = '[]'");
    let odd = engine.find_run(asked.id).await.unwrap();
    assert_eq!((odd.assistable_id::<Storyteller>().unwrap(), odd.assistant_version), (None, None));
}

async fn the_last_assistant_of_a_thread_is_the_newest_that_is_there<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let engine = &host.engine;
    let thread = host.thread().await;
    let last = async |thread: &ai_engine::AssistantThread| {
        let last: Option<Assistant> = thread.last_assistant(engine).await.unwrap();
        last.map(|assistant| assistant.record_id::<Storyteller>().unwrap().unwrap())
    };
    assert_eq!(last(&thread).await, None);
    let other = Storyteller { id: 8, ..host.teller.clone() };
    host.teller.ai_engine_run(engine, &thread, "Tell me").await.unwrap();
    other.ai_engine_run(engine, &thread, "And you?").await.unwrap();
    thread.messages(engine).create(Role::User, "Well").await.unwrap();
    let elsewhere = host.thread().await;
    host.teller.ai_engine_run(engine, &elsewhere, "Tell me").await.unwrap();
    assert_eq!(last(&thread).await, Some(8));
    // What left the path is not what the thread says.
    host.db.execute("UPDATE ai_engine_messages SET superseded_at_seq = 3 WHERE seq = 2 AND assistant_thread_id = 1");
    assert_eq!(last(&thread).await, Some(7));
    host.db.execute("UPDATE ai_engine_messages SET superseded_at_seq = NULL");
    other.delete_openai_assistant(engine).await.unwrap();
    assert_eq!(last(&thread).await, Some(7));
}

struct Member {
    team: String,
    user: i32,
}

ai_engine::record! { Member { team: String, user: i32 } as "Member" }
impl MessageHooks for Member {}
impl Threadable for Member {}

async fn a_composite_key_owns_threads_and_hears_of_them<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let loaded = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = std::sync::Arc::clone(&loaded);
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.owner::<Member>(move |_, CompositeId((team, user))| {
            note.lock().unwrap().push((team.clone(), user));
            Ok(Some(Member { team, user }))
        })
    });
    // A key that holds what separates its parts.
    let member = Member { team: "a\",\"b".to_owned(), user: 4 };
    let other = Member { team: "a".to_owned(), user: 4 };
    let thread = member.assistant_threads(&engine).create().await.unwrap();
    host.teller.ai_engine_run(&engine, &thread, "Tell me").await.unwrap();
    // Once for the hooks of the run; the first submit of a type asks whether it has a word before one is stored.
    let key = ("a\",\"b".to_owned(), 4);
    assert_eq!(*loaded.lock().unwrap(), [key.clone(), key]);
    assert_eq!(member.assistant_threads(&engine).find(thread.id).await.unwrap().id, thread.id);
    other.assistant_threads(&engine).find(thread.id).await.unwrap_err();
    assert_eq!(engine.forget(&other).await.unwrap().threads, 0);
    assert_eq!(engine.forget(&member).await.unwrap().threads, 1);
}
