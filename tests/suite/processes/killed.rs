//! Two working processes, killed at random and started again: every run ends, once.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use ai_engine::testing::Reply;
use ai_engine::{AiEngine, Busy, prelude::*};

use crate::support::*;

mod sqlite {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_run_ends_once_whoever_is_killed() {
        super::every_run_ends_once_whoever_is_killed(crate::support::Sqlite::fresh()).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_run_ends_once_whoever_is_killed() {
        if let Some(database) = crate::support::Postgres::fresh() {
            super::every_run_ends_once_whoever_is_killed(database).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that works, and is killed, in the test here"]
async fn the_process_that_works() {
    let hub = Hub::default();
    let engine = engine_of_this_process(&hub);
    let working = engine.clone();
    let working = tokio::spawn(async move { working.work().await });
    say("ready");
    // Until it is killed, or the test is over.
    assert_eq!(told(), None);
    working.abort();
}

/// Threads, runs on each, and for how long they may take. Large with `AI_ENGINE_FULL=1`.
fn scale() -> (usize, usize, Duration) {
    let full = std::env::var("AI_ENGINE_FULL").is_ok_and(|full| full == "1");
    if full { (200, 10, Duration::from_mins(6)) } else { (20, 10, Duration::from_mins(1)) }
}

async fn every_run_ends_once_whoever_is_killed<D: TestDatabase>(db: D) {
    let (threads, each, limit) = scale();
    let runs = i64::try_from(threads * each).unwrap();
    let host = Host::new(db).await;
    host.fake.reply_always(
        Reply::deltas(["Once ", "upon ", "a time"])
            .first_token_after(Duration::from_millis(50))
            .pace(Duration::from_millis(20)),
    );
    let mut ids = Vec::with_capacity(threads);
    for _ in 0..threads {
        ids.push(host.thread().await);
    }
    let start = || {
        let test = "processes::killed::the_process_that_works";
        Process::start(&host, test, &[("CHILD_LEASE", "2000")])
    };
    let mut workers = [start(), start()];
    let submitting = submit_undriven_runs(&host, ids, each);

    let began = Instant::now();
    let mut random = Random::new();
    let (mut kills, mut samples) = (0, 0);
    let mut ended: HashMap<i64, String> = HashMap::new();
    let open = "SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL";
    let all = "SELECT count(*) FROM ai_engine_runs";
    while host.db.number(all) < runs || host.db.number(open) > 0 {
        assert!(began.elapsed() < limit, "{} of {runs} are open", host.db.number(open));
        tokio::time::sleep(Duration::from_millis(100 + random.below(200))).await;
        samples += 1;
        one_at_a_time(&host.db);
        stays_ended(&host.db, &mut ended);
        // Not all the time, so that there is an end.
        if random.below(2) == 0 {
            let victim = &mut workers[usize::try_from(random.below(2)).unwrap()];
            victim.kill();
            *victim = start();
            kills += 1;
        }
    }
    submitting.join().unwrap();
    stays_ended(&host.db, &mut ended);
    let never = [
        "SELECT count(*) FROM ai_engine_runs WHERE status NOT IN ('completed', 'incomplete')",
        "SELECT count(*) FROM ai_engine_runs WHERE status = 'incomplete' AND reason <> 'interrupted'",
        "SELECT count(*) FROM ai_engine_runs WHERE attempts > 1",
        "SELECT count(*) FROM ai_engine_message_deltas",
        "SELECT count(*) FROM ai_engine_messages WHERE content = '' OR status NOT IN ('completed', 'incomplete')",
        "SELECT count(*) FROM ai_engine_messages WHERE role = 'assistant' AND status = 'completed' AND content <> 'Once upon a time'",
        "SELECT count(*) FROM ai_engine_messages WHERE role = 'assistant' AND 'Once upon a time' NOT LIKE content || '%'",
        "SELECT count(*) FROM ai_engine_runs AS run WHERE 1 <> (SELECT count(*) FROM ai_engine_messages AS said \
         WHERE said.run_id = run.id AND said.role = 'user')",
        "SELECT count(*) FROM ai_engine_runs AS run WHERE 1 < (SELECT count(*) FROM ai_engine_messages AS said \
         WHERE said.run_id = run.id AND said.role = 'assistant')",
    ];
    for sql in never {
        assert_eq!(host.db.number(sql), 0, "seed {}: {sql}", random.seed);
    }
    let asked = questions_asked(&host);
    let twice: Vec<_> = asked.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "seed {}: asked twice: {twice:?}", random.seed);
    let completed =
        host.db.number("SELECT count(*) FROM ai_engine_runs WHERE status = 'completed'");
    eprintln!(
        "{runs} runs on {threads} threads in {:.1} s: {kills} kills, {completed} completed, {} interrupted, \
         {} asked of the provider, {samples} samples (seed {})",
        began.elapsed().as_secs_f32(),
        runs - completed,
        asked.len(),
        random.seed,
    );
}

/// Submits from a thread without a runtime: this process drives nothing.
fn submit_undriven_runs<D: TestDatabase>(
    host: &Host<D>,
    threads: Vec<ai_engine::AssistantThread>,
    each: usize,
) -> std::thread::JoinHandle<()> {
    let (client, db, teller) = (host.fake.openai().unwrap(), host.db.clone(), host.teller.clone());
    std::thread::spawn(move || {
        let engine = D::owners(AiEngine::builder(db.database())).openai(client).build().unwrap();
        db.with(|conn| {
            for number in 0..each {
                for thread in &threads {
                    let question = format!("question {}/{number}.", thread.id);
                    let request = teller.ai_engine_run(&engine, thread, question.as_str());
                    request.when_busy(Busy::Queue).submit_in(conn.session()).unwrap();
                }
            }
        });
    })
}

/// G4.
fn one_at_a_time<D: TestDatabase>(db: &D) {
    let crowded = "SELECT count(*) FROM (SELECT assistant_thread_id FROM ai_engine_runs \
        WHERE status IN ('in_progress', 'requires_action') GROUP BY assistant_thread_id HAVING count(*) > 1) AS crowded";
    assert_eq!(db.number(crowded), 0, "two active runs on one thread");
    let overtaken = "SELECT count(*) FROM ai_engine_runs AS run WHERE status NOT IN ('queued', 'in_progress') AND EXISTS \
        (SELECT 1 FROM ai_engine_runs AS earlier WHERE earlier.assistant_thread_id = run.assistant_thread_id \
         AND earlier.seq < run.seq AND earlier.status IN ('queued', 'in_progress'))";
    assert_eq!(db.number(overtaken), 0, "a run ended before an earlier one");
}

/// What has ended stays as it is.
fn stays_ended<D: TestDatabase>(db: &D, ended: &mut HashMap<i64, String>) {
    let sql = "SELECT id || ' ' || status || ' ' || coalesce(reason, '') || ' ' || CAST(finished_at AS TEXT) || ' ' \
        || output_tokens AS line FROM ai_engine_runs WHERE finished_at IS NOT NULL";
    for line in db.texts(sql) {
        let id = line.split_once(' ').unwrap().0.parse().unwrap();
        let before = ended.entry(id).or_insert_with(|| line.clone());
        assert_eq!(*before, line, "it ended twice");
    }
}

/// How often each question came to the provider.
pub fn questions_asked<D: TestDatabase>(host: &Host<D>) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for request in host.fake.requests() {
        if request.method == "POST" && request.path.ends_with("/responses") {
            let body = request.body.unwrap();
            let last = body["input"].as_array().unwrap().last().unwrap();
            *asked.entry(last["content"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    asked
}

/// Numbers that differ from run to run, and are told when a test fails.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let seed = RandomState::new().hash_one(std::process::id()) | 1;
        Self { seed, state: seed }
    }

    /// xorshift64
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }
}
