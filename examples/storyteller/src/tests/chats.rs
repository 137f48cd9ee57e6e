//! Chats: the same pages, with a bare model.

use ai_engine::testing::Reply;

use super::world::World;

super::on_both! { a_chat_is_created_asked_renamed_and_deleted }

async fn a_chat_is_created_asked_renamed_and_deleted(world: World) {
    let mut ada = world.signed_in("Ada").await;
    assert!(ada.get("/chats").await.body.contains("No chats yet."));
    let chat = ada.post("/chats", &[]).await.location;
    assert!(chat.starts_with("/chats/"), "{chat}");
    ada.post(&format!("{chat}/rename"), &[("title", "About stories")]).await;
    world.fake.reply(Reply::text("A *beginning*."));
    assert_eq!(ada.ask(&chat, "What makes a story?", None).await.location, chat);
    let run = ada.get(&chat).await.run();
    world.until_answered(run).await;
    let page = ada.get(&chat).await;
    assert_eq!(page.data("state"), ["done"]);
    for text in ["A <em>beginning</em>.", "<strong><bdi>gpt-6-luna</bdi></strong>"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    world.fake.reply(Reply::text("An end."));
    let again = format!("{chat}/runs/{run}/regenerate");
    assert_eq!(ada.post(&again, &[]).await.location, chat);
    let run = ada.get(&chat).await.run();
    world.until_answered(run).await;
    assert!(ada.get(&chat).await.body.contains("An end."));
    let list = ada.get("/chats").await.body;
    assert!(list.contains("About stories") && list.contains("An end."), "{list}");
    assert!(ada.get("/threads").await.body.contains("First you need"), "it is no thread");

    // A thread of the same number is another one.
    let mut bob = world.signed_in("Bob").await;
    let events = format!("{chat}/events");
    let turn = format!("{chat}/turns/1");
    for path in [&chat, &events, &turn, &chat.replace("chats", "threads")] {
        assert_eq!(bob.get(path).await.status, 404, "{path}");
    }
    let stop = format!("{chat}/runs/{run}/stop");
    for path in [&stop, &format!("{chat}/rename"), &format!("{chat}/delete")] {
        assert_eq!(bob.post(path, &[("title", "x")]).await.status, 404, "{path}");
    }
    assert_eq!(ada.post(&format!("{chat}/delete"), &[]).await.location, "/chats");
    assert_eq!(ada.get(&chat).await.status, 404);
}
