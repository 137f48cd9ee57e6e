//! Lists of items and deletions at servers that keep to no contract.

use ai_engine::prelude::*;
use ai_engine::testing::Reply;
use serde_json::json;

use super::{bodies, page, texts};
use crate::support::*;

on_each_database!(
    a_list_that_never_ends_costs_no_thread,
    a_list_that_is_missing_does_not_throw_a_living_conversation_away,
    deletions_that_do_not_take_end,
    more_items_than_one_try_deletes_are_left_to_the_next,
    a_server_that_cannot_delete_closes_the_row,
    items_that_cannot_be_deleted_keep_no_conversation,
    a_server_that_lists_nothing_costs_no_thread,
);

/// Neither one that shows the same items again, which is known by the second page, nor one that always has new ones.
async fn a_list_that_never_ends_costs_no_thread<D: TestDatabase>(db: D) {
    for (repeats, most) in [(true, 20), (false, 60)] {
        let host = Host::conversing(db.another()).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
        host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        for number in 0..200 {
            let number = if repeats { 0 } else { number };
            let (a, b) = (format!("a{number}"), format!("b{number}"));
            let items = page(&[(a.as_str(), "x"), (b.as_str(), "y")], true);
            host.fake.intercept("GET", "/items", Reply::status(200, items));
        }
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
        assert_eq!(answer.text(), "Fine.");
        // The given up one is being deleted meanwhile, from its oldest items on.
        let requests = host.fake.requests();
        let looks = requests.iter().filter(|sent| sent.query.contains("order=desc")).count();
        assert!(looks > 0 && looks < most, "{looks} looks");
        assert_eq!(texts(bodies(&host).last().unwrap()).len(), 3, "a new one was told all");
    }
}

async fn a_list_that_is_missing_does_not_throw_a_living_conversation_away<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
    host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
    host.fake.intercept("GET", "/items", Reply::status(404, json!({"error": {"message": "no"}})));
    host.fake.reply(Reply::text("Fine."));
    host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    assert_eq!(found.remote_id, thread.remote_id);
    assert_eq!(
        texts(bodies(&host).last().unwrap()).len(),
        3,
        "what may not be there is sent again"
    );
}

async fn deletions_that_do_not_take_end<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    for _ in 0..50 {
        host.fake.intercept(
            "GET",
            "/items",
            Reply::status(200, page(&[("a", "x"), ("b", "y")], false)),
        );
    }
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let noted =
        "SELECT count(*) FROM ai_engine_remote_deletions WHERE last_error LIKE '%still there%'";
    until(|| host.db.number(noted) == 1).await;
    let asked = host.fake.requests().iter().filter(|sent| sent.method == "DELETE").count();
    assert!(asked <= 6, "{asked} requests");
}

async fn more_items_than_one_try_deletes_are_left_to_the_next<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    let thread = host.thread().await;
    for number in 0..11 {
        let ids: Vec<String> = (0..100).map(|item| format!("{number}_{item}")).collect();
        let items: Vec<_> = ids.iter().map(|id| (id.as_str(), "x")).collect();
        host.fake.intercept("GET", "/items", Reply::status(200, page(&items, true)));
    }
    host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    let noted = "SELECT count(*) FROM ai_engine_remote_deletions WHERE last_error LIKE '%the next goes on%'";
    until(|| host.db.number(noted) == 1).await;
    until_deleted(&host.db).await;
}

async fn a_server_that_cannot_delete_closes_the_row<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for status in [405, 501] {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        for (method, path) in
            [("GET", "/items"), ("DELETE", "/conversations"), ("DELETE", "/responses")]
        {
            for _ in 0..4 {
                host.fake.intercept(
                    method,
                    path,
                    Reply::status(status, json!({"detail": "Method Not Allowed"})),
                );
            }
        }
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        until_deleted(&host.db).await;
    }
}

/// It lists items and deletes none: the conversation itself goes all the same.
async fn items_that_cannot_be_deleted_keep_no_conversation<D: TestDatabase>(db: D) {
    let host = Host::conversing(db).await;
    for status in [405, 501] {
        let thread = host.thread().await;
        host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
        for _ in 0..4 {
            let refused = Reply::status(status, json!({"detail": "Method Not Allowed"}));
            host.fake.intercept("DELETE", "/items/", refused);
        }
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        until_deleted(&host.db).await;
        assert!(host.fake.conversation_ids().is_empty());
        let left =
            host.fake.requests().iter().filter(|request| request.path.contains("/items/")).count();
        assert!(left <= 4, "{left}");
        host.engine.recover().await.unwrap();
    }
}

/// A turn that was cut leaves a doubt, which a server that lists nothing never takes away.
async fn a_server_that_lists_nothing_costs_no_thread<D: TestDatabase>(db: D) {
    for status in [403, 405, 501] {
        let host = Host::conversing(db.another()).await;
        let thread = host.thread().await;
        host.fake.reply(Reply::deltas(["Once ", "upon"]).disconnect_at(6));
        host.teller.ai_engine_run(&host.engine, &thread, "first").await.unwrap();
        for _ in 0..4 {
            let refused = Reply::status(status, json!({"detail": "not here"}));
            host.fake.intercept("GET", "/items", refused);
        }
        host.fake.reply(Reply::text("Fine."));
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "second").await.unwrap();
        assert_eq!(answer.text(), "Fine.", "{status}");
        let told = texts(bodies(&host).last().unwrap());
        assert_eq!(told.len(), 3, "{status}: all of it is told anew: {told:?}");
    }
}
