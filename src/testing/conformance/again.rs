//! Turns that are taken again, or taken back.

use super::scene::Scene;
use super::{Act, Outcome, Subject};
use crate::{Error, Page, Role, RunStatus};

pub(super) async fn retry_answers_a_failed_run<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let (first, asked) = ("What grows here?", "And over there?");
    let (_, oaks) = scene.turn(&thread, first, "Oaks.").await;
    if !subject.act(Act::Refuse { status: 404, code: "model_not_found" }) {
        return Outcome::Skipped { why: "the server takes no script (`act`)" };
    }
    let failed = scene.request(&thread, asked).await;
    let Err(Error::RunFailed { run_id, reason, .. }) = failed else {
        panic!("a run whose call was refused fails, and not: {failed:?}")
    };
    assert_eq!(reason, "model_not_found");
    let failed = scene.engine.find_run(run_id).await.expect("the failed run");
    let (_, beeches) = scene.answered(failed.retry(&scene.engine), "Beeches.").await;
    scene.assert_shown(&[first, &oaks, asked]);
    scene.assert_said(&thread, &[(first, &oaks), (asked, &beeches)]).await;
    scene.passed().await
}

pub(super) async fn regenerate_replaces_the_answer<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let (first, asked) = ("Name an animal.", "And another one.");
    let (_, fox) = scene.turn(&thread, first, "A fox.").await;
    let (old, owl) = scene.turn(&thread, asked, "An owl.").await;
    if old.run.status == RunStatus::Completed {
        let retried = old.run.retry(&scene.engine).await;
        assert!(matches!(retried, Err(Error::Answered { .. })), "nothing to retry: {retried:?}");
    }
    let (new, hare) = scene.answered(old.run.regenerate(&scene.engine), "A hare.").await;
    assert_ne!(new.run.id, old.run.id);
    scene.assert_shown(&[first, &fox, asked]);
    // A model of its own may say the same again.
    if owl != hare {
        scene.assert_not_shown(&owl);
    }
    let (_, elk) = scene.turn(&thread, "One more.", "An elk.").await;
    scene.assert_shown(&[first, &fox, asked, &hare, "One more."]);
    let turns = [(first, &*fox), (asked, &*hare), ("One more.", &*elk)];
    scene.assert_said(&thread, &turns).await;
    scene.passed().await
}

pub(super) async fn truncate_forgets_what_came_after<S: Subject>(subject: &S) -> Outcome {
    let scene = Scene::new(subject).await;
    let thread = scene.thread().await;
    let (first, second, third) = ("What is a tree?", "What is a stone?", "What is a cloud?");
    let (_, plant) = scene.turn(&thread, first, "A plant.").await;
    let (_, rock) = scene.turn(&thread, second, "A piece of rock.").await;
    let page = thread.messages(&scene.engine).list(Page::default()).await.expect("a page");
    assert_eq!(page[1].role, Role::Assistant, "{page:?}");
    thread.truncate_after(&scene.engine, &page[1]).await.expect("it can be cut");
    scene.assert_said(&thread, &[(first, &plant)]).await;
    let (_, vapour) = scene.turn(&thread, third, "Mere vapour.").await;
    scene.assert_shown(&[first, &plant, third]);
    scene.assert_not_shown(second);
    scene.assert_not_shown(&rock);
    scene.assert_said(&thread, &[(first, &plant), (third, &vapour)]).await;
    scene.passed().await
}
