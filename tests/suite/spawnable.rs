//! Handles and requests own what they need, so that a host may move them into tasks, and keep them in its own structs.

use ai_engine::{
    AiEngine, AssistantThreads, Chats, Events, Messages, Orphans, Page, Role, RunEvents,
    RunRequest, prelude::*,
};

use crate::support::*;

on_each_database!(handles_and_requests_are_moved_into_tasks);

const fn spawnable<T: Send + 'static>() {}

/// It compiles, or not.
const _: () = {
    spawnable::<AiEngine>();
    spawnable::<AssistantThreads>();
    spawnable::<Chats>();
    spawnable::<Messages>();
    spawnable::<RunRequest>();
    spawnable::<<RunRequest as IntoFuture>::IntoFuture>();
    spawnable::<Events>();
    spawnable::<RunEvents>();
    spawnable::<Orphans>();
};

async fn handles_and_requests_are_moved_into_tasks<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let (threads, messages, request, mut events, mut orphans) = {
        let thread = host.thread().await;
        let engine = host.engine.clone();
        (
            host.user.assistant_threads(&engine),
            thread.messages(&engine),
            host.teller.ai_engine_run(&engine, &thread, "Tell me"),
            thread.events(&engine),
            engine.orphans(),
        )
    };
    let tasks = [
        tokio::spawn(async move { drop(request.await.unwrap()) }),
        tokio::spawn(async move { drop(events.next().await.unwrap().unwrap()) }),
        tokio::spawn(async move { drop(threads.list(Page::default()).await.unwrap()) }),
        tokio::spawn(async move { assert!(orphans.next().await.is_none()) }),
    ];
    for task in tasks {
        task.await.unwrap();
    }
    let said = tokio::spawn(async move {
        messages.create(Role::System, "Be brief.").await.unwrap();
        messages.list(Page::default()).await.unwrap()
    });
    assert_eq!(said.await.unwrap().len(), 3);
}
