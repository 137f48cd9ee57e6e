//! G15: a tool's effect is noted before it begins, and its output before the model hears of it; it begins twice only if it says that
//! it may.

mod answers;
mod bounds;
mod decisions;
mod elsewhere;
mod heard;
mod left;
#[cfg(feature = "postgres")]
mod lost_commits;
mod meanwhile;
mod odd;
mod order;
#[cfg(feature = "postgres")]
mod stopped;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    Approval, AssistantDefinition, Busy, Decision, Error, Reason, Repeatable, RunStatus, ToolCall,
    ToolCallStatus, ToolContext, ToolError, prelude::*,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::*;

on_each_database!(
    a_tool_is_carried_out_and_the_model_is_told_what_came_of_it,
    calls_of_one_answer_run_side_by_side_and_keep_their_order,
    the_model_is_told_why_a_call_failed,
    two_calls_of_one_id_are_one,
    a_text_of_an_earlier_step_is_stored_once,
    the_model_that_never_stops_asking_is_stopped,
    a_tool_may_ask_another_assistant_but_not_for_ever,
);

/// What was done, and how.
#[derive(Debug, Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Looks into a room.
#[derive(Debug, Deserialize, JsonSchema)]
struct Look {
    /// Which one.
    room: String,
}

impl Tool for Look {
    const NAME: &'static str = "look";
    const REPEATABLE: Repeatable = Repeatable::Yes;
    type Output = Value;

    async fn call(self, cx: &ToolContext<'_>) -> Result<Value, ToolError> {
        let Done(done) = cx.state()?;
        done.lock().unwrap().push(format!("look {} {}", self.room, cx.idempotency_key()));
        match self.room.as_str() {
            "panic" => panic!("as the test wants"),
            "error" => Err(ToolError::new("the door is locked")),
            "hang" => std::future::pending().await,
            room => Ok(json!({"seen": room})),
        }
    }
}

/// Opens a door.
#[derive(Debug, Deserialize, JsonSchema)]
struct Open {
    door: u32,
}

impl Tool for Open {
    const NAME: &'static str = "open";
    const TIMEOUT: Duration = Duration::from_millis(200);
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let Done(done) = cx.state()?;
        done.lock().unwrap().push(format!("open {}", self.door));
        if self.door == 0 {
            std::future::pending::<()>().await;
        }
        Ok("open".to_owned())
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        match self.door {
            0 | 1 => Approval::NotNeeded,
            13 => Approval::Refused("that door is none".to_owned()),
            _ => Approval::Needed,
        }
    }
}

/// Takes until somebody says so.
#[derive(Debug, Deserialize, JsonSchema)]
struct Hold {}

impl Tool for Hold {
    const NAME: &'static str = "hold";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        cx.state::<Arc<Notify>>()?.notified().await;
        Ok("held".to_owned())
    }
}

/// Two that meet: each waits for the other.
#[derive(Debug, Deserialize, JsonSchema)]
struct Meet {
    me: usize,
}

#[derive(Debug, Clone)]
struct Meeting(Arc<tokio::sync::Barrier>);

impl Tool for Meet {
    const NAME: &'static str = "meet";
    type Output = usize;

    async fn call(self, cx: &ToolContext<'_>) -> Result<usize, ToolError> {
        let Meeting(barrier) = cx.state()?;
        barrier.wait().await;
        if self.me == 0 {
            // The first one is the last to end.
            tokio::task::yield_now().await;
        }
        Ok(self.me)
    }
}

async fn start<D: TestDatabase>(db: D) -> (Host<D>, Done) {
    let done = Done::default();
    let host = Host::new(db).await;
    let engine = tooled(&host, &done);
    (Host { engine, ..host }, done)
}

fn tooled<D: TestDatabase>(host: &Host<D>, done: &Done) -> ai_engine::AiEngine {
    with_tools(host, done, |builder| builder)
}

fn with_tools<D: TestDatabase>(
    host: &Host<D>,
    done: &Done,
    with: impl FnOnce(ai_engine::EngineBuilder<D::Database>) -> ai_engine::EngineBuilder<D::Database>,
) -> ai_engine::AiEngine {
    let (done, meeting) = (done.clone(), Meeting(Arc::new(tokio::sync::Barrier::new(2))));
    engine(&host.db, &host.fake, &host.hub, |builder| {
        let builder = with(builder).state(done).state(meeting);
        builder.tool::<Look>().tool::<Open>().tool::<Meet>()
    })
}

fn call(id: &str, name: &str, arguments: &Value) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
        "arguments": arguments.to_string(), "status": "completed",
    })
}

fn asks<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str, Value)>) -> Reply {
    let calls = calls.into_iter();
    calls.fold(Reply::text("Let me see."), |reply, (id, name, arguments)| {
        reply.item(call(id, name, &arguments))
    })
}

fn ask<D: TestDatabase>(
    host: &Host<D>,
    thread: &ai_engine::AssistantThread,
) -> ai_engine::RunRequest {
    let request = host.teller.ai_engine_run(&host.engine, thread, "What is there?");
    request.definition(|usual| usual.uses::<Look>().uses::<Open>().uses::<Meet>())
}

/// What the model was told of calls in the last request, in order.
fn outputs<D>(host: &Host<D>) -> Vec<(String, String)> {
    let posts = host.fake.requests().into_iter().filter(|request| request.method == "POST");
    let last = posts.filter_map(|post| post.body).next_back().unwrap();
    let told = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        (item["type"] == "function_call_output").then(|| (text("call_id"), text("output")))
    };
    last["input"].as_array().unwrap().iter().filter_map(told).collect()
}

fn calls<D: TestDatabase>(host: &Host<D>) -> Vec<String> {
    host.db.texts(
        "SELECT call_id || ' ' || status || ' ' || attempts AS line FROM ai_engine_tool_calls ORDER BY id",
    )
}

async fn a_tool_is_carried_out_and_the_model_is_told_what_came_of_it<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([("c1", "look", json!({"room": "hall"}))]));
    host.fake.reply(Reply::text("A hall."));
    let answer = ask(&host, &thread).await.unwrap();
    assert_eq!((answer.run.status, answer.run.reason), (RunStatus::Completed, None));
    let texts: Vec<&str> = answer.messages.iter().map(|said| &*said.content).collect();
    assert_eq!(texts, ["Let me see.", "A hall."]);
    assert_eq!(outputs(&host), [("c1".to_owned(), r#"{"seen":"hall"}"#.to_owned())]);
    assert_eq!(calls(&host), ["c1 completed 1"]);
    assert_eq!(done.all().len(), 1);
    // It travels with what is said later.
    host.fake.reply(Reply::text("Fine."));
    ask(&host, &thread).await.unwrap();
    assert_eq!(outputs(&host).len(), 1);
}

async fn calls_of_one_answer_run_side_by_side_and_keep_their_order<D: TestDatabase>(db: D) {
    let (host, _) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([("c0", "meet", json!({"me": 0})), ("c1", "meet", json!({"me": 1}))]));
    host.fake.reply(Reply::text("Met."));
    ask(&host, &thread).await.unwrap();
    let told = [("c0".to_owned(), "0".to_owned()), ("c1".to_owned(), "1".to_owned())];
    assert_eq!(outputs(&host), told);
}

async fn the_model_is_told_why_a_call_failed<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    for (arguments, name, told) in [
        (json!({"room": "error"}), "look", "Error: the door is locked"),
        (json!({"room": "panic"}), "look", "Error: the tool failed"),
        (json!({"door": 0}), "open", "Error: the tool took longer than 200ms"),
        (json!({"room": 7}), "look", "`room`: invalid type: integer `7`, expected a string"),
        (json!({"door": 13}), "open", "that door is none"),
        (json!({}), "sesame", "there is no tool \"sesame\"; there are: look, open, meet"),
    ] {
        host.fake.reply(asks([("c", name, arguments.clone())]));
        host.fake.reply(Reply::text("Well."));
        let answer = ask(&host, &thread).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed, "{arguments}");
        assert_eq!(outputs(&host).pop().unwrap().1, told, "{arguments}");
    }
    assert_eq!(done.all().len(), 3, "only what could be done was begun: {:?}", done.all());
}

async fn two_calls_of_one_id_are_one<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    host.fake.reply(asks([
        ("c", "look", json!({"room": "hall"})),
        ("c", "look", json!({"room": "hall"})),
    ]));
    host.fake.reply(Reply::text("A hall."));
    assert_eq!(ask(&host, &thread).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!((done.all().len(), calls(&host).len()), (1, 1));
}

async fn a_text_of_an_earlier_step_is_stored_once<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let (thread, other) = (host.thread().await, host.thread().await);
    host.fake.reply(asks([("c", "look", json!({"room": "hang"}))]));
    let run = ask(&host, &thread).submit().await.unwrap();
    until(|| done.all().len() == 1).await;
    // What is stored by a tick of all runs that are driven: the second word of this one cannot be stored otherwise.
    let (first, second) = (Gate::new(), Gate::new());
    let words = Reply::deltas(["One ", "two ", "three"]);
    let words = words.hold_at(5, first.clone()).hold_at(6, second.clone());
    host.fake.reply(words);
    let counting = host.teller.ai_engine_run(&host.engine, &other, "Count").submit().await.unwrap();
    counting.until_text(&host.engine, "One").await.unwrap();
    first.open();
    counting.until_text(&host.engine, "two").await.unwrap();
    let said = thread.messages(&host.engine).list(ai_engine::Page::default()).await.unwrap();
    assert_eq!(said[1].content, "Let me see.");
    second.open();
    run.cancel(&host.engine).await.unwrap();
    host.engine.answer(counting.id).await.unwrap();
}

async fn the_model_that_never_stops_asking_is_stopped<D: TestDatabase>(db: D) {
    let (host, done) = start(db).await;
    let thread = host.thread().await;
    for step in 0..8 {
        host.fake.reply(asks([(&*format!("c{step}"), "look", json!({"room": "hall"}))]));
    }
    let answer = ask(&host, &thread).await.unwrap();
    let told = (answer.run.status, answer.run.reason);
    assert_eq!(told, (RunStatus::Incomplete, Some(Reason::MaxSteps)));
    assert_eq!(done.all().len(), 7, "the last one is not carried out");
    // The next turn goes on: each call has an output.
    host.fake.reply(Reply::text("Fine."));
    assert_eq!(ask(&host, &thread).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(outputs(&host).len(), 8);
}

/// A run that waits for somebody's decision on the only call there is.
async fn waiting<D: TestDatabase>(host: &Host<D>, thread: &ai_engine::AssistantThread) -> ToolCall {
    host.fake.reply(asks([("c", "open", json!({"door": 7}))]));
    let answer = ask(host, thread).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::RequiresAction);
    let call = thread.pending(&host.engine).await.unwrap().remove(0);
    assert_eq!(call.status, ToolCallStatus::AwaitingApproval);
    let waiting = host.user.tool_calls(&host.engine).waiting().await.unwrap();
    assert_eq!(waiting, std::slice::from_ref(&call));
    call
}

/// An assistant as another's tool, as often as it is asked.
#[derive(Debug, Deserialize, JsonSchema)]
struct Ask {}

impl Tool for Ask {
    const NAME: &'static str = "ask";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let (user, teller) = (User { id: 1, name: "Ada".to_owned() }, scheherazade());
        let thread = user.assistant_threads(cx.engine).create().await?;
        let request = teller.ai_engine_run(cx.engine, &thread, "And you?");
        Ok(request.definition(AssistantDefinition::uses::<Ask>).await?.text())
    }
}

async fn a_tool_may_ask_another_assistant_but_not_for_ever<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    // One place is enough: whoever is asked is a part of the run that asks.
    let engine = engine(&host.db, &host.fake, &host.hub, |builder| {
        builder.tool::<Ask>().max_depth(2).max_concurrent_runs(1)
    });
    let thread = host.thread().await;
    for depth in 0..3 {
        host.fake.reply(asks([(&*format!("c{depth}"), "ask", json!({}))]));
    }
    for text in ["Deepest.", "Deeper.", "Deep."] {
        host.fake.reply(Reply::text(text));
    }
    let request = host.teller.ai_engine_run(&engine, &thread, "What is there?");
    let answer = request.definition(AssistantDefinition::uses::<Ask>).await.unwrap();
    assert!(answer.text().ends_with("Deep."), "{}", answer.text());
    let refused = "SELECT output AS line FROM ai_engine_tool_calls WHERE status = 'failed'";
    let refused = host.db.texts(refused);
    assert!(matches!(&*refused, [one] if one.contains("max_depth")), "{refused:?}");
}
