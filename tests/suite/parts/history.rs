//! Parts in what a model is sent later: other branches, other endpoints, conversations at the provider.

use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{Content, Error, History, Page, Reason, RunStatus, prelude::*};

use super::{PNG, everything, kinds, sent};
use crate::support::*;

on_each_database!(
    another_branch_has_the_parts_of_its_question,
    a_fork_has_parts_and_bytes_of_its_own,
    a_file_of_another_endpoint_is_an_error_before_anything_is_sent,
    a_conversation_is_sent_parts_once_and_told_anew_with_them,
    a_question_with_parts_is_known_where_it_is_doubtful_whether_it_is_held,
    questions_that_are_sent_as_one_keep_their_parts,
    a_recovered_question_is_asked_again_with_its_parts,
    what_spans_show_has_no_bytes,
    the_same_key_is_the_same_request,
);

async fn another_branch_has_the_parts_of_its_question<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let first = host.teller.ai_engine_run(&host.engine, &thread, everything()).await.unwrap();
    let content = sent(&host);
    let again = first.run.regenerate(&host.engine).await.unwrap();
    assert_eq!(sent(&host), content);
    let messages = thread.messages(&host.engine);
    let asked = messages.list(Page::default()).await.unwrap().remove(0);
    assert_eq!(asked.run_id, Some(again.run.id));
    assert_eq!(kinds(&asked), ["image", "image", "file", "file", "audio"]);
    assert_eq!(messages.part_bytes(asked.parts[1].id).await.unwrap(), PNG);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_blobs"), 3);

    let other = Content::text("And this?").image("image/gif", *b"GIF89a");
    thread.edit(&host.engine, &asked, other).await.unwrap();
    let asked = messages.list(Page::default()).await.unwrap().remove(0);
    assert_eq!((&*asked.content, asked.parts.len()), ("And this?", 1));
    assert_eq!(host.fake.last_input().items.len(), 1);
    assert_eq!(sent(&host)[1]["image_url"], "data:image/gif;base64,R0lGODlh");
    // What left the path is there as it was.
    thread.choose(&host.engine, &first.run).await.unwrap();
    let back = messages.list(Page::default()).await.unwrap().remove(0);
    assert_eq!(back.parts.len(), 5);
}

async fn a_fork_has_parts_and_bytes_of_its_own<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let thought = serde_json::json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]});
    host.fake.reply(Reply::text("A tree.").item(thought));
    host.teller.ai_engine_run(&host.engine, &thread, everything()).await.unwrap();
    let said = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    let fork = thread.fork_at(&host.engine, &said[1]).await.unwrap();
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let messages = fork.messages(&host.engine);
    let copied = messages.list(Page::default()).await.unwrap();
    for (copy, original) in copied.iter().zip(&said) {
        let shown = |message: &ai_engine::Message| {
            let parts = message.parts.iter();
            parts.map(|part| (part.kind, part.digest.clone(), part.raw.clone())).collect::<Vec<_>>()
        };
        assert_eq!(shown(copy), shown(original));
    }
    assert_eq!(copied[1].parts[0].text().as_deref(), Some("Hm."));
    assert_eq!(messages.part_bytes(copied[0].parts[1].id).await.unwrap(), PNG);
    host.teller.ai_engine_run(&host.engine, &fork, "Go on").await.unwrap();
    assert_eq!(host.fake.last_input().items[0]["content"].as_array().unwrap().len(), 6);
}

async fn a_file_of_another_endpoint_is_an_error_before_anything_is_sent<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let asked = Content::text("Read").file_id("file-abc");
    host.teller.ai_engine_run(&host.engine, &thread, asked).await.unwrap();
    let elsewhere = FakeOpenAi::start().await.unwrap();
    let other = engine(&host.db, &elsewhere, &Hub::default(), |builder| builder);
    let error = host.teller.ai_engine_run(&other, &thread, "Go on").await.unwrap_err();
    let Error::RunFailed { reason, message, run_id, .. } = &error else { panic!("{error}") };
    assert_eq!(*reason, Reason::FileElsewhere);
    assert!(message.contains("file-abc") && message.contains(&host.fake.base_url()), "{message}");
    assert!(elsewhere.requests().is_empty());
    assert_eq!(other.find_run(*run_id).await.unwrap().status, RunStatus::Failed);
    // At home it goes on.
    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
}

async fn a_conversation_is_sent_parts_once_and_told_anew_with_them<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, everything()).await.unwrap();
    let content = sent(&host);
    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    assert_eq!(host.fake.last_input().lines(), ["user: Go on"]);
    // Another endpoint knows nothing of it, and is told all but what it cannot be.
    let local = engine(&host.db, &host.fake, &Hub::default(), |b| b.history(History::Local));
    host.teller.ai_engine_run(&local, &thread, "And now?").await.unwrap();
    let input = host.fake.last_input();
    assert_eq!((input.items.len(), &input.items[0]["content"]), (5, &content));
}

async fn a_question_with_parts_is_known_where_it_is_doubtful_whether_it_is_held<D: TestDatabase>(
    db: D,
) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "Hello").await.unwrap();
    // The client does not see the end; the service keeps what was said, and the question with it.
    let gate = Gate::new();
    host.fake.reply(Reply::deltas(["A ", "tree"]).hold_at(5, gate.clone()).finish_unseen());
    let run =
        host.teller.ai_engine_run(&host.engine, &thread, everything()).submit().await.unwrap();
    host.hub.until_text("A ").await;
    run.cancel(&host.engine).await.unwrap();
    host.engine.answer(run.id).await.unwrap();
    gate.open();
    let doubtful =
        "SELECT count(*) FROM ai_engine_messages WHERE remote_state = 'unknown' AND role = 'user'";
    assert_eq!(host.db.number(doubtful), 1);
    let conversation = host.fake.conversation_ids().pop().unwrap();
    until(|| host.fake.conversation_items(&conversation).is_some_and(|items| items.len() == 4))
        .await;
    host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
    let sent = host.fake.last_input();
    assert!(!sent.items.iter().any(|item| item["content"].is_array()), "{:?}", sent.lines());
    let held =
        "SELECT count(*) FROM ai_engine_messages WHERE remote_state = 'held' AND part_count = 5";
    assert_eq!(host.db.number(held), 1);
}

async fn questions_that_are_sent_as_one_keep_their_parts<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let messages = thread.messages(&host.engine);
    messages.create(ai_engine::Role::User, everything()).await.unwrap();
    let asked = Content::text("And this?").image("image/png", PNG);
    host.teller.ai_engine_run(&host.engine, &thread, asked).await.unwrap();
    let input = host.fake.last_input();
    assert_eq!(input.items.len(), 1);
    let content = input.items[0]["content"].as_array().unwrap();
    let kinds: Vec<&str> = content.iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[5..], ["input_audio", "input_text", "input_image"]);
}

async fn a_recovered_question_is_asked_again_with_its_parts<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let asked = host.teller.ai_engine_run(&host.engine, &thread, everything());
    let run = asked.enqueue().await.unwrap();
    // A process that claimed it has died, before a word came.
    host.db.execute(
        "INSERT INTO ai_engine_workers (id, started_at, lease_ends_at) VALUES ('dead', 0, 1);
         UPDATE ai_engine_runs SET status = 'in_progress', lease_owner = 'dead', fencing_token = 1,
            started_at = created_at, recovery = 'retry'",
    );
    host.engine.recover().await.unwrap();
    host.engine.answer(run.id).await.unwrap();
    assert_eq!(sent(&host).as_array().unwrap().len(), 6);
}

async fn what_spans_show_has_no_bytes<D: TestDatabase>(db: D) {
    recorded(|recorder| async move {
        let host = Host::with(db, |builder| builder.trace_content(100_000)).await;
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, everything()).await.unwrap();
        recorder.closed_run().await;
        let words = recorder.words();
        assert!(words.contains("What is this?") && words.contains("modality"), "{words}");
        assert!(!words.contains("iVBOR") && !words.contains("JVBERg"), "{words}");
    })
    .await;
}

/// What stands for a key is what was asked first: nothing of the second request is stored.
async fn the_same_key_is_the_same_request<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let ask = |content: Content| {
        host.teller.ai_engine_run(&host.engine, &thread, content).idempotency_key("k")
    };
    let first = ask(everything()).submit().await.unwrap();
    host.engine.answer(first.id).await.unwrap();
    let second = ask(Content::text("Other").image("image/png", *b"other")).submit().await.unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_blobs"), 3);
}
