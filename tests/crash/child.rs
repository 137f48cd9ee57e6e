//! The process that is killed: it recovers, and once told to go on, does everything that a host may do, at once.

use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::{
    AiEngine, Busy, Error, OpenAi, Recovery, Result, Role, RunRequest, SqliteDatabase,
};

use crate::host::{GONE, HostDatabase, Owner, Place, tell};
use crate::random::Random;

const ASKED: &str = "AI_ENGINE_CRASH_CHILD";
const CLIENTS: u64 = 4;

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Setting {
    pub url: String,
    pub provider: String,
    /// `conversation` or `local`.
    pub history: &'static str,
    pub retry: bool,
    pub seed: u64,
    /// Unlike that of any process before.
    pub name: String,
}

impl Setting {
    /// As the other process finds it.
    pub fn variable(&self) -> (&'static str, String) {
        let Self { url, provider, history, retry, seed, name } = self;
        (ASKED, format!("{url}\n{provider}\n{history}\n{retry}\n{seed}\n{name}"))
    }

    fn given() -> Option<Self> {
        let given = std::env::var(ASKED).ok()?;
        let mut given = given.lines().map(str::to_owned);
        let mut next = || given.next().unwrap();
        Some(Self {
            url: next(),
            provider: next(),
            history: if next() == "local" { "local" } else { "conversation" },
            retry: next() == "true",
            seed: next().parse().unwrap(),
            name: next(),
        })
    }
}

/// Is such a process, if this one was started to be it.
pub fn live_if_asked() -> bool {
    let Some(setting) = Setting::given() else { return false };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        #[cfg(feature = "postgres")]
        if setting.url.starts_with("postgres") {
            let database = ai_engine::PgDatabase::connect(setting.url.clone()).unwrap();
            return live(database, setting).await;
        }
        let database = SqliteDatabase::open(&setting.url).unwrap();
        live(database, setting).await;
    });
    true
}

async fn live<D: HostDatabase>(database: D, setting: Setting) {
    let client =
        OpenAi::builder().api_key("k").base_url(setting.provider.as_str()).build().unwrap();
    let engine = AiEngine::builder(database.clone())
        .openai(client)
        .history(setting.history.parse().unwrap())
        .recovery(if setting.retry { Recovery::Retry } else { Recovery::Settle })
        .lease(Duration::from_secs(3))
        .owner::<Owner>(|_, id| Ok((id != GONE).then_some(Owner { id })))
        .build()
        .unwrap();
    if let Err(error) = engine.recover().await {
        tell(&format!("recover: {error}"));
    }
    let working = engine.clone();
    let work = tokio::spawn(async move { working.work().await });
    let (orders, mut ordered) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            let _ = orders.send(line);
        }
    });
    let order = loop {
        match ordered.recv().await {
            // Whoever reads this has read all that was told before.
            Some(order) if order == "told" => tell("told"),
            Some(order) => break order,
            None => return,
        }
    };
    if order == "end" {
        if let Err(error) = engine.shutdown(Duration::from_secs(5)).await {
            tell(&format!("shutdown: {error}"));
        }
        let _ = work.await;
        return;
    }
    let app = Arc::new(App {
        database,
        engine,
        places: Mutex::default(),
        full: Mutex::default(),
        questions: AtomicU64::new(0),
        name: setting.name.clone(),
    });
    app.take(&order, &mut Random(setting.seed)).await;
    for number in 1..=CLIENTS {
        let (app, mut random) = (Arc::clone(&app), Random(setting.seed.wrapping_mul(number + 1)));
        tokio::spawn(async move {
            loop {
                app.act(&mut random).await;
                tokio::time::sleep(Duration::from_millis(random.below(60))).await;
            }
        });
    }
    // Until killed; or until whoever would kill it is gone.
    while ordered.recv().await.is_some() {}
}

struct App<D> {
    database: D,
    engine: AiEngine,
    places: Mutex<Vec<Place>>,
    full: Mutex<Vec<Place>>,
    questions: AtomicU64,
    name: String,
}

impl<D: HostDatabase> App<D> {
    /// `conversation:owner`, those to destroy with a minus; then questions to ask again: `?conversation:question:key`.
    async fn take(&self, order: &str, random: &mut Random) {
        for word in order.split_whitespace() {
            let fields: Vec<&str> = word.trim_start_matches(['-', '?']).split(':').collect();
            if word.starts_with('?') {
                let place =
                    self.places.lock().unwrap().iter().find(|p| p.name() == fields[0]).cloned();
                if let Some(place) = place {
                    self.submit(&place, fields[1], Some(fields[2].to_owned()), random).await;
                }
                continue;
            }
            match Place::find(&self.engine, fields[1].parse().unwrap(), fields[0]).await {
                Ok(place) if word.starts_with('-') => self.full.lock().unwrap().push(place),
                Ok(place) => self.places.lock().unwrap().push(place),
                Err(Error::NotFound { .. }) => tell(&format!("missing\t{}", fields[0])),
                Err(error) => tell(&format!("find {}: {error}", fields[0])),
            }
        }
    }

    /// One thing that a host does.
    async fn act(&self, random: &mut Random) {
        let place = random.pick(&self.places.lock().unwrap()).cloned();
        let few = self.places.lock().unwrap().len() < 5;
        let Some(place) = place.filter(|_| !few) else {
            return self.create(random).await;
        };
        match random.below(100) {
            0..60 => {
                let question = self.question();
                let key = random.percent(40).then(|| format!("key-{question}"));
                self.submit(&place, &question, key, random).await;
            }
            60..80 => self.submit_in(&place, random).await,
            80..90 => told("cancel", place.cancel(&self.engine).await),
            90..95 => {
                let said = match &place {
                    Place::Thread(thread) => {
                        thread.messages(&self.engine).create(Role::System, "Be brief.").await
                    }
                    Place::Chat(chat) => {
                        chat.messages(&self.engine).create(Role::System, "Be brief.").await
                    }
                };
                told("message", said);
            }
            _ => {
                let mut doomed = self.full.lock().unwrap().pop();
                // Also one where runs are under way.
                if random.percent(10) {
                    self.places.lock().unwrap().retain(|other| other.name() != place.name());
                    doomed = Some(place);
                }
                if let Some(place) = doomed {
                    tell(&format!("destroy\t{}", place.name()));
                    told("destroy", place.destroy(&self.engine).await);
                }
            }
        }
    }

    async fn create(&self, random: &mut Random) {
        let owner =
            if random.percent(10) { GONE } else { 1 + i64::try_from(random.below(3)).unwrap() };
        match Place::create(&self.engine, owner, random.percent(70)).await {
            Ok(place) => {
                tell(&format!("conversation\t{}\t{owner}", place.name()));
                self.places.lock().unwrap().push(place);
            }
            Err(error) => told("create", Err::<(), _>(error)),
        }
    }

    fn question(&self) -> String {
        format!("q{}.{};", self.name, self.questions.fetch_add(1, Ordering::SeqCst))
    }

    /// Asks, and asks again with the same key, as a host would that got no answer.
    async fn submit(
        &self,
        place: &Place,
        question: &str,
        key: Option<String>,
        random: &mut Random,
    ) {
        let times = if key.is_some() && random.percent(50) { 2 } else { 1 };
        for _ in 0..times {
            let mut request = varied(place.ask(&self.engine, question), random);
            if let Some(key) = &key {
                request = request.idempotency_key(key);
            }
            let key = key.as_deref().unwrap_or_default();
            tell(&format!("ask\t{}\t{question}\t{key}\t", place.name()));
            let run = match request.submit().await {
                Ok(run) => run,
                Err(error) => return refused(question, error),
            };
            tell(&format!("ack\t{question}\t{}", run.id));
            if random.percent(40) {
                // Failed runs and destroyed ones are no surprise here.
                let answered = self.engine.answer(run.id).await;
                if let Err(error @ (Error::NotDriven { .. } | Error::Database(_))) = answered {
                    told("answer", Err::<(), _>(error));
                }
            } else if random.percent(30) {
                let mut events = run.events(&self.engine);
                while let Some(Ok(_)) = events.next().await {}
            }
        }
    }

    /// In a transaction of the host, with a row of its own.
    async fn submit_in(&self, place: &Place, random: &mut Random) {
        let (question, commit) = (self.question(), random.percent(60));
        let (engine, asked, mut choice) = (self.engine.clone(), place.clone(), random.clone());
        let text = question.clone();
        let submit = move |session: &mut dyn ai_engine::Session| {
            varied(asked.ask(&engine, &text), &mut choice).submit_in(session)
        };
        let noted = if commit { "noted" } else { "never" };
        tell(&format!("ask\t{}\t{question}\t\t{noted}", place.name()));
        match self.database.submit_with_note(question.clone(), commit, submit).await {
            Ok(run) => tell(&format!("ack\t{question}\t{}", run.id)),
            Err(error) => refused(&question, error),
        }
    }
}

fn varied<'e>(request: RunRequest<'e>, random: &mut Random) -> RunRequest<'e> {
    let busy = match random.below(10) {
        0..2 => Busy::Reject,
        2..7 => Busy::Queue,
        _ => Busy::Interrupt,
    };
    let request = request.when_busy(busy);
    if random.percent(30) { request.recovery(Recovery::Retry) } else { request }
}

/// Nothing was stored.
fn refused(question: &str, error: Error) {
    tell(&format!("refused\t{question}"));
    if !matches!(error, Error::Host(_)) {
        told("submit", Err::<(), _>(error));
    }
}

/// What must not happen is told.
fn told<T>(what: &str, result: Result<T>) {
    match result {
        Ok(_) | Err(Error::Busy { .. } | Error::NotFound { .. } | Error::RunGone(_)) => {}
        Err(error) => tell(&format!("{what}: {error:?}").replace(['\n', '\t'], " ")),
    }
}
