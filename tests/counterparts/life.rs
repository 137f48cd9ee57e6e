//! What the engine is led through at each server.

use std::time::Duration;

use ai_engine::{Answer, History, RunStatus, prelude::*};

use crate::host::{COUNT, Host, User};
use crate::server::Server;

/// What the test has to know of a server beside its address.
pub(crate) trait Counterpart: Sync {
    fn server(&self) -> &Server;
    /// The next answer is "One, " and then hangs.
    fn hang_next(&self);
    /// Waits until the model knows that nobody waits for the answer that hangs.
    fn until_stopped(&self) -> impl Future<Output = ()> + Send;
    /// The user's texts as the model saw them before this answer.
    fn seen(&self, answer: &Answer) -> Vec<String>;
}

/// Two turns, a cancellation in mid-answer, a restart between turns, one in mid-answer, a deletion. Leaves the host's engine
/// with nothing to do.
pub(crate) async fn live<C: Counterpart>(counterpart: &C, history: History) {
    let mut host = Host::new(counterpart.server(), history).await;
    let thread = host.thread().await;
    let mut asked: Vec<&str> = Vec::new();
    let mut turn = async |host: &Host, question: &'static str, unanswered: &[&'static str]| {
        asked.extend(unanswered);
        asked.push(question);
        let answer = host.ask(&thread, question).await;
        assert_eq!(counterpart.seen(&answer), asked, "{:?}", answer.run.notes);
    };
    turn(&host, "My name is Ada.", &[]).await;
    turn(&host, "What is my name?", &[]).await;

    counterpart.hang_next();
    let run = host.ask_to_count(&thread).await;
    let run = run.cancel(&host.engine).await.unwrap();
    assert_eq!(run.status, RunStatus::Cancelled);
    assert_eq!(host.engine.answer(run.id).await.unwrap().text(), "One, ");
    counterpart.until_stopped().await;
    turn(&host, "Where were we?", &[COUNT]).await;

    host.restart().await;
    turn(&host, "Do you still know me?", &[]).await;

    counterpart.hang_next();
    let run = host.ask_to_count(&thread).await;
    host.restart().await;
    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!((answer.run.status, answer.text().as_str()), (RunStatus::Incomplete, "One, "));
    counterpart.until_stopped().await;
    turn(&host, "And now?", &[COUNT]).await;

    User { id: 1 }.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
    host.until_deleted().await;
    host.engine.shutdown(Duration::from_secs(5)).await.unwrap();
}
