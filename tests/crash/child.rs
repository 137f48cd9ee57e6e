//! A process that may be killed: it starts its engine, and while told to go on, does everything that a host may do, at once.

use std::io::BufRead;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::{AiEngine, OpenAi, Recovery, SqliteDatabase};
use tokio::sync::RwLock;
use tokio::time::timeout;

use crate::app::App;
use crate::host::{GONE, HostDatabase, Owner, tell};
use crate::question::Api;
use crate::random::Random;
use crate::tools::{decide, with_tools};

const ASKED: &str = "AI_ENGINE_CRASH_CHILD";
const CLIENTS: u64 = 4;

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Setting {
    pub url: String,
    pub provider: String,
    /// `conversation` or `local`, where the protocol lets a host choose.
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
    let client = |api: Api| {
        let builder = OpenAi::builder().api_key(setting.name.as_str());
        let builder = builder.base_url(setting.provider.as_str()).protocol(api.protocol());
        builder.build().unwrap()
    };
    let engine = AiEngine::builder(database.clone())
        .openai(client(Api::Responses))
        .provider(Api::Chat.provider(), client(Api::Chat))
        .provider(Api::Assistants.provider(), client(Api::Assistants))
        .history(setting.history.parse().unwrap())
        .recovery(if setting.retry { Recovery::Retry } else { Recovery::Settle })
        .lease(LEASE)
        .owner::<Owner>(|_, id| Ok((id != GONE).then_some(Owner { id })));
    let engine = with_tools(engine, &database).build().unwrap();
    if let Err(error) = engine.start().await {
        tell(&format!("start: {error}"));
    }
    let (orders, mut ordered) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = orders.send(line);
        }
    });
    tokio::spawn(decide(database.clone(), engine.clone(), Random(setting.seed)));
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
            order if order.starts_with("clear") => {
                app.clear(order.trim_start_matches("clear")).await;
                tell("cleared");
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
