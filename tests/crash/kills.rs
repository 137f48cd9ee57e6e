//! Deploy after deploy on one database: processes come, work beside each other, and are killed; those that go on take up what
//! the dead ones left.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::check::check;
use crate::child::Setting;
use crate::database::{Conn, Place};
use crate::fleet::Fleet;
use crate::keeps::Kind;
use crate::left::left;
use crate::locks::Locks;
use crate::provider::{Provider, now};
use crate::random::Random;
use crate::rules::ONE_AT_A_TIME;
use crate::told::Told;

/// How long it may take until nothing is left to do, with all that waits driven to its end.
const QUIET_WITHIN: Duration = Duration::from_secs(40);

/// A long time between two kills, in milliseconds.
const LONG: u64 = 4_500;

/// Kills so often; whether nothing broke.
pub fn kill(place: Place, count: u64, seed: u64) -> bool {
    println!("{count} kills, CRASH_SEED={seed}, {}", place.url);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let provider = runtime.block_on(Provider::start());
    let start = Instant::now();
    let mut locks = Locks::start(place.connect(), seed);
    let mut world = World {
        conn: place.connect(),
        provider,
        url: place.url.clone(),
        told: Told::default(),
        random: Random(seed),
        fleet: Fleet::new(),
        dead: Vec::new(),
        ended: HashMap::new(),
        outbox: HashSet::new(),
        rounds: 0,
        killed: 0,
        dismissed: 0,
        asleep: 0,
        left: [0; 6],
        by_survivors: 0,
        kept: BTreeMap::new(),
    };
    let mut broken = Vec::new();
    let mut hundreds = 0;
    while world.killed < count && broken.is_empty() {
        world.round(&mut broken);
        if world.killed / 100 > hundreds {
            hundreds = world.killed / 100;
            println!("{} killed after {:.0} s", world.killed, start.elapsed().as_secs_f64());
        }
    }
    let held = locks.end();
    if broken.is_empty() {
        world.last(&mut broken);
    }
    world.report(start.elapsed(), held);
    let World { told, conn, fleet, killed, .. } = world;
    drop(fleet);
    // Its connection keeps a database from being dropped.
    drop(conn);
    if broken.is_empty() {
        place.drop();
    } else {
        broken.iter().take(20).for_each(|line| println!("broken: {line}"));
        println!("kept: {}", place.keep(&told.all));
    }
    println!("killed {killed} times, {} broken", broken.len());
    broken.is_empty()
}

/// The name of the process of this number, which is its key at the provider.
pub fn name(process: usize) -> String {
    format!("process-{process}")
}

pub struct World {
    pub conn: Conn,
    pub provider: Provider,
    pub url: String,
    pub told: Told,
    pub random: Random,
    pub fleet: Fleet,
    /// The beginnings of the names, in the database, of processes whose leases are over.
    pub dead: Vec<String>,
    /// By name, when a process was killed, or its lease was ended, in microseconds since 1970.
    pub ended: HashMap<String, i64>,
    /// What was to be deleted at the provider.
    pub outbox: HashSet<String>,
    pub rounds: u64,
    pub killed: u64,
    pub dismissed: u64,
    /// Leases that ended while their processes lived.
    pub asleep: u64,
    /// What the kills left: runs waiting, called without a word, with a word, with deltas, unannounced; unknown submits.
    pub left: [u64; 6],
    /// How many of these only processes could take up that had started before.
    pub by_survivors: u64,
    /// What was left at the provider, by kind, when all was deleted here.
    pub kept: BTreeMap<Kind, usize>,
}

impl World {
    /// Some deploys, and a check of everything.
    fn round(&mut self, broken: &mut Vec<String>) {
        self.rounds += 1;
        self.provider.hurry(false);
        let wanted = match self.random.below(10) {
            0 => 1,
            1..6 => 2,
            _ => 3,
        };
        while self.fleet.living().len() < wanted {
            self.start();
        }
        let living = self.fleet.living();
        for (index, process) in living.into_iter().enumerate() {
            let order = self.conversations(index == 0);
            self.fleet.order(process, &order);
        }
        let mut survived = true;
        for _ in 0..=self.random.below(3) {
            self.work(broken);
            survived = self.deploy(broken);
        }
        self.count_left(survived);
        self.quiet(broken);
    }

    fn start(&mut self) -> usize {
        let setting = Setting {
            url: self.url.clone(),
            provider: self.provider.fake.base_url(),
            history: if self.random.percent(60) { "conversation" } else { "local" },
            retry: self.random.percent(30),
            seed: self.random.next(),
            name: name(self.fleet.next()),
        };
        self.fleet.start(setting)
    }

    /// Until a random moment: after some time, or right after a line of one kind.
    fn work(&mut self, broken: &mut Vec<String>) {
        let random = &mut self.random;
        let (time, stop) = match random.below(10) {
            0..2 => (random.below(60), None),
            2..5 => (random.below(300), None),
            // Long enough for all that was streamed before to be stored.
            5 if random.percent(25) => (LONG, None),
            5..7 => (300 + random.below(500), None),
            _ => (random.below(300), random.pick(&["ask", "ack", "heard", "message", "destroy"])),
        };
        let after = Duration::from_micros(random.below(6000));
        self.fleet.hear(&mut self.told, Duration::from_millis(time), None);
        if let Some(stop) = stop {
            self.fleet.hear(&mut self.told, Duration::from_millis(200), Some(stop));
            self.fleet.hear(&mut self.told, after, None);
        }
        broken.extend(self.conn.lines(ONE_AT_A_TIME));
    }

    /// One process goes, most often killed, and another comes, before or after it or not at all. Whether those that are left
    /// are all older than what the dead one left.
    fn deploy(&mut self, broken: &mut Vec<String>) -> bool {
        self.sleep();
        if self.random.percent(6) {
            // The machine goes down.
            for process in self.fleet.living() {
                self.kill(process);
            }
            self.start();
            return false;
        }
        let comes_first = self.random.percent(50);
        let mut victim = None;
        if comes_first {
            let new = self.start();
            let order = self.conversations(false);
            self.fleet.order(new, &order);
            // At its start, perhaps; or both work for a while.
            let time = if self.random.percent(30) {
                victim = Some(new);
                self.random.below(80)
            } else {
                self.random.below(300)
            };
            self.fleet.hear(&mut self.told, Duration::from_millis(time), None);
        }
        let living = self.fleet.living();
        let Some(victim) = victim.or_else(|| self.random.pick(&living).copied()) else {
            return false;
        };
        if self.random.percent(12) {
            let grace = Duration::from_millis(self.random.below(2500));
            self.note_end(victim);
            let worker = self.fleet.worker(victim);
            self.killed += u64::from(self.fleet.dismiss(victim, &mut self.told, grace));
            self.dismissed += 1;
            self.dead.push(worker);
            self.end_leases();
        } else {
            self.kill(victim);
        }
        broken.extend(self.conn.lines(ONE_AT_A_TIME));
        let few = self.fleet.living().is_empty();
        if few || !comes_first && self.random.percent(40) {
            let new = self.start();
            let order = self.conversations(false);
            self.fleet.order(new, &order);
            return false;
        }
        true
    }

    /// A laptop's sleep: the lease of a process that lives ends, the others take its runs, and it must notice. Where the
    /// provider keeps conversations it would go on with an answer that is recovered already.
    fn sleep(&mut self) {
        let living = self.fleet.living();
        if living.len() < 2 || !self.random.percent(15) {
            return;
        }
        let Some(sleeper) = self.random.pick(&living).copied() else { return };
        if self.fleet.get(sleeper).is_some_and(|process| process.setting.history == "local") {
            let worker = self.fleet.worker(sleeper);
            // A thread of Assistants is a conversation whoever keeps the history.
            let converses = self.conn.numbers(
                &["count(*)"],
                &format!("FROM ai_engine_runs WHERE lease_owner LIKE '{worker}%' AND status = 'in_progress' AND provider = 'assistants'"),
            );
            if converses == [0] {
                self.note_end(sleeper);
                self.end_lease(&worker);
                self.asleep += 1;
            }
        }
    }

    /// Kills it. Mostly its lease ends at once, or the test would take a lease a kill.
    fn kill(&mut self, process: usize) {
        let worker = self.fleet.worker(process);
        self.note_end(process);
        self.fleet.kill(process, &mut self.told);
        self.killed += 1;
        if self.random.percent(95) {
            self.dead.push(worker);
        }
        self.end_leases();
    }

    /// The first time counts: a process whose lease was ended may be killed later.
    fn note_end(&mut self, process: usize) {
        let at = now();
        self.ended.entry(name(process)).or_insert(at);
        self.told.all.push(format!("{process} is over at {at}"));
    }

    fn end_leases(&mut self) {
        // On PostgreSQL what a dead process sent last may be carried out only now.
        for worker in self.dead.iter().rev().take(6).cloned().collect::<Vec<String>>() {
            self.end_lease(&worker);
        }
    }

    fn end_lease(&mut self, worker: &str) {
        self.conn.execute(&format!(
            "UPDATE ai_engine_workers SET lease_ends_at = 0 WHERE lease_ends_at > 0 AND id LIKE '{worker}%'"
        ));
    }

    /// Has all that live pause, waits until nothing is left to do, and checks everything.
    fn quiet(&mut self, broken: &mut Vec<String>) {
        self.provider.hurry(true);
        for process in self.fleet.living() {
            self.fleet.order(process, "pause");
        }
        let deadline = Instant::now() + QUIET_WITHIN;
        while !(self.fleet.all_answered("paused") && self.is_done()) {
            if Instant::now() > deadline {
                broken.push("there is no end".to_owned());
                break;
            }
            self.fleet.hear(&mut self.told, Duration::from_millis(10), None);
            self.end_leases();
        }
        // The pipe keeps the order: what a process told before this is heard before it.
        for process in self.fleet.living() {
            self.fleet.order(process, "told");
        }
        let deadline = Instant::now() + QUIET_WITHIN;
        while !self.fleet.all_answered("told") {
            if Instant::now() > deadline {
                broken.push("a process does not answer".to_owned());
                break;
            }
            self.fleet.hear(&mut self.told, Duration::from_millis(5), None);
        }
        self.note_outbox();
        broken.extend(check(&mut self.conn, &self.told, &self.provider, &self.ended));
        self.told.all_quiet();
    }

    /// Whether every run has ended and is announced, and every deletion that is due is made.
    fn is_done(&mut self) -> bool {
        let open =
            self.conn.numbers(&["count(*)"], "FROM ai_engine_runs WHERE announced_at IS NULL");
        let due =
            format!("FROM ai_engine_remote_deletions WHERE next_attempt_at <= {}", now() / 1000);
        open == [0] && self.conn.numbers(&["count(*)"], &due) == [0]
    }

    fn note_outbox(&mut self) {
        let open = self.conn.lines("SELECT remote_id AS line FROM ai_engine_remote_deletions");
        self.outbox.extend(open);
    }

    /// Conversations to go on with; for one of the processes also what to destroy and to ask again.
    fn conversations(&self, all: bool) -> String {
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

    /// After the last kill: when all is deleted here nothing is left at the provider, and all go away in good order.
    fn last(&mut self, broken: &mut Vec<String>) {
        self.provider.hurry(true);
        let newest = self.start();
        self.quiet(broken);
        self.clear(newest, broken);
        self.empty_outbox(broken);
        let keeps = self.provider.keeps();
        let noted = keeps.iter().filter(|made| self.outbox.contains(&made.id));
        broken.extend(noted.map(|made| format!("the provider keeps {}, which was noted", made.id)));
        self.kept = left(keeps, &self.ended, broken);
        for process in self.fleet.living() {
            if self.fleet.dismiss(process, &mut self.told, Duration::from_secs(10)) {
                broken.push(format!("process {process} does not end"));
            }
        }
        broken.append(&mut self.told.errors);
    }

    /// Has one process destroy every conversation that there is, and each assistant.
    fn clear(&mut self, process: usize, broken: &mut Vec<String>) {
        let all = [("t", "threadable", "assistant_threads"), ("c", "chattable", "chats")];
        let all = all.into_iter().flat_map(|(letter, owner, table)| {
            self.conn.lines(&format!(
                "SELECT '{letter}' || id || ':' || {owner}_id AS line FROM ai_engine_{table}"
            ))
        });
        let order = all.fold("clear".to_owned(), |order, one| order + " " + &one);
        self.fleet.order(process, &order);
        let deadline = Instant::now() + QUIET_WITHIN;
        while self.fleet.get(process).is_some_and(|process| !process.has_answered("cleared")) {
            if Instant::now() > deadline {
                broken.push("a process does not destroy all".to_owned());
                return;
            }
            self.fleet.hear(&mut self.told, Duration::from_millis(5), None);
        }
        self.note_outbox();
        let tables = [
            "runs",
            "responses",
            "messages",
            "run_items",
            "message_parts",
            "blobs",
            "assistants",
            "tool_calls",
        ];
        for table in tables {
            let rows = self.conn.numbers(&["count(*)"], &format!("FROM ai_engine_{table}"));
            if rows != [0] {
                broken.push(format!("{rows:?} {table} outlive their conversations"));
            }
        }
    }

    fn empty_outbox(&mut self, broken: &mut Vec<String>) {
        let deadline = Instant::now() + QUIET_WITHIN;
        // The tries of dead processes are over, and nobody waits for the next ones.
        let due =
            "UPDATE ai_engine_remote_deletions SET next_attempt_at = 0 WHERE next_attempt_at > 0";
        while self.conn.numbers(&["count(*)"], "FROM ai_engine_remote_deletions") != [0] {
            if Instant::now() > deadline {
                broken.push("the outbox is not empty".to_owned());
                break;
            }
            self.conn.execute(due);
            self.fleet.hear(&mut self.told, Duration::from_millis(500), None);
        }
    }
}
