//! G8: what a tool, a model or a person says of a call has a bound, and is such that each database stores it.

use super::*;

on_each_database!(
    what_a_tool_says_is_stored_without_nul,
    why_a_call_failed_is_told_within_a_limit,
    a_decision_that_cannot_be_stored_is_refused,
);

/// Says a text again.
#[derive(Debug, Deserialize, JsonSchema)]
struct Echo {
    title: String,
    how: How,
    #[serde(default = "once")]
    times: usize,
}

const fn once() -> usize {
    1
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum How {
    Says,
    Fails,
    Refuses,
}

impl Tool for Echo {
    const NAME: &'static str = "echo";
    type Output = String;

    async fn call(self, _: &ToolContext<'_>) -> Result<String, ToolError> {
        let text = self.title.repeat(self.times);
        match self.how {
            How::Says => Ok(text),
            _ => Err(ToolError::new(text)),
        }
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        match self.how {
            How::Refuses => Approval::Refused(self.title.repeat(self.times)),
            _ => Approval::NotNeeded,
        }
    }
}

/// What the model is told of a call of it.
async fn echoed<D: TestDatabase>(host: &Host<D>, arguments: Value) -> String {
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.tool::<Echo>().lease(Duration::from_secs(2))
    });
    let thread = host.thread().await;
    host.fake.reply(asks([("c", "echo", arguments)]));
    host.fake.reply(Reply::text("Well."));
    let request = host.teller.ai_engine_run(&engine, &thread, "What is there?");
    let answer = request.definition(AssistantDefinition::uses::<Echo>).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed, "{:?}", answer.run);
    outputs(host).pop().unwrap().1
}

async fn what_a_tool_says_is_stored_without_nul<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for how in ["Says", "Fails", "Refuses"] {
        let told = echoed(&host, json!({"title": "a\0", "how": how})).await;
        assert!(told.ends_with("a\u{fffd}"), "{how}: {told:?}");
    }
}

async fn why_a_call_failed_is_told_within_a_limit<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    for how in ["Fails", "Refuses"] {
        let told = echoed(&host, json!({"title": "é", "how": how, "times": 500_000})).await;
        assert!(told.contains("éé") && told.len() < 10 * 1024, "{how}: {} bytes", told.len());
    }
}

async fn a_decision_that_cannot_be_stored_is_refused<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let thread = host.thread().await;
    let call = waiting(&host, &thread).await;
    let calls = host.user.tool_calls(&host.engine);
    for (decision, named) in [
        (Decision::reject("a\0"), "reason"),
        (Decision::reject("x".repeat(100_000)), "reason"),
        (Decision::approve().by("a\0"), "by"),
        (Decision::approve().by("x".repeat(100_000)), "by"),
        (Decision::output("a\0"), "output"),
        (Decision::approve_with(json!({"door": "a\0"})), "arguments"),
    ] {
        let refused = calls.decide([(call.id, decision)]).await;
        let Err(Error::Invalid { field, reason, .. }) = &refused else { panic!("{refused:?}") };
        assert!(*field == named && reason.contains("must"), "{field}: {reason}");
    }
    // None of them was a decision.
    host.fake.reply(Reply::text("It is open."));
    calls.approve(call.id).await.unwrap();
    assert_eq!(host.engine.answer(call.run_id).await.unwrap().run.status, RunStatus::Completed);
}
