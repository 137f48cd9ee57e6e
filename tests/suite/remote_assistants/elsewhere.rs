//! A definition that names another provider than before, and providers that an engine has no more.

use ai_engine::AiEngine;
use ai_engine::testing::FakeOpenAi;
use ai_engine::{OpenAi, prelude::*};
use serde_json::Value;

use super::changing::{Changing, amid, is_as};
use super::{END_WAITS, client, ours, start, there};
use crate::support::*;

on_each_database!(
    named_elsewhere_it_is_made_there_and_deleted_here,
    named_where_none_are_kept_it_is_deleted,
    named_elsewhere_while_it_is_made_it_ends_up_there,
    a_started_engine_leaves_what_a_hosts_transaction_left,
    a_provider_that_this_engine_does_not_know_is_left_to_others,
    an_endpoint_that_is_gone_keeps_its_deletion,
    the_note_of_an_earlier_version_goes_by_the_definition,
);

/// With a second provider `other`, which keeps assistants, and a third, `plain`, which keeps none.
pub async fn with_others<D: TestDatabase>(db: D) -> (Host<D>, FakeOpenAi) {
    let host = start(db).await;
    let other = FakeOpenAi::start().await.unwrap();
    let engine = engine_of(&host, client(&other), plain(&host.fake));
    (Host { engine, ..host }, other)
}

fn plain(fake: &FakeOpenAi) -> OpenAi {
    fake.openai().unwrap()
}

fn engine_of<D: TestDatabase>(host: &Host<D>, other: OpenAi, plain: OpenAi) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, |builder| {
        let builder = builder.openai(client(&host.fake));
        builder.provider("other", other).provider("plain", plain)
    })
}

async fn all_is_at<D: TestDatabase>(host: &Host<D>, fake: &FakeOpenAi, teller: &Changing) {
    until_deleted(&host.db).await;
    let (ours, there) = (ours(host).await.unwrap(), there(fake));
    assert_eq!(there.len(), 1, "{there:#?}");
    assert_eq!(there[0]["id"].as_str(), ours.remote_id.as_deref());
    assert_eq!(ours.remote_version, Some(ours.version));
    assert!(is_as(&there[0], &teller.definition));
}

async fn named_elsewhere_it_is_made_there_and_deleted_here<D: TestDatabase>(db: D) {
    let (host, other) = with_others(db).await;
    let teller = Changing::of(&host);
    teller.create_openai_assistant(&host.engine).await.unwrap();
    all_is_at(&host, &host.fake, &teller).await;
    let moved = teller.clone().at("other");
    moved.update_openai_assistant(&host.engine).await.unwrap();
    all_is_at(&host, &other, &moved).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
    teller.update_openai_assistant(&host.engine).await.unwrap();
    all_is_at(&host, &host.fake, &teller).await;
    assert_eq!(there(&other), [] as [Value; 0]);
}

async fn named_where_none_are_kept_it_is_deleted<D: TestDatabase>(db: D) {
    let (host, _other) = with_others(db).await;
    let teller = Changing::of(&host);
    teller.create_openai_assistant(&host.engine).await.unwrap();
    teller.clone().at("plain").update_openai_assistant(&host.engine).await.unwrap();
    until(|| there(&host.fake).is_empty()).await;
    until_deleted(&host.db).await;
    let now = ours(&host).await.unwrap();
    assert_eq!((now.remote_id, now.remote_version), (None, None));
    teller.update_openai_assistant(&host.engine).await.unwrap();
    all_is_at(&host, &host.fake, &teller).await;
}

async fn named_elsewhere_while_it_is_made_it_ends_up_there<D: TestDatabase>(db: D) {
    let (host, other) = with_others(db).await;
    let teller = Changing::of(&host);
    let (moved, db) = (teller.clone().at("other"), host.db.clone());
    let moving = moved.clone();
    amid(&host.fake, "POST", "/v1/assistants", move |_| moving.store(&db));
    teller.create_openai_assistant(&host.engine).await.unwrap();
    all_is_at(&host, &other, &moved).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

async fn a_started_engine_leaves_what_a_hosts_transaction_left<D: TestDatabase>(db: D) {
    let (host, other) = with_others(db).await;
    let teller = Changing::of(&host);
    teller.create_openai_assistant(&host.engine).await.unwrap();
    for (name, count) in [("plain", 0), ("other", 1), ("plain", 0)] {
        teller.clone().at(name).store(&host.db);
        host.engine.recover().await.unwrap();
        until(|| there(&host.fake).is_empty() && there(&other).len() == count).await;
        until_deleted(&host.db).await;
    }
}

async fn a_provider_that_this_engine_does_not_know_is_left_to_others<D: TestDatabase>(db: D) {
    let (host, _other) = with_others(db).await;
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    // Another engine may know it as the very same server.
    teller.clone().at("unknown").store(&host.db);
    let refused = host.engine.sync_assistant(made.id).await;
    assert!(matches!(refused, Err(ai_engine::Error::UnknownProvider { .. })), "{refused:?}");
    host.engine.recover().await.unwrap();
    let same = engine(&host.db, &host.fake, &host.hub, |builder| {
        let builder = builder.openai(plain(&host.fake));
        builder.provider("unknown", client(&host.fake))
    });
    let synced = same.sync_assistant(made.id).await.unwrap();
    assert_eq!((synced.remote_id, synced.remote_version), (made.remote_id, Some(2)));
}

async fn an_endpoint_that_is_gone_keeps_its_deletion<D: TestDatabase>(db: D) {
    let host = start(db).await;
    let teller = Changing::of(&host);
    let made = teller.create_openai_assistant(&host.engine).await.unwrap();
    // The next release has another server, and no other provider.
    let other = FakeOpenAi::start().await.unwrap();
    let next = engine(&host.db, &other, &host.hub, |builder| builder.openai(client(&other)));
    next.sync_assistant(made.id).await.unwrap();
    assert_eq!((there(&other).len(), there(&host.fake).len()), (1, 1));
    host.db.execute(END_WAITS);
    next.recover().await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_remote_deletions"), 1);
    // Whoever has that server again deletes it there.
    let both = engine(&host.db, &other, &host.hub, |builder| {
        builder.openai(client(&other)).provider("earlier", client(&host.fake))
    });
    both.recover().await.unwrap();
    all_is_at(&host, &other, &teller).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}

async fn the_note_of_an_earlier_version_goes_by_the_definition<D: TestDatabase>(db: D) {
    let (host, other) = with_others(db).await;
    let moved = Changing::of(&host).at("other");
    moved.store(&host.db);
    // A process of an earlier version stored the definition without a copy of the provider's name.
    host.db.execute("UPDATE ai_engine_assistants SET remote_provider = NULL");
    host.engine.recover().await.unwrap();
    until(|| there(&other).len() == 1).await;
    let id = ours(&host).await.unwrap().id;
    host.engine.sync_assistant(id).await.unwrap();
    all_is_at(&host, &other, &moved).await;
    assert_eq!(there(&host.fake), [] as [Value; 0]);
}
