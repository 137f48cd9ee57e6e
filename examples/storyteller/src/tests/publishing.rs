//! The tool that publishes: a person agrees, and it is done once.

use ai_engine::prelude::*;
use ai_engine::testing::Reply;
use diesel::prelude::*;
use serde_json::json;

use super::world::{Answer, Browser, World, settings};
use crate::app::App;
use crate::database::{read, transaction};
use crate::router;
use crate::schema::stories;

super::on_both! {
    a_story_is_published_once_when_its_user_agrees_also_after_a_restart
    a_story_is_not_published_when_its_user_does_not_agree
    nobody_else_decides
    what_is_shown_is_what_is_published
    a_story_of_the_same_turn_is_the_one
    another_text_than_the_one_shown_is_not_published
    every_story_is_reached_page_by_page
    a_title_that_a_model_suggests_can_be_read
}

async fn every_story_is_reached_page_by_page(world: World) {
    let mut ada = world.signed_in("Ada").await;
    let mut bob = world.signed_in("Bob").await;
    let (all, ids) = (
        2 * i32::from(crate::stories::LISTED) + 3,
        [world.user("Ada").await.id, world.user("Bob").await.id],
    );
    transaction!(world.app.db, |conn| {
        for number in 0..all {
            // Bob has one between any two of Ada's.
            for id in ids {
                diesel::insert_into(stories::table)
                    .values((
                        stories::user_id.eq(id),
                        stories::title.eq(format!("Story {number} of {id}.")),
                        stories::text.eq("Once"),
                        stories::teller.eq("Scheherazade"),
                        stories::idempotency_key.eq(format!("{id} {number}")),
                        stories::created_at.eq(chrono::Utc::now().naive_utc()),
                    ))
                    .execute(conn)?;
            }
        }
    })
    .unwrap();
    for (browser, id) in [(&mut ada, ids[0]), (&mut bob, ids[1])] {
        let (mut path, mut pages, mut found) = ("/stories".to_owned(), 0, Vec::new());
        while pages < 4 {
            let body = browser.get(&path).await.body;
            pages += 1;
            found.extend((0..all).rev().filter(|n| body.contains(&format!("Story {n} of {id}."))));
            let Some(older) = body.split("/stories?older=").nth(1) else { break };
            path = format!("/stories?older={}", older.split('"').next().unwrap());
        }
        assert_eq!(pages, 3);
        assert_eq!(found, (0..all).rev().collect::<Vec<_>>(), "each once, the newest first");
    }
    assert_eq!(ada.get("/stories?older=x").await.status, 404);
}

async fn a_title_that_a_model_suggests_can_be_read(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    asked(&world, &mut ada, &thread, "Tell me one", vec![Reply::text("Once")]).await;
    let title = format!("The \u{202e}Light\nhouse {}", "x".repeat(200));
    let page = asked(&world, &mut ada, &thread, "Publish it", vec![calls("", &title)]).await;
    let shown = format!("value=\"The Light house {}\"", "x".repeat(104));
    assert!(page.body.contains(&shown), "{}", page.body);
}

/// The model calls the tool, after it said this.
fn calls(said: &str, title: &str) -> Reply {
    let message = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said, "annotations": []}]});
    let arguments = json!({"title": title}).to_string();
    let call = json!({"type": "function_call", "call_id": format!("call_{title}"), "name": "publish", "arguments": arguments});
    let reply = Reply::text("").without_message();
    if said.is_empty() { reply.item(call) } else { reply.item(message).item(call) }
}

/// Asks, with these answers of the model's; the page after that.
async fn asked(
    world: &World,
    ada: &mut Browser,
    thread: &str,
    question: &str,
    replies: Vec<Reply>,
) -> Answer {
    for reply in replies {
        world.fake.reply(reply);
    }
    ada.ask(thread, question, None).await;
    world.until_answered(ada.get(thread).await.run()).await;
    ada.get(thread).await
}

/// Agrees to the newest call of this page, as its card says; the page after that.
async fn agreed(world: &World, ada: &mut Browser, thread: &str, page: &Answer) -> Answer {
    let (call, story) = (page.data("call").pop().unwrap(), page.data("story").pop().unwrap());
    let to = format!("{thread}/calls/{call}/approve");
    assert_eq!(ada.post(&to, &[("title", "Mine"), ("story", &story)]).await.status, 303);
    world.until_answered(page.run()).await;
    ada.get(thread).await
}

async fn told(world: &World, name: &str) -> (Browser, String, String) {
    let (mut ada, thread) = world.with_thread(name).await;
    ada.ask(&thread, "Tell me a story about a lighthouse", None).await;
    world.until_answered(ada.get(&thread).await.run()).await;
    ada.ask(&thread, "Please publish it", None).await;
    world.until_answered(ada.get(&thread).await.run()).await;
    let page = ada.get(&thread).await;
    assert_eq!(page.data("state"), ["done", "waiting"]);
    let call = page.data("call").pop().unwrap();
    (ada, thread, call)
}

async fn published(world: &World) -> Vec<(String, String)> {
    read!(world.app.db, |conn| stories::table.select((stories::title, stories::text)).load(conn)?)
        .unwrap()
}

async fn a_story_is_published_once_when_its_user_agrees_also_after_a_restart(mut world: World) {
    let (mut ada, thread, call) = told(&world, "Ada").await;
    assert!(published(&world).await.is_empty(), "nobody agreed yet");
    // The next process, on the same database.
    world.app.engine.shutdown(std::time::Duration::from_secs(5)).await.unwrap();
    let url = world.app.settings.database_url.clone();
    let provider = world.fake.openai().unwrap();
    world.app = App::asking(settings(url), provider, None).await.unwrap();
    world.app.engine.start().await.unwrap();
    world.router = router::of(world.app.clone());
    ada.moves_to(&world);
    let approve = format!("{thread}/calls/{call}/approve");
    let story = ada.get(&thread).await.data("story").pop().unwrap();
    let form = [("title", "The Lighthouse"), ("story", &*story)];
    assert_eq!(ada.post(&approve, &form).await.status, 303);
    let run = ada.get(&thread).await.run();
    world.until_answered(run).await;
    let stored = published(&world).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].0, "The Lighthouse");
    assert!(stored[0].1.contains("a story about a lighthouse"), "{stored:?}");
    assert_eq!(ada.post(&approve, &form).await.status, 409);
    assert_eq!(published(&world).await.len(), 1);
    assert!(ada.get("/stories").await.body.contains("The Lighthouse"));
    let page = ada.get("/stories/1").await;
    assert!(page.body.contains("Told by <bdi>Scheherazade</bdi>"), "{}", page.body);
    let mut bob = world.signed_in("Bob").await;
    assert_eq!(bob.get("/stories/1").await.status, 404);
}

async fn a_story_is_not_published_when_its_user_does_not_agree(world: World) {
    let (mut ada, thread, call) = told(&world, "Ada").await;
    assert_eq!(ada.post(&format!("{thread}/calls/{call}/reject"), &[]).await.status, 303);
    world.until_answered(ada.get(&thread).await.run()).await;
    let page = ada.get(&thread).await;
    assert!(page.body.contains("was asked not to publish"), "{}", page.body);
    assert!(published(&world).await.is_empty());
}

async fn nobody_else_decides(world: World) {
    let (_, thread, call) = told(&world, "Ada").await;
    let (mut bob, mine) = world.with_thread("Bob").await;
    for of in [&thread, &mine] {
        for verb in ["approve", "reject"] {
            let to = format!("{of}/calls/{call}/{verb}");
            assert_eq!(
                bob.post(&to, &[("title", "Mine"), ("story", "1")]).await.status,
                404,
                "{to}"
            );
        }
    }
    assert!(published(&world).await.is_empty());
}

/// What the model says about a call is no story, however often it is asked.
async fn what_is_shown_is_what_is_published(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    let ada = &mut ada;
    let story = "Once **upon** a time there was a lighthouse.";
    asked(&world, ada, &thread, "Tell me one", vec![Reply::text(story)]).await;
    let page = asked(&world, ada, &thread, "Publish it", vec![calls("", "First")]).await;
    assert!(
        page.body.contains("Once upon a time there was a lighthouse.<details"),
        "{}",
        page.body
    );
    world.fake.reply(Reply::text("All right, I will not."));
    let call = page.data("call").pop().unwrap();
    ada.post(&format!("{thread}/calls/{call}/reject"), &[]).await;
    world.until_answered(page.run()).await;
    for title in ["Second", "Third"] {
        let page =
            asked(&world, ada, &thread, "Publish it after all", vec![calls("", title)]).await;
        let shown = page.body.rsplit("class=\"told\"").next().unwrap();
        assert!(shown.contains("Once upon a time there was a lighthouse."), "{shown}");
        world.fake.reply(Reply::text("It is in your stories now."));
        agreed(&world, ada, &thread, &page).await;
    }
    let texts: Vec<String> = published(&world).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, [story, story]);
}

async fn a_story_of_the_same_turn_is_the_one(world: World) {
    let (mut ada, thread) = world.with_thread("Ada").await;
    asked(&world, &mut ada, &thread, "Tell me one", vec![Reply::text("An older one")]).await;
    let question = "Tell one about bees and publish it";
    let page =
        asked(&world, &mut ada, &thread, question, vec![calls("The bees came home.", "Bees")])
            .await;
    assert_eq!(page.data("state"), ["done", "waiting"]);
    world.fake.reply(Reply::text("It is in your stories now."));
    agreed(&world, &mut ada, &thread, &page).await;
    assert_eq!(published(&world).await, [("Mine".to_owned(), "The bees came home.".to_owned())]);
}

async fn another_text_than_the_one_shown_is_not_published(world: World) {
    let (mut ada, thread, call) = told(&world, "Ada").await;
    let approve = format!("{thread}/calls/{call}/approve");
    let refused = ada.post(&approve, &[("title", "Mine"), ("story", "1")]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("Nothing was published"), "{}", refused.body);
    // Past that wall there is the tool's own.
    let user = crate::users::User {
        id: 1,
        name: "Ada".to_owned(),
        created_at: chrono::Utc::now().naive_utc(),
    };
    let calls = user.tool_calls(&world.app.engine);
    calls
        .approve_with(call.parse().unwrap(), json!({"title": "Mine", "message": 1}))
        .await
        .unwrap();
    let page = ada.get(&thread).await;
    world.until_answered(page.run()).await;
    assert!(published(&world).await.is_empty());
    assert!(ada.get(&thread).await.body.contains("could not publish"));
}
