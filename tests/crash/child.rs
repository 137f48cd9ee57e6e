//! A process that may be killed: it starts its engine, and while told to go on, does everything that a host may do, at once.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::{
    AiEngine, Busy, Error, Events, OpenAi, Recovery, Result, Role, RunRequest, SqliteDatabase,
};
use tokio::sync::RwLock;
use tokio::time::{Instant, timeout, timeout_at};

use crate::host::{GONE, HostDatabase, Owner, Place, tell};
use crate::random::Random;
use crate::shown::Shown;

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
    /// Unlike that of any other process. It is the key it calls the provider with.
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
    let client = OpenAi::builder()
        .api_key(setting.name.as_str())
        .base_url(setting.provider.as_str())
        .build()
        .unwrap();
    let engine = AiEngine::builder(database.clone())
        .openai(client)
        .history(setting.history.parse().unwrap())
        .recovery(if setting.retry { Recovery::Retry } else { Recovery::Settle })
        .lease(LEASE)
        .owner::<Owner>(|_, id| Ok((id != GONE).then_some(Owner { id })))
        .build()
        .unwrap();
    if let Err(error) = engine.start().await {
        tell(&format!("start: {error}"));
    }
    let (orders, mut ordered) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            let _ = orders.send(line);
        }
    });
    let app = Arc::new(App {
        database,
        engine,
        places: Mutex::default(),
        full: Mutex::default(),
        questions: AtomicU64::new(0),
        name: setting.name.clone(),
        acting: RwLock::default(),
        doing: Mutex::default(),
    });
    let mut pause = Some(app.acting.write().await);
    for number in 1..=CLIENTS {
        let (app, mut random) = (Arc::clone(&app), Random(setting.seed.wrapping_mul(number + 1)));
        tokio::spawn(async move {
            loop {
                let acting = app.acting.read().await;
                app.act(&mut random).await;
                app.does("nothing");
                drop(acting);
                tokio::time::sleep(Duration::from_millis(random.below(60))).await;
            }
        });
    }
    let mut random = Random(setting.seed);
    // Until killed; or until whoever would kill it is gone.
    while let Some(order) = ordered.recv().await {
        match order.as_str() {
            // Whoever reads this has read all that was told before.
            "told" => tell("told"),
            // Whatever is under way comes to its end first.
            "pause" => {
                if pause.is_none() {
                    pause = timeout(PAUSED_WITHIN, app.acting.write()).await.ok();
                }
                if pause.is_some() {
                    tell("paused");
                } else {
                    tell(&format!("no pause: {:?}", app.doing.lock().unwrap().values()));
                }
            }
            "end" => {
                if let Err(error) = app.engine.shutdown(Duration::from_millis(1500)).await {
                    tell(&format!("shutdown: {error}"));
                }
                // What clients hear of a runtime that ends under them is no matter of the engine's.
                std::process::exit(0);
            }
            conversations => {
                app.take(conversations, &mut random).await;
                pause = None;
            }
        }
    }
}

/// Short, so that a process that lives shows soon that it extends it.
const LEASE: Duration = Duration::from_secs(3);

/// How long what a client does may take, once the provider hurries.
const PAUSED_WITHIN: Duration = Duration::from_secs(30);

struct App<D> {
    database: D,
    engine: AiEngine,
    places: Mutex<Vec<Place>>,
    full: Mutex<Vec<Place>>,
    questions: AtomicU64,
    name: String,
    /// Read by clients that do something.
    acting: RwLock<()>,
    /// What each client does.
    doing: Mutex<HashMap<tokio::task::Id, String>>,
}

impl<D: HostDatabase> App<D> {
    /// `conversation:owner`, those to destroy with a minus; then questions to ask again: `?conversation:question:key`.
    async fn take(&self, order: &str, random: &mut Random) {
        let known = std::mem::take(&mut *self.places.lock().unwrap());
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
            let found = match known.iter().find(|place| place.name() == fields[0]) {
                Some(place) => Ok(place.clone()),
                None => Place::find(&self.engine, fields[1].parse().unwrap(), fields[0]).await,
            };
            match found {
                Ok(place) if word.starts_with('-') => self.full.lock().unwrap().push(place),
                Ok(place) => self.places.lock().unwrap().push(place),
                Err(Error::NotFound { .. }) => tell(&format!("missing\t{}", fields[0])),
                Err(error) => told("find", Err::<(), _>(error)),
            }
        }
    }

    fn does(&self, what: impl Into<String>) {
        if let Some(client) = tokio::task::try_id() {
            self.doing.lock().unwrap().insert(client, what.into());
        }
    }

    /// One thing that a host does.
    async fn act(&self, random: &mut Random) {
        let place = random.pick(&self.places.lock().unwrap()).cloned();
        let few = self.places.lock().unwrap().len() < 8;
        let Some(place) = place.filter(|_| !few) else {
            return self.create(random).await;
        };
        match random.below(100) {
            0..45 => {
                let question = self.question();
                let key = random.percent(40).then(|| format!("key-{question}"));
                self.submit(&place, &question, key, random).await;
            }
            45..60 => self.branch(&place, random).await,
            60..80 => self.submit_in(&place, random).await,
            80..90 => {
                self.does(format!("cancel {}", place.name()));
                told("cancel", place.cancel(&self.engine).await);
            }
            90..93 => {
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
            93..96 => self.follow(place.events(&self.engine), random).await,
            _ => {
                let mut doomed = self.full.lock().unwrap().pop();
                // Also one where runs are under way.
                if random.percent(10) {
                    self.places.lock().unwrap().retain(|other| other.name() != place.name());
                    doomed = Some(place);
                }
                if let Some(place) = doomed {
                    self.does(format!("destroy {}", place.name()));
                    tell(&format!("destroy\t{}", place.name()));
                    told("destroy", place.destroy(&self.engine).await);
                }
            }
        }
    }

    /// Takes a turn again, another path, or a copy.
    async fn branch(&self, place: &Place, random: &mut Random) {
        let engine = &self.engine;
        let (Ok(runs), Ok(said)) = (place.runs(engine).await, place.messages(engine).await) else {
            return;
        };
        let (run, message) = (random.pick(&runs).cloned(), random.pick(&said).cloned());
        let (Some(run), Some(message)) = (run, message) else { return };
        self.does(format!("branch {}", place.name()));
        match random.below(10) {
            0..4 => {
                let retries = random.percent(50);
                let request = if retries { run.retry(engine) } else { run.regenerate(engine) };
                let Ok(said) = engine.messages_of(&run).await else { return };
                let Some(question) = said.first() else { return };
                tell(&format!("again\t{}", question.content));
                match varied(request, random).submit().await {
                    Ok(run) => tell(&format!("taken\t{}\t{}", place.name(), run.id)),
                    Err(Error::Answered { .. }) => {}
                    Err(error) => told("again", Err::<(), _>(error)),
                }
            }
            4..7 if message.is_user() => {
                let question = self.question();
                tell(&format!("ask\t{}\t{question}\t\t", place.name()));
                let request = place.edit(engine, &message, &question);
                match varied(request, random).submit().await {
                    Ok(run) => tell(&format!("ack\t{question}\t{}", run.id)),
                    Err(error) => refused(&question, error),
                }
            }
            4..8 => told("choose", place.choose(engine, &run).await),
            8 => told("truncate", place.truncate_after(engine, &message).await),
            _ => match place.fork_at(engine, &message).await {
                Ok(fork) => {
                    tell(&format!("conversation\t{}\t{}", fork.name(), fork.owner()));
                    self.places.lock().unwrap().push(fork);
                }
                Err(error) => told("fork", Err::<(), _>(error)),
            },
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
            self.does(format!("submit {question} to {}", place.name()));
            let run = match request.submit().await {
                Ok(run) => run,
                Err(error) => return refused(question, error),
            };
            tell(&format!("ack\t{question}\t{}", run.id));
            if random.percent(40) {
                // Failed runs and destroyed ones are no surprise here.
                self.does(format!("answer of run {}", run.id));
                let answered = self.engine.answer(run.id).await;
                if let Err(error @ (Error::NotDriven { .. } | Error::Database(_))) = answered {
                    told("answer", Err::<(), _>(error));
                }
            } else if random.percent(30) {
                self.does(format!("events of run {}", run.id));
                let (mut events, mut shown) = (run.events(&self.engine), Shown::default());
                while let Some(Ok(event)) = events.next().await {
                    shown.take(event);
                }
            }
        }
    }

    /// Reads what happens on a conversation for a while, whichever process makes it happen, with an interruption.
    async fn follow(&self, mut events: Events, random: &mut Random) {
        self.does("follow");
        let mut shown = Shown::default();
        let until = Instant::now() + Duration::from_millis(random.below(400));
        let mut cursor = None;
        while let Ok(Some(Ok(event))) = timeout_at(until, events.next()).await {
            cursor = Some(event.cursor.clone());
            shown.take(event);
        }
        let Some(cursor) = cursor else { return };
        let mut events = events.after(cursor);
        let until = Instant::now() + Duration::from_millis(random.below(400));
        while let Ok(Some(Ok(event))) = timeout_at(until, events.next()).await {
            shown.take(event);
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
        self.does(format!("submit {question} to {} in a transaction", place.name()));
        match self.database.submit_with_note(question.clone(), commit, submit).await {
            Ok(run) => tell(&format!("ack\t{question}\t{}", run.id)),
            // A transaction of the host's is the host's to make again.
            Err(error) if format!("{error:?}").contains("deadlock") => {
                tell(&format!("refused\t{question}"));
            }
            Err(error) => refused(&question, error),
        }
    }
}

fn varied(request: RunRequest, random: &mut Random) -> RunRequest {
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
        Ok(_)
        | Err(
            Error::Busy { .. } | Error::NotFound { .. } | Error::RunGone(_) | Error::ShuttingDown,
        ) => {}
        Err(error) => tell(&format!("{what}: {error:?}").replace(['\n', '\t'], " ")),
    }
}
