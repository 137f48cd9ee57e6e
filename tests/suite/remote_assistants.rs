//! Where the provider keeps assistants, there is one for each of ours, as ours is, and none besides.

mod changing;
mod elsewhere;
mod late;
mod meanwhile;
mod model;

use ai_engine::openai::Protocol;
use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{AiEngine, Assistant, Error, OpenAi, prelude::*};
use serde_json::{Value, json};

use crate::support::*;
use changing::is_as;

on_each_database!(
    one_is_made_changed_and_deleted_with_ours,
    a_hosts_transaction_has_it_made_after_its_commit,
    what_the_provider_refused_is_noted_and_done_later,
    a_create_whose_answer_was_lost_is_found_again,
    what_was_made_and_never_answered_is_deleted_with_ours,
    a_run_is_answered_by_it_unless_it_would_add_to_the_call,
    a_run_goes_on_while_none_can_be_made,
    a_protocol_without_assistants_says_so,
    forgetting_the_record_deletes_it,
    whatever_happens_both_sides_are_equal_at_last,
);

fn client(fake: &FakeOpenAi) -> OpenAi {
    fake.openai_builder().protocol(Protocol::Assistants).build().unwrap()
}

/// An engine whose provider keeps assistants.
fn keeping<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, |builder| builder.openai(client(&host.fake)))
}

async fn start<D: TestDatabase>(db: D) -> Host<D> {
    let host = Host::with(db, |builder| builder).await;
    Host { engine: keeping(&host), ..host }
}

/// Each that is there.
fn there(fake: &FakeOpenAi) -> Vec<Value> {
    fake.assistant_ids().iter().map(|id| fake.assistant(id).unwrap()).collect()
}

async fn ours<D: TestDatabase>(host: &Host<D>) -> Option<Assistant> {
    host.teller.assistant(&host.engine).await.unwrap()
}

fn refusal() -> Reply {
    Reply::status(400, json!({"error": {"message": "no", "type": "invalid_request_error"}}))
}

/// What each of them there carries.
const KEY: &str = "ai_engine_key";

/// What a process that died has to itself is had by others again.
const END_CLAIMS: &str = "UPDATE ai_engine_assistants SET remote_claim_ends_at = NULL, \
    remote_due_at = CASE WHEN remote_due_at IS NULL THEN NULL ELSE 0 END";
const END_WAITS: &str = "UPDATE ai_engine_remote_deletions SET next_attempt_at = 0";

/// A process creates the assistant and dies at `point`.
fn dies<D: TestDatabase>(host: &Host<D>, point: &str, model: &str) {
    let settings = [
        ("AI_ENGINE_CRASH_AT", point),
        ("CHILD_PROTOCOL", "assistants"),
        ("CHILD_HISTORY", "conversation"),
        ("CHILD_MODEL", model),
    ];
    let mut child = Process::start(host, "remote_assistants::the_process_that_dies", &settings);
    assert!(!child.ended().success(), "{point} was not reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that dies in the tests here"]
async fn the_process_that_dies() {
    let engine = engine_of_this_process(&Hub::default());
    let teller = Storyteller { model: setting("CHILD_MODEL"), ..scheherazade() };
    drop(teller.create_openai_assistant(&engine).await);
    drop(teller.delete_openai_assistant(&engine).await);
}

async fn one_is_made_changed_and_deleted_with_ours<D: TestDatabase>(db: D) {
    let mut host = start(db).await;
    let made = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    let all = there(&host.fake);
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["name"], &all[0]["model"]), (&json!("Scheherazade"), &json!("test-model")));
    assert_eq!(made.remote_id.as_deref(), all[0]["id"].as_str());
    assert_eq!(made.remote_version, Some(1));
    "other-model".clone_into(&mut host.teller.model);
    let changed = host.teller.update_openai_assistant(&host.engine).await.unwrap();
    assert_eq!((changed.remote_id, changed.remote_version), (made.remote_id, Some(2)));
    assert_eq!(there(&host.fake)[0]["model"], "other-model");
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
    until_deleted(&host.db).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
}

async fn a_hosts_transaction_has_it_made_after_its_commit<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let made = host.db.with(|conn| host.teller.create_openai_assistant_in(conn.session())).unwrap();
    assert_eq!((made.remote_id, host.fake.assistant_ids().len()), (None, 0));
    // Whoever looks finds the note.
    host.engine.recover().await.unwrap();
    until(|| host.fake.assistant_ids().len() == 1).await;
    let synced = host.engine.sync_assistant(made.id).await.unwrap();
    assert_eq!(synced.remote_version, Some(1));
    let posts = host.fake.requests().into_iter().filter(|request| request.method == "POST");
    assert_eq!(posts.count(), 1, "in step already");
}

async fn what_the_provider_refused_is_noted_and_done_later<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.intercept("POST", "/assistants", refusal());
    let refused = host.teller.create_openai_assistant(&host.engine).await;
    assert!(matches!(refused, Err(Error::Provider(_))), "{refused:?}");
    assert_eq!(ours(&host).await.unwrap().remote_id, None);
    let noted = "SELECT count(*) FROM ai_engine_assistants WHERE remote_due_at > 0 AND remote_error IS NOT NULL";
    assert_eq!(host.db.number(noted), 1);
    host.db.execute(END_CLAIMS);
    host.engine.recover().await.unwrap();
    until(|| host.fake.assistant_ids().len() == 1).await;
    let id = ours(&host).await.unwrap().id;
    assert_eq!(host.engine.sync_assistant(id).await.unwrap().remote_version, Some(1));
}

async fn a_create_whose_answer_was_lost_is_found_again<D: TestDatabase>(db: D) {
    let host = start(db).await;
    dies(&host, "remote_assistant.carried_out", "test-model");
    assert_eq!(host.fake.assistant_ids().len(), 1);
    assert_eq!(ours(&host).await.unwrap().remote_id, None);
    host.db.execute(END_CLAIMS);
    let found = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    assert_eq!(host.fake.assistant_ids(), [found.remote_id.unwrap()]);
}

async fn what_was_made_and_never_answered_is_deleted_with_ours<D: TestDatabase>(db: D) {
    let host = start(db).await;
    dies(&host, "remote_assistant.carried_out", "test-model");
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
    // It may be on its way still.
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_remote_deletions"), 1);
    host.db.execute(END_WAITS);
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

/// Which assistant each run was asked of.
fn asked_of(fake: &FakeOpenAi) -> Vec<String> {
    let requests = fake.requests().into_iter();
    let runs =
        requests.filter(|request| request.method == "POST" && request.path.ends_with("/runs"));
    runs.map(|run| run.body.unwrap()["assistant_id"].as_str().unwrap().to_owned()).collect()
}

async fn a_run_is_answered_by_it_unless_it_would_add_to_the_call<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.reply_always(Reply::text("Yes."));
    let thread = host.thread().await;
    let ask = |text: &str| host.teller.ai_engine_run(&host.engine, &thread, text);
    let run = ask("first").await.unwrap().run;
    let own = ours(&host).await.unwrap();
    assert_eq!(run.assistant_version, own.remote_version);
    ask("second").definition(|usual| usual.model("other-model")).await.unwrap();
    ask("third")
        .definition(|usual| ai_engine::AssistantDefinition::new(usual.model))
        .await
        .unwrap();
    let (own, asked) = (own.remote_id.unwrap(), asked_of(&host.fake));
    assert_eq!(asked[..2], [own.clone(), own.clone()]);
    assert_ne!(asked[2], own, "it has instructions that this run has not");
    until(|| host.fake.assistant_ids() == [own.clone()]).await;
}

async fn a_run_goes_on_while_none_can_be_made<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.reply_always(Reply::text("Yes."));
    host.fake.intercept("POST", "/assistants", refusal());
    let thread = host.thread().await;
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    assert_eq!(asked_of(&host.fake).len(), 1, "by one of the run's own");
    host.db.execute(END_CLAIMS);
    host.fake.intercept("POST", "/assistants", refusal());
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    assert_eq!(asked_of(&host.fake).len(), 2);
    let id = ours(&host).await.unwrap().id;
    let own = host.engine.sync_assistant(id).await.unwrap().remote_id.unwrap();
    host.teller.ai_engine_run(&host.engine, &thread, "third").await.unwrap();
    assert_eq!(asked_of(&host.fake)[2], own);
}

async fn a_protocol_without_assistants_says_so<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let made = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    let refused = host.engine.sync_assistant(made.id).await;
    assert!(
        matches!(&refused, Err(Error::Unsupported { protocol: "responses", .. })),
        "{refused:?}"
    );
    let missing = keeping(&host).sync_assistant(made.id + 1).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

async fn forgetting_the_record_deletes_it<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.teller.create_openai_assistant(&host.engine).await.unwrap();
    host.engine.forget(&host.teller).await.unwrap();
    until_deleted(&host.db).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

async fn whatever_happens_both_sides_are_equal_at_last<D: TestDatabase>(db: D) {
    for seed in model::seeds() {
        model::play(db.another(), seed).await;
    }
}
