//! A thread, and answers in it.

use super::scene::{LONG_STORY, STRANGER, Scene, words};
use super::{Act, Outcome, Subject};
use crate::openai::Protocol;
use crate::{Error, EventKind, History, MessageStatus, Page, Reason, Role, RunStatus, Threadable};

pub(super) async fn create<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let before = scene.counts();
    let thread = scene.thread().await;
    let threads = scene.asker.assistant_threads(&scene.engine);
    assert_eq!(threads.find(thread.id).await.expect("the thread").id, thread.id);
    let listed = threads.list(Page::default()).await.expect("the owner's threads");
    assert_eq!(listed.iter().filter(|listed| listed.id == thread.id).count(), 1, "{listed:?}");
    let others = STRANGER.assistant_threads(&scene.engine).find(thread.id).await;
    assert!(matches!(others, Err(Error::NotFound { .. })), "somebody else's: {others:?}");
    assert_eq!(scene.said(&thread).await, []);
    scene.assert_calls(before, 0, "for a new thread");
    let protocol = subject.client().build().expect("the client").protocol();
    match subject.history() {
        _ if protocol == Protocol::Assistants => assert!(thread.remote_id.is_some(), "{thread:?}"),
        Some(History::Conversation) => assert!(thread.remote_id.is_some(), "{thread:?}"),
        Some(History::Local) => assert_eq!(thread.remote_id, None),
        _ => scene.leave_out("who keeps the history (`history`)"),
    }
    threads.destroy(thread.id).await.expect("it can be destroyed");
    scene.passed().await
}

pub(super) async fn stream<S: Subject>(subject: &S) -> Outcome {
    /// Of characters of one to four bytes.
    const TEXT: &str = "Once é 漢字 🦀 upon a time";
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let before = scene.counts();
    let scripted = scene.says(TEXT);
    let request = scene.request(&thread, "Tell me a story.");
    let mut events = request.stream().await.expect("the run's events");
    let (mut pieces, mut settled) = (String::new(), None);
    while let Some(event) = events.next().await {
        match event.expect("an event").kind {
            EventKind::MessageAppended { offset, text, .. } => {
                assert_eq!(offset, pieces.len(), "where a piece belongs");
                pieces.push_str(&text);
            }
            EventKind::MessageReplaced { message } => pieces = message.content,
            EventKind::RunSettled { run } => settled = Some(run),
            _ => {}
        }
    }
    let settled = settled.expect("the end of the run as an event");
    let answer = scene.engine.answer(settled.id).await.expect("an answer");
    let run = &answer.run;
    assert_eq!(run, &settled);
    assert!(matches!(run.status, RunStatus::Completed | RunStatus::Incomplete), "{run:?}");
    if scripted {
        assert_eq!(answer.text(), TEXT);
        assert_eq!(run.status, RunStatus::Completed, "{run:?}");
    }
    assert!(!pieces.trim().is_empty(), "no word of an answer: {run:?}");
    assert_eq!((&pieces, &scene.heard.text()), (&answer.text(), &answer.text()));
    scene.assert_said(&thread, &[("Tell me a story.", answer.text().trim())]).await;
    assert!(run.usage.input_tokens > 0 && run.usage.output_tokens > 0, "{:?}", run.usage);
    scene.assert_calls(before, 1, "for one question");
    scene.passed().await
}

pub(super) async fn second_turn_sees_the_first<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let (asked, then, last) = ("Who lives in the forest?", "And in the lake?", "Since when?");
    let (first, bear) = scene.turn(&thread, asked, "A bear.").await;
    scene.assert_shown(&[asked]);
    let (second, pike) = scene.turn(&thread, then, "A pike.").await;
    scene.assert_shown(&[asked, &bear, then]);
    let (_, spring) = scene.turn(&thread, last, "Since spring.").await;
    scene.assert_shown(&[asked, &bear, then, &pike, last]);
    scene.assert_said(&thread, &[(asked, &bear), (then, &pike), (last, &spring)]).await;
    let counted = [&first, &second].map(|answer| answer.run.usage);
    // A count of the server's tells, too, where nothing else does.
    if subject.shown().is_none() && counted.iter().all(|usage| !usage.estimated) {
        let [first, second] = counted.map(|usage| usage.input_tokens);
        assert!(second > first, "the history travels: {first} tokens, then {second}");
    }
    scene.passed().await
}

pub(super) async fn texts_of_the_host_are_shown<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let (asked, aside, then) = ("What is that bird?", "It is blue, by the way.", "And that one?");
    let (_, first) = scene.turn(&thread, asked, "A kingfisher.").await;
    let rule = "Name birds in Latin.";
    for (role, text) in [(Role::System, rule), (Role::User, aside)] {
        let stored = thread.messages(&scene.engine).create(role, text).await;
        stored.unwrap_or_else(|error| panic!("a text of the {role}'s: {error}"));
    }
    let (_, second) = scene.turn(&thread, then, "A heron.").await;
    scene.assert_shown(&[asked, &first, aside, then]);
    scene.assert_shown(&[rule]);
    let said = scene.said(&thread).await;
    let told: Vec<_> = said.iter().map(|(role, text)| (*role, &**text)).collect();
    let expected = [
        (Role::User, asked),
        (Role::Assistant, &*first),
        (Role::System, rule),
        (Role::User, aside),
        (Role::User, then),
        (Role::Assistant, &*second),
    ];
    assert_eq!(told, expected);
    scene.passed().await
}

pub(super) async fn limit_cuts_the_answer<S: Subject>(subject: &S) -> Outcome {
    const TEXT: &str = "Once upon a";
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let scripted = subject.act(Act::SayUpToTheLimit(words(TEXT)));
    let request = scene.request(&thread, LONG_STORY);
    // The smallest that each protocol takes.
    let answer = request.definition(|usual| usual.max_output_tokens(256)).await;
    let answer = answer.expect("what there is of an answer");
    if !scripted && answer.run.status == RunStatus::Completed {
        return Outcome::Skipped { why: "the server takes no script, and the answer was short" };
    }
    let told = (answer.run.status, answer.run.reason.clone());
    assert_eq!(told, (RunStatus::Incomplete, Some(Reason::MaxOutputTokens)), "{:?}", answer.run);
    let message = answer.message().expect("the text up to the limit");
    assert_eq!(message.status, MessageStatus::Incomplete);
    assert!(!message.content.trim().is_empty());
    if scripted {
        assert_eq!(message.content, TEXT);
    }
    scene.turn(&thread, "Go on.", "time.").await;
    scene.assert_shown(&[LONG_STORY, answer.text().trim(), "Go on."]);
    scene.passed().await
}
