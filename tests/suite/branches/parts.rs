//! A turn of which a part left: each turn that was asked on it is read behind what it was asked on.

use ai_engine::Page;
use ai_engine::testing::Reply;

use super::{ask, in_each_mode, listed, messages, one_conversation, read_by_the_model};
use crate::support::*;

on_each_database!(
    a_turn_chosen_again_has_all_that_it_was_asked_on,
    a_turn_taken_again_has_all_that_it_was_asked_on,
    a_fork_at_what_left_its_turn_has_it,
    a_fork_off_the_path_has_all_that_led_there,
);

async fn a_turn_chosen_again_has_all_that_it_was_asked_on<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        ask(&host, &thread, "q0", "a0").await;
        let first = ask(&host, &thread, "q1", "a1").await;
        let second = ask(&host, &thread, "q2", "a2").await;
        let question = messages(&host, &thread).await[2].clone();
        thread.truncate_after(&host.engine, &question).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q0", "a0", "q1"]);
        let short = ask(&host, &thread, "q3", "a3").await;
        let on_short = ["q0", "a0", "q1", "q3", "a3"];
        let on_whole = ["q0", "a0", "q1", "a1", "q2", "a2"];
        assert_eq!(listed(&host, &thread).await, on_short);
        for _ in 0..2 {
            thread.choose(&host.engine, &second).await.unwrap();
            assert_eq!(listed(&host, &thread).await, on_whole);
            thread.choose(&host.engine, &short).await.unwrap();
            assert_eq!(listed(&host, &thread).await, on_short);
            thread.choose(&host.engine, &first).await.unwrap();
            assert_eq!(listed(&host, &thread).await, on_whole, "whole, with what followed on that");
            thread.choose(&host.engine, &short).await.unwrap();
            assert_eq!(listed(&host, &thread).await, on_short);
        }
        thread.choose(&host.engine, &second).await.unwrap();
        ask(&host, &thread, "q4", "a4").await;
        assert_eq!(
            read_by_the_model(&host, &thread).await,
            ["q0", "a0", "q1", "a1", "q2", "a2", "q4"]
        );
        one_conversation(&host).await;
    }
}

async fn a_turn_taken_again_has_all_that_it_was_asked_on<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        ask(&host, &thread, "q1", "a1").await;
        let second = ask(&host, &thread, "q2", "a2").await;
        let question = messages(&host, &thread).await[0].clone();
        thread.truncate_after(&host.engine, &question).await.unwrap();
        let short = ask(&host, &thread, "q3", "a3").await;
        host.fake.reply(Reply::text("b2"));
        second.regenerate(&host.engine).await.unwrap();
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2"]);
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "b2"]);
        host.fake.reply(Reply::text("b3"));
        short.regenerate(&host.engine).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "q3", "b3"]);
        one_conversation(&host).await;
    }
}

async fn a_fork_at_what_left_its_turn_has_it<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    ask(&host, &thread, "q1", "a1").await;
    let said = messages(&host, &thread).await;
    thread.truncate_after(&host.engine, &said[0]).await.unwrap();
    let fork = thread.fork_at(&host.engine, &said[1]).await.unwrap();
    assert_eq!(listed(&host, &fork).await, ["q1", "a1"]);
    let fork = thread.fork_at(&host.engine, &said[0]).await.unwrap();
    assert_eq!(listed(&host, &fork).await, ["q1"], "as its turn is");
}

async fn a_fork_off_the_path_has_all_that_led_there<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    ask(&host, &thread, "q1", "a1").await;
    ask(&host, &thread, "q2", "a2").await;
    let said = messages(&host, &thread).await;
    thread.truncate_after(&host.engine, &said[0]).await.unwrap();
    ask(&host, &thread, "q3", "a3").await;
    let short = messages(&host, &thread).await;
    let fork = thread.fork_at(&host.engine, &said[2]).await.unwrap();
    assert_eq!(listed(&host, &fork).await, ["q1", "a1", "q2", "a2"]);
    let runs = thread.runs(&host.engine, Page::default()).await.unwrap();
    thread.choose(&host.engine, &runs[1]).await.unwrap();
    let fork = thread.fork_at(&host.engine, &short[1]).await.unwrap();
    assert_eq!(listed(&host, &fork).await, ["q1", "q3", "a3"]);
}
