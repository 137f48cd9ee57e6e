//! A fork goes on by itself, costs nothing, and says where it is from.

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Error, Page, RunStatus, prelude::*};
use serde_json::json;

use super::{ask, in_each_mode, listed, messages, one_conversation, read_by_the_model, three};
use crate::support::*;

on_each_database!(
    a_fork_and_what_it_was_made_from_go_on_without_each_other,
    a_fork_has_what_the_model_did_and_no_more_than_the_path,
    a_fork_waits_for_no_run_but_those_it_copies,
);

async fn a_fork_and_what_it_was_made_from_go_on_without_each_other<D: TestDatabase>(db: D) {
    for host in in_each_mode(db).await {
        let thread = host.thread().await;
        let [first, second, _] = three(&host, &thread).await;
        let said = messages(&host, &thread).await;
        let spent = "SELECT sum(input_tokens + output_tokens) FROM ai_engine_runs";
        let before = (host.db.number(spent), host.fake.requests().len());
        let fork = thread.fork_at(&host.engine, &said[2]).await.unwrap();
        assert_eq!(
            (fork.forked_from_id, fork.forked_at_message_id),
            (Some(thread.id), Some(said[2].id))
        );
        assert_eq!(fork.threadable_id, thread.threadable_id);
        assert_eq!(listed(&host, &fork).await, ["q1", "a1", "q2", "a2"]);
        assert_eq!((host.db.number(spent), host.fake.requests().len()), before, "it costs nothing");
        let runs = fork.runs(&host.engine, Page::default()).await.unwrap();
        let copied: Vec<(i64, RunStatus, i64)> =
            runs.iter().rev().map(|run| (run.seq, run.status, run.attempts)).collect();
        assert_eq!(copied, [(1, RunStatus::Completed, 0), (2, RunStatus::Completed, 0)]);
        assert!(runs.iter().all(|run| ![first.id, second.id].contains(&run.id)));
        assert_eq!(
            host.engine.recover().await.unwrap().announced,
            0,
            "no hook is called for copies"
        );

        ask(&host, &fork, "f3", "g3").await;
        assert_eq!(read_by_the_model(&host, &fork).await, ["q1", "a1", "q2", "a2", "f3"]);
        ask(&host, &thread, "q4", "a4").await;
        assert_eq!(
            read_by_the_model(&host, &thread).await,
            ["q1", "a1", "q2", "a2", "q3", "a3", "q4"]
        );
        // It branches as any other.
        host.fake.reply(Reply::text("h2"));
        runs[0].regenerate(&host.engine).await.unwrap();
        assert_eq!(read_by_the_model(&host, &fork).await, ["q1", "a1", "q2"]);
        host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        assert_eq!(listed(&host, &fork).await, ["q1", "a1", "q2", "h2"]);
        one_conversation(&host).await;
    }
}

async fn a_fork_has_what_the_model_did_and_no_more_than_the_path<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"});
    host.fake.reply(Reply::text("a1").item(call));
    let first = host.teller.ai_engine_run(&host.engine, &thread, "q1").await.unwrap().run;
    ask(&host, &thread, "q2", "a2").await;
    let off = messages(&host, &thread).await[3].clone();
    host.fake.reply(Reply::text("b1"));
    first.regenerate(&host.engine).await.unwrap();
    // Text that is still beside its message.
    host.db.execute(
        "INSERT INTO ai_engine_message_deltas (message_id, byte_offset, sequence_number, text) \
         SELECT id, 2, 1, '…' FROM ai_engine_messages WHERE content = 'a2'",
    );
    let rolled_back = D::begin(&mut host.db.connect(), |conn| {
        thread.fork_at_in(conn, &off)?;
        Err::<(), _>(Error::host("the host thinks again"))
    });
    assert!(matches!(rolled_back, Err(Error::Host(_))), "{rolled_back:?}");
    let fork = D::begin(&mut host.db.connect(), |conn| thread.fork_at_in(conn, &off)).unwrap();
    assert_eq!(
        listed(&host, &fork).await,
        ["q1", "a1", "q2", "a2…"],
        "of the path to that message"
    );
    host.fake.reply(Reply::text("a3"));
    host.teller.ai_engine_run(&host.engine, &fork, "q3").await.unwrap();
    let kinds: Vec<String> = sent_kinds(&host);
    let expected = [
        "message",
        "function_call",
        "message",
        "function_call_output",
        "message",
        "message",
        "message",
    ];
    assert_eq!(kinds, expected);
}

fn sent_kinds<D: TestDatabase>(host: &Host<D>) -> Vec<String> {
    let body = host.fake.requests().pop().unwrap().body.unwrap();
    let kind = |item: &serde_json::Value| item["type"].as_str().unwrap_or("message").to_owned();
    body["input"].as_array().unwrap().iter().map(kind).collect()
}

async fn a_fork_waits_for_no_run_but_those_it_copies<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    ask(&host, &thread, "q1", "a1").await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("a2").hold_at(0, gate.clone()));
    let active = host.teller.ai_engine_run(&host.engine, &thread, "q2").submit().await.unwrap();
    let said = messages(&host, &thread).await;
    let fork = thread.fork_at(&host.engine, &said[1]).await.unwrap();
    assert_eq!(listed(&host, &fork).await, ["q1", "a1"]);
    let busy = thread.fork_at(&host.engine, &said[2]).await.unwrap_err();
    assert!(matches!(busy, Error::Busy { run_id, .. } if run_id == active.id), "{busy}");
    gate.open();
    host.engine.answer(active.id).await.unwrap();
}
