//! G15: calls of tools as others see them: readers, pages, forks, other processes and later ones.

use super::*;

on_each_database!(
    readers_and_pages_show_calls,
    another_process_hears_that_a_run_waits,
    a_fork_has_the_calls_of_its_turns,
    hooks_hear_of_a_decision_and_of_all_that_follows,
    who_agreed_is_not_asked_again_after_a_crash,
    a_process_without_the_tool_leaves_the_call_to_one_that_has_it,
);

async fn readers_and_pages_show_calls<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    let status = |events: &[ai_engine::Event]| {
        let calls = events.iter().filter_map(|event| match &event.kind {
            ai_engine::EventKind::ToolCall { call, .. } => Some(call.status),
            _ => None,
        });
        calls.collect::<Vec<_>>()
    };
    // A reader elsewhere sees that it waits; and goes on from there.
    let other = tooled(&host, &done);
    let mut events = thread.events(&other);
    let mut seen = Vec::new();
    while status(&seen).is_empty() {
        seen.push(futures_util::StreamExt::next(&mut events).await.unwrap().unwrap());
    }
    assert_eq!(status(&seen), [ToolCallStatus::AwaitingApproval]);
    let cursor = seen.last().unwrap().cursor.to_string();
    host.fake.reply(Reply::text("It is open."));
    host.engine.approve(call.id).await.unwrap();
    host.engine.answer(call.run_id).await.unwrap();
    let mut events = thread.events(&other).resume(Some(&cursor)).await.unwrap();
    let mut rest = Vec::new();
    while !matches!(
        rest.last(),
        Some(ai_engine::Event { kind: ai_engine::EventKind::RunSettled { .. }, .. })
    ) {
        rest.push(futures_util::StreamExt::next(&mut events).await.unwrap().unwrap());
    }
    // How much of the way a reader sees depends on when it looks.
    assert_eq!(status(&rest).last(), Some(&ToolCallStatus::Completed));
    assert!(!status(&rest).contains(&ToolCallStatus::AwaitingApproval), "{rest:?}");
    let mut names: Vec<&str> = rest.iter().map(ai_engine::Event::name).collect();
    names.dedup();
    // Calls stand where the model said them: here before its text.
    let message = ["message_started", "message_appended", "message_settled"];
    assert_eq!(names, [&["tool_call"][..], &message, &message, &["run_settled"]].concat());
    let page = thread.turns(&other, ai_engine::Page::default()).await.unwrap();
    let statuses: Vec<_> = page.items[0].tool_calls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [ToolCallStatus::Completed]);
}

async fn another_process_hears_that_a_run_waits<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(asks([("c", "open", json!({"door": 7}))]).hold_at(0, gate.clone()));
    let run = ask(&host, &thread).submit().await.unwrap();
    gate.reached().await;
    // It looks before there is anything to see.
    let other = tooled(&host, &done);
    let answering = tokio::spawn(async move { other.answer(run.id).await });
    gate.open();
    let answer = answering.await.unwrap().unwrap();
    assert_eq!((answer.run.status, &*answer.text()), (RunStatus::RequiresAction, "Let me see."));
}

async fn hooks_hear_of_a_decision_and_of_all_that_follows<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    until_heard(&host.db).await;
    host.hub.forget();
    host.fake.reply(Reply::text("Shut."));
    host.engine.reject(call.id, "Not today").await.unwrap();
    host.engine.answer(call.run_id).await.unwrap();
    until_announced(&host.db).await;
    let story = ["call rejected", "assistant created", "message completed", "run completed"];
    let mut told = host.hub.story();
    told.retain(|word| word != "message streaming");
    assert_eq!(told, story);
}

async fn a_fork_has_the_calls_of_its_turns<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "look", json!({"room": "hall"}))]));
    host.fake.reply(Reply::text("A hall."));
    let answer = ask(&host, &thread).await.unwrap();
    let fork = thread.fork_at(&host.engine, answer.message().unwrap()).await.unwrap();
    let page = fork.turns(&host.engine, ai_engine::Page::default()).await.unwrap();
    let [call] = &page.items[0].tool_calls[..] else { panic!("{page:?}") };
    assert_eq!((&*call.name, call.output.as_deref()), ("look", Some(r#"{"seen":"hall"}"#)));
    host.fake.reply(Reply::text("Fine."));
    ask(&host, &fork).await.unwrap();
    assert_eq!((outputs(&host).len(), done.all().len()), (1, 1));
}

/// As a process leaves it that dies while it carries out the only call.
pub(super) fn dies_in_the_call<D: TestDatabase>(host: &Host<D>) {
    // Of the newest run, if there are several.
    let of = "(SELECT max(id) FROM ai_engine_runs)";
    host.db.execute(&format!(
        "UPDATE ai_engine_tool_calls SET status = 'running', attempts = 1, output = NULL, error = NULL, finished_at = NULL WHERE run_id = {of}; \
         DELETE FROM ai_engine_run_items WHERE kind = 'function_call_output' AND run_id = {of}; \
         UPDATE ai_engine_runs SET status = 'in_progress', finished_at = NULL, lease_owner = 'dead', announced_at = NULL WHERE id = {of}",
    ));
}

async fn who_agreed_is_not_asked_again_after_a_crash<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    host.fake.reply(Reply::text("It is open."));
    host.engine.approve(call.id).await.unwrap();
    host.engine.answer(call.run_id).await.unwrap();
    for (repeatable, status) in [("yes", RunStatus::Completed), ("ask", RunStatus::RequiresAction)]
    {
        dies_in_the_call(&host);
        host.db.execute(&format!("UPDATE ai_engine_tool_calls SET repeatable = '{repeatable}'"));
        let after = tooled(&host, &done);
        host.fake.reply(Reply::text("It is open."));
        after.recover().await.unwrap();
        assert_eq!(after.answer(call.run_id).await.unwrap().run.status, status, "{repeatable}");
    }
    assert_eq!(done.all(), ["open 7", "open 7"]);
}

/// The end of a run that waits for a process with the tool. A look leaves alone what somebody has locked just then.
async fn adopted<D: TestDatabase>(host: &Host<D>, run: i64) -> ai_engine::Answer {
    loop {
        host.engine.recover().await.unwrap();
        let answer = host.engine.answer(run).await.unwrap();
        if answer.run.status.is_terminal() {
            return answer;
        }
    }
}

async fn a_process_without_the_tool_leaves_the_call_to_one_that_has_it<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let older = || engine(&host.db, &host.fake, &host.hub, |builder| builder);
    // It goes away: else it might be the one that drives the run on, and leave the call once more.
    let ends = |older: ai_engine::AiEngine| async move {
        older.shutdown(Duration::from_secs(10)).await.unwrap();
    };
    let first = older();
    let request = host.teller.ai_engine_run(&first, &thread, "What is there?");
    host.fake.reply(asks([("c", "look", json!({"room": "hall"}))]));
    let run = request.definition(AssistantDefinition::uses::<Look>).await.unwrap().run;
    assert_eq!(run.status, RunStatus::RequiresAction);
    first.recover().await.unwrap();
    // Nor does one take it that has the tool, and would not drive the run.
    let page = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.tool::<Look>().take_queued(false)
    });
    page.recover().await.unwrap();
    assert_eq!(calls(&host), ["c awaiting_output 0"]);
    ends(page).await;
    ends(first).await;
    host.fake.reply(Reply::text("A hall."));
    let answer = adopted(&host, run.id).await;
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(done.all().len(), 1);
    // So does one that takes up what somebody agreed to.
    let (second, call) = (older(), waiting(&host, &thread).await);
    second.approve(call.id).await.unwrap();
    let left = second.answer(call.run_id).await.unwrap().run;
    assert_eq!(left.status, RunStatus::RequiresAction);
    assert_eq!(calls(&host)[1..], ["c awaiting_output 0"]);
    ends(second).await;
    host.fake.reply(Reply::text("It is open."));
    let answer = adopted(&host, call.run_id).await;
    assert_eq!(
        (answer.run.status, &*answer.text()),
        (RunStatus::Completed, "Let me see.\n\nIt is open.")
    );
    assert_eq!(done.all()[1..], ["open 7"]);
}
