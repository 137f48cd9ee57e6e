//! Pictures, files and sound: what is given with a message is stored once, shown without its bytes, and sent in the provider's form;
//! and what the model gives beside its text is kept.

mod answers;
mod history;

use ai_engine::testing::Reply;
use ai_engine::{Content, Error, EventKind, Message, Page, Part, PartKind, Role, prelude::*};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    each_kind_is_stored_listed_and_sent_in_the_order_it_was_given,
    the_same_bytes_are_stored_once_in_each_thread,
    parts_out_of_their_limits_are_refused_before_anything_is_stored,
    a_message_without_a_run_has_parts_too,
    a_question_may_be_a_picture_alone,
    what_is_deleted_takes_its_bytes_along,
    a_page_without_parts_costs_no_statement_for_them,
    a_database_of_the_version_before_is_read_and_goes_on,
);

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

fn everything() -> Content {
    Content::text("What is this?")
        .image_url("https://example.org/tree.jpg")
        .image("image/png", PNG)
        .file("report.pdf", "application/pdf", *b"%PDF")
        .file_id("file-abc")
        .audio("mp3", *b"ID3")
}

/// A host with a database of its own; `conversing`: the provider keeps the conversation.
async fn host<D: TestDatabase>(db: &D, conversing: bool) -> Host<D> {
    let db = db.another();
    if conversing { Host::conversing(db).await } else { Host::new(db).await }
}

/// The content of the last message that was sent, as it was sent.
fn sent<D>(host: &Host<D>) -> Value {
    host.fake.last_input().items.pop().unwrap()["content"].take()
}

fn kinds(message: &Message) -> Vec<&str> {
    message.parts.iter().map(|part| part.kind.as_str()).collect()
}

async fn each_kind_is_stored_listed_and_sent_in_the_order_it_was_given<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = host(&db, conversing).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::text("A tree."));
        host.teller.ai_engine_run(&host.engine, &thread, everything()).await.unwrap();
        let expected = json!([
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "detail": "auto", "image_url": "https://example.org/tree.jpg"},
            {"type": "input_image", "detail": "auto",
                "image_url": "data:image/png;base64,iVBORw0KGgogYW5kIHNvIG9u"},
            {"type": "input_file", "filename": "report.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
            {"type": "input_file", "file_id": "file-abc"},
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ]);
        assert_eq!(sent(&host), expected);

        let messages = thread.messages(&host.engine);
        let listed = messages.list(Page::default()).await.unwrap();
        let asked = &listed[0];
        assert_eq!((&*asked.content, &*listed[1].content), ("What is this?", "A tree."));
        assert_eq!(kinds(asked), ["image", "image", "file", "file", "audio"]);
        assert!(listed[1].parts.is_empty());
        let [linked, picture, file, remote, sound] = &asked.parts[..] else { panic!("{asked:?}") };
        assert_eq!(linked.url.as_deref(), Some("https://example.org/tree.jpg"));
        assert_eq!((picture.media_type.as_deref(), picture.size), (Some("image/png"), Some(18)));
        // As `sha256sum` says of it.
        let digest = "315d429b7714cedb6ad04ac31240145257692630457f3c88253c5beceac76027";
        assert_eq!(file.name.as_deref(), Some("report.pdf"));
        assert_eq!(file.digest.as_deref(), Some(digest));
        assert_eq!(remote.file_id.as_deref(), Some("file-abc"));
        assert_eq!(sound.media_type.as_deref(), Some("audio/mpeg"));
        for (part, bytes) in [(picture, PNG), (file, b"%PDF"), (sound, b"ID3")] {
            assert_eq!(messages.part_bytes(part.id).await.unwrap(), bytes);
        }
        for part in [linked, remote] {
            assert!(!part.has_bytes());
            let error = messages.part_bytes(part.id).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
        }
        // Whoever asks for a part of another thread does not get it.
        let other = host.thread().await.messages(&host.engine);
        assert!(matches!(other.part_bytes(file.id).await, Err(Error::NotFound { .. })));
        assert!(matches!(other.part(file.id).await, Err(Error::NotFound { .. })));

        // Every way to read it shows the same.
        let turns = thread.turns(&host.engine, Page::default()).await.unwrap();
        assert_eq!(turns.items[0].messages, listed);
        let mut events = thread.events(&host.engine);
        let told = loop {
            let kind = events.next().await.unwrap().unwrap().kind;
            if let EventKind::MessageStarted { message, .. } = kind {
                break message;
            }
        };
        assert_eq!(&told, asked);
        let heard = host.hub.all().into_iter().find_map(|heard| match heard {
            Heard::Created(message) if message.is_user() => Some(message),
            _ => None,
        });
        assert_eq!(heard.unwrap().parts, asked.parts);
        assert_eq!(&messages.part(file.id).await.unwrap(), file);
        let shown = serde_json::to_value(asked).unwrap();
        assert_eq!(shown["parts"][2]["name"], "report.pdf");
        assert!(!shown.to_string().contains("iVBOR"), "bytes are no part of what is shown");
    }
}

async fn the_same_bytes_are_stored_once_in_each_thread<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, chat) =
        (host.thread().await, host.user.chats(&host.engine).create().await.unwrap());
    let picture = || Content::text("Look").image("image/png", PNG).image("image/png", PNG);
    for _ in 0..2 {
        host.teller.ai_engine_run(&host.engine, &thread, picture()).await.unwrap();
    }
    chat.run(&host.engine, "test-model", picture()).await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_parts"), 6);
    let blobs = |of: &str| {
        host.db.number(&format!("SELECT count(*) FROM ai_engine_blobs WHERE {of} IS NOT NULL"))
    };
    assert_eq!((blobs("assistant_thread_id"), blobs("chat_id")), (1, 1));
}

async fn parts_out_of_their_limits_are_refused_before_anything_is_stored<D: TestDatabase>(db: D) {
    let host =
        Host::with(db, |builder| builder.max_part_bytes(8).max_parts_bytes(12).max_parts(3)).await;
    let thread = host.thread().await;
    let file = |content: Content, name: &str, bytes: usize| {
        content.file(name, "text/plain", vec![b'x'; bytes])
    };
    let text = || Content::text("Read");
    let cases = [
        (
            file(text(), "a.txt", 9),
            "part 1 (file \"a.txt\") has 9 bytes; at most 8 are allowed (max_part_bytes)",
        ),
        (
            file(file(text(), "a.txt", 8), "b.txt", 5),
            "part 2 (file \"b.txt\") makes 13 bytes of parts; at most 12 are allowed (max_parts_bytes)",
        ),
        (
            (0..4).fold(text(), |content, _| file(content, "a.txt", 1)),
            "part 4 (file \"a.txt\") is one too many; at most 3 are allowed (max_parts)",
        ),
        (text().image("image/bmp", *b"BM"), "part 1 (image) is of the media type \"image/bmp\""),
    ];
    for (content, expected) in cases {
        let asked = host.teller.ai_engine_run(&host.engine, &thread, content.clone());
        let refused = [
            asked.await.unwrap_err(),
            thread.messages(&host.engine).create(Role::User, content).await.unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, Error::Invalid { field: "content", .. }), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    let most = file(file(text(), "a.txt", 8), "b.txt", 4);
    host.teller.ai_engine_run(&host.engine, &thread, most).await.unwrap();
    assert_eq!(host.fake.requests().len(), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 2);
}

async fn a_message_without_a_run_has_parts_too<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let messages = thread.messages(&host.engine);
    let stored = messages.create(Role::User, everything()).await.unwrap();
    assert_eq!(stored.parts.len(), 5);
    assert_eq!(messages.list(Page::default()).await.unwrap(), [stored]);
    let picture = || Content::text("").image("image/png", PNG);
    let error = messages.create(Role::System, picture()).await.unwrap_err();
    assert!(error.to_string().contains("must be text alone"), "{error}");
    host.db.with(|conn| messages.create_in(conn.session(), Role::Assistant, picture())).unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "And this?").await.unwrap();
    let input = host.fake.last_input();
    assert_eq!(input.items[0]["content"].as_array().unwrap().len(), 6);
    assert_eq!(input.items[1]["content"], "[The assistant answered with a picture.]");
    assert_eq!(input.items[2]["content"], "And this?");
}

async fn a_question_may_be_a_picture_alone<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let picture = Content::text("").image_url("https://example.org/a.png");
    let answer = host.teller.ai_engine_run(&host.engine, &thread, picture).await.unwrap();
    let content = sent(&host);
    assert_eq!(content.as_array().unwrap().len(), 1);
    assert_eq!(content[0]["type"], "input_image");
    // It is part of what the model sees afterwards.
    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    let input = host.fake.last_input();
    assert_eq!((input.items.len(), &input.items[0]["content"]), (3, &content));
    assert!(!answer.text().is_empty());
}

async fn what_is_deleted_takes_its_bytes_along<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, kept) = (host.thread().await, host.thread().await);
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    for thread in [&thread, &kept] {
        host.teller.ai_engine_run(&host.engine, thread, everything()).await.unwrap();
    }
    chat.run(&host.engine, "test-model", everything()).await.unwrap();
    let count = |table: &str| host.db.number(&format!("SELECT count(*) FROM ai_engine_{table}"));
    assert_eq!((count("message_parts"), count("blobs")), (15, 9));
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    host.user.chats(&host.engine).destroy(chat.id).await.unwrap();
    assert_eq!((count("message_parts"), count("blobs")), (5, 3));
    host.user.assistant_threads(&host.engine).destroy(kept.id).await.unwrap();
    assert_eq!((count("message_parts"), count("blobs")), (0, 0));
}

async fn a_page_without_parts_costs_no_statement_for_them<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let (plain, shown) = (host.thread().await, host.thread().await);
    for question in ["One", "Two"] {
        host.teller.ai_engine_run(&host.engine, &plain, question).await.unwrap();
        host.teller.ai_engine_run(&host.engine, &shown, everything()).await.unwrap();
    }
    let (other, watched) = watched(&host);
    for (thread, statements, parts) in [(&plain, 1, 0), (&shown, 2, 5)] {
        watched.forget();
        let turns = thread.turns(&other, Page::newest(2)).await.unwrap();
        assert_eq!(turns.items[1].messages[0].parts.len(), parts);
        assert_eq!(watched.reads().len(), statements, "{:#?}", watched.reads());
        watched.forget();
        let listed = thread.messages(&other).list(Page::newest(4)).await.unwrap();
        assert_eq!(listed[2].parts.len(), parts);
        assert_eq!(watched.reads().len(), statements, "{:#?}", watched.reads());
    }
    // A list of threads shows the last message of each.
    watched.forget();
    let threads = User { id: 1, name: "Ada".to_owned() }.assistant_threads(&other);
    threads.recent(Page::default()).await.unwrap();
    assert_eq!(watched.reads().len(), 1, "{:#?}", watched.reads());
    shown.messages(&host.engine).create(Role::User, everything()).await.unwrap();
    watched.forget();
    let recent = threads.recent(Page::default()).await.unwrap();
    assert_eq!(recent.items[0].last_message.as_ref().unwrap().parts.len(), 5);
    assert_eq!(watched.reads().len(), 2, "{:#?}", watched.reads());
}

async fn a_database_of_the_version_before_is_read_and_goes_on<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    until_announced(&host.db).await;
    let down = std::fs::read_to_string(format!(
        "{}/2026-12-01-000000_message_parts/down.sql",
        D::MIGRATIONS
    ));
    host.db.execute(&down.unwrap());
    host.db.execute("DELETE FROM ai_engine_schema_migrations WHERE version LIKE '20261201000000%'");
    assert_eq!(host.engine.migrate().await.unwrap(), 1);
    let messages = thread.messages(&host.engine);
    let before = messages.list(Page::default()).await.unwrap();
    assert_eq!(before.len(), 2);
    assert!(before.iter().all(|message| message.parts.is_empty()));
    host.teller.ai_engine_run(&host.engine, &thread, everything()).await.unwrap();
    assert_eq!(host.fake.last_input().items.len(), 3);
    let after = messages.list(Page::default()).await.unwrap();
    assert_eq!((&after[..2], after[2].parts.len()), (&before[..], 5));
}

/// The first part of this kind.
fn part_of(message: &Message, kind: PartKind) -> &Part {
    message.parts.iter().find(|part| part.kind == kind).unwrap()
}
