//! Titles, metadata and authors: set, read back, changed, taken away, and refused.

use ai_engine::testing::Reply;
use ai_engine::{Error, EventKind, Page, Role, TitleAuthor, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    a_conversation_is_created_with_a_name_also_in_the_hosts_transaction,
    a_title_is_changed_and_taken_away_and_takes_no_turn,
    what_is_out_of_its_limits_is_refused_and_nothing_is_stored,
    a_message_keeps_who_said_it_and_what_was_noted_wherever_it_is_read,
);

fn person(title: &str) -> (Option<String>, Option<TitleAuthor>) {
    (Some(title.to_owned()), Some(TitleAuthor::Person))
}

async fn a_conversation_is_created_with_a_name_also_in_the_hosts_transaction<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let chats = host.user.chats(&host.engine);
    let noted = json!({"folder": 7, "tags": ["a", {"b": null}]});
    let created = threads.create().title(" My trip ").metadata(noted.clone()).await.unwrap();
    assert_eq!((created.title.clone(), created.title_by), person("My trip"));
    assert_eq!(Value::Object(created.metadata.clone()), noted);
    let found = threads.find(created.id).await.unwrap();
    assert_eq!(found, created);
    let shown = serde_json::to_value(&found).unwrap();
    assert_eq!((&shown["title"], &shown["title_by"]), (&json!("My trip"), &json!("person")));
    assert_eq!(shown["metadata"], noted);
    let plain = chats.create().await.unwrap();
    assert_eq!((plain.title, plain.title_by, plain.metadata.len()), (None, None, 0));

    let chat = host.db.with(|conn| {
        let mut created = None;
        conn.transaction(&mut |conn| {
            created = Some(chats.create().title("In yours").create_in(conn.session())?);
            Ok(())
        })
        .unwrap();
        let rolled_back = conn.transaction(&mut |conn| {
            chats.create().title("Never").create_in(conn.session())?;
            chats.create_in(conn.session())?;
            Err(Error::host("no"))
        });
        rolled_back.unwrap_err();
        created.unwrap()
    });
    assert_eq!(chats.find(chat.id).await.unwrap().title.as_deref(), Some("In yours"));
    assert_eq!(chats.list(Page::default()).await.unwrap().len(), 2);
}

async fn a_title_is_changed_and_taken_away_and_takes_no_turn<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let thread = host.thread().await;
    let other = threads.create().title("Another").await.unwrap();
    let turns = "SELECT sum(next_seq) FROM ai_engine_assistant_threads";
    let before = host.db.number(turns);
    let renamed = thread.rename(&host.engine, "Mine").await.unwrap();
    assert_eq!((renamed.title.clone(), renamed.title_by), person("Mine"));
    assert_eq!(renamed.last_activity_at, thread.last_activity_at);
    assert_eq!(threads.find(thread.id).await.unwrap(), renamed);
    let noted = thread.set_metadata(&host.engine, json!({"a": 1})).await.unwrap();
    assert_eq!(noted.title, renamed.title);
    host.db.with(|conn| {
        thread.rename_in(conn.session(), "  ").unwrap();
        thread.set_metadata_in(conn.session(), json!({"b": 2})).unwrap();
    });
    let cleared = threads.find(thread.id).await.unwrap();
    assert_eq!((cleared.title, cleared.title_by), (None, None));
    assert_eq!(Value::Object(cleared.metadata), json!({"b": 2}));
    assert_eq!(host.db.number(turns), before);
    assert_eq!(threads.find(other.id).await.unwrap(), other, "no other row is touched");
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let chat = chat.rename(&host.engine, "A chat").await.unwrap();
    assert_eq!((chat.title, chat.title_by), person("A chat"));

    threads.destroy(thread.id).await.unwrap();
    let gone = [
        thread.rename(&host.engine, "Gone").await.err(),
        thread.set_metadata(&host.engine, json!({})).await.err(),
    ];
    for error in gone {
        let expected = matches!(error, Some(Error::NotFound { what: "assistant thread", .. }));
        assert!(expected, "{error:?}");
    }
}

async fn what_is_out_of_its_limits_is_refused_and_nothing_is_stored<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (engine, thread) = (&host.engine, host.thread().await);
    let threads = host.user.assistant_threads(engine);
    let ask = || host.teller.ai_engine_run(engine, &thread, "Tell me");
    let say = || thread.messages(engine).create(Role::User, "Hi");
    let long = "x".repeat(256);
    let large = json!({"a": "x".repeat(20_000)});
    let refused: [(&str, Option<Error>); 11] = [
        ("title", threads.create().title(&long).await.err()),
        ("title", threads.create().title("a\0b").await.err()),
        ("metadata", threads.create().metadata(json!([1])).await.err()),
        ("title", thread.rename(engine, &long).await.err()),
        ("metadata", thread.set_metadata(engine, large.clone()).await.err()),
        ("metadata", thread.set_metadata(engine, json!("text")).await.err()),
        ("author", ask().author("").submit().await.err()),
        ("author", ask().author(&long).submit().await.err()),
        ("metadata", ask().message_metadata(large).submit().await.err()),
        ("author", say().author("a\0b").await.err()),
        ("metadata", say().message_metadata(json!(null)).await.err()),
    ];
    for (wanted, error) in refused {
        let Some(Error::Invalid { field, .. }) = error else { panic!("{wanted}: {error:?}") };
        assert_eq!(field, wanted);
    }
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
    assert_eq!(threads.list(Page::default()).await.unwrap(), [thread]);
}

async fn a_message_keeps_who_said_it_and_what_was_noted_wherever_it_is_read<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    let (engine, thread) = (&host.engine, host.thread().await);
    let mut events = thread.events(engine);
    let messages = thread.messages(engine);
    let noted = json!({"ip": "::1"});
    let said =
        messages.create(Role::System, "Be brief").author("Eve").message_metadata(noted.clone());
    let said = said.await.unwrap();
    assert_eq!(
        (said.author.as_deref(), Value::Object(said.metadata.clone())),
        (Some("Eve"), noted)
    );
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event.kind, EventKind::MessageStarted { message, .. } if message == said));

    host.fake.reply(Reply::text("Yes."));
    let ask = host.teller.ai_engine_run(engine, &thread, "Ready?");
    let answer = ask.author("Ada").message_metadata(json!({"n": 1})).await.unwrap();
    let listed = messages.list(Page::default()).await.unwrap();
    let told: Vec<_> = listed
        .iter()
        .map(|message| (message.author.as_deref(), Value::Object(message.metadata.clone())))
        .collect();
    let expected =
        [(Some("Eve"), json!({"ip": "::1"})), (Some("Ada"), json!({"n": 1})), (None, json!({}))];
    assert_eq!(told, expected);
    let turns = thread.turns(engine, Page::default()).await.unwrap();
    let read: Vec<_> = turns.items.into_iter().flat_map(|turn| turn.messages).collect();
    assert_eq!(read, listed);
    let heard = host.hub.of_run(answer.run.id);
    assert!(
        heard.iter().any(|heard| matches!(heard, Heard::Created(message) if *message == listed[1]))
    );
    // The model is not told.
    let sent = host.fake.requests().pop().unwrap().body.unwrap().to_string();
    assert!(!sent.contains("Ada") && !sent.contains("::1"), "{sent}");

    let quiet = host.db.with(|conn| {
        let said = messages.create(Role::User, "In yours").author("Bob");
        said.create_in(conn.session()).unwrap()
    });
    assert_eq!(messages.list(Page::newest(1)).await.unwrap(), [quiet]);
}
