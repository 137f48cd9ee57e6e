//! A run is held to what it may take, between its steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::testing::Reply;
use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, Error, Message, Money, Reason, RunRequest,
    RunStatus, ToolContext, ToolError, prelude::*,
};
use serde::Deserialize;
use serde_json::json;

use super::{nanos, prices};
use crate::support::*;

on_each_database!(
    the_steps_of_a_run_are_added_up,
    a_run_ends_when_it_has_cost_what_it_may,
    a_run_ends_when_it_took_the_tokens_that_it_may,
    a_limit_that_cannot_be_held_to_is_refused,
    a_cost_that_turns_out_unknown_ends_the_run,
);

/// Looks into a room.
#[derive(Debug, Deserialize, JsonSchema)]
struct Look {}

#[derive(Debug, Clone, Default)]
struct Looks(Arc<AtomicUsize>);

impl Tool for Look {
    const NAME: &'static str = "look";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let Looks(looks) = cx.state()?;
        looks.fetch_add(1, Ordering::SeqCst);
        Ok("a hall".to_owned())
    }
}

fn looks(text: &str) -> Reply {
    let call = json!({"type": "function_call", "id": "fc", "call_id": format!("c{text}"), "name": "look",
        "arguments": "{}", "status": "completed"});
    let reply = Reply::text(text).item(call);
    if text.is_empty() { reply.without_message() } else { reply }
}

async fn start<D: TestDatabase>(db: D) -> (Host<D>, AssistantThread, Looks) {
    let looks = Looks::default();
    let host = Host::new(db).await;
    let engine = able(&host, &looks, 1);
    let host = Host { engine, ..host };
    let thread = host.thread().await;
    (host, thread, looks)
}

fn able<D: TestDatabase>(host: &Host<D>, looks: &Looks, times: u32) -> AiEngine {
    engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.state(looks.clone()).tool::<Look>().prices(prices(times, 1))
    })
}

fn ask<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> RunRequest {
    let request = host.teller.ai_engine_run(&host.engine, thread, "What is there?");
    request.definition(AssistantDefinition::uses::<Look>)
}

async fn the_steps_of_a_run_are_added_up<D: TestDatabase>(db: D) {
    let (host, thread, looks_made) = start(db).await;
    host.fake.reply(looks("").usage(100, 10));
    host.fake.reply(looks("Wait.").usage(200, 20));
    host.fake.reply(Reply::text("A hall.").usage(300, 30));
    let answer = ask(&host, &thread).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(looks_made.0.load(Ordering::SeqCst), 2);
    assert_eq!(answer.run.cost(), nanos(600_000 + 120_000));
    let costs: Vec<_> = answer.messages.iter().map(Message::cost).collect();
    // What a silent step cost stands at the next message.
    assert_eq!(costs, [nanos(300_000 + 60_000), nanos(300_000 + 60_000)]);
}

async fn a_run_ends_when_it_has_cost_what_it_may<D: TestDatabase>(db: D) {
    let (host, thread, looks_made) = start(db).await;
    host.fake.reply(looks("Let me see.").usage(100, 10));
    host.fake.reply(looks("And there.").usage(100, 10));
    let request = ask(&host, &thread).max_cost(Money::from_nanos(240_000));
    let run = request.await.unwrap().run;
    assert_eq!((run.status, run.reason), (RunStatus::Incomplete, Some(Reason::Budget)));
    assert_eq!(
        run.error.as_deref(),
        Some("the run cost $0.00024, and may cost $0.00024 (max_cost)")
    );
    assert_eq!(looks_made.0.load(Ordering::SeqCst), 1, "what came too late is not carried out");
    assert_eq!(host.fake.requests().len(), 2);
    // The next turn goes on.
    host.fake.reply(Reply::text("Fine.").usage(100, 10));
    assert_eq!(ask(&host, &thread).await.unwrap().run.status, RunStatus::Completed);
}

async fn a_run_ends_when_it_took_the_tokens_that_it_may<D: TestDatabase>(db: D) {
    let (host, thread, looks_made) = start(db).await;
    host.fake.reply(looks("Let me see.").usage(100, 10));
    let run = ask(&host, &thread).max_tokens(110).await.unwrap().run;
    assert_eq!((run.status, run.reason), (RunStatus::Incomplete, Some(Reason::Budget)));
    assert_eq!(looks_made.0.load(Ordering::SeqCst), 0);
    // One more, and it goes on.
    host.fake.reply(looks("Let me see.").usage(100, 10));
    host.fake.reply(Reply::text("A hall.").usage(100, 10));
    let run = ask(&host, &thread).max_tokens(111).await.unwrap().run;
    assert_eq!((run.status, looks_made.0.load(Ordering::SeqCst)), (RunStatus::Completed, 1));
}

async fn a_limit_that_cannot_be_held_to_is_refused<D: TestDatabase>(db: D) {
    let (host, thread, _) = start(db).await;
    let limited = || ask(&host, &thread).max_cost(Money::from_nanos(1));
    let refused = limited().definition(|usual| usual.model("unheard-of")).await.unwrap_err();
    let Error::Invalid { field: "max_cost", reason, .. } = &refused else { panic!("{refused}") };
    assert!(reason.contains("unheard-of"), "{reason}");
    let second = limited().definition(|usual| usual.fallback("openai", "unheard-of")).await;
    assert!(matches!(second, Err(Error::Invalid { field: "max_cost", .. })), "{second:?}");
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 0);
    let nothing = ask(&host, &thread).max_cost(Money::ZERO).await;
    assert!(matches!(nothing, Err(Error::Invalid { field: "max_cost", .. })), "{nothing:?}");
}

async fn a_cost_that_turns_out_unknown_ends_the_run<D: TestDatabase>(db: D) {
    let (host, thread, looks_made) = start(db).await;
    let picture = json!({"type": "image_generation_call", "id": "i", "status": "completed", "result": "aGk="});
    host.fake.reply(looks("See.").item(picture).usage(100, 10));
    let run = ask(&host, &thread).max_cost(Money::from_nanos(i64::MAX)).await.unwrap().run;
    assert_eq!((run.status, run.reason), (RunStatus::Incomplete, Some(Reason::Budget)));
    assert!(run.error.unwrap().contains("not known"));
    assert_eq!(looks_made.0.load(Ordering::SeqCst), 0);
}
