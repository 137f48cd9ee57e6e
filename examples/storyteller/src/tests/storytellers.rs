//! Storytellers and their assistants.

use ai_engine::schema::{
    ai_engine_assistant_versions as versions, ai_engine_assistants as assistants,
};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::world::World;
use crate::database::{read, transaction};
use crate::schema::storytellers;

super::on_both! {
    an_invalid_form_keeps_what_was_written_and_says_what_is_wrong
    a_storyteller_and_its_assistant_are_one
    a_deleted_storyteller_still_signs_its_answers
    one_that_was_deleted_meanwhile_is_not_saved
}

async fn an_invalid_form_keeps_what_was_written_and_says_what_is_wrong(world: World) {
    let mut ada = world.signed_in("Ada").await;
    let written = "Once <b>upon</b> a time";
    let fields = [
        ("name", " "),
        ("model", "gpt-6-luna"),
        ("instructions", written),
        ("max_prompt_tokens", "12"),
        ("max_output_tokens", "many"),
    ];
    let again = ada.post("/storytellers", &fields).await;
    assert_eq!(again.status, 422);
    for text in [
        "Please write a name.",
        "A whole number from 256 on",
        "A whole number from 16 on",
        "Once &lt;b&gt;upon&lt;&#x2f;b&gt; a time",
        "value=\"many\"",
        "value=\"12\"",
    ] {
        assert!(again.body.contains(text), "{text}: {}", again.body);
    }
    let stored: i64 =
        read!(world.app.db, |conn| storytellers::table.count().get_result(conn)?).unwrap();
    assert_eq!(stored, 0);
}

async fn a_storyteller_and_its_assistant_are_one(world: World) {
    let mut ada = world.signed_in("Ada").await;
    let away = "ALTER TABLE ai_engine_assistants RENAME TO away";
    transaction!(world.app.db, |conn| conn.batch_execute(away)?).unwrap();
    let fields = [("name", "Scheherazade"), ("model", "gpt-6-luna")];
    let failed = ada.post("/storytellers", &fields).await;
    assert!(failed.status >= 500, "{failed:?}");
    assert!(!failed.body.contains("ai_engine_assistants"), "{}", failed.body);
    let back = "ALTER TABLE away RENAME TO ai_engine_assistants";
    transaction!(world.app.db, |conn| conn.batch_execute(back)?).unwrap();
    let stored = async || {
        let counts: (i64, i64) = read!(world.app.db, |conn| (
            storytellers::table.count().get_result(conn)?,
            assistants::table.count().get_result(conn)?
        ))
        .unwrap();
        counts
    };
    assert_eq!(stored().await, (0, 0), "neither of them");

    ada.get("/storytellers").await;
    let made = ada.post("/storytellers", &fields).await.location;
    assert_eq!(stored().await, (1, 1), "both of them");
    let changed = [("name", "Dunyazad"), ("model", "gpt-6-sol"), ("max_output_tokens", "300")];
    assert_eq!(ada.post(&made, &changed).await.status, 303);
    let (name, model): (Option<String>, String) = read!(world.app.db, |conn| assistants::table
        .select((assistants::name, assistants::model))
        .first(conn)?)
    .unwrap();
    assert_eq!((name.as_deref(), &*model), (Some("Dunyazad"), "gpt-6-sol"));
    let told: i64 = read!(world.app.db, |conn| versions::table.count().get_result(conn)?).unwrap();
    assert_eq!(told, 2);
    assert_eq!(ada.post(&format!("{made}/delete"), &[]).await.status, 303);
    assert_eq!(stored().await, (0, 0));
}

async fn a_deleted_storyteller_still_signs_its_answers(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    ada.ask(&thread, "Tell me a story", None).await;
    let run = ada.get(&thread).await.run();
    world.until_answered(run).await;
    assert_eq!(ada.post("/storytellers/1/delete", &[]).await.status, 303);
    let page = ada.get(&thread).await;
    assert!(page.body.contains("<strong><bdi>Scheherazade</bdi></strong>"), "{}", page.body);
    assert!(page.body.contains("There is no storyteller to ask."), "{}", page.body);
}

/// The row goes between the look and the write.
async fn one_that_was_deleted_meanwhile_is_not_saved(world: World) {
    let (mut ada, _) = world.with_thread("Ada").await;
    let ignored = match &world.app.db {
        crate::database::Db::Sqlite(_) => {
            "CREATE TRIGGER ignored BEFORE UPDATE ON storytellers BEGIN SELECT RAISE(IGNORE); END"
        }
        #[cfg(feature = "postgres")]
        crate::database::Db::Postgres(_) => {
            "CREATE RULE ignored AS ON UPDATE TO storytellers DO INSTEAD NOTHING"
        }
    };
    transaction!(world.app.db, |conn| conn.batch_execute(ignored)?).unwrap();
    ada.get("/account").await;
    let changed = [("name", "Dunyazad"), ("model", "gpt-6-luna")];
    assert_eq!(ada.post("/storytellers/1", &changed).await.status, 404);
    let name: Option<String> =
        read!(world.app.db, |conn| assistants::table.select(assistants::name).first(conn)?)
            .unwrap();
    assert_eq!(name.as_deref(), Some("Scheherazade"), "its assistant is as it was");
}
