//! Branches: a turn taken again, another end, another path, a fork. What is listed and what the model is sent is the current path,
//! whoever keeps the history; what left it is kept.

mod ends;
mod forks;
mod parts;
mod races;
mod random;
mod readers;
mod retries;

use ai_engine::testing::{FakeOpenAi, Gate, Reply};
use ai_engine::{
    AssistantDefinition, AssistantThread, Busy, Error, Message, Page, Run, prelude::*,
};
use serde_json::{Value, json};

use crate::support::*;

on_each_database!(
    a_run_regenerated_takes_the_place_of_its_turn_and_of_what_followed,
    a_question_edited_in_the_middle_is_asked_after_what_came_before_it,
    a_path_that_was_left_can_be_chosen_and_left_again,
    no_branch_is_taken_while_a_run_is_active,
    no_path_that_is_taken_is_an_activity,
    what_is_no_question_or_not_here_is_refused,
    a_branch_in_the_hosts_transaction_is_rolled_back_with_it,
    chats_branch_too,
);

/// A host in each mode.
async fn in_each_mode<D: TestDatabase>(db: D) -> [Host<D>; 2] {
    let other = db.another();
    [Host::new(db).await, Host::conversing(other).await]
}

/// Asks and is answered.
async fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread, q: &str, a: &str) -> Run {
    host.fake.reply(Reply::text(a));
    host.teller.ai_engine_run(&host.engine, thread, q).await.unwrap().run
}

/// Three turns: q1 and a1, and so on.
async fn three<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> [Run; 3] {
    [
        ask(host, thread, "q1", "a1").await,
        ask(host, thread, "q2", "a2").await,
        ask(host, thread, "q3", "a3").await,
    ]
}

async fn messages<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Vec<Message> {
    let listed = thread.messages(&host.engine).list(Page::default()).await.unwrap();
    assert!(listed.iter().all(|message| !message.superseded), "{listed:?}");
    listed
}

async fn listed<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> Vec<String> {
    messages(host, thread).await.into_iter().map(|message| message.content).collect()
}

/// The texts that the last call sent.
fn sent(fake: &FakeOpenAi) -> Vec<String> {
    let mut posts = fake.requests().into_iter().rev();
    let post = posts.find(|request| request.path.ends_with("/responses")).unwrap();
    let input = post.body.unwrap()["input"].clone();
    let text = |item: &Value| item["content"].as_str().unwrap_or_default().to_owned();
    input.as_array().unwrap().iter().map(text).collect()
}

/// What the model has before it with the last call: in a conversation, what that holds and what was sent.
async fn read_by_the_model<D: TestDatabase>(
    host: &Host<D>,
    thread: &AssistantThread,
) -> Vec<String> {
    if !host.conversing {
        return sent(&host.fake);
    }
    let found = host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap();
    let items = host.fake.conversation_items(&found.remote_id.unwrap()).unwrap();
    let text = |item: &Value| item["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    // With the answer, which came after it.
    let all: Vec<String> = items.iter().map(text).collect();
    all[..all.len() - 1].to_vec()
}

/// What the provider's conversations were given up for is deleted, and one is left.
async fn one_conversation<D: TestDatabase>(host: &Host<D>) {
    if host.conversing {
        until_deleted(&host.db).await;
        assert_eq!(host.fake.conversation_ids().len(), 1);
    }
}

/// The siblings of a turn, by what their rows say.
fn siblings<D: TestDatabase>(host: &Host<D>, parent: i64) -> i64 {
    host.db.number(&format!(
        "SELECT count(*) FROM ai_engine_messages WHERE position = 0 AND parent_seq = {parent}"
    ))
}

async fn a_run_regenerated_takes_the_place_of_its_turn_and_of_what_followed<D: TestDatabase>(
    db: D,
) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [_, second, _] = three(&host, &thread).await;
        host.fake.reply(Reply::text("b2"));
        let answer = second.regenerate(&host.engine).await.unwrap();
        assert_eq!(answer.text(), "b2");
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2"]);
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "b2"]);
        assert_eq!((answer.run.seq, siblings(&host, 1)), (4, 2));
        let all = host.db.with(|conn| conn.messages());
        let superseded: Vec<&str> =
            all.iter().filter(|said| said.superseded).map(|said| &*said.content).collect();
        assert_eq!(superseded, ["q2", "a2", "q3", "a3"], "kept, and known by it");
        assert_eq!(host.engine.answer(second.id).await.unwrap().text(), "a2");
        assert_eq!(thread.runs(&host.engine, Page::default()).await.unwrap().len(), 4);
        ask(&host, &thread, "q4", "a4").await;
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2", "b2", "q4"]);
        one_conversation(&host).await;
    }
}

async fn a_question_edited_in_the_middle_is_asked_after_what_came_before_it<D: TestDatabase>(
    db: D,
) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        three(&host, &thread).await;
        host.db.execute(
            "UPDATE ai_engine_messages SET author = 'Ada', metadata = '{\"a\":1}' WHERE content = 'q2'",
        );
        let question = messages(&host, &thread).await[2].clone();
        host.fake.reply(Reply::text("b2"));
        thread.edit(&host.engine, &question, "p2").await.unwrap();
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "p2"]);
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "p2", "b2"]);
        let noted = "SELECT author || CAST(metadata AS TEXT) AS line FROM ai_engine_messages WHERE content = 'p2'";
        assert_eq!(host.db.texts(noted)[0].replace(' ', ""), "Ada{\"a\":1}");
        // The first of all has nothing before it.
        let question = messages(&host, &thread).await[0].clone();
        host.fake.reply(Reply::text("c1"));
        thread.edit(&host.engine, &question, "p1").await.unwrap();
        assert_eq!(read_by_the_model(&host, &thread).await, ["p1"]);
        assert_eq!(listed(&host, &thread).await, ["p1", "c1"]);
        assert_eq!(siblings(&host, 0), 2);
        one_conversation(&host).await;
    }
}

async fn a_path_that_was_left_can_be_chosen_and_left_again<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [first, second, third] = three(&host, &thread).await;
        host.fake.reply(Reply::text("b2"));
        let other = second.regenerate(&host.engine).await.unwrap().run;
        let old = ["q1", "a1", "q2", "a2", "q3", "a3"];
        thread.choose(&host.engine, &second).await.unwrap();
        assert_eq!(listed(&host, &thread).await, old);
        // What is the path is left alone.
        let changes = "SELECT count(*) FROM ai_engine_path_changes";
        let before = host.db.number(changes);
        for run in [&first, &second, &third] {
            thread.choose(&host.engine, run).await.unwrap();
            assert_eq!(listed(&host, &thread).await, old);
        }
        assert_eq!(host.db.number(changes), before);
        ask(&host, &thread, "q4", "a4").await;
        assert_eq!(
            read_by_the_model(&host, &thread).await,
            ["q1", "a1", "q2", "a2", "q3", "a3", "q4"]
        );
        thread.choose(&host.engine, &other).await.unwrap();
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "b2"]);
        ask(&host, &thread, "q5", "a5").await;
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2", "b2", "q5"]);
        // With what was asked on it.
        thread.choose(&host.engine, &second).await.unwrap();
        let whole = ["q1", "a1", "q2", "a2", "q3", "a3", "q4", "a4"];
        assert_eq!(listed(&host, &thread).await, whole);
        ask(&host, &thread, "q6", "a6").await;
        assert_eq!(read_by_the_model(&host, &thread).await, [&whole[..], &["q6"]].concat());
        one_conversation(&host).await;
    }
}

async fn no_branch_is_taken_while_a_run_is_active<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let run = ask(&host, &thread, "q1", "a1").await;
    let question = messages(&host, &thread).await[0].clone();
    let gate = Gate::new();
    host.fake.reply(Reply::text("a2").hold_at(0, gate.clone()));
    let active = host.teller.ai_engine_run(&host.engine, &thread, "q2").submit().await.unwrap();
    let engine = &host.engine;
    let mut refused = vec![
        run.regenerate(engine).submit().await.unwrap_err(),
        run.regenerate(engine).when_busy(Busy::Queue).submit().await.unwrap_err(),
        active.retry(engine).submit().await.unwrap_err(),
        thread.edit(engine, &question, "p1").submit().await.unwrap_err(),
        thread.truncate_after(engine, &question).await.unwrap_err(),
        thread.choose(engine, &run).await.unwrap_err(),
    ];
    let interrupting = run.regenerate(engine).when_busy(Busy::Interrupt);
    refused.push(host.db.with(|conn| interrupting.submit_in(conn.session())).unwrap_err());
    for refused in refused {
        assert!(matches!(refused, Error::Busy { run_id, .. } if run_id == active.id), "{refused}");
    }
    gate.open();
    assert_eq!(host.engine.answer(active.id).await.unwrap().text(), "a2");
    assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2"]);
}

/// An activity is a turn that begins.
async fn no_path_that_is_taken_is_an_activity<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let threads = host.user.assistant_threads(&host.engine);
    let (thread, other) = (host.thread().await, host.thread().await);
    let run = ask(&host, &thread, "q1", "a1").await;
    let said = messages(&host, &thread).await;
    ask(&host, &other, "q", "a").await;
    let before = threads.find(thread.id).await.unwrap().last_activity_at;
    thread.truncate_after(&host.engine, &said[0]).await.unwrap();
    thread.choose(&host.engine, &run).await.unwrap();
    assert_eq!(threads.find(thread.id).await.unwrap().last_activity_at, before);
    // Nor of a row that an earlier version stored.
    host.db.execute("UPDATE ai_engine_assistant_threads SET last_activity_at = NULL");
    let before = threads.find(thread.id).await.unwrap().last_activity_at;
    thread.truncate_after(&host.engine, &said[0]).await.unwrap();
    assert_eq!(threads.find(thread.id).await.unwrap().last_activity_at, before);
}

async fn what_is_no_question_or_not_here_is_refused<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    let run = ask(&host, &thread, "q1", "a1").await;
    let said = messages(&host, &thread).await;
    let engine = &host.engine;
    for refused in [
        thread.edit(engine, &said[1], "an answer").submit().await.unwrap_err(),
        other.edit(engine, &said[0], "of another thread").submit().await.unwrap_err(),
        thread.edit(engine, &said[0], "  ").submit().await.unwrap_err(),
    ] {
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    }
    for refused in [
        other.truncate_after(engine, &said[0]).await.unwrap_err(),
        other.choose(engine, &run).await.unwrap_err(),
        other.fork_at(engine, &said[0]).await.unwrap_err(),
    ] {
        assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
    }
    host.user.assistant_threads(engine).destroy(thread.id).await.unwrap();
    let gone = run.regenerate(engine).submit().await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
    assert_eq!(listed(&host, &other).await, [""; 0]);
}

async fn a_branch_in_the_hosts_transaction_is_rolled_back_with_it<D: Raw>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [_, second, _] = three(&host, &thread).await;
        let said = messages(&host, &thread).await;
        let (engine, old) = (&host.engine, listed(&host, &thread).await);
        let rolled_back = D::begin(&mut host.db.connect(), |conn| {
            second.regenerate(engine).submit_in(conn)?;
            Err::<(), _>(Error::host("the host thinks again"))
        });
        assert!(matches!(rolled_back, Err(Error::Host(_))), "{rolled_back:?}");
        let rolled_back = D::begin(&mut host.db.connect(), |conn| {
            thread.truncate_after_in(conn, engine, &said[1])?;
            thread.choose_in(conn, engine, &second)?;
            thread.truncate_after_in(conn, engine, &said[0])?;
            Err::<(), _>(Error::host("the host thinks again"))
        });
        assert!(matches!(rolled_back, Err(Error::Host(_))), "{rolled_back:?}");
        assert_eq!(listed(&host, &thread).await, old);
        host.db.with(|conn| {
            thread.truncate_after_in(conn.session(), engine, &said[3]).unwrap();
        });
        assert_eq!(listed(&host, &thread).await, ["q1", "a1", "q2", "a2"]);
        host.fake.reply(Reply::text("b2"));
        let run = host.db.with(|conn| second.regenerate(engine).submit_in(conn.session()).unwrap());
        assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "b2");
        assert_eq!(read_by_the_model(&host, &thread).await, ["q1", "a1", "q2"]);
        one_conversation(&host).await;
    }
}

async fn chats_branch_too<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    let model = || AssistantDefinition::new("m").instructions("Be brief.");
    let list = || async {
        let said = chat.messages(&host.engine).list(Page::default()).await.unwrap();
        said.into_iter().map(|message| message.content).collect::<Vec<_>>()
    };
    host.fake.reply(Reply::text("a1"));
    let first = chat.run(&host.engine, model(), "q1").await.unwrap().run;
    host.fake.reply(Reply::text("a2"));
    chat.run(&host.engine, model(), "q2").await.unwrap();
    host.fake.reply(Reply::text("b1"));
    let other = first.regenerate(&host.engine).await.unwrap();
    assert_eq!(
        (list().await, sent(&host.fake)),
        (vec!["q1".into(), "b1".into()], vec!["q1".into()])
    );
    let asked = host.fake.requests().pop().unwrap().body.unwrap();
    assert_eq!((&asked["model"], &asked["instructions"]), (&json!("m"), &json!("Be brief.")));
    chat.choose(&host.engine, &first).await.unwrap();
    assert_eq!(list().await, ["q1", "a1", "q2", "a2"]);
    let question = chat.messages(&host.engine).list(Page::default()).await.unwrap().remove(2);
    host.fake.reply(Reply::text("c2"));
    chat.edit(&host.engine, &question, "p2").await.unwrap();
    assert_eq!(sent(&host.fake), ["q1", "a1", "p2"]);
    let end = chat.messages(&host.engine).list(Page::default()).await.unwrap().remove(1);
    chat.truncate_after(&host.engine, &end).await.unwrap();
    let fork = chat.fork_at(&host.engine, &other.messages[0]).await.unwrap();
    assert_eq!(fork.forked_from_id, Some(chat.id));
    host.fake.reply(Reply::text("d"));
    fork.run(&host.engine, model(), "on").await.unwrap();
    assert_eq!(sent(&host.fake), ["q1", "b1", "on"]);
    assert_eq!(list().await, ["q1", "a1"]);
    host.user.chats(&host.engine).destroy(chat.id).await.unwrap();
    let left = "SELECT count(*) FROM ai_engine_path_changes";
    assert_eq!(host.db.number(left), 0);
}
