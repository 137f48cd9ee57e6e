//! G15: a commit of which nobody hears that it was made. What it noted is done, and once.

use ai_engine::{AiEngine, PgDatabase};

use super::*;

/// Whichever commit of a run with calls it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_costs_no_call_and_doubles_none() {
    let Some(db) = Postgres::fresh() else { return };
    let host = Host::new(db).await;
    let proxy = Proxy::to(host.db.url()).await;
    for nth in 1.. {
        let done = Done::default();
        let builder = AiEngine::builder(PgDatabase::connect(proxy.url()).unwrap())
            .openai(host.fake.openai().unwrap())
            .state(host.hub.clone())
            .state(done.clone());
        let engine = Postgres::owners(builder).tool::<Look>().build().unwrap();
        let thread = host.user.assistant_threads(&engine).create().await.unwrap();
        host.fake.reply(asks([("c", "look", json!({"room": "hall"}))]));
        host.fake.reply(Reply::text("A hall."));
        proxy.lose_answer(nth);
        let request = host.teller.ai_engine_run(&engine, &thread, "What is there?");
        let run = request.definition(AssistantDefinition::uses::<Look>).submit().await.unwrap();
        let announced =
            format!("SELECT count(announced_at) FROM ai_engine_runs WHERE id = {}", run.id);
        let ended = async {
            while host.db.number(&announced) == 0 {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, ended).await.unwrap_or_else(|_| panic!("commit {nth} hangs"));
        let lost = proxy.has_lost();
        proxy.lose_answer(0);
        let answer = host.engine.answer(run.id).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed, "commit {nth}");
        assert_eq!(done.all().len(), 1, "commit {nth}");
        assert_eq!(outputs(&host).len(), 1, "commit {nth}");
        if !lost {
            assert!(nth > 8, "only {nth} commits");
            return;
        }
    }
}
