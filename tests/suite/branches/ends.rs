//! Another end: what comes after a message leaves the path, and comes back when it is chosen.

use ai_engine::testing::Reply;
use ai_engine::{Error, Message, Page, Role, prelude::*};
use serde_json::{Value, json};

use super::{
    ask, in_each_mode, listed, messages, one_conversation, read_by_the_model, sent, siblings, three,
};
use crate::support::*;

on_each_database!(
    what_comes_after_a_message_leaves_the_path,
    the_end_of_a_turn_can_be_cut_and_chosen_again,
    an_end_that_was_cut_off_is_back_where_the_next_turn_followed_on_it,
    a_message_without_a_run_follows_the_path,
);

async fn what_comes_after_a_message_leaves_the_path<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [_, _, third] = three(&host, &thread).await;
        let said = messages(&host, &thread).await;
        thread.truncate_after(&host.engine, &said[1]).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1"]);
        ask(&host, &thread, "q4", "a4").await;
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q4"]);
        assert_eq!(siblings(&host, 1), 2, "it follows on the turn that it was asked on");
        // And back, and cut where a message off the path is the last.
        thread.choose(&host.engine, &third).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2", "q3", "a3"]);
        let answer = host.db.with(|conn| conn.messages()).pop().unwrap();
        assert_eq!((answer.content.as_str(), answer.superseded), ("a4", true));
        thread.truncate_after(&host.engine, &answer).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q4", "a4"]);
        // A page from before one that left begins where that was.
        let before = thread.messages(&host.engine).list(Page::before(said[4].id, 2)).await.unwrap();
        assert_eq!(before.iter().map(|said| &*said.content).collect::<Vec<_>>(), ["q1", "a1"]);
        ask(&host, &thread, "q6", "a6").await;
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q4", "a4", "q6"]);
        one_conversation(&host).await;
    }
}

fn message(id: &str, text: &str) -> Value {
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    json!({"type": "message", "id": id, "role": "assistant", "status": "completed", "content": [part]})
}

async fn the_end_of_a_turn_can_be_cut_and_chosen_again<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"});
        host.fake.reply(Reply::text("a1").item(message("msg_first", "first")).item(call));
        let run = host.teller.ai_engine_run(&host.engine, &thread, "q1").await.unwrap().run;
        let said = messages(&host, &thread).await;
        let texts = |said: &[Message]| said.iter().map(|m| m.content.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&said), ["q1", "first", "a1"]);
        thread.truncate_after(&host.engine, &said[1]).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "first"]);
        let cut = ask(&host, &thread, "q2", "a2").await;
        let whole = read_by_the_model(&host, &thread).await;
        let first = "first\n\n[This answer breaks off here.]";
        assert_eq!(whole, ["q1", first, "q2"], "the call went with what came after it");
        let fork = thread.fork_at(&host.engine, &said[0]).await.unwrap();
        ask(&host, &fork, "f2", "g2").await;
        assert_eq!(read_by_the_model(&host, &fork).await, ["q1", first, "f2"]);
        host.user.assistant_threads(&host.engine).destroy(fork.id).await.unwrap();
        thread.choose(&host.engine, &run).await.unwrap();
        assert_eq!(
            listed(&host, &thread).await,
            ["q1", "first", "a1"],
            "whole, and not what was asked since"
        );
        thread.choose(&host.engine, &cut).await.unwrap();
        assert_eq!(messages(&host, &thread).await.last().unwrap().content, "a2");
        ask(&host, &thread, "q3", "a3").await;
        one_conversation(&host).await;
    }
}

async fn an_end_that_was_cut_off_is_back_where_the_next_turn_followed_on_it<D: TestDatabase>(
    db: D,
) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [_, second, third] = three(&host, &thread).await;
        let said = messages(&host, &thread).await;
        thread.truncate_after(&host.engine, &said[2]).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2"]);
        host.fake.reply(Reply::text("b3"));
        let again = third.regenerate(&host.engine).await.unwrap().run;
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2", "a2", "q3"]);
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2", "q3", "b3"]);
        // Also when the path is chosen, and not where the next turn followed on what was left.
        thread.truncate_after(&host.engine, &said[2]).await.unwrap();
        let cut = ask(&host, &thread, "q4", "a4").await;
        thread.choose(&host.engine, &again).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2", "q3", "b3"]);
        thread.choose(&host.engine, &second).await.unwrap();
        thread.choose(&host.engine, &cut).await.unwrap();
        ask(&host, &thread, "q5", "a5").await;
        assert_eq!(messages(&host, &thread).await.last().unwrap().content, "a5");
        one_conversation(&host).await;
    }
}

async fn a_message_without_a_run_follows_the_path<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    three(&host, &thread).await;
    let said = messages(&host, &thread).await;
    thread.truncate_after(&host.engine, &said[1]).await.unwrap();
    let note = thread.messages(&host.engine).create(Role::User, "note").await.unwrap();
    assert_eq!(listed(&host, &thread).await, ["q1", "a1", "note"]);
    assert_eq!(siblings(&host, 1), 2);
    ask(&host, &thread, "q2", "a2").await;
    assert_eq!(sent(&host.fake), ["q1", "a1", "note\n\nq2"]);
    let refused = thread.edit(&host.engine, &note, "other").submit().await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { field: "message", .. }), "{refused}");
    thread.truncate_after(&host.engine, &note).await.unwrap();
    assert_eq!(listed(&host, &thread).await, ["q1", "a1", "note"]);
}
