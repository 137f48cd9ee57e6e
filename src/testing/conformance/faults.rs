//! What servers and networks do to a call.

use std::time::Duration;

use super::scene::{Scene, words};
use super::{Act, Outcome, Subject};
use crate::openai::OpenAiBuilder;
use crate::{AssistantThread, Error, RunStatus};

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// As if nothing had happened.
    Answered,
    /// Without an answer, for this reason.
    Failed(&'static str),
    /// With the text so far, for this reason.
    Kept(&'static str),
}

/// What is said before something happens, where anything is.
const TEXT: &str = "Once upon";
/// What is said when the call is made again.
const ANSWER: &str = "Here I am.";

struct Fault {
    name: &'static str,
    act: Act,
    /// How often in a row it happens.
    times: usize,
    end: End,
    calls: usize,
}

impl Fault {
    /// The run ends with it.
    fn last(name: &'static str, act: Act, end: End) -> Self {
        Self { name, act, times: 1, end, calls: 1 }
    }

    /// It happens so often, and no call more is made.
    fn always(name: &'static str, act: Act, times: usize, reason: &'static str) -> Self {
        Self { name, act, times, end: End::Failed(reason), calls: times }
    }

    /// It happens once, and the call is made again.
    fn passing(name: &'static str, act: Act) -> Self {
        Self { name, act, times: 1, end: End::Answered, calls: 2 }
    }
}

fn table() -> Vec<Fault> {
    let refused = |status, code| Act::Refuse { status, code };
    let (nothing, said) = (Vec::new, || words(TEXT));
    let quota = refused(429, "insufficient_quota");
    vec![
        Fault::last("key", refused(401, "invalid_api_key"), End::Failed("invalid_api_key")),
        Fault::last("rights", refused(403, "no_rights"), End::Failed("permission_denied")),
        Fault::last("model", refused(404, "model_not_found"), End::Failed("model_not_found")),
        Fault::last("quota", quota, End::Failed("insufficient_quota")),
        Fault::passing("rate limit, once", refused(429, "rate_limit_exceeded")),
        Fault::passing("HTTP 500, once", refused(500, "server_error")),
        Fault::always("HTTP 503, always", refused(503, "server_error"), 3, "server_error"),
        Fault::passing("no answer, once", Act::HangUp),
        Fault::passing("broken before a word, once", Act::Break(nothing())),
        Fault::always("broken before a word", Act::Break(nothing()), 3, "disconnected"),
        Fault::passing("failed before a word, once", Act::Fail(nothing())),
        Fault::last("broken after words", Act::Break(said()), End::Kept("disconnected")),
        Fault::last("failed after words", Act::Fail(said()), End::Kept("server_error")),
        Fault::last("silent after words", Act::Stall(said()), End::Kept("timeout")),
    ]
}

pub(super) async fn fault_table<S: Subject>(subject: &S) -> Outcome {
    if !subject.act(Act::Say(words("Good morning."))) {
        return Outcome::Skipped { why: "the server takes no script (`act`)" };
    }
    let client = |client: OpenAiBuilder| {
        let soon = client.max_retries(2).retry_delay(Duration::from_millis(1));
        soon.idle_timeout(Duration::from_millis(1500))
    };
    let scene = Scene::with(subject, client, |builder| builder).await;
    // The act from above is for this one.
    scene.request(&scene.thread().await, "Good morning.").await.expect("an answer");
    for fault in table() {
        check(&scene, fault).await;
    }
    scene.passed().await
}

async fn check<S: Subject>(scene: &Scene<'_, S>, fault: Fault) {
    let Fault { name, act, times, end, calls } = fault;
    let thread = scene.thread().await;
    let before = scene.counts();
    for _ in 0..times {
        assert!(scene.subject.act(act.clone()), "{name}: the server takes a script, but not this");
    }
    if matches!(end, End::Answered) {
        assert!(scene.says(ANSWER));
    }
    let question = format!("Are you there, {name}?");
    let result = scene.request(&thread, &question).await;
    let (status, reason, text) = match &result {
        Ok(answer) => (answer.run.status, answer.run.reason.clone(), answer.text()),
        Err(Error::RunFailed { reason, message, .. }) => {
            assert!(!message.trim().is_empty(), "{name}: a failure without a sentence");
            (RunStatus::Failed, Some(reason.clone()), String::new())
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let expected = match end {
        End::Answered => (RunStatus::Completed, None, ANSWER),
        End::Failed(reason) => (RunStatus::Failed, Some(reason), ""),
        End::Kept(reason) => (RunStatus::Incomplete, Some(reason), TEXT),
    };
    assert_eq!((status, reason.as_deref(), &*text), expected, "{name}: {result:?}");
    scene.assert_calls(before, calls, name);
    goes_on(scene, &thread, &question, &text, name).await;
}

/// Nothing blank is stored, and the next question is answered, by a model that is shown the one before once.
async fn goes_on<S: Subject>(
    scene: &Scene<'_, S>,
    thread: &AssistantThread,
    question: &str,
    text: &str,
    name: &str,
) {
    let said = scene.said(thread).await;
    let stored: Vec<_> = said.iter().map(|(_, text)| &**text).collect();
    let expected: Vec<_> = [question, text].into_iter().filter(|text| !text.is_empty()).collect();
    assert_eq!(stored, expected, "{name}");
    scene.turn(thread, "Go on, then.", "And then.").await;
    scene.assert_shown(&["Go on, then."]);
}
