//! Life after life on one database: recover, check, work, be killed.

use std::time::{Duration, Instant};

use crate::check::check;
use crate::child::Setting;
use crate::database::{Conn, Place};
use crate::life::Process;
use crate::provider::Provider;
use crate::random::Random;
use crate::rules::ONE_AT_A_TIME;
use crate::told::Told;

/// How long a recovery may take, with all that waits driven to its end.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

/// Kills so often; whether nothing broke.
pub fn kill(place: Place, count: u64, seed: u64) -> bool {
    println!("{count} kills, CRASH_SEED={seed}, {}", place.url);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let provider = runtime.block_on(Provider::start());
    let start = Instant::now();
    let mut world = World {
        conn: place.connect(),
        provider,
        url: place.url.clone(),
        told: Told::default(),
        random: Random(seed),
        dead: Vec::new(),
        lives: 0,
        left: [0; 6],
    };
    let mut killed = 0;
    let mut broken = Vec::new();
    while killed < count && broken.is_empty() {
        killed += world.life(&mut broken);
        if world.lives.is_multiple_of(100) {
            println!("{killed} killed after {:.0} s", start.elapsed().as_secs_f64());
        }
    }
    if broken.is_empty() {
        world.last(&mut broken);
    }
    world.report(start.elapsed());
    let told = world.told.all;
    // Its connection keeps a database from being dropped.
    drop(world.conn);
    if broken.is_empty() {
        place.drop();
    } else {
        broken.iter().take(20).for_each(|line| println!("broken: {line}"));
        println!("kept: {}", place.keep(&told));
    }
    println!("killed {killed} times, {} broken", broken.len());
    broken.is_empty()
}

struct World {
    conn: Conn,
    provider: Provider,
    url: String,
    told: Told,
    random: Random,
    /// Processes whose leases are over.
    dead: Vec<u32>,
    lives: u64,
    /// What the kills left: runs waiting, called without a word, with a word, with deltas, unannounced; unknown submits.
    left: [u64; 6],
}

impl World {
    /// One life, and how many processes were killed in it.
    fn life(&mut self, broken: &mut Vec<String>) -> u64 {
        self.lives += 1;
        let history = if self.random.percent(60) { "conversation" } else { "local" };
        let first = self.setting(history, 1);
        let second = self.setting(history, 2);
        self.provider.hurry(true);
        let mut process = Process::start(&first, 1);
        if self.random.percent(15) {
            // Recovery is killed too.
            let time = Duration::from_millis(self.random.below(80));
            process.hear(&mut self.told, time, None);
            self.bury(process);
            return 1;
        }
        self.recovered(&mut process, broken);
        self.provider.hurry(false);
        if !broken.is_empty() {
            self.bury(process);
            return 1;
        }
        process.order(&self.order(true));
        // Another process at work on the same conversations.
        let other = self.random.percent(30).then(|| {
            let mut other = Process::start(&second, 2);
            other.order(&self.order(false));
            other
        });
        let killed = 1 + u64::from(other.is_some());
        if let Some(other) = other {
            self.work(&process, broken);
            // A laptop's sleep: the lease of a process that lives ends, the other takes its runs, and it must notice. Where
            // the provider keeps conversations it would go on with an answer that is recovered already.
            if history == "local" {
                self.end_lease(process.id());
                self.work(&process, broken);
            }
            other.hear(&mut self.told, Duration::ZERO, None);
            self.bury(other);
        }
        self.work(&process, broken);
        self.bury(process);
        self.told.life_over();
        self.count_left();
        killed
    }

    fn setting(&mut self, history: &'static str, number: usize) -> Setting {
        Setting {
            url: self.url.clone(),
            provider: self.provider.fake.base_url(),
            history,
            retry: self.random.percent(30),
            seed: self.random.next(),
            name: format!("{}.{number}", self.lives),
        }
    }

    /// Until a random moment: after some time, or right after a line of one kind.
    fn work(&mut self, process: &Process, broken: &mut Vec<String>) {
        let random = &mut self.random;
        let (time, stop) = match random.below(10) {
            0..2 => (random.below(60), None),
            2..5 => (random.below(300), None),
            5..7 => (300 + random.below(500), None),
            _ => (random.below(300), random.pick(&["ask", "ack", "heard", "message", "destroy"])),
        };
        process.hear(&mut self.told, Duration::from_millis(time), None);
        if let Some(stop) = stop {
            process.hear(&mut self.told, Duration::from_millis(200), Some(stop));
            let after = Duration::from_micros(self.random.below(6000));
            process.hear(&mut self.told, after, None);
        }
        broken.extend(self.conn.lines(ONE_AT_A_TIME));
    }

    /// Kills it; its leases end at once, or the test would take a lease a kill.
    fn bury(&mut self, process: Process) {
        let id = process.kill(&mut self.told);
        self.dead.push(id);
        self.end_leases();
    }

    fn end_leases(&mut self) {
        // On PostgreSQL what a dead process sent last may be carried out only now.
        for id in self.dead.iter().rev().take(4).copied().collect::<Vec<u32>>() {
            self.end_lease(id);
        }
    }

    fn end_lease(&mut self, process: u32) {
        self.conn.execute(&format!(
            "UPDATE ai_engine_workers SET lease_ends_at = 0 WHERE lease_ends_at > 0 AND id LIKE '{process}-%'"
        ));
    }

    /// Waits until the new process has recovered what the dead left, and checks everything.
    fn recovered(&mut self, process: &mut Process, broken: &mut Vec<String>) {
        let unfinished = "FROM ai_engine_runs WHERE announced_at IS NULL";
        let deadline = Instant::now() + RECOVERED_WITHIN;
        while self.conn.numbers(&["count(*)"], unfinished) != [0] && Instant::now() < deadline {
            process.hear(&mut self.told, Duration::from_millis(5), None);
            self.end_leases();
        }
        // The pipe keeps the order: what it told before this is heard before it.
        process.order("told");
        if !process.hear(&mut self.told, RECOVERED_WITHIN, Some("told")) {
            broken.push("a process does not answer".to_owned());
        }
        broken.extend(check(&mut self.conn, &self.told, &self.provider));
    }

    /// Conversations to go on with; for one of two processes also what to destroy and to ask again.
    fn order(&self, all: bool) -> String {
        let (open, full) = self.told.open();
        let mut words: Vec<String> =
            open.iter().map(|(id, known)| format!("{id}:{}", known.owner)).collect();
        if all {
            let owner = |id: &str| self.told.conversations.get(id).map_or(0, |known| known.owner);
            words.extend(full.iter().map(|id| format!("-{id}:{}", owner(id))));
            words.extend(self.told.unanswered().iter().map(|(question, asked)| {
                let key = asked.key.as_deref().unwrap_or_default();
                format!("?{}:{question}:{key}", asked.conversation)
            }));
        }
        words.join(" ")
    }

    /// After the last kill: a process that recovers, and goes away in good order.
    fn last(&mut self, broken: &mut Vec<String>) {
        self.provider.hurry(true);
        let setting = self.setting("local", 3);
        let mut process = Process::start(&setting, 1);
        self.recovered(&mut process, broken);
        process.shut_down(&mut self.told);
        broken.append(&mut self.told.errors);
    }

    fn count_left(&mut self) {
        let with = "EXISTS (SELECT 1 FROM ai_engine_messages AS m WHERE m.run_id = r.id AND m.status = 'streaming')";
        let deltas = "EXISTS (SELECT 1 FROM ai_engine_messages AS m JOIN ai_engine_message_deltas AS d ON d.message_id = m.id WHERE m.run_id = r.id)";
        let columns = [
            "coalesce(sum(CASE WHEN status = 'queued' THEN 1 ELSE 0 END), 0)".to_owned(),
            format!(
                "coalesce(sum(CASE WHEN status = 'in_progress' AND NOT {with} THEN 1 ELSE 0 END), 0)"
            ),
            format!(
                "coalesce(sum(CASE WHEN status = 'in_progress' AND {with} THEN 1 ELSE 0 END), 0)"
            ),
            format!("coalesce(sum(CASE WHEN {deltas} THEN 1 ELSE 0 END), 0)"),
            "coalesce(sum(CASE WHEN status NOT IN ('queued', 'in_progress') THEN 1 ELSE 0 END), 0)"
                .to_owned(),
        ];
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let left =
            self.conn.numbers(&columns, "FROM ai_engine_runs AS r WHERE announced_at IS NULL");
        for (sum, left) in self.left.iter_mut().zip(left) {
            *sum += left;
        }
        let unknown = self.told.asked.values().filter(|asked| asked.run.is_none() && !asked.never);
        self.left[5] = u64::try_from(unknown.count()).unwrap();
    }

    fn report(&mut self, time: Duration) {
        let [queued, called, streaming, deltas, unannounced, unknown] = self.left;
        println!(
            "{} lives in {:.1} s; {} questions, {} requests to the provider, {} runs in the database, {} conversations ({} destroyed)",
            self.lives,
            time.as_secs_f64(),
            self.told.asked.len(),
            self.provider.requests(),
            self.conn.lines("SELECT CAST(count(*) AS TEXT) AS line FROM ai_engine_runs").remove(0),
            self.told.conversations.len(),
            self.told.conversations.values().filter(|known| known.doomed).count(),
        );
        println!(
            "left by the kills: {queued} runs queued, {called} called without a word, {streaming} with one ({deltas} with deltas), {unannounced} ended but not announced, {unknown} submits of unknown fate"
        );
    }
}
