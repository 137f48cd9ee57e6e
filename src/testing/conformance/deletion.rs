//! What is left when something is deleted.

use super::scene::{LONG_STORY, Scene, words};
use super::{Act, Outcome, Subject};
use crate::{Chattable, Error, RunStatus, Threadable};

pub(super) async fn chats_leave_nothing<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let before = subject.held();
    let chats = scene.asker.chats(&scene.engine);
    let chat = chats.create().await.expect("a new chat");
    let mut said = Vec::new();
    for (question, answer) in [("Who goes there?", "A friend."), ("Whose friend?", "Yours.")] {
        let request = chat.run(&scene.engine, subject.definition(), question);
        let (got, answer) = scene.answered(request, answer).await;
        assert!(got.run.status != RunStatus::Failed);
        said.push(question.to_owned());
        let texts: Vec<_> = said.iter().map(|text| &**text).collect();
        scene.assert_shown(&texts);
        said.push(answer);
        scene.until_held_again(before.clone()).await;
    }
    chats.destroy(chat.id).await.expect("it can be destroyed");
    let gone = chats.find(chat.id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    scene.passed().await
}

pub(super) async fn deletion_leaves_nothing<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let before = subject.held();
    let threads = scene.asker.assistant_threads(&scene.engine);
    let (kept, thread) = (scene.thread().await, scene.thread().await);
    scene.turn(&thread, "What do you keep?", "Nothing.").await;
    scene.turn(&thread, "Really?", "Really.").await;
    scene.turn(&kept, "And you?", "All of it.").await;
    threads.destroy(thread.id).await.expect("it can be destroyed");
    let gone = threads.find(thread.id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    // The other one is as it was.
    scene.turn(&kept, "Still?", "Still.").await;
    threads.destroy(kept.id).await.expect("it can be destroyed");
    scene.forget_answerer().await;
    scene.until_held_again(before).await;
    scene.passed().await
}

pub(super) async fn deletion_stops_the_run<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let (before, held) = (scene.counts(), subject.held());
    let thread = scene.thread().await;
    if !subject.act(Act::Stall(words("Once upon "))) {
        return Outcome::Skipped { why: "the server takes no script (`act`)" };
    }
    let run = scene.request(&thread, LONG_STORY).submit().await.expect("a run");
    run.until_text(&scene.engine, "Once upon ").await.expect("its first words");
    let threads = scene.asker.assistant_threads(&scene.engine);
    threads.destroy(thread.id).await.expect("it can be destroyed");
    let answer = scene.engine.answer(run.id).await;
    assert!(matches!(answer, Err(Error::RunGone(id)) if id == run.id), "{answer:?}");
    scene.until_left(before, 1).await;
    scene.forget_answerer().await;
    scene.until_held_again(held).await;
    scene.passed().await
}
