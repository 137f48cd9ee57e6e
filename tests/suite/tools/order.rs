//! G15: what is not to run side by side keeps the order of the model, whoever waits; and what others decide meanwhile is seen.

use super::*;

on_each_database!(
    what_is_not_side_by_side_waits_for_whom_it_follows,
    what_others_decide_meanwhile_is_seen,
);

/// Makes it.
#[derive(Debug, Deserialize, JsonSchema)]
struct Create {}

impl Tool for Create {
    const NAME: &'static str = "create";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        cx.state::<Done>()?.0.lock().unwrap().push("create".to_owned());
        Ok("made".to_owned())
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        Approval::Needed
    }
}

/// Shows it to all.
#[derive(Debug, Deserialize, JsonSchema)]
struct Publish {}

impl Tool for Publish {
    const NAME: &'static str = "publish";
    const SIDE_BY_SIDE: bool = false;
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        cx.state::<Done>()?.0.lock().unwrap().push("publish".to_owned());
        Ok("shown".to_owned())
    }
}

fn uses_all(usual: AssistantDefinition) -> AssistantDefinition {
    usual.uses::<Create>().uses::<Publish>().uses::<Hold>()
}

/// An engine with the tools, what they did, and what lets `hold` end.
fn with_all<D: TestDatabase>(host: &Host<D>) -> (ai_engine::AiEngine, Done, Arc<Notify>) {
    let (done, held) = (Done::default(), Arc::new(Notify::new()));
    let (state, holds) = (done.clone(), Arc::clone(&held));
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        let builder = builder.state(state).state(holds);
        builder.tool::<Create>().tool::<Publish>().tool::<Hold>()
    });
    (engine, done, held)
}

async fn what_is_not_side_by_side_waits_for_whom_it_follows<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (engine, done, _) = with_all(&host);
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "create", json!({})), ("p", "publish", json!({}))]));
    let request = host.teller.ai_engine_run(&engine, &thread, "Tell them");
    let run = request.definition(uses_all).await.unwrap().run;
    assert_eq!(run.status, RunStatus::RequiresAction);
    assert_eq!(
        (calls(&host), done.all()),
        (vec!["c awaiting_approval 0".to_owned(), "p pending 0".to_owned()], vec![])
    );
    let call = thread.pending(&engine).await.unwrap().remove(0);
    host.fake.reply(Reply::text("Done."));
    engine.approve(call.id).await.unwrap();
    assert_eq!(engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(done.all(), ["create", "publish"]);
}

async fn what_others_decide_meanwhile_is_seen<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (engine, _, held) = with_all(&host);
    let (other, ..) = with_all(&host);
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "create", json!({})), ("h", "hold", json!({}))]));
    host.fake.reply(Reply::text("I see."));
    let request = host.teller.ai_engine_run(&engine, &thread, "Tell them").definition(uses_all);
    let run = request.submit().await.unwrap();
    until(|| calls(&host) == ["c awaiting_approval 0", "h running 1"]).await;
    let call = thread.pending(&other).await.unwrap().remove(0);
    other.reject(call.id, "no").await.unwrap();
    let mut events = thread.events(&engine);
    held.notify_one();
    let mut last = None;
    loop {
        let event = futures_util::StreamExt::next(&mut events).await.unwrap().unwrap();
        match event.kind {
            ai_engine::EventKind::ToolCall { call, .. } if call.call_id == "c" => {
                last = Some(call.status);
            }
            ai_engine::EventKind::RunSettled { .. } => break,
            _ => {}
        }
    }
    assert_eq!(last, Some(ToolCallStatus::Rejected));
    assert_eq!(engine.answer(run.id).await.unwrap().run.status, RunStatus::Completed);
}
