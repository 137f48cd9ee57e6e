//! Tools: what the model asks for is done as often as it may be, and the model is told what came of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::scene::Scene;
use super::{Act, FunctionCall, Outcome, Subject};
use crate::{
    Answer, Approval, AssistantThread, Database, EngineBuilder, Error, Reason, Repeatable,
    RunRequest, RunStatus, Tool, ToolCall, ToolCallStatus, ToolContext, ToolError,
};

const UNSCRIPTED: Outcome = Outcome::Skipped { why: "the server takes no script (`act`)" };

/// What was done, in order.
#[derive(Debug, Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn note(cx: &ToolContext<'_>, what: String) -> Result<(), ToolError> {
        let Self(done) = cx.state()?;
        done.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        Ok(())
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where two calls meet.
#[derive(Debug, Clone)]
struct Meeting(Arc<tokio::sync::Barrier>);

/// Looks out of a window.
#[derive(Debug, Deserialize, JsonSchema)]
struct Look {
    /// Which one.
    window: String,
}

impl Tool for Look {
    const NAME: &'static str = "look_outside";
    const REPEATABLE: Repeatable = Repeatable::Yes;
    const TIMEOUT: Duration = Duration::from_millis(500);
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        Done::note(cx, format!("look {}", self.window))?;
        match &*self.window {
            "stuck" => Err(ToolError::new("it is painted shut")),
            "broken" => panic!("a pane falls out, as the case wants"),
            "foggy" => std::future::pending().await,
            window => Ok(format!("Rain before the {window} window")),
        }
    }
}

/// Opens a door.
#[derive(Debug, Deserialize, JsonSchema)]
struct Open {
    door: u32,
}

impl Tool for Open {
    const NAME: &'static str = "open_door";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        Done::note(cx, format!("open {}", self.door))?;
        Ok(format!("Door {} is open", self.door))
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        Approval::Needed
    }
}

/// Waits for somebody.
#[derive(Debug, Deserialize, JsonSchema)]
struct Meet {
    who: String,
}

impl Tool for Meet {
    const NAME: &'static str = "meet";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let Meeting(meeting) = cx.state()?;
        meeting.wait().await;
        Ok(format!("Met {}", self.who))
    }
}

fn tooled<D: Database>(builder: EngineBuilder<D>, done: &Done) -> EngineBuilder<D> {
    let meeting = Meeting(Arc::new(tokio::sync::Barrier::new(2)));
    let builder = builder.state(done.clone()).state(meeting).max_steps(3);
    builder.tool::<Look>().tool::<Open>().tool::<Meet>()
}

async fn start<S: Subject>(subject: &S) -> (Scene<'_, S>, Done) {
    let done = Done::default();
    let scene = Scene::with(subject, |client| client, |builder| tooled(builder, &done)).await;
    (scene, done)
}

/// Has the server call these functions. `false`: it cannot.
fn calls<S: Subject>(scene: &Scene<'_, S>, calls: &[(&str, Value)]) -> bool {
    let call = |(name, arguments): &(&str, Value)| FunctionCall {
        name: (*name).to_owned(),
        arguments: arguments.to_string(),
    };
    scene.subject.act(Act::CallFunctions(calls.iter().map(call).collect()))
}

fn ask<S: Subject>(scene: &Scene<'_, S>, thread: &AssistantThread, what: &str) -> RunRequest {
    let request = scene.request(thread, what);
    request.definition(|usual| usual.uses::<Look>().uses::<Open>().uses::<Meet>())
}

pub(super) async fn tools_are_carried_out<S: Subject>(subject: &S) -> Outcome {
    let (scene, done) = start(subject).await;
    let thread = scene.thread().await;
    let before = scene.counts();
    if !calls(&scene, &[(Look::NAME, json!({"window": "kitchen"}))]) {
        return UNSCRIPTED;
    }
    scene.answered(ask(&scene, &thread, "Does it rain?"), "It does.").await;
    scene.assert_calls(before, 2, "one that asks for a tool, and one that answers");
    assert_eq!(done.all(), ["look kitchen"]);
    scene.assert_shown(&["Does it rain?", "Rain before the kitchen window"]);
    // It stays part of the conversation.
    scene.answered(ask(&scene, &thread, "Thank you."), "With pleasure.").await;
    scene.assert_shown(&["Rain before the kitchen window", "It does.", "Thank you."]);
    scene.passed().await
}

pub(super) async fn tools_run_side_by_side<S: Subject>(subject: &S) -> Outcome {
    let (scene, _) = start(subject).await;
    let thread = scene.thread().await;
    // Each waits for the other.
    let both = ["Ann", "Bob"].map(|who| (Meet::NAME, json!({"who": who})));
    if !calls(&scene, &both) {
        return UNSCRIPTED;
    }
    scene.answered(ask(&scene, &thread, "Whom do you meet?"), "Both.").await;
    scene.assert_shown(&["Met Ann", "Met Bob"]);
    scene.passed().await
}

pub(super) async fn the_model_is_told_what_went_wrong<S: Subject>(subject: &S) -> Outcome {
    let (scene, done) = start(subject).await;
    for (name, arguments, told) in [
        (Look::NAME, json!({"window": "stuck"}), "it is painted shut"),
        (Look::NAME, json!({"window": "broken"}), "the tool failed"),
        (Look::NAME, json!({"window": "foggy"}), "took longer than"),
        (Look::NAME, json!({"window": 7}), "invalid type: integer `7`, expected a string"),
        ("jump", json!({}), "there are: look_outside, open_door, meet"),
    ] {
        let thread = scene.thread().await;
        if !calls(&scene, &[(name, arguments)]) {
            return UNSCRIPTED;
        }
        scene.answered(ask(&scene, &thread, "Does it rain?"), "I cannot tell.").await;
        scene.assert_shown(&[told]);
    }
    assert_eq!(done.all(), ["look stuck", "look broken", "look foggy"]);
    scene.passed().await
}

/// Has the model ask for a door to be opened. `None`: it cannot be had to.
async fn waiting<S: Subject>(
    scene: &Scene<'_, S>,
    done: &Done,
    thread: &AssistantThread,
) -> Option<ToolCall> {
    if !calls(scene, &[(Open::NAME, json!({"door": 7}))]) {
        return None;
    }
    let answer = ask(scene, thread, "Let me in.").await.expect("a run that waits");
    assert_eq!(answer.run.status, RunStatus::RequiresAction, "{:?}", answer.run);
    let mut pending = thread.pending(&scene.engine).await.expect("what waits");
    let [call] = &mut pending[..] else { panic!("one call waits, and not {pending:?}") };
    assert_eq!(call.status, ToolCallStatus::AwaitingApproval);
    assert_eq!(done.all(), [] as [&str; 0], "nothing is done before somebody agrees");
    Some(call.clone())
}

async fn goes_on<S: Subject>(scene: &Scene<'_, S>, call: &ToolCall) -> Answer {
    let answer = scene.engine.answer(call.run_id).await.expect("the rest of the answer");
    assert_eq!((answer.run.status, &*answer.text()), (RunStatus::Completed, "Very well."));
    answer
}

pub(super) async fn approval_outlives_every_process<S: Subject>(subject: &S) -> Outcome {
    let (scene, done) = start(subject).await;
    let thread = scene.thread().await;
    let Some(call) = waiting(&scene, &done, &thread).await else { return UNSCRIPTED };
    let scene = scene.restarted(|builder| tooled(builder, &done)).await;
    scene.says("Very well.");
    scene.engine.approve(call.id).await.expect("it waits for that");
    goes_on(&scene, &call).await;
    assert_eq!(done.all(), ["open 7"]);
    scene.assert_shown(&["Let me in.", "Door 7 is open"]);
    let late = scene.engine.reject(call.id, "too late").await;
    assert!(matches!(late, Err(Error::Decided { .. })), "the first decision stands: {late:?}");
    scene.passed().await
}

pub(super) async fn what_is_refused_is_not_done<S: Subject>(subject: &S) -> Outcome {
    let (scene, done) = start(subject).await;
    let thread = scene.thread().await;
    let Some(call) = waiting(&scene, &done, &thread).await else { return UNSCRIPTED };
    scene.says("Very well.");
    scene.engine.reject(call.id, "Nobody is at home").await.expect("it waits for that");
    goes_on(&scene, &call).await;
    assert_eq!(done.all(), [] as [&str; 0]);
    scene.assert_shown(&["Let me in.", "Nobody is at home"]);
    scene.passed().await
}

pub(super) async fn changed_arguments_are_those_that_count<S: Subject>(subject: &S) -> Outcome {
    let (scene, done) = start(subject).await;
    let thread = scene.thread().await;
    let Some(call) = waiting(&scene, &done, &thread).await else { return UNSCRIPTED };
    scene.says("Very well.");
    let calls = scene.engine.tool_calls();
    calls.approve_with(call.id, json!({"door": 8})).await.expect("it waits for that");
    goes_on(&scene, &call).await;
    assert_eq!(done.all(), ["open 8"]);
    scene.assert_shown(&["Let me in.", "Door 8 is open"]);
    scene.passed().await
}

pub(super) async fn the_host_may_carry_out_calls_itself<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    if !calls(&scene, &[("read_clock", json!({}))]) {
        return UNSCRIPTED;
    }
    let function = json!({
        "type": "function", "name": "read_clock", "description": "Reads the clock.",
        "parameters": {"type": "object", "properties": {}},
    });
    let request = scene.request(&thread, "How late is it?");
    let answer = request.definition(move |usual| usual.tool(function.clone())).await;
    let run = answer.expect("a run that waits").run;
    assert_eq!(run.status, RunStatus::RequiresAction, "{:?}", run.error);
    let mut pending = thread.pending(&scene.engine).await.expect("what waits");
    let call = pending.pop().expect("a call that waits");
    assert_eq!(call.status, ToolCallStatus::AwaitingOutput);
    scene.says("Very well.");
    scene.engine.submit_output(call.id, "Ten past four").await.expect("it waits for that");
    goes_on(&scene, &call).await;
    scene.assert_shown(&["How late is it?", "Ten past four"]);
    scene.passed().await
}

pub(super) async fn steps_are_bounded<S: Subject>(subject: &S) -> Outcome {
    let (scene, done) = start(subject).await;
    let thread = scene.thread().await;
    for _ in 0..3 {
        if !calls(&scene, &[(Look::NAME, json!({"window": "kitchen"}))]) {
            return UNSCRIPTED;
        }
    }
    let run = ask(&scene, &thread, "Does it rain?").await.expect("a run that was stopped").run;
    let told = (run.status, run.reason);
    assert_eq!(told, (RunStatus::Incomplete, Some(Reason::MaxSteps)), "{:?}", run.error);
    assert_eq!(done.all().len(), 2, "what the last step asked for is not done");
    scene.answered(ask(&scene, &thread, "Never mind."), "As you like.").await;
    scene.assert_shown(&["Does it rain?", "Never mind."]);
    scene.passed().await
}

/// How warm it is.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Weather {
    degrees: i32,
    wind: Option<String>,
}

pub(super) async fn answers_are_read_as_types<S: Subject>(subject: &S) -> Outcome {
    let (scene, _) = start(subject).await;
    let thread = scene.thread().await;
    if !calls(&scene, &[(Look::NAME, json!({"window": "kitchen"}))]) {
        return UNSCRIPTED;
    }
    let asked = ask(&scene, &thread, "What is the weather?").output::<Weather>();
    let (answer, _) = scene.answered(asked, r#"{"degrees": 7, "wind": null}"#).await;
    let weather: Weather = answer.parse().expect("it fits");
    assert_eq!(weather, Weather { degrees: 7, wind: None });
    let asked = ask(&scene, &thread, "And now?").output::<Weather>();
    let (answer, text) = scene.answered(asked, r#"{"degrees": "few"}"#).await;
    let Err(Error::Mismatch { path, text: kept, .. }) = answer.parse::<Weather>() else {
        panic!("{text:?} is no weather")
    };
    assert_eq!((&*path, kept), ("degrees", text));
    scene.passed().await
}
