//! Each definition that an assistant was stored with is kept, once.

use ai_engine::{AssistantVersion, Error, Page, prelude::*};
use serde_json::json;

use crate::support::*;

on_each_database!(
    each_changed_definition_is_a_version_and_an_unchanged_one_is_none,
    a_version_is_stored_with_its_definition_or_not_at_all,
    a_version_that_an_earlier_release_stored_is_made_up_for,
    restoring_tells_the_definition_and_stores_nothing,
    racing_changes_leave_no_gap,
);

const COUNT: &str = "SELECT count(*) FROM ai_engine_assistant_versions";

/// What each version says, newest first.
fn said(versions: &[AssistantVersion]) -> Vec<(i64, String)> {
    versions.iter().map(|version| (version.version, version.definition().unwrap().model)).collect()
}

fn is(version: i64, model: &str) -> (i64, String) {
    (version, model.to_owned())
}

async fn each_changed_definition_is_a_version_and_an_unchanged_one_is_none<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let engine = &host.engine;
    let mut teller = host.teller.clone();
    let assistant = teller.create_openai_assistant(engine).await.unwrap();
    teller.update_openai_assistant(engine).await.unwrap();
    assert_eq!(host.db.number(COUNT), 1);
    let thread = host.thread().await;
    let mut runs = Vec::new();
    for model in ["b", "b", "c"] {
        model.clone_into(&mut teller.model);
        runs.push(teller.ai_engine_run(engine, &thread, "Tell me").await.unwrap().run);
    }
    let numbers: Vec<_> = runs.iter().map(|run| run.assistant_version.unwrap()).collect();
    assert_eq!(numbers, [2, 2, 3]);
    let all = assistant.versions(engine, Page::default()).await.unwrap();
    assert_eq!(said(&all), [is(3, "c"), is(2, "b"), is(1, "test-model")]);
    assert!(all[0].created_at >= all[2].created_at);
    let page = assistant.versions(engine, Page::newest(2)).await.unwrap();
    assert_eq!(said(&page), [is(3, "c"), is(2, "b")]);
    let page = assistant.versions(engine, Page::before(2, 9)).await.unwrap();
    assert_eq!(said(&page), [is(1, "test-model")]);

    let [change] = &all[2].diff(&all[0])[..] else { panic!("{:?}", all[2].diff(&all[0])) };
    let change = (change.field.as_str(), &change.from, &change.to);
    assert_eq!(change, ("model", &json!("test-model"), &json!("c")));

    // Versions go with their assistant; runs keep the snapshot they were submitted with.
    let other = Storyteller { id: 8, ..host.teller.clone() };
    other.create_openai_assistant(engine).await.unwrap();
    teller.delete_openai_assistant(engine).await.unwrap();
    assert_eq!(host.db.number(COUNT), 1);
    let gone = assistant.versions(engine, Page::default()).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { what: "assistant", .. }), "{gone:?}");
    assert_eq!(engine.find_run(runs[0].id).await.unwrap().assistant_version, Some(2));
}

async fn a_version_is_stored_with_its_definition_or_not_at_all<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let mut teller = host.teller.clone();
    let assistant = teller.create_openai_assistant(&host.engine).await.unwrap();
    "b".clone_into(&mut teller.model);
    let rolled_back = host.db.with(|conn| {
        conn.transaction(&mut |conn| {
            assert_eq!(teller.update_openai_assistant_in(conn.session())?.version, 2);
            Err(Error::host("changed my mind"))
        })
    });
    rolled_back.unwrap_err();
    let all = assistant.versions(&host.engine, Page::default()).await.unwrap();
    assert_eq!(said(&all), [is(1, "test-model")]);
}

async fn a_version_that_an_earlier_release_stored_is_made_up_for<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let engine = &host.engine;
    let mut teller = host.teller.clone();
    let assistant = teller.create_openai_assistant(engine).await.unwrap();
    // As that release stores a changed definition.
    host.db.execute(
        "UPDATE ai_engine_assistants SET model = 'b', version = 2, \
             definition = '{\"model\":\"b\",\"instructions\":\"Be brief.\"}', updated_at = '2026-01-01 00:00:00'",
    );
    let all = assistant.versions(engine, Page::default()).await.unwrap();
    assert_eq!(said(&all), [is(2, "b"), is(1, "test-model")], "seen before it is stored");
    assert_eq!(said(&assistant.versions(engine, Page::newest(1)).await.unwrap()), [is(2, "b")]);
    assert_eq!(assistant.versions(engine, Page::newest(0)).await.unwrap(), []);
    assert_eq!(assistant.restore(engine, 2).await.unwrap().model, "b");
    assert_eq!(host.db.number(COUNT), 1);

    "c".clone_into(&mut teller.model);
    teller.update_openai_assistant(engine).await.unwrap();
    let all = assistant.versions(engine, Page::default()).await.unwrap();
    assert_eq!(said(&all), [is(3, "c"), is(2, "b"), is(1, "test-model")]);
    assert_eq!(all[1].definition().unwrap().instructions.as_deref(), Some("Be brief."));
    assert_eq!(all[1].created_at.to_rfc3339(), "2026-01-01T00:00:00+00:00");
    assert_eq!(host.db.number(COUNT), 3);
}

async fn restoring_tells_the_definition_and_stores_nothing<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let engine = &host.engine;
    let mut teller = host.teller.clone();
    let assistant = teller.create_openai_assistant(engine).await.unwrap();
    "b".clone_into(&mut teller.model);
    teller.update_openai_assistant(engine).await.unwrap();
    let old = assistant.restore(engine, 1).await.unwrap();
    assert_eq!(old, host.teller.ai_engine_assistant());
    assert_eq!(teller.assistant(engine).await.unwrap().unwrap().version, 2);
    // The host's record is the truth.
    teller.model = old.model;
    assert_eq!(teller.update_openai_assistant(engine).await.unwrap().version, 3);
    let all = assistant.versions(engine, Page::default()).await.unwrap();
    assert_eq!(all[0].diff(&all[2]), []);
    let missing = assistant.restore(engine, 9).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { what: "assistant version", .. }), "{missing:?}");
    host.db.execute("UPDATE ai_engine_assistant_versions SET definition = '{\"temperature\":\"hot\"}' WHERE version = 1");
    let unreadable = assistant.restore(engine, 1).await.unwrap_err();
    assert!(matches!(unreadable, Error::Invalid { field: "definition", .. }), "{unreadable:?}");
}

async fn racing_changes_leave_no_gap<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let assistant = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    race(&host, |number| format!("m{number}")).await;
    let all = assistant.versions(&host.engine, Page::default()).await.unwrap();
    let numbers: Vec<_> = all.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let mut models: Vec<_> = said(&all).into_iter().map(|(_, model)| model).collect();
    models.sort();
    models.dedup();
    assert_eq!(models.len(), 9, "each says what was stored as it");

    race(&host, |_| "same".to_owned()).await;
    let newest = assistant.versions(&host.engine, Page::newest(1)).await.unwrap();
    assert_eq!(said(&newest), [is(10, "same")], "the same change is one version");
}

/// Many change the same assistant at once.
async fn race<D: TestDatabase>(host: &Host<D>, model: impl Fn(usize) -> String) {
    let racing: Vec<_> = (0..8)
        .map(|number| {
            let teller = Storyteller { model: model(number), ..host.teller.clone() };
            let engine = host.engine.clone();
            tokio::spawn(async move { teller.update_openai_assistant(&engine).await.unwrap() })
        })
        .collect();
    for racer in racing {
        racer.await.unwrap();
    }
}
