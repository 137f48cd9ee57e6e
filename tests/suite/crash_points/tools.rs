//! G15: a process dies around the calls of tools. What was begun is done again, given to a person, or told as unknown, as its tool says;
//! what was done is told the model once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ai_engine::openai::Protocol;
use ai_engine::testing::Reply;
use ai_engine::{AiEngine, Error, RunStatus, ToolCall, prelude::*};
use serde_json::json;

use super::scene::{END_LEASES, QUESTION, WORDS, assert_died};
use crate::support::*;

/// What the child does on its way to the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Ask, of a model that calls this tool.
    Ask(&'static str),
    /// Agree to a call that waits.
    Agree,
    /// Recover when nobody has decided in time.
    Expire,
    /// Recover a run that died in the middle of a call of this tool.
    Recover(&'static str),
    /// Recover a call for which no process had the tool.
    Adopt,
}
use self::Deed::{Adopt, Agree, Ask, Expire, Recover};

/// How the run is when recovery has looked after what the child left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It has ended so, and the tool was carried out so often.
    Ended(RunStatus, usize),
    /// Somebody has to agree; the tool was carried out so often until then, and is once more.
    Waits(usize),
}
use self::Then::{Ended, Waits};

const ANSWERED: RunStatus = RunStatus::Completed;
const BROKEN: RunStatus = RunStatus::Incomplete;

pub type Case = (&'static str, Deed, Then);

pub const TOOLS: &[Case] = &[
    ("step.committing", Ask("again"), Ended(BROKEN, 0)),
    ("step.committed", Ask("again"), Ended(ANSWERED, 1)),
    ("step.committed", Ask("asked"), Ended(ANSWERED, 1)),
    ("step.committed", Ask("agreed"), Waits(0)),
    ("tools_begin.committing", Ask("again"), Ended(ANSWERED, 1)),
    ("tools_begin.committing", Ask("once"), Ended(ANSWERED, 1)),
    ("tools_begin.committed", Ask("again"), Ended(ANSWERED, 1)),
    ("tools_begin.committed", Ask("asked"), Waits(0)),
    ("tools_begin.committed", Ask("once"), Ended(ANSWERED, 0)),
    ("tools_begin.committed", Ask("agreed"), Waits(0)),
    ("tool.returned", Ask("again"), Ended(ANSWERED, 2)),
    ("tool.returned", Ask("asked"), Waits(1)),
    ("tool.returned", Ask("once"), Ended(ANSWERED, 1)),
    ("tool_output.committing", Ask("again"), Ended(ANSWERED, 2)),
    ("tool_output.committing", Ask("asked"), Waits(1)),
    ("tool_output.committing", Ask("once"), Ended(ANSWERED, 1)),
    ("tool_output.committed", Ask("again"), Ended(ANSWERED, 1)),
    ("tool_output.committed", Ask("asked"), Ended(ANSWERED, 1)),
    ("tool_output.committed", Ask("once"), Ended(ANSWERED, 1)),
    // The second call of the model.
    ("call.committing:2", Ask("once"), Ended(ANSWERED, 1)),
    ("call.committed:2", Ask("once"), Ended(BROKEN, 1)),
    ("end.arrived:2", Ask("once"), Ended(BROKEN, 1)),
    ("settle.committed", Ask("once"), Ended(ANSWERED, 1)),
    ("pause.committing", Ask("agreed"), Waits(0)),
    ("pause.committed", Ask("agreed"), Waits(0)),
    ("heard.committing", Ask("agreed"), Waits(0)),
    ("heard.committed", Ask("agreed"), Waits(0)),
    ("decide.committing", Agree, Waits(0)),
    ("decide.committed", Agree, Ended(ANSWERED, 1)),
    ("expire.committing", Expire, Ended(ANSWERED, 0)),
    ("expire.committed", Expire, Ended(ANSWERED, 0)),
    ("adopt.committing", Adopt, Ended(ANSWERED, 1)),
    ("adopt.committed", Adopt, Ended(ANSWERED, 1)),
    ("recover_pause.committing", Recover("asked"), Waits(0)),
    ("recover_pause.committed", Recover("asked"), Waits(0)),
    ("recover_retry.committing", Recover("again"), Ended(ANSWERED, 1)),
    ("recover_retry.committed", Recover("again"), Ended(ANSWERED, 1)),
];

struct Stage<'h, D> {
    host: &'h Host<D>,
    thread: ai_engine::AssistantThread,
    path: PathBuf,
}

pub async fn survive<D: TestDatabase>(host: &Host<D>, (point, deed, then): &Case) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("effects");
    let stage = Stage { host, thread: host.thread().await, path };
    play(&stage, point, *deed).await;
    check(&stage, &format!("{point} of {deed:?}"), *then).await;
}

/// Has a child die at `point`.
async fn play<D: TestDatabase>(stage: &Stage<'_, D>, point: &str, deed: Deed) {
    let host = stage.host;
    let tool = match deed {
        Ask(tool) | Recover(tool) => tool,
        Agree | Expire => "agreed",
        Adopt => "once",
    };
    let call = json!({"type": "function_call", "call_id": "c", "name": tool, "arguments": "{}"});
    host.fake.reply_to(QUESTION, Reply::text("").without_message().item(call));
    // Over Assistants what tools came to is a message.
    let last = if host.protocol == Protocol::Assistants { "came of call" } else { QUESTION };
    host.fake.reply_to(last, Reply::deltas(WORDS));
    match deed {
        Ask(_) => return dies(stage, "ask", point),
        Recover(_) => dies(stage, "ask", "tools_begin.committed"),
        Agree | Expire => wait(stage, &engine_with_tools(stage)).await,
        Adopt => wait(stage, &engine_of(host)).await,
    }
    host.db.execute(END_LEASES);
    if deed == Expire {
        host.db
            .execute("UPDATE ai_engine_tool_calls SET decide_until = 1 WHERE finished_at IS NULL");
    }
    dies(stage, if deed == Agree { "agree" } else { "recover" }, point);
}

/// Asks, and sees that the run waits.
async fn wait<D: TestDatabase>(stage: &Stage<'_, D>, engine: &AiEngine) {
    let request = stage.host.teller.ai_engine_run(engine, &stage.thread, QUESTION);
    let run = request.definition(uses_effects).await.unwrap().run;
    assert_eq!(run.status, RunStatus::RequiresAction);
    // It looks after the run for a moment longer, and is not to take it up when the child has had it go on.
    until_heard(&stage.host.db).await;
    engine.shutdown(Duration::from_secs(10)).await.unwrap();
}

fn dies<D: TestDatabase>(stage: &Stage<'_, D>, deed: &str, point: &str) {
    let thread = stage.thread.id.to_string();
    let settings = [
        ("AI_ENGINE_CRASH_AT", point),
        ("CHILD_DEED", deed),
        ("CHILD_THREAD", &thread),
        ("CHILD_LEASE", "30000"),
        ("CHILD_EFFECTS", stage.path.to_str().unwrap()),
    ];
    let test = "crash_points::tools::the_process_that_dies";
    assert_died(stage.host, &mut Process::start(stage.host, test, &settings), point);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that dies in the tests here"]
async fn the_process_that_dies() {
    let engine = engine_of_this_process(&Hub::default());
    let deed = async {
        let threads = ada().assistant_threads(&engine);
        let thread = threads.find(setting("CHILD_THREAD").parse().unwrap()).await.unwrap();
        match setting("CHILD_DEED").as_str() {
            "ask" => {
                let request = scheherazade().ai_engine_run(&engine, &thread, QUESTION);
                request.definition(uses_effects).submit().await.unwrap();
            }
            "agree" => {
                let call = thread.pending(&engine).await.unwrap().remove(0);
                engine.approve(call.id).await.unwrap();
            }
            _ => drop(engine.start().await.unwrap()),
        }
        std::future::pending::<()>().await;
    };
    tokio::time::timeout(Duration::from_secs(15), deed).await.expect("it still lives");
}

fn engine_of<D: TestDatabase>(host: &Host<D>) -> AiEngine {
    build(host, |builder| builder)
}

fn engine_with_tools<D: TestDatabase>(stage: &Stage<'_, D>) -> AiEngine {
    let path: &Path = &stage.path;
    build(stage.host, |builder| with_effects(builder, path))
}

fn build<D: TestDatabase>(
    host: &Host<D>,
    with: impl FnOnce(ai_engine::EngineBuilder<D::Database>) -> ai_engine::EngineBuilder<D::Database>,
) -> AiEngine {
    engine(&host.db, &host.fake, &Hub::default(), |builder| {
        let history = if host.conversing { "conversation" } else { "local" };
        let openai = host.fake.openai_builder().protocol(host.protocol).build().unwrap();
        with(builder.openai(openai).history(history.parse().unwrap()))
    })
}

async fn check<D: TestDatabase>(stage: &Stage<'_, D>, of: &str, then: Then) {
    let (host, thread) = (stage.host, &stage.thread);
    host.db.execute(END_LEASES);
    let engine = engine_with_tools(stage);
    engine.recover().await.unwrap();
    let sql =
        format!("SELECT max(id) FROM ai_engine_runs WHERE assistant_thread_id = {}", thread.id);
    let run = host.db.number(&sql);
    let mut answer = engine.answer(run).await.unwrap();
    let (status, times) = match then {
        Ended(status, times) => (status, times),
        Waits(times) => {
            assert_eq!(answer.run.status, RunStatus::RequiresAction, "{of}");
            assert_eq!(effects(&stage.path), times, "{of}: before somebody agrees");
            let call = thread.pending(&engine).await.unwrap().remove(0);
            engine.approve(call.id).await.unwrap();
            let late = engine.reject(call.id, "late").await;
            assert!(matches!(late, Err(Error::Decided { .. })), "{of}: {late:?}");
            answer = engine.answer(run).await.unwrap();
            (ANSWERED, times + 1)
        }
    };
    assert_eq!(answer.run.status, status, "{of}: {:?}", answer.run);
    assert_eq!(effects(&stage.path), times, "{of}: how often it was carried out");
    let (text, whole) = (answer.text(), WORDS.concat());
    assert!(whole.starts_with(&text) && (status == BROKEN || text == whole), "{of}: {text}");
    // One row, with an output that the model is told, in its place.
    let page = thread.turns(&engine, ai_engine::Page::default()).await.unwrap();
    let calls: Vec<&ToolCall> = page.items.iter().flat_map(|turn| &turn.tool_calls).collect();
    let asked = !of.starts_with("step.committing");
    assert_eq!(calls.len(), usize::from(asked), "{of}: {calls:?}");
    assert!(calls.iter().all(|call| call.status.is_terminal()), "{of}: {calls:?}");
    let outputs = format!(
        "SELECT count(*) FROM ai_engine_run_items WHERE run_id = {run} AND kind = 'function_call_output'"
    );
    assert_eq!(host.db.number(&outputs), i64::from(asked), "{of}: outputs");
    // The next turn goes on, whatever was left.
    host.fake.reply_to("Go on", Reply::text("And so on."));
    let next = host.teller.ai_engine_run(&engine, thread, "Go on").definition(uses_effects);
    assert_eq!(next.await.unwrap().text(), "And so on.", "{of}");
    assert_eq!(effects(&stage.path), times, "{of}: not again in the next turn");
}
