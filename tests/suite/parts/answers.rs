//! What the model gives beside its text: notes on it, pictures, summaries of its thoughts.

use ai_engine::testing::Reply;
use ai_engine::{Annotation, EventKind, Message, Page, PartKind, RunStatus, prelude::*};
use serde_json::{Value, json};

use super::{host, kinds, part_of};
use crate::support::*;

on_each_database!(
    notes_pictures_and_summaries_are_parts_of_the_answer,
    a_picture_alone_is_an_answer,
    what_an_item_has_is_stored_once,
    a_reader_of_another_process_is_told_the_same_parts,
);

fn picture() -> Value {
    json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "/9j/YWJj"})
}

fn thought() -> Value {
    json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed",
        "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}]})
}

fn cited() -> Value {
    json!({"type": "message", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "See the report.", "logprobs": [], "annotations": [
            {"type": "url_citation", "url": "https://example.org", "title": "Example", "start_index": 4, "end_index": 14},
            {"type": "container_file_citation", "container_id": "cntr_1", "file_id": "cfile_1", "filename": "a.csv",
                "start_index": 0, "end_index": 3},
        ]},
    ]})
}

async fn said<D: TestDatabase>(host: &Host<D>, thread: &ai_engine::AssistantThread) -> Message {
    let listed = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    listed.into_iter().rfind(Message::is_assistant).unwrap()
}

async fn notes_pictures_and_summaries_are_parts_of_the_answer<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = host(&db, conversing).await;
        let thread = host.thread().await;
        let reply = Reply::text("").without_message().item(thought()).item(cited()).item(picture());
        host.fake.reply(reply);
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Draw").await.unwrap();
        let message = answer.message().unwrap();
        assert_eq!(message.content, "See the report.");
        assert_eq!(kinds(message), ["annotation", "annotation", "reasoning_summary", "image"]);
        assert_eq!(&said(&host, &thread).await, message);
        let notes: Vec<Annotation<'_>> = message.annotations().collect();
        let Annotation::UrlCitation { url, start, end, .. } = notes[0] else { panic!("{notes:?}") };
        assert_eq!((url, start, end), ("https://example.org", 4, 14));
        assert_eq!(&message.content[4..14], "the report");
        assert!(matches!(notes[1], Annotation::ContainerFileCitation { filename: "a.csv", .. }));
        assert_eq!(message.parts[0].raw.as_ref().unwrap()["title"], "Example");
        let summary = part_of(message, PartKind::ReasoningSummary);
        assert_eq!(summary.text().as_deref(), Some("First.\n\nThen."));
        assert!(!serde_json::to_string(message).unwrap().contains("sealed"));
        let image = part_of(message, PartKind::Image);
        assert_eq!((image.media_type.as_deref(), image.size), (Some("image/jpeg"), Some(6)));
        let bytes = thread.messages(&host.engine).part_bytes(image.id).await.unwrap();
        assert_eq!(bytes, b"\xFF\xD8\xFFabc");
        assert_eq!(answer.parts().count(), 4);

        // The message that is settled has them, for hooks as for readers.
        until_announced(&host.db).await;
        assert_eq!(host.hub.settled().last(), Some(message));
        let mut events = thread.events(&host.engine);
        loop {
            if let EventKind::MessageSettled { message: settled, .. } =
                events.next().await.unwrap().unwrap().kind
            {
                assert_eq!(&settled, message);
                break;
            }
        }
        // The next turn goes on from it.
        host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    }
}

async fn a_picture_alone_is_an_answer<D: TestDatabase>(db: D) {
    for conversing in [false, true] {
        let host = host(&db, conversing).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::text("").without_message().item(picture()));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Draw").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        let message = answer.message().unwrap();
        assert_eq!((&*message.content, kinds(message)), ("", vec!["image"]));
        assert_eq!(answer.text(), "");
        assert_eq!(&said(&host, &thread).await, message);
        let mut events = thread.events(&host.engine);
        let mut told = Vec::new();
        while told.last() != Some(&"run_settled") {
            told.push(events.next().await.unwrap().unwrap().name());
        }
        let expected = [
            "run_queued",
            "message_started",
            "run_started",
            "message_started",
            "message_settled",
            "run_settled",
        ];
        assert_eq!(told, expected);
        host.teller.ai_engine_run(&host.engine, &thread, "In blue").await.unwrap();
        let lines = host.fake.last_input().lines();
        let whole =
            ["user: Draw", "assistant: [The assistant answered with a picture.]", "user: In blue"];
        assert_eq!(lines, if conversing { &whole[2..] } else { &whole[..] });
    }
}

async fn what_an_item_has_is_stored_once<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Here.").item(thought()).item(picture()));
    host.teller.ai_engine_run(&host.engine, &thread, "Draw").await.unwrap();
    let items = host
        .db
        .texts("SELECT CAST(item AS TEXT) AS line FROM ai_engine_run_items ORDER BY position");
    assert!(items[0].contains("First.") && items[0].contains("sealed"), "{items:?}");
    assert!(items[1].contains("ig_1") && !items[1].contains("/9j/"), "{items:?}");
    let copies = "SELECT count(*) FROM ai_engine_message_parts WHERE data IS NOT NULL";
    assert_eq!(host.db.number(copies), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_blobs"), 1);
    // A picture that was made is one that is given, too.
    let again = ai_engine::Content::text("More").image("image/jpeg", *b"\xFF\xD8\xFFabc");
    host.teller.ai_engine_run(&host.engine, &thread, again).await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_blobs"), 1);
}

async fn a_reader_of_another_process_is_told_the_same_parts<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
    host.fake.reply(Reply::deltas(["Here ", "it is"]).item(picture()));
    let run = host.teller.ai_engine_run(&host.engine, &thread, "Draw").submit().await.unwrap();
    let mut events = thread.events(&other);
    let mut text = String::new();
    let settled = loop {
        match events.next().await.unwrap().unwrap().kind {
            EventKind::MessageAppended { text: more, .. } => text.push_str(&more),
            EventKind::MessageSettled { message, .. } => break message,
            _ => {}
        }
    };
    assert_eq!((&*text, kinds(&settled)), ("Here it is", vec!["image"]));
    host.engine.answer(run.id).await.unwrap();
    assert_eq!(settled, said(&host, &thread).await);
}
