//! G15: what is told of a call whose process ended in the middle of it, and who decides on it then.

use super::elsewhere::dies_in_the_call;
use super::*;

on_each_database!(
    what_recovery_gives_to_a_person_waits_as_long_as_any_other,
    a_call_that_nobody_carries_out_any_more_is_left_as_its_tool_says,
    the_end_of_a_run_tells_what_became_of_its_calls,
    what_an_earlier_version_left_open_of_an_ended_run_costs_no_writes,
);

/// Looks until no call is like that: a look leaves alone what somebody has locked, or is done with, just then.
async fn recovers<D: TestDatabase>(host: &Host<D>, engine: &ai_engine::AiEngine, like: &str) {
    let count = format!("SELECT count(*) FROM ai_engine_tool_calls WHERE status = '{like}'");
    while host.db.number(&count) > 0 {
        engine.recover().await.unwrap();
    }
}

/// A run that its process left in the middle of its only call, of a tool that a person is asked about.
async fn left<D: TestDatabase>(host: &Host<D>, thread: &ai_engine::AssistantThread) -> ToolCall {
    let call = waiting(host, thread).await;
    host.fake.reply(Reply::text("It is open."));
    host.engine.approve(call.id).await.unwrap();
    host.engine.answer(call.run_id).await.unwrap();
    until_announced(&host.db).await;
    dies_in_the_call(host);
    // As it was set for the first decision.
    host.db.execute("UPDATE ai_engine_tool_calls SET decide_until = 1");
    call
}

async fn what_recovery_gives_to_a_person_waits_as_long_as_any_other<D: TestDatabase>(db: D) {
    const NOT_KNOWN: &str = "not known whether it was carried out before";
    let (host, done) = start(db).await;
    for expiry in [None, Some(Duration::from_hours(1))] {
        let after = with_tools(&host, &done, |builder| match expiry {
            Some(expiry) => builder.approval_expiry(expiry),
            None => builder,
        });
        for expires in [false, true] {
            let thread = host.thread().await;
            let call = left(&host, &thread).await;
            recovers(&host, &after, "running").await;
            let call = thread.pending(&after).await.unwrap().pop().unwrap_or(call);
            assert_eq!((call.status, call.attempts), (ToolCallStatus::AwaitingApproval, 1));
            assert_eq!(call.decide_until.is_some(), expiry.is_some());
            assert!(call.decide_until.is_none_or(|until| until > 1_000_000), "{call:?}");
            host.fake.reply(Reply::text("I see."));
            if expires {
                host.db.execute("UPDATE ai_engine_tool_calls SET decide_until = 1");
                recovers(&host, &after, "awaiting_approval").await;
            } else {
                after.reject(call.id, "not again").await.unwrap();
            }
            after.answer(call.run_id).await.unwrap();
            let told = outputs(&host).pop().unwrap().1;
            assert!(told.contains(NOT_KNOWN), "{expires}: {told}");
        }
    }
}

/// However it came about that the row says so.
async fn a_call_that_nobody_carries_out_any_more_is_left_as_its_tool_says<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    for (repeatable, status, times) in [
        ("yes", RunStatus::Completed, 1),
        ("ask", RunStatus::RequiresAction, 0),
        ("no", RunStatus::Completed, 0),
    ] {
        let thread = host.thread().await;
        let call = left(&host, &thread).await;
        host.db.execute(&format!(
            "UPDATE ai_engine_tool_calls SET repeatable = '{repeatable}' WHERE finished_at IS NULL; \
             UPDATE ai_engine_runs SET status = 'queued', lease_owner = NULL WHERE finished_at IS NULL",
        ));
        if status == RunStatus::Completed {
            host.fake.reply(Reply::text("Well."));
        }
        let before = done.all().len();
        let after = tooled(&host, &done);
        after.recover().await.unwrap();
        let run = after.answer(call.run_id).await.unwrap().run;
        assert_eq!((run.status, done.all().len() - before), (status, times), "{repeatable}");
        after.cancel_run(run.id).await.unwrap();
    }
}

/// A tool that was begun may have done its work, also where its run ends otherwise than by a crash.
async fn the_end_of_a_run_tells_what_became_of_its_calls<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    host.fake
        .reply(asks([("h", "look", json!({"room": "hang"})), ("o", "open", json!({"door": 7}))]));
    let run = ask(&host, &thread).submit().await.unwrap();
    let mut events = thread.events(&host.engine);
    until(|| calls(&host) == ["h running 1", "o awaiting_approval 0"] && done.all().len() == 1)
        .await;
    host.engine.cancel_run(run.id).await.unwrap();
    // A reader sees it before the end.
    let mut seen = std::collections::BTreeMap::new();
    loop {
        let event = futures_util::StreamExt::next(&mut events).await.unwrap().unwrap();
        match event.kind {
            ai_engine::EventKind::ToolCall { call, .. } => {
                seen.insert(call.call_id.clone(), call.status);
            }
            ai_engine::EventKind::RunSettled { .. } => break,
            _ => {}
        }
    }
    let ended = [("h", ToolCallStatus::Unknown), ("o", ToolCallStatus::Cancelled)];
    assert_eq!(seen, ended.map(|(id, status)| (id.to_owned(), status)).into());
    // And the model, with the next turn.
    host.fake.reply(Reply::text("Fine."));
    ask(&host, &thread).await.unwrap();
    let told = outputs(&host);
    assert!(told[0].1.contains("not known whether this call was carried out"), "{told:?}");
    assert_eq!(told[1].1, "This call was not carried out.");
}

async fn what_an_earlier_version_left_open_of_an_ended_run_costs_no_writes<
    D: TestDatabase + Raw,
>(
    db: D,
) {
    let (host, _) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "look", json!({"room": "hall"}))]));
    host.fake.reply(Reply::text("A hall."));
    ask(&host, &thread).await.unwrap();
    until_announced(&host.db).await;
    let (engine, watched) = watched_with(&host, ai_engine::EngineBuilder::tool::<Look>);
    engine.recover().await.unwrap();
    let looks = async || {
        watched.forget();
        engine.recover().await.unwrap();
        watched.statements().len()
    };
    let before = looks().await;
    for status in ["awaiting_output", "awaiting_approval"] {
        host.db.execute(&format!(
            "UPDATE ai_engine_tool_calls SET status = '{status}', finished_at = NULL, decide_until = 1"
        ));
        assert_eq!(looks().await, before, "{status}: {:#?}", watched.statements());
    }
}
