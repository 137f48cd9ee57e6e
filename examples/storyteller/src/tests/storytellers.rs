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
    two_who_change_one_do_not_undo_each_other
    numbers_and_texts_that_cannot_be_stored_are_refused_in_words
    instructions_that_are_far_too_long_are_kept_and_said_to_be
    a_thread_begun_with_a_storyteller_is_answered_by_it
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
        "A whole number from 256 on, at most 2147483647",
        "A whole number from 16 on, at most 2147483647",
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
    let changed = [
        ("name", "Dunyazad"),
        ("model", "gpt-6-sol"),
        ("max_output_tokens", "300"),
        ("version", "1"),
    ];
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

/// The row goes before the form is sent, or between the look and the write.
async fn one_that_was_deleted_meanwhile_is_not_saved(world: World) {
    let (mut ada, _) = world.with_thread("Ada").await;
    let gone = match &world.app.db {
        crate::database::Db::Sqlite(_) => {
            "CREATE TRIGGER gone BEFORE UPDATE ON storytellers BEGIN DELETE FROM storytellers; SELECT RAISE(IGNORE); END"
        }
        #[cfg(feature = "postgres")]
        crate::database::Db::Postgres(_) => {
            "CREATE RULE gone AS ON UPDATE TO storytellers DO INSTEAD DELETE FROM storytellers"
        }
    };
    transaction!(world.app.db, |conn| conn.batch_execute(gone)?).unwrap();
    ada.get("/account").await;
    let changed = [("name", "Dunyazad"), ("model", "gpt-6-luna"), ("version", "1")];
    for when in ["between", "before"] {
        let again = ada.post("/storytellers/1", &changed).await;
        assert_eq!(again.status, 404, "{when}");
        for text in
            ["no such storyteller any more", "value=\"Dunyazad\"", "action=\"/storytellers\""]
        {
            assert!(again.body.contains(text), "{when}: {text}: {}", again.body);
        }
    }
    let name: Option<String> =
        read!(world.app.db, |conn| assistants::table.select(assistants::name).first(conn)?)
            .unwrap();
    assert_eq!(name.as_deref(), Some("Scheherazade"), "its assistant is as it was");
}

async fn two_who_change_one_do_not_undo_each_other(world: World) {
    let (mut ada, _) = world.with_thread("Ada").await;
    let shown = "name=\"version\" value=\"1\"";
    assert!(ada.get("/storytellers/1/edit").await.body.contains(shown));
    let form = |name, instructions, version| {
        [
            ("name", name),
            ("model", "gpt-6-luna"),
            ("instructions", instructions),
            ("version", version),
        ]
    };
    let first = form("Dunyazad", "Tell.", "1");
    assert_eq!(ada.post("/storytellers/1", &first).await.status, 303);
    assert_eq!(ada.post("/storytellers/1", &first).await.status, 303, "the same once more");
    let again = ada.post("/storytellers/1", &form("Scheherazade", "Sing.", "1")).await;
    assert_eq!(again.status, 409);
    for text in ["changed meanwhile", "It is now: Dunyazad", "Sing.", "value=\"Scheherazade\""] {
        assert!(again.body.contains(text), "{text}: {}", again.body);
    }
    let names = async || {
        let names: (String, Option<String>) = read!(world.app.db, |conn| (
            storytellers::table.select(storytellers::name).first(conn)?,
            assistants::table.select(assistants::name).first(conn)?
        ))
        .unwrap();
        names
    };
    assert_eq!(names().await, ("Dunyazad".to_owned(), Some("Dunyazad".to_owned())));
    // Whoever has seen the other one's may replace it; a form without a version has seen none.
    assert!(again.body.contains("name=\"version\" value=\"2\""), "{}", again.body);
    assert_eq!(ada.post("/storytellers/1", &form("Sindbad", "Sail.", "")).await.status, 409);
    assert_eq!(ada.post("/storytellers/1", &form("Sindbad", "Sail.", "2")).await.status, 303);
    assert_eq!(names().await, ("Sindbad".to_owned(), Some("Sindbad".to_owned())));
}

async fn numbers_and_texts_that_cannot_be_stored_are_refused_in_words(world: World) {
    let mut ada = world.signed_in("Ada").await;
    for (field, value, said) in [
        ("max_prompt_tokens", "2147483648", "from 256 on, at most 2147483647, or nothing"),
        ("max_output_tokens", "-1", "from 16 on, at most 2147483647, or nothing"),
        ("description", "a\0b", "invisible character"),
        ("instructions", "a\0b", "invisible character"),
    ] {
        let fields = [("name", "Scheherazade"), ("model", "gpt-6-luna"), (field, value)];
        let again = ada.post("/storytellers", &fields).await;
        assert_eq!(again.status, 422, "{field}");
        assert!(again.body.contains(said), "{field}: {}", again.body);
    }
}

async fn instructions_that_are_far_too_long_are_kept_and_said_to_be(world: World) {
    let mut ada = world.signed_in("Ada").await;
    // More than the framework reads of a form by itself.
    let long = "x".repeat(1_000_000);
    let fields = [("name", "Scheherazade"), ("model", "gpt-6-luna"), ("instructions", &*long)];
    let again = ada.post("/storytellers", &fields).await;
    assert_eq!(again.status, 422);
    assert!(again.body.contains("Too long: 1000000 characters; at most 10000."));
    assert!(again.body.contains(&long));
}

async fn a_thread_begun_with_a_storyteller_is_answered_by_it(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let fields = [("name", "Zarathustra"), ("model", "gpt-6-luna")];
    let teller = ada.post("/storytellers", &fields).await.location;
    let id = teller.rsplit('/').next().unwrap();
    let page = ada.get(&teller).await;
    let field = format!("name=\"teller\" value=\"{id}\"");
    assert!(page.body.contains(&field), "{}", page.body);
    let to = ada.post("/threads", &[("teller", id)]).await.location;
    assert!(to.ends_with(&format!("?teller={id}")), "{to}");
    let chosen = format!("<option value=\"{id}\" selected>");
    assert!(ada.get(&to).await.body.contains(&chosen), "not the first of the alphabet");
    for teller in ["77", "x", "", "99999999999"] {
        let page = ada.get(&format!("{thread}?teller={teller}")).await;
        assert!(page.status == 200 && !page.body.contains("selected"), "{}", page.body);
    }
    // Whoever has answered is who answers, whatever the address says.
    ada.ask_with(&thread, &[("text", "Tell me one"), ("teller", "1")], &[]).await;
    let page = ada.get(&format!("{thread}?teller={id}")).await;
    assert!(page.body.contains("<option value=\"1\" selected>"), "{}", page.body);
    world.until_answered(page.run()).await;
}
