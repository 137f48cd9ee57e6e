//! A run that somebody stops.

use super::scene::{LONG_STORY, Scene, words};
use super::{Act, Outcome, Subject};
use crate::{EventKind, MessageStatus, RunStatus};

pub(super) async fn cancel_keeps_the_partial<S: Subject>(subject: &S) -> Outcome {
    const TEXT: &str = "Once upon ";
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let before = scene.counts();
    let scripted = subject.act(Act::Stall(words(TEXT)));
    let request = scene.request(&thread, LONG_STORY);
    // Long enough to be stopped, where it is not held up.
    let request = request.definition(|usual| usual.max_output_tokens(1024));
    let mut events = request.stream().await.expect("the run's events");
    let mut shown = String::new();
    while let Some(event) = events.next().await {
        if let EventKind::MessageAppended { text, .. } = event.expect("an event").kind {
            shown.push_str(&text);
            if !scripted || shown == TEXT {
                break;
            }
        }
    }
    assert!(!shown.is_empty(), "no word of an answer");
    let run = events.run().id;
    let stopped = thread.cancel(&scene.engine).await.expect("it can be stopped");
    let answer = scene.engine.answer(run).await.expect("what it said");
    if !scripted && answer.run.status != RunStatus::Cancelled {
        return Outcome::Skipped { why: "the server takes no script, and the answer was short" };
    }
    assert_eq!(stopped.map(|run| (run.id, run.status)), Some((run, RunStatus::Cancelled)));
    assert_eq!(answer.run.status, RunStatus::Cancelled, "{:?}", answer.run);
    let text = answer.text();
    assert!(text.starts_with(&shown), "{text:?} is kept, and {shown:?} was shown");
    if scripted {
        assert_eq!(text, TEXT);
    }
    assert_eq!(answer.message().map(|message| message.status), Some(MessageStatus::Incomplete));
    scene.assert_said(&thread, &[(LONG_STORY, text.trim())]).await;
    scene.until_left(before, 1).await;
    scene.assert_calls(before, 1, "for a run that was stopped");
    // The thread goes on, and the stopped turn is known to it once.
    scene.turn(&thread, "Another time, then.", "Gladly.").await;
    scene.assert_shown(&[LONG_STORY, "Another time, then."]);
    scene.passed().await
}
