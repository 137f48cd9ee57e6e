//! A whole run at full speed: submitted, streamed from a provider in this process, stored, settled.
//!
//! PostgreSQL takes part when it is compiled in and `AI_ENGINE_TEST_POSTGRES` names a server:
//! `scripts/with-postgres cargo bench --bench writer --features postgres`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]
#![allow(clippy::print_stderr, reason = "a skipped benchmark says so")]
#![allow(unreachable_pub, reason = "nobody's API")]

mod support;

use std::time::{Duration, Instant};

use ai_engine::{Database, SqliteDatabase};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

use support::{Host, sqlite, story};

fn runs(c: &mut Criterion, runtime: &Runtime, name: &str, database: impl Database) {
    let host = runtime.block_on(Host::new(database));
    let mut group = c.benchmark_group(name);
    for deltas in [1000, 5000] {
        host.fake.reply_always(story(deltas));
        group.throughput(Throughput::Elements(deltas.into()));
        group.bench_function(BenchmarkId::new("deltas", deltas), |b| {
            b.iter_custom(|times| {
                runtime.block_on(async {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        let thread = host.thread().await;
                        let start = Instant::now();
                        let text = host.ask(&thread).await.unwrap().text();
                        spent += start.elapsed();
                        assert_eq!(text.len(), 5 * usize::try_from(deltas).unwrap());
                    }
                    spent
                })
            });
        });
    }
    group.finish();
}

fn on_sqlite(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (_folder, path) = sqlite();
    runs(c, &runtime, "writer/sqlite", SqliteDatabase::open(&path).unwrap());
}

#[cfg(feature = "postgres")]
fn on_postgres(c: &mut Criterion) {
    let Some(postgres) = support::Postgres::fresh() else {
        eprintln!("writer/postgres: skipped: AI_ENGINE_TEST_POSTGRES is not set");
        return;
    };
    let runtime = Runtime::new().unwrap();
    let database = ai_engine::PgDatabase::connect(&*postgres.url).unwrap();
    runs(c, &runtime, "writer/postgres", database);
}

#[cfg(not(feature = "postgres"))]
fn on_postgres(_: &mut Criterion) {
    eprintln!("writer/postgres: skipped: the feature postgres is off");
}

fn settings() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = settings(); targets = on_sqlite, on_postgres }
criterion_main!(benches);
