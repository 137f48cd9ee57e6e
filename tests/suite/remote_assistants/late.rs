//! What comes late, or is said in error, or by a process of the version before.

use std::sync::Arc;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Reason, RunStatus, prelude::*};
use serde_json::{Value, json};

use super::changing::{Changing, amid};
use super::{END_CLAIMS, END_WAITS, is_as, keeping, ours, refusal, start, there};
use crate::support::*;

on_each_database!(
    a_change_that_comes_late_is_undone,
    one_that_was_not_found_in_error_is_deleted_all_the_same,
    a_run_is_answered_by_no_mixture_of_two_versions,
    runs_that_wait_for_one_do_not_try_each,
    what_the_version_before_changes_is_brought_in_step,
    what_the_version_before_deletes_is_deleted_there,
);

async fn in_step<D: TestDatabase>(host: &Host<D>, teller: &Changing) {
    let id = ours(host).await.unwrap().id;
    let ours = host.engine.sync_assistant(id).await.unwrap();
    let there = there(&host.fake);
    assert_eq!((there.len(), ours.remote_version), (1, Some(ours.version)), "{there:#?}");
    assert!(is_as(&there[0], &teller.definition), "{there:#?}");
}

async fn nothing_is_there<D: TestDatabase>(host: &Host<D>) {
    host.db.execute(END_WAITS);
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

async fn a_change_that_comes_late_is_undone<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let first = Changing::of(&host);
    first.create_openai_assistant(&host.engine).await.unwrap();
    let (second, third) = (first.clone().with_model("second"), first.with_model("third"));
    let (other, db, last) = (keeping(&host), host.db.clone(), third.clone());
    let handle = tokio::runtime::Handle::current();
    amid(&host.fake, "POST", "/v1/assistants/", move |_| {
        // Its process slept, and another one was faster by a version.
        db.execute(END_CLAIMS);
        let (done, wait) = std::sync::mpsc::channel();
        handle.spawn(async move {
            done.send(last.update_openai_assistant(&other).await).unwrap();
        });
        let changed = tokio::task::block_in_place(|| wait.recv()).unwrap().unwrap();
        assert_eq!(changed.remote_version, Some(3));
    });
    second.store(&host.db);
    host.engine.recover().await.unwrap();
    let changes = || {
        let requests = host.fake.requests().into_iter();
        requests.filter(|request| request.path.starts_with("/v1/assistants/")).count()
    };
    // The second, which is carried out behind the third, and the third once more.
    until(|| changes() == 3).await;
    in_step(&host, &third).await;
}

async fn one_that_was_not_found_in_error_is_deleted_all_the_same<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    let missing =
        json!({"error": {"message": "No assistant found", "type": "invalid_request_error"}});
    let path = format!("/assistants/{}", made.remote_id.unwrap());
    host.fake.intercept("POST", &path, Reply::status(404, missing));
    let changed = teller.with_model("other");
    changed.update_openai_assistant(&host.engine).await.unwrap();
    until_deleted(&host.db).await;
    in_step(&host, &changed).await;
    changed.delete_openai_assistant(&host.engine).await.unwrap();
    nothing_is_there(&host).await;
}

/// The assistant gets instructions when a run that has none is on its way to it.
async fn a_run_is_answered_by_no_mixture_of_two_versions<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.reply_always(Reply::text("Yes."));
    let mut bare = Changing::of(&host);
    bare.definition.instructions = None;
    bare.create_openai_assistant(&host.engine).await.unwrap();
    let thread = host.thread().await;
    let (other, told, db) = (keeping(&host), Changing::of(&host), host.db.clone());
    let handle = tokio::runtime::Handle::current();
    let path = "/v1/threads/";
    amid(&host.fake, "POST", path, move |sent| {
        assert!(sent["assistant_id"].is_string(), "the run: {sent}");
        let (done, wait) = std::sync::mpsc::channel();
        handle.spawn(async move {
            drop(told.update_openai_assistant(&other).await);
            drop(db);
            done.send(()).unwrap();
        });
        tokio::task::block_in_place(|| wait.recv()).unwrap();
    });
    let run = bare.ai_engine_run(&host.engine, &thread, "first").await.unwrap().run;
    assert_eq!((run.status, run.assistant_version), (RunStatus::Completed, Some(1)));
    let requests = host.fake.requests().into_iter();
    let asked: Vec<Value> = requests
        .filter(|request| request.method == "POST" && request.path.ends_with("/runs"))
        .map(|request| request.body.unwrap()["assistant_id"].clone())
        .collect();
    assert_eq!(asked.len(), 2, "the first was not its own version any more");
    assert_ne!(asked[0], asked[1], "the second is by one of its own");
    // What was asked is told once.
    let said = host.fake.thread_messages(&host.fake.thread_ids()[0]).unwrap();
    let questions = said.iter().filter(|said| said["role"] == "user").count();
    assert_eq!(questions, 1, "{said:#?}");
}

async fn runs_that_wait_for_one_do_not_try_each<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.reply_always(Reply::text("Yes."));
    let gate = Gate::new();
    host.fake.intercept("POST", "/assistants", refusal().hold_at(0, gate.clone()));
    let teller = Arc::new(Changing::of(&host));
    teller.store(&host.db);
    let mut runs = Vec::new();
    for _ in 0..6 {
        let thread = host.thread().await;
        runs.push(teller.ai_engine_run(&host.engine, &thread, "first").submit().await.unwrap());
    }
    gate.reached().await;
    let waiting = "SELECT count(*) FROM ai_engine_runs WHERE status = 'in_progress'";
    until(|| host.db.number(waiting) == 6).await;
    gate.open();
    for run in runs {
        let run = host.engine.answer(run.id).await.unwrap().run;
        assert_eq!((run.status, run.reason), (RunStatus::Completed, None::<Reason>));
    }
    let key = host.db.texts("SELECT remote_key AS line FROM ai_engine_assistants").remove(0);
    let is_try = |body: &Value| body["metadata"][super::KEY] == *key;
    let requests = host.fake.requests().into_iter();
    let tries = requests.filter(|request| request.body.as_ref().is_some_and(is_try)).count();
    assert_eq!(tries, 1, "each has made one of its own");
}

async fn what_the_version_before_changes_is_brought_in_step<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let teller = Changing::of(&host);
    teller.create_openai_assistant(&host.engine).await.unwrap();
    // It writes what it knows.
    let definition =
        serde_json::to_string(&json!({"model": "older", "name": "Scheherazade"})).unwrap();
    host.db.execute(&format!(
        "UPDATE ai_engine_assistants SET definition = '{definition}', model = 'older', version = version + 1"
    ));
    assert_eq!(host.db.number("SELECT remote_due_at FROM ai_engine_assistants"), 0);
    host.engine.recover().await.unwrap();
    until(|| there(&host.fake)[0]["model"] == "older").await;
}

async fn what_the_version_before_deletes_is_deleted_there<D: TestDatabase>(db: D) {
    let host = start(db).await;
    Changing::of(&host).create_openai_assistant(&host.engine).await.unwrap();
    host.db.execute("DELETE FROM ai_engine_assistants");
    nothing_is_there(&host).await;
}
