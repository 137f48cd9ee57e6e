//! How long a word takes from its commit to a reader in another engine, where PostgreSQL's notifications are heard and where they are
//! not: milliseconds, both in one run.
//!
//! `scripts/with-postgres cargo bench --bench heard --all-features`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "a program")]
#![allow(unreachable_pub, dead_code, reason = "nobody's API; shared with other benchmarks")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use ai_engine::testing::{FakeOpenAi, Gate, Reply};
    use ai_engine::{AiEngine, Chat, EventKind, PgDatabase, RunStatus, prelude::*};
    use diesel::r2d2::{ConnectionManager, Pool};
    use diesel::sql_types::BigInt;
    use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};

    use crate::support::Postgres;

    struct User(i64);
    ai_engine::record! { User(i64) as "User" }
    impl MessageHooks for User {}
    impl Chattable for User {}

    /// Words of the answer.
    const WORDS: usize = 300;

    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }

    /// How much was there when.
    type Seen = Vec<(usize, Instant)>;

    /// What is committed, looked at all the time.
    fn watch(url: &str, chat: i64, ended: &AtomicBool) -> Seen {
        let mut conn = PgConnection::establish(url).unwrap();
        let statement = format!(
            "SELECT coalesce(sum(octet_length(content)), 0) + coalesce((SELECT sum(octet_length(text)) FROM ai_engine_message_deltas), 0) \
             AS bytes FROM ai_engine_messages WHERE chat_id = {chat} AND role = 'assistant'"
        );
        let mut seen: Seen = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let Stored { bytes } = diesel::sql_query(&statement).get_result(&mut conn).unwrap();
            let bytes = usize::try_from(bytes).unwrap();
            if seen.last().is_none_or(|(known, _)| *known < bytes) {
                seen.push((bytes, Instant::now()));
            }
        }
        seen
    }

    async fn read(engine: AiEngine, chat: Chat) -> Seen {
        let mut events = chat.events(&engine);
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            match event.unwrap().kind {
                EventKind::MessageAppended { offset, text, .. } => {
                    seen.push((offset + text.len(), Instant::now()));
                }
                EventKind::RunSettled { .. } => break,
                _ => {}
            }
        }
        seen
    }

    /// From the commit of what was read to the reading, in milliseconds.
    fn report(name: &str, committed: &Seen, seen: &Seen) {
        let mut waits: Vec<f64> = seen
            .iter()
            .filter_map(|(bytes, at)| {
                let (_, commit) = committed.iter().find(|(known, _)| known >= bytes)?;
                Some(at.saturating_duration_since(*commit).as_secs_f64() * 1000.0)
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        let at = |part: usize| waits[(waits.len() - 1) * part / 100];
        println!("{name}: p50 {:.1} ms, p99 {:.1} ms, of {} pieces", at(50), at(99), waits.len());
    }

    fn engine(db: PgDatabase, fake: &FakeOpenAi) -> AiEngine {
        let builder = AiEngine::builder(db).openai(fake.openai().unwrap());
        builder.owner::<User>(|_, id| Ok(Some(User(id)))).build().unwrap()
    }

    #[tokio::main]
    pub async fn main() {
        let Some(database) = Postgres::fresh() else {
            println!("skipped: AI_ENGINE_TEST_POSTGRES is not set");
            return;
        };
        let url = database.url.clone();
        let fake = FakeOpenAi::start().await.unwrap();
        let writer = engine(PgDatabase::connect(&url).unwrap(), &fake);
        writer.start().await.unwrap();
        let chat = User(1).chats(&writer).create().await.unwrap();
        let gates: Vec<Gate> = (0..WORDS).map(|_| Gate::new()).collect();
        let reply = Reply::deltas((0..=WORDS).map(|n| format!("word {n} ")));
        let reply = gates
            .iter()
            .enumerate()
            .fold(reply, |reply, (n, gate)| reply.hold_at(5 + n, gate.clone()));
        fake.reply(reply);
        let run = chat.run(&writer, "test-model", "Tell me").submit().await.unwrap();

        let ended = Arc::new(AtomicBool::new(false));
        let committed = Arc::new(Mutex::new(Seen::new()));
        let watching = {
            let url = url.clone();
            let (ended, committed) = (Arc::clone(&ended), Arc::clone(&committed));
            std::thread::spawn(move || *committed.lock().unwrap() = watch(&url, chat.id, &ended))
        };
        let hears = engine(PgDatabase::connect(&url).unwrap(), &fake);
        let pool = Pool::builder().max_size(2).build(ConnectionManager::new(&url)).unwrap();
        let looks = engine(PgDatabase::from_pool(pool), &fake);
        let hearing = tokio::spawn(read(hears, chat.clone()));
        let looking = tokio::spawn(read(looks, chat.clone()));
        for (n, gate) in gates.iter().enumerate() {
            gate.reached().await;
            // At any time of the writer's and of the readers' ticks.
            tokio::time::sleep(Duration::from_millis(n as u64 * 37 % 100)).await;
            gate.open();
        }
        let answer = writer.answer(run.id).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        let (hearing, looking) = (hearing.await.unwrap(), looking.await.unwrap());
        ended.store(true, Ordering::Relaxed);
        watching.join().unwrap();
        let committed = committed.lock().unwrap();
        report("looked for each 250 ms", &committed, &looking);
        report("heard", &committed, &hearing);
    }
}

#[cfg(feature = "postgres")]
fn main() {
    postgres::main();
}

#[cfg(not(feature = "postgres"))]
fn main() {
    println!("skipped: it needs the feature `postgres`");
}
