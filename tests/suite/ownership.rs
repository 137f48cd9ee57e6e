//! What an owner's handles find, and what a definition does to its row.

use ai_engine::{Error, Page, Role, prelude::*};

use crate::support::*;

on_each_database!(
    lists_come_in_pages,
    a_message_is_found_on_its_own_thread_alone,
    a_definition_is_created_and_updated_with_its_record,
    a_run_keeps_the_definition_it_was_submitted_with,
    a_stored_assistant_can_be_asked_without_its_record,
    an_engine_without_a_provider_reads_and_refuses_to_run,
);

async fn lists_come_in_pages<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let other = host.thread().await;
    let messages = thread.messages(&host.engine);
    let mut ids = Vec::new();
    for text in ["a", "b", "c", "d"] {
        ids.push(messages.create(Role::User, text).await.unwrap().id);
    }
    let texts = |list: Vec<ai_engine::Message>| {
        list.into_iter().map(|message| message.content).collect::<String>()
    };
    assert_eq!(texts(messages.list(Page::newest(3)).await.unwrap()), "bcd");
    assert_eq!(texts(messages.list(Page::before(ids[2], 10)).await.unwrap()), "ab");
    let foreign = other.messages(&host.engine).list(Page::before(ids[2], 10)).await.unwrap_err();
    assert!(matches!(foreign, Error::NotFound { what: "message", .. }));
    let threads = host.user.assistant_threads(&host.engine);
    assert_eq!(threads.list(Page::newest(1)).await.unwrap()[0].id, other.id);
    assert_eq!(threads.list(Page::before(other.id, 9)).await.unwrap()[0].id, thread.id);
}

async fn a_definition_is_created_and_updated_with_its_record<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let mut teller = host.teller.clone();
    assert!(teller.assistant(&host.engine).await.unwrap().is_none());
    let created = teller.create_openai_assistant(&host.engine).await.unwrap();
    assert_eq!((created.version, created.assistable_id.as_str()), (1, "7"));
    assert_eq!(
        teller.update_openai_assistant(&host.engine).await.unwrap(),
        created,
        "nothing changed"
    );
    "other-model".clone_into(&mut teller.model);
    let updated = teller.update_openai_assistant(&host.engine).await.unwrap();
    assert_eq!(
        (updated.id, updated.version, updated.model.as_str()),
        (created.id, 2, "other-model")
    );
    assert_eq!(updated.definition().unwrap(), teller.ai_engine_assistant());
    // A changed definition is also stored by a run.
    "third-model".clone_into(&mut teller.model);
    let thread = host.thread().await;
    teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    assert_eq!(teller.assistant(&host.engine).await.unwrap().unwrap().version, 3);
    assert_eq!(host.fake.requests().pop().unwrap().body.unwrap()["model"], "third-model");
}

async fn a_run_keeps_the_definition_it_was_submitted_with<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let answer = host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    host.db.execute("UPDATE ai_engine_assistants SET model = 'changed', name = 'changed'");
    let run = host.engine.find_run(answer.run.id).await.unwrap();
    assert_eq!(
        (run.model.as_str(), run.assistant_name.as_deref()),
        ("test-model", Some("Scheherazade"))
    );
    let snapshot = host.db.texts("SELECT CAST(definition AS TEXT) AS line FROM ai_engine_runs");
    assert!(snapshot[0].contains("You tell stories."), "{snapshot:?}");
}

async fn a_stored_assistant_can_be_asked_without_its_record<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let assistant = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    let answer = thread.run(&host.engine, &assistant, "Tell me").await.unwrap();
    assert_eq!(answer.run.assistant_id, Some(assistant.id));
    assert_eq!(
        host.fake.requests().pop().unwrap().body.unwrap()["instructions"],
        "You tell stories."
    );
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
    let refused = thread.run(&host.engine, &assistant, "Again").await.unwrap_err();
    assert!(matches!(refused, Error::NotFound { what: "assistant", .. }), "{refused}");
}

async fn an_engine_without_a_provider_reads_and_refuses_to_run<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let reader = D::owners(ai_engine::AiEngine::builder(host.db.database())).build().unwrap();
    assert!(thread.messages(&reader).list(Page::default()).await.unwrap().is_empty());
    let refused = host.teller.ai_engine_run(&reader, &thread, "Tell me").await.unwrap_err();
    assert!(refused.to_string().contains(".openai("), "{refused}");
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 0);
}

async fn a_message_is_found_on_its_own_thread_alone<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    let messages = thread.messages(&host.engine);
    let said = messages.create(Role::User, "Hello").await.unwrap();
    assert_eq!(messages.find(said.id).await.unwrap(), said);
    let refused = other.messages(&host.engine).find(said.id).await.unwrap_err();
    assert!(matches!(&refused, Error::NotFound { .. }), "{refused}");
    thread.truncate_after(&host.engine, &said).await.unwrap();
    let next = messages.create(Role::User, "And").await.unwrap();
    thread.truncate_after(&host.engine, &said).await.unwrap();
    let left = messages.find(next.id).await.unwrap();
    assert!(left.superseded, "what has left the path is found as well");
}
