//! G15: a call that waits does so for somebody who may decide, and the first decision stands.

use super::*;

on_each_database!(
    a_call_that_needs_approval_waits_for_it,
    a_call_that_is_refused_is_not_made,
    the_first_decision_stands,
    a_call_is_made_with_the_arguments_that_a_person_changed,
    what_the_host_carries_out_itself_waits_for_its_output,
    nobody_decides_for_another_owner,
    cancelling_closes_what_is_open,
    what_nobody_decides_on_in_time_is_refused,
    of_two_decisions_at_once_one_stands,
);

async fn a_call_that_needs_approval_waits_for_it<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    assert_eq!(done.all(), [] as [&str; 0]);
    // It keeps its place: what is asked later waits behind it.
    let busy = ask(&host, &thread).await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let next = ask(&host, &thread).when_busy(Busy::Queue).submit().await.unwrap();
    // Another process decides.
    host.fake.reply(Reply::text("It is open."));
    host.fake.reply(Reply::text("Next."));
    let other = tooled(&host, &done);
    let approved = host.user.tool_calls(&other).approve(call.id).await.unwrap();
    assert_eq!(approved.status, ToolCallStatus::Approved);
    let answer = other.answer(call.run_id).await.unwrap();
    assert_eq!(
        (answer.run.status, answer.text()),
        (RunStatus::Completed, "Let me see.\n\nIt is open.".to_owned())
    );
    assert_eq!(done.all(), ["open 7"]);
    assert_eq!(other.answer(next.id).await.unwrap().text(), "Next.");
}

async fn a_call_that_is_refused_is_not_made<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    host.fake.reply(Reply::text("I see."));
    host.engine.reject(call.id, "not today").await.unwrap();
    let answer = host.engine.answer(call.run_id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(outputs(&host), [("c".to_owned(), "This call was refused: not today".to_owned())]);
    assert_eq!(done.all(), [] as [&str; 0]);
}

async fn the_first_decision_stands<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    host.fake.reply(Reply::text("It is open."));
    let (yes, no) =
        tokio::join!(host.engine.approve(call.id), host.engine.reject(call.id, "not today"));
    assert!(yes.is_ok() != no.is_ok(), "{yes:?} {no:?}");
    let late = if yes.is_ok() { no } else { yes };
    assert!(matches!(late, Err(Error::Decided { tool_call_id, .. }) if tool_call_id == call.id));
    host.engine.answer(call.run_id).await.unwrap();
    assert_eq!(done.all().len(), usize::from(calls(&host) == ["c completed 1"]));
}

async fn a_call_is_made_with_the_arguments_that_a_person_changed<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    host.fake.reply(Reply::text("It is open."));
    let all = host.engine.tool_calls();
    let bad = all.approve_with(call.id, json!({"door": "blue"})).await;
    let Err(Error::Invalid { field: "arguments", reason, .. }) = &bad else { panic!("{bad:?}") };
    assert!(reason.contains("`door`"), "{reason}");
    all.approve_with(call.id, json!({"door": 8})).await.unwrap();
    host.engine.answer(call.run_id).await.unwrap();
    assert_eq!(done.all(), ["open 8"]);
}

async fn what_the_host_carries_out_itself_waits_for_its_output<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "pay", json!({"sum": 3}))]));
    let request = host.teller.ai_engine_run(&host.engine, &thread, "Pay");
    let pay = json!({"type": "function", "name": "pay", "parameters": {"type": "object"}});
    let answer = request.definition(move |usual| usual.tool(pay.clone())).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::RequiresAction);
    let call = thread.pending(&host.engine).await.unwrap().remove(0);
    assert_eq!((call.status, &*call.arguments), (ToolCallStatus::AwaitingOutput, r#"{"sum":3}"#));
    host.fake.reply(Reply::text("Paid."));
    host.engine.submit_output(call.id, json!({"paid": 3})).await.unwrap();
    let answer = host.engine.answer(call.run_id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(outputs(&host), [("c".to_owned(), r#"{"paid":3}"#.to_owned())]);
}

async fn nobody_decides_for_another_owner<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    let stranger = User { id: host.user.id + 1, name: "Eve".to_owned() };
    let theirs = stranger.tool_calls(&host.engine);
    let refused = theirs.approve(call.id).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    assert_eq!(theirs.waiting().await.unwrap(), []);
    assert_eq!(done.all(), [] as [&str; 0]);
}

async fn cancelling_closes_what_is_open<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    let cancelled = host.engine.cancel_run(call.run_id).await.unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled);
    let late = host.engine.approve(call.id).await;
    assert!(matches!(late, Err(Error::Decided { status: ToolCallStatus::Cancelled, .. })));
    // And one that is under way.
    let gate = Gate::new();
    host.fake.reply(asks([("d", "look", json!({"room": "hang"}))]).hold_at(0, gate.clone()));
    let run = ask(&host, &thread).submit().await.unwrap();
    gate.open();
    until(|| !done.all().is_empty()).await;
    assert_eq!(host.engine.cancel_run(run.id).await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(calls(&host), ["c cancelled 0", "d unknown 1"]);
    // The next turn goes on.
    host.fake.reply(Reply::text("Fine."));
    assert_eq!(ask(&host, &thread).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(outputs(&host).len(), 2);
}

async fn what_nobody_decides_on_in_time_is_refused<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    host.db.execute("UPDATE ai_engine_tool_calls SET decide_until = 1");
    host.fake.reply(Reply::text("I see."));
    let late = host.engine.approve(call.id).await;
    assert!(matches!(late, Err(Error::Decided { .. })), "{late:?}");
    host.engine.recover().await.unwrap();
    let answer = host.engine.answer(call.run_id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!((calls(&host), done.all().len()), (vec!["c rejected 0".to_owned()], 0));
}

/// How many calls two processes decide on at the same moment.
const AT_ONCE: usize = 50;

/// Two processes decide on a thousand calls at once, one this way and one that way.
async fn of_two_decisions_at_once_one_stands<D: TestDatabase>(db: D) {
    const CALLS: usize = 1000;
    let host = Host::new(db).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("effects");
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| with_effects(builder, &path));
    let thread = host.thread().await;
    let ids: Vec<String> = (0..CALLS).map(|at| format!("c{at}")).collect();
    host.fake.reply(asks(ids.iter().map(|id| (&**id, "agreed", json!({})))));
    let request = host.teller.ai_engine_run(&engine, &thread, "What is there?");
    let run = request.definition(uses_effects).await.unwrap().run;
    assert_eq!(run.status, RunStatus::RequiresAction);
    host.fake.reply(Reply::text("Done."));
    let thread = thread.id.to_string();
    let mut both = ["approve", "reject"].map(|decides| {
        let settings = [
            ("CHILD_DECIDES", decides),
            ("CHILD_THREAD", &*thread),
            ("CHILD_EFFECTS", path.to_str().unwrap()),
        ];
        Process::start(&host, "tools::decisions::the_process_that_decides", &settings)
    });
    for process in &mut both {
        assert_eq!(process.hear().unwrap(), "ready");
    }
    let [mut approved, mut rejected] = [Vec::new(), Vec::new()];
    // Again and again at the same moment: whoever is faster might be done before the other begins.
    for _ in 0..CALLS / AT_ONCE {
        for process in &mut both {
            process.tell("now");
        }
        for (process, stood) in both.iter_mut().zip([&mut approved, &mut rejected]) {
            let line = process.hear().unwrap();
            stood.extend(line.split_whitespace().skip(1).map(str::to_owned));
        }
    }
    assert_eq!(approved.len() + rejected.len(), CALLS, "each was decided on once");
    assert!(!approved.iter().any(|id| rejected.contains(id)));
    let answer = engine.answer(run.id).await.unwrap();
    assert_eq!((answer.run.status, answer.messages.len()), (RunStatus::Completed, 2));
    assert_eq!(effects(&path), approved.len(), "what was agreed to is done once, and nothing else");
    for (status, decided) in [("completed", approved), ("rejected", rejected)] {
        let sql = format!(
            "SELECT CAST(id AS TEXT) AS line FROM ai_engine_tool_calls WHERE status = '{status}'"
        );
        let (mut here, mut told) = (host.db.texts(&sql), decided);
        here.sort();
        told.sort();
        assert_eq!(here, told, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "one of the two processes of a test here"]
async fn the_process_that_decides() {
    let engine = engine_of_this_process(&Hub::default());
    let threads = ada().assistant_threads(&engine);
    let thread = threads.find(setting("CHILD_THREAD").parse().unwrap()).await.unwrap();
    let pending = thread.pending(&engine).await.unwrap();
    let approves = setting("CHILD_DECIDES") == "approve";
    let decide = |call: ToolCall| {
        let engine = &engine;
        async move {
            let decided = if approves {
                engine.approve(call.id).await
            } else {
                engine.reject(call.id, "no").await
            };
            match decided {
                Ok(_) => Some(call.id.to_string()),
                Err(Error::Decided { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        }
    };
    say("ready");
    for some in pending.chunks(AT_ONCE) {
        told().unwrap();
        let stood = futures_util::future::join_all(some.iter().cloned().map(&decide)).await;
        say(&format!("stood: {}", stood.into_iter().flatten().collect::<Vec<_>>().join(" ")));
    }
    // Perhaps the run goes on here.
    std::future::pending::<()>().await;
}
