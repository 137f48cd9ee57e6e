//! Deleting an account.

use ai_engine::schema::{
    ai_engine_assistant_threads as threads, ai_engine_assistants as assistants,
    ai_engine_chats as chats, ai_engine_messages as messages, ai_engine_runs as runs,
};
use diesel::prelude::*;

use super::world::World;
use crate::database::read;
use crate::schema::{stories, storytellers, users};

super::on_both! { a_deleted_account_leaves_nothing_and_its_cookie_is_nobodys }

/// All rows that are somebody's.
async fn rows(world: &World) -> [i64; 8] {
    read!(world.app.db, |conn| [
        users::table.count().get_result(conn)?,
        storytellers::table.count().get_result(conn)?,
        stories::table.count().get_result(conn)?,
        assistants::table.count().get_result(conn)?,
        threads::table.count().get_result(conn)?,
        chats::table.count().get_result(conn)?,
        runs::table.count().get_result(conn)?,
        messages::table.count().get_result(conn)?,
    ])
    .unwrap()
}

async fn a_deleted_account_leaves_nothing_and_its_cookie_is_nobodys(world: World) {
    let (mut bob, _) = world.with_thread("Bob").await;
    let before = rows(&world).await;
    let (mut ada, thread) = world.with_thread("Ada").await;
    ada.post("/chats", &[]).await;
    ada.ask(&thread, "Tell me a story about a lighthouse", None).await;
    world.until_answered(ada.get(&thread).await.run()).await;
    ada.ask(&thread, "Please publish it", None).await;
    world.until_answered(ada.get(&thread).await.run()).await;
    let page = ada.get(&thread).await;
    let (call, story) = (page.data("call").pop().unwrap(), page.data("story").pop().unwrap());
    let form = [("title", "Mine"), ("story", &*story)];
    ada.post(&format!("{thread}/calls/{call}/approve"), &form).await;
    world.until_answered(ada.get(&thread).await.run()).await;
    assert!(rows(&world).await.iter().zip(before).all(|(now, before)| *now > before));

    assert_eq!(ada.post("/account/delete", &[]).await.status, 422, "the box was not ticked");
    ada.get("/account").await;
    let mut tab = ada.clone();
    assert_eq!(ada.post("/account/delete", &[("sure", "yes")]).await.location, "/sign-in");
    assert_eq!(rows(&world).await, before);
    assert_eq!(tab.get("/threads").await.location, "/sign-in");
    assert_eq!(bob.get("/threads").await.status, 200);
}
