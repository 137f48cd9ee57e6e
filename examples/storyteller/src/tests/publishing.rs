//! The tool that publishes: a person agrees, and it is done once.

use ai_engine::prelude::*;
use diesel::prelude::*;

use super::world::{World, settings};
use crate::app::App;
use crate::database::read;
use crate::router;
use crate::schema::stories;

super::on_both! {
    a_story_is_published_once_when_its_user_agrees_also_after_a_restart
    a_story_is_not_published_when_its_user_does_not_agree
    nobody_else_decides
}

async fn told(world: &World, name: &str) -> (super::world::Browser, String, String) {
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
    assert_eq!(ada.post(&approve, &[("title", "The Lighthouse")]).await.status, 303);
    let run = ada.get(&thread).await.run();
    world.until_answered(run).await;
    let stored = published(&world).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].0, "The Lighthouse");
    assert!(stored[0].1.contains("a story about a lighthouse"), "{stored:?}");
    assert_eq!(ada.post(&approve, &[("title", "Again")]).await.status, 409);
    assert_eq!(published(&world).await.len(), 1);
    assert!(ada.get("/stories").await.body.contains("The Lighthouse"));
    let page = ada.get("/stories/1").await;
    assert!(page.body.contains("Told by Scheherazade"), "{}", page.body);
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
            assert_eq!(bob.post(&to, &[("title", "Mine")]).await.status, 404, "{to}");
        }
    }
    assert!(published(&world).await.is_empty());
}
