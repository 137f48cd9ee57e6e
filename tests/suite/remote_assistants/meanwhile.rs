//! What happens while a request is on its way, or without our knowing.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::testing::Reply;
use ai_engine::{AssistantDefinition, Error, RunStatus, prelude::*};
use reqwest::Method;
use serde_json::{Value, json};

use super::changing::{Changing, amid, ask, delete_there, is_as};
use super::{END_CLAIMS, END_WAITS, asked_of, keeping, ours, start, there};
use crate::support::*;

on_each_database!(
    changed_twice_during_one_request_it_is_as_the_last_says,
    deleted_while_it_is_made_nothing_is_left,
    deleted_while_it_is_changed_nothing_is_left,
    deleted_and_stored_again_while_it_is_made_there_is_one,
    two_engines_make_one,
    a_process_that_was_away_for_long_overwrites_nothing,
    a_create_that_was_not_answered_is_not_repeated_blindly,
    a_create_that_comes_late_leaves_no_second_one,
    one_that_was_deleted_there_is_made_again_by_a_change,
    one_that_was_deleted_there_is_made_again_by_a_run,
    a_model_that_is_not_there_is_not_asked_for_twice,
    one_that_was_deleted_there_is_deleted_here,
    what_is_rolled_back_happens_nowhere,
    what_is_no_longer_set_is_taken_away_there,
    a_run_says_which_version_answered_while_the_other_is_not_in_step,
);

/// How long something is waited for that must not come.
const IS_NOT_DONE: Duration = Duration::from_millis(500);

async fn in_step<D: TestDatabase>(host: &Host<D>, definition: &AssistantDefinition) {
    let (ours, there) = (ours(host).await.unwrap(), there(&host.fake));
    assert_eq!(there.len(), 1, "{there:#?}");
    assert_eq!(there[0]["id"].as_str(), ours.remote_id.as_deref());
    assert_eq!(ours.remote_version, Some(ours.version));
    assert!(is_as(&there[0], definition), "{definition:#?}: {there:#?}");
}

/// Nothing is left, once what may be on its way cannot be any more.
async fn nothing_is_left<D: TestDatabase>(host: &Host<D>) {
    host.db.execute(END_WAITS);
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

/// How often one was asked to be made or changed.
fn posts<D>(host: &Host<D>) -> usize {
    let requests = host.fake.requests().into_iter();
    let is_ours = |path: &str| path.starts_with("/v1/assistants");
    requests.filter(|request| request.method == "POST" && is_ours(&request.path)).count()
}

async fn changed_twice_during_one_request_it_is_as_the_last_says<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let first = Changing::of(&host);
    let (second, third) = (first.clone().with_model("second"), first.clone().with_model("third"));
    let (db, last) = (host.db.clone(), third.clone());
    amid(&host.fake, "POST", "/v1/assistants", move |_| {
        second.store(&db);
        last.store(&db);
    });
    let made = first.create_openai_assistant(&host.engine).await.unwrap();
    assert_eq!((made.version, made.remote_version), (3, Some(3)));
    assert_eq!(posts(&host), 2, "made as the first, changed to the third");
    in_step(&host, &third.definition).await;
    // The same while one is changed, and nobody waits for it: the note stays.
    let (fourth, fifth) = (first.clone().with_model("fourth"), first.with_model("fifth"));
    let (db, last) = (host.db.clone(), fifth.clone());
    amid(&host.fake, "POST", "/v1/assistants/", move |_| last.store(&db));
    fourth.store(&host.db);
    host.engine.recover().await.unwrap();
    until(|| there(&host.fake)[0]["model"] == "fifth").await;
    host.engine.sync_assistant(made.id).await.unwrap();
    in_step(&host, &fifth.definition).await;
}

async fn deleted_while_it_is_made_nothing_is_left<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let (db, teller) = (host.db.clone(), Changing::of(&host));
    let deleting = teller.clone();
    amid(&host.fake, "POST", "/v1/assistants", move |_| deleting.delete(&db));
    let made = teller.create_openai_assistant(&host.engine).await;
    assert!(matches!(made, Err(Error::NotFound { .. })), "{made:?}");
    // Its id is known by now, so nothing waits.
    until(|| there(&host.fake).is_empty()).await;
    nothing_is_left(&host).await;
}

async fn deleted_while_it_is_changed_nothing_is_left<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    // It is gone there, so that the change makes another one.
    delete_there(&host.fake, &made.remote_id.unwrap()).await;
    let (db, deleting) = (host.db.clone(), teller.clone());
    amid(&host.fake, "POST", "/v1/assistants", move |_| deleting.delete(&db));
    let changed = teller.with_model("other").update_openai_assistant(&host.engine).await;
    assert!(matches!(changed, Err(Error::NotFound { .. })), "{changed:?}");
    nothing_is_left(&host).await;
}

async fn deleted_and_stored_again_while_it_is_made_there_is_one<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let (db, teller) = (host.db.clone(), Changing::of(&host));
    let again = teller.clone();
    amid(&host.fake, "POST", "/v1/assistants", move |_| {
        again.delete(&db);
        again.store(&db);
    });
    drop(teller.create_openai_assistant(&host.engine).await);
    let id = ours(&host).await.unwrap().id;
    host.engine.sync_assistant(id).await.unwrap();
    host.db.execute(END_WAITS);
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    in_step(&host, &teller.definition).await;
}

async fn two_engines_make_one<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let (other, teller) = (keeping(&host), host.teller.clone());
    let (engine, handle) = (other.clone(), tokio::runtime::Handle::current());
    let second = Arc::new(Mutex::new(None));
    let begun = Arc::clone(&second);
    amid(&host.fake, "POST", "/v1/assistants", move |_| {
        let (done, wait) = std::sync::mpsc::channel();
        let creating = handle.spawn(async move {
            let made = teller.create_openai_assistant(&engine).await;
            drop(done);
            made
        });
        *begun.lock().unwrap() = Some(creating);
        // It waits for this request, so it is not done by then.
        let waited = tokio::task::block_in_place(|| wait.recv_timeout(IS_NOT_DONE));
        assert_eq!(waited, Err::<(), _>(RecvTimeoutError::Timeout));
    });
    let first = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    let second = second.lock().unwrap().take().unwrap();
    assert_eq!(second.await.unwrap().unwrap().remote_id, first.remote_id);
    assert_eq!((host.fake.assistant_ids().len(), posts(&host)), (1, 1));
}

async fn a_process_that_was_away_for_long_overwrites_nothing<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let (first, db) = (Changing::of(&host), host.db.clone());
    let second = first.clone().with_model("second");
    let (other, changed) = (keeping(&host), second.clone());
    let handle = tokio::runtime::Handle::current();
    amid(&host.fake, "POST", "/v1/assistants", move |_| {
        // Its claim has ended, and another process has it.
        db.execute(END_CLAIMS);
        let (done, wait) = std::sync::mpsc::channel();
        handle.spawn(async move {
            done.send(changed.update_openai_assistant(&other).await).unwrap();
        });
        let changed = tokio::task::block_in_place(|| wait.recv()).unwrap().unwrap();
        assert_eq!(changed.remote_version, Some(2));
    });
    first.store(&host.db);
    host.engine.recover().await.unwrap();
    // Each of them may have left one, and says so.
    until(|| host.db.number("SELECT count(*) FROM ai_engine_remote_deletions") == 2).await;
    host.db.execute(END_WAITS);
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    host.engine.sync_assistant(ours(&host).await.unwrap().id).await.unwrap();
    in_step(&host, &second.definition).await;
}

async fn a_create_that_was_not_answered_is_not_repeated_blindly<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let said = Arc::new(Mutex::new(Value::Null));
    let body = Arc::clone(&said);
    amid(&host.fake, "POST", "/v1/assistants", move |sent| *body.lock().unwrap() = sent.clone());
    host.fake.intercept("POST", "/assistants", Reply::hang_up());
    let teller = Changing::of(&host);
    let lost = teller.create_openai_assistant(&host.engine).await;
    assert!(matches!(lost, Err(Error::Provider(_))), "{lost:?}");
    assert_eq!(posts(&host), 1);
    // The server has carried it out all the same.
    let said = said.lock().unwrap().clone();
    let made = ask(&host.fake, Method::POST, "assistants", &said).await;
    let id = ours(&host).await.unwrap().id;
    let synced = host.engine.sync_assistant(id).await.unwrap();
    assert_eq!(synced.remote_id.as_deref(), made["id"].as_str());
    in_step(&host, &teller.definition).await;
}

async fn a_create_that_comes_late_leaves_no_second_one<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.intercept("POST", "/assistants", Reply::hang_up());
    let teller = Changing::of(&host);
    drop(teller.create_openai_assistant(&host.engine).await.unwrap_err());
    let synced = host.engine.sync_assistant(ours(&host).await.unwrap().id).await.unwrap();
    // Only now the server carries out what it was asked for first.
    let first = host.fake.requests().remove(0);
    ask(&host.fake, Method::POST, "assistants", &first.body.unwrap()).await;
    assert_eq!(there(&host.fake).len(), 2);
    host.db.execute(END_WAITS);
    host.engine.recover().await.unwrap();
    until_deleted(&host.db).await;
    assert_eq!(host.fake.assistant_ids(), [synced.remote_id.unwrap()]);
    in_step(&host, &teller.definition).await;
}

async fn one_that_was_deleted_there_is_made_again_by_a_change<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    delete_there(&host.fake, made.remote_id.as_ref().unwrap()).await;
    let teller = teller.with_model("other-model");
    let again = teller.update_openai_assistant(&host.engine).await.unwrap();
    assert_ne!(again.remote_id, made.remote_id);
    in_step(&host, &teller.definition).await;
}

async fn one_that_was_deleted_there_is_made_again_by_a_run<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.reply_always(Reply::text("Yes."));
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    delete_there(&host.fake, made.remote_id.as_ref().unwrap()).await;
    let thread = host.thread().await;
    let run = teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap().run;
    assert_eq!(run.status, RunStatus::Completed);
    let again = ours(&host).await.unwrap().remote_id.unwrap();
    assert_eq!(asked_of(&host.fake), [made.remote_id.unwrap(), again.clone()]);
    in_step(&host, &teller.definition).await;
    teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    assert_eq!(asked_of(&host.fake)[2], again, "it is known from then on");
}

async fn a_model_that_is_not_there_is_not_asked_for_twice<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.models(["known"]);
    let teller = Changing::of(&host).with_model("known");
    teller.create_openai_assistant(&host.engine).await.unwrap();
    let thread = host.thread().await;
    let asking = teller.ai_engine_run(&host.engine, &thread, "first");
    let answer = asking.definition(|usual| usual.model("unknown")).await;
    assert!(matches!(answer, Err(Error::RunFailed { .. })), "{answer:?}");
    assert_eq!(asked_of(&host.fake).len(), 1);
    in_step(&host, &teller.definition).await;
}

async fn one_that_was_deleted_there_is_deleted_here<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let made = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    delete_there(&host.fake, &made.remote_id.unwrap()).await;
    host.teller.delete_openai_assistant(&host.engine).await.unwrap();
    until_deleted(&host.db).await;
    let deletions = host.fake.requests().into_iter();
    let deletions = deletions.filter(|request| request.method == "DELETE");
    assert_eq!(deletions.count(), 2, "theirs and ours");
}

async fn what_is_rolled_back_happens_nowhere<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let teller = Changing::of(&host);
    let rolled_back = |work: &dyn Fn(&mut dyn HostConnection)| {
        let done = host.db.with(|conn| {
            conn.transaction(&mut |conn| {
                work(conn);
                Err(Error::Host("no".into()))
            })
        });
        assert!(matches!(done, Err(Error::Host(_))), "{done:?}");
    };
    rolled_back(&|conn| drop(teller.create_openai_assistant_in(conn.session()).unwrap()));
    host.engine.recover().await.unwrap();
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    assert_eq!(posts(&host), 1);
    rolled_back(&|conn| {
        let changed = teller.clone().with_model("other");
        changed.update_openai_assistant_in(conn.session()).unwrap();
        teller.delete_openai_assistant_in(conn.session()).unwrap();
    });
    rolled_back(&|conn| {
        host.engine.forget_in(conn.session(), &teller).unwrap();
    });
    host.engine.recover().await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_remote_deletions"), 0);
    let now = host.engine.sync_assistant(made.id).await.unwrap();
    assert_eq!((now.remote_id, posts(&host)), (made.remote_id, 1));
    in_step(&host, &teller.definition).await;
    // And what is not rolled back does.
    host.db.with(|conn| host.engine.forget_in(conn.session(), &teller)).unwrap();
    until_deleted(&host.db).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

async fn what_is_no_longer_set_is_taken_away_there<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let all = AssistantDefinition::new("test-model")
        .name("Scheherazade")
        .description("She tells stories.")
        .instructions("You tell stories.")
        .temperature(0.5)
        .top_p(0.5)
        .reasoning(json!({"effort": "low"}))
        .tool(json!({"type": "code_interpreter"}))
        .metadata("night", "1001");
    let teller = Changing { definition: all, ..Changing::of(&host) };
    teller.create_openai_assistant(&host.engine).await.unwrap();
    in_step(&host, &teller.definition).await;
    let bare = Changing { definition: AssistantDefinition::new("test-model"), ..teller };
    bare.update_openai_assistant(&host.engine).await.unwrap();
    in_step(&host, &bare.definition).await;
}

async fn a_run_says_which_version_answered_while_the_other_is_not_in_step<D: TestDatabase>(db: D) {
    let host = start(db).await;
    host.fake.reply_always(Reply::text("Yes."));
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    let (id, remote) = (made.id, made.remote_id.unwrap());
    let thread = host.thread().await;
    let changed = teller.with_model("second");
    // It is away for the whole test, also where somebody tries again in between.
    for _ in 0..5 {
        let away = Reply::status(400, json!({"error": {"message": "not now"}}));
        host.fake.intercept("POST", &format!("/assistants/{remote}"), away);
    }
    changed.store(&host.db);
    let run = changed.ai_engine_run(&host.engine, &thread, "first").await.unwrap().run;
    assert_eq!((run.assistant_version, run.model.as_str()), (Some(2), "second"));
    assert_ne!(asked_of(&host.fake)[0], remote, "it is as the first version says");
    assert_eq!(ours(&host).await.unwrap().remote_version, Some(1));
    while host.engine.sync_assistant(id).await.is_err() {}
    changed.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    assert_eq!(asked_of(&host.fake)[1], remote);
    in_step(&host, &changed.definition).await;
}
