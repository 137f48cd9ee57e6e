//! PgBouncer, when `AI_ENGINE_TEST_PGBOUNCER` holds its address (`scripts/with-pgbouncer` starts one): each transaction gets
//! another of three connections of the server's.
#![cfg(feature = "postgres")]

use ai_engine::testing::Reply;
use ai_engine::{AiEngine, Error, PgDatabase, RunStatus, prelude::*};

use crate::support::*;

/// The same database through the pooler. `None`, with a line that says so, when there is none.
fn through_the_pooler(db: &Postgres) -> Option<String> {
    let Ok(pooler) = std::env::var("AI_ENGINE_TEST_PGBOUNCER") else {
        eprintln!("skipped behind PgBouncer: AI_ENGINE_TEST_PGBOUNCER is not set");
        return None;
    };
    let (_, name) = db.url().rsplit_once('/').unwrap();
    Some(format!("{pooler}/{name}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_behind_a_pooler_gets_its_answers() {
    let Some(db) = Postgres::fresh() else { return };
    let Some(url) = through_the_pooler(&db) else { return };
    in_time(async {
        let host = Host::new(db).await;
        let build = || {
            let database = PgDatabase::connect_through_pooler(url.clone()).unwrap();
            let builder = AiEngine::builder(database).openai(host.fake.openai().unwrap());
            Postgres::owners(builder.state(host.hub.clone())).build().unwrap()
        };
        let engines = [build(), build()];
        for engine in &engines {
            engine.start().await.unwrap();
        }
        let crowd = (0..12).map(|number| {
            let (engine, host) = (&engines[number % 2], &host);
            async move {
                let thread = host.user.assistant_threads(engine).create().await.unwrap();
                for turn in 0..3 {
                    let question = format!("[{number}.{turn}]");
                    host.fake.reply_to(&question, Reply::deltas(["Once ", &question]));
                    let asked = host.teller.ai_engine_run(engine, &thread, question.as_str());
                    let answer = asked.await.unwrap();
                    assert_eq!(answer.run.status, RunStatus::Completed);
                    assert_eq!(answer.text(), format!("Once {question}"));
                }
            }
        });
        futures_util::future::join_all(crowd).await;
        assert_eq!(host.fake.responses_created(), 36);
        for engine in &engines {
            engine.shutdown(std::time::Duration::from_secs(20)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_migrations_run_behind_a_pooler() {
    let Some(db) = Postgres::fresh() else { return };
    let Some(url) = through_the_pooler(&db) else { return };
    let database = PgDatabase::connect_through_pooler(url).unwrap();
    let engine = AiEngine::builder(database).build().unwrap();
    assert!(engine.migrate().await.unwrap() > 0);
    assert_eq!(engine.migrate().await.unwrap(), 0);
}

/// Who connects as if no pooler were there is told what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_another_connection_has_are_explained() {
    let Some(db) = Postgres::fresh() else { return };
    let host = Host::new(db).await;
    let database = host.db.database();
    let prepared = database.transaction::<_, Error>(|conn| {
        conn.try_execute("PREPARE ours AS SELECT 1")?;
        Ok(conn.try_execute("PREPARE ours AS SELECT 1")?)
    });
    let error = prepared.await.unwrap_err().to_string();
    assert!(error.contains("connect_through_pooler"), "{error}");
}
