//! A database that is read-only, locked, full, away or out of connections: at a submit that is an error which says so and
//! nothing is stored; a run outlives it, up to a lease.

use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AiEngine, AssistantThread, Content, Error, Page, Run, RunRequest, RunStatus, SqliteDatabase,
    prelude::*,
};

use crate::support::*;

on_each_database!(
    at_a_submit_it_is_told_and_nothing_is_stored,
    in_mid_stream_text_waits_and_is_stored_once,
    a_run_settles_when_it_has_passed,
    a_run_is_claimed_when_it_has_passed,
    what_outlasts_the_lease_gives_the_run_up_and_recovery_settles_it,
    tables_that_are_gone_are_named_and_the_run_is_recovered_with_them,
);

/// Long enough to need pages of its own.
fn long(word: &str) -> String {
    word.repeat(64 * 1024 / word.len())
}

/// An engine that lives in a pool of the host's that gives up soon.
struct World<'h, D: Faulty> {
    host: &'h Host<D>,
    engine: AiEngine,
    pool: HostPool<D>,
    refusals: Refusals,
    thread: AssistantThread,
    /// Responses before.
    created: usize,
}

impl<'h, D: Faulty> World<'h, D> {
    async fn new(host: &'h Host<D>, lease: Duration) -> Self {
        let (pool, refusals) = host.db.impatient_pool(2);
        let builder = AiEngine::builder(D::from_pool(pool.clone()))
            .openai(host.fake.openai().unwrap())
            .state(host.hub.clone())
            .lease(lease);
        let engine = D::owners(builder).build().unwrap();
        let thread = host.user.assistant_threads(&engine).create().await.unwrap();
        host.hub.forget();
        Self { host, engine, pool, refusals, thread, created: host.fake.responses_created() }
    }

    fn ask(&self, text: impl Into<Content>) -> RunRequest {
        self.host.teller.ai_engine_run(&self.engine, &self.thread, text)
    }

    fn begin(&self, fault: &Fault<D>) -> End {
        eprintln!("fault: {:?}", fault.says);
        (fault.begin)(&self.host.db, &self.pool)
    }

    /// What is stored of the model's newest message.
    async fn until_stored(&self, text: &str) {
        loop {
            // A connection may yet have to find out that it was ended.
            let said = self.thread.messages(&self.engine).list(Page::newest(1)).await;
            if said.is_ok_and(|said| said[0].is_assistant() && said[0].content == text) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The run ended whole, each thing once.
    async fn completed(&self, run: i64, text: &str) {
        let answer = self.engine.answer(run).await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed, "{:?}", answer.run.error);
        assert!(answer.text() == text, "{} bytes of {}", answer.text().len(), text.len());
        assert!(self.host.hub.appended() == text, "{} bytes", self.host.hub.appended().len());
        assert_eq!(self.host.hub.settled(), answer.messages);
        let number = |sql: &str| self.host.db.number(&format!("{sql} WHERE run_id = {run}"));
        assert_eq!(number("SELECT count(*) FROM ai_engine_messages"), 2);
        assert_eq!(self.host.fake.responses_created(), self.created + 1);
        assert_eq!(self.host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
        let unannounced = "SELECT count(*) FROM ai_engine_runs WHERE announced_at IS NULL";
        assert_eq!(self.host.db.number(unannounced), 0);
    }
}

const LEASE: Duration = Duration::from_secs(30);

async fn at_a_submit_it_is_told_and_nothing_is_stored<D: Faulty>(db: D) {
    let host = Host::new(db).await;
    for fault in D::faults() {
        let world = World::new(&host, LEASE).await;
        let before = host.db.ours();
        let ask = || world.ask(long("Tell me "));
        let end = world.begin(&fault);
        let refused = ask().submit().await.unwrap_err();
        end();
        assert!(matches!(refused, Error::Database(_) | Error::Connection(_)), "{refused:?}");
        let text = refused.to_string();
        assert!(fault.says.iter().all(|said| text.contains(said)), "{:?}: {text}", fault.says);
        assert_eq!(host.db.ours(), before, "{:?}", fault.says);
        // The pool is none the worse for it: each connection may have to find out once.
        let asked = loop {
            match ask().submit().await {
                Ok(run) => break run,
                Err(error) => assert!(error.to_string().contains(fault.says[0]), "{error}"),
            }
        };
        assert_eq!(world.engine.answer(asked.id).await.unwrap().run.status, RunStatus::Completed);
    }
}

async fn in_mid_stream_text_waits_and_is_stored_once<D: Faulty>(db: D) {
    let host = Host::new(db).await;
    for fault in D::faults() {
        let world = World::new(&host, LEASE).await;
        let (first, second) = (Gate::new(), Gate::new());
        let (one, two) = ("Once ".to_owned(), long("upon "));
        let reply = Reply::deltas([one.clone(), two.clone(), "a time.".to_owned()]);
        host.fake.reply(reply.hold_at(5, first.clone()).hold_at(6, second.clone()));
        let asked = world.ask("Tell me");
        let run = asked.submit().await.unwrap();
        host.hub.until_text(&one).await;
        world.until_stored(&one).await;

        let end = world.begin(&fault);
        first.open();
        host.hub.until_text(&format!("{one}{two}")).await;
        world.refusals.more(3).await;
        end();
        world.until_stored(&format!("{one}{two}")).await;
        second.open();
        world.completed(run.id, &format!("{one}{two}a time.")).await;
    }
}

async fn a_run_settles_when_it_has_passed<D: Faulty>(db: D) {
    let host = Host::new(db).await;
    for fault in D::faults() {
        let world = World::new(&host, LEASE).await;
        let last = Gate::new();
        let text = format!("Once {}", long("upon "));
        let reply = Reply::deltas(["Once ".to_owned(), long("upon ")]);
        host.fake.reply(reply.hold_at(5, last.clone()));
        let asked = world.ask("Tell me");
        let run = asked.submit().await.unwrap();
        host.hub.until_text("Once ").await;
        let end = world.begin(&fault);
        last.open();
        world.refusals.more(4).await;
        assert!(!host.hub.story().contains(&"run completed".to_owned()));
        end();
        world.completed(run.id, &text).await;
    }
}

/// A run submitted where no runtime is: nobody drives it yet.
fn submit_undriven<D: Faulty>(world: &World<'_, D>) -> Run {
    let (client, host) = (world.host.fake.openai().unwrap(), world.host);
    let submit = || {
        let builder = AiEngine::builder(host.db.database()).openai(client);
        let engine = D::owners(builder).build().unwrap();
        let asked = host.teller.ai_engine_run(&engine, &world.thread, "Tell me");
        host.db.with(|conn| asked.submit_in(conn.session())).unwrap()
    };
    std::thread::scope(|scope| scope.spawn(submit).join().unwrap())
}

async fn a_run_is_claimed_when_it_has_passed<D: Faulty>(db: D) {
    let host = Host::new(db).await;
    for fault in D::faults().into_iter().filter(|fault| fault.at_claim) {
        let world = World::new(&host, LEASE).await;
        host.fake.reply(Reply::text("Once upon a time."));
        let run = submit_undriven(&world);
        let end = world.begin(&fault);
        // It begins to drive the run, and fails at what it writes itself.
        let refused = loop {
            match world.engine.recover().await {
                // A connection that had to find out.
                Err(error) if error.to_string().contains("connection was lost") => {}
                other => break other,
            }
        };
        world.refusals.more(3).await;
        assert_eq!(host.fake.responses_created(), world.created, "{refused:?}");
        end();
        world.completed(run.id, "Once upon a time.").await;
    }
}

async fn what_outlasts_the_lease_gives_the_run_up_and_recovery_settles_it<D: Faulty>(db: D) {
    let host = Host::new(db).await;
    for fault in D::faults().into_iter().filter(|fault| fault.at_claim) {
        let world = World::new(&host, Duration::from_secs(1)).await;
        let last = Gate::new();
        host.fake.reply(Reply::text("Once upon").hold_at(5, last.clone()));
        let asked = world.ask("Tell me");
        let run = asked.submit().await.unwrap();
        world.until_stored("Once ").await;
        let end = world.begin(&fault);
        let (given_up, ()) = tokio::join!(world.engine.answer(run.id), async { last.open() });
        let given_up = given_up.unwrap_err();
        let Error::NotDriven { run_id, message, .. } = &given_up else { panic!("{given_up}") };
        assert!(fault.says.iter().all(|said| message.contains(said)), "{message}");
        assert_eq!(*run_id, run.id);
        end();

        // Whoever is first: the conversation's own task, which waits for the database, or this.
        while host.db.number("SELECT count(*) FROM ai_engine_runs WHERE status = 'in_progress'") > 0
        {
            if let Err(error) = world.engine.recover().await {
                // A connection that has yet to find out.
                assert!(error.to_string().contains(fault.says[0]), "{error}");
            }
        }
        let answer = world.engine.answer(run.id).await.unwrap();
        assert_eq!(
            (answer.run.status, answer.run.reason.as_deref(), answer.text().as_str()),
            (RunStatus::Incomplete, Some("interrupted"), "Once ")
        );
        assert_eq!(world.ask("And then?").await.unwrap().run.status, RunStatus::Completed);
        let said = world.thread.messages(&world.engine).list(Page::default()).await.unwrap();
        let said: Vec<_> = said.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(said, ["user", "assistant", "user", "assistant"]);
    }
}

async fn tables_that_are_gone_are_named_and_the_run_is_recovered_with_them<D: Faulty>(db: D) {
    let host = Host::new(db).await;
    let world = World::new(&host, LEASE).await;
    let last = Gate::new();
    host.fake.reply(Reply::text("Once upon").hold_at(5, last.clone()));
    let run = world.ask("Tell me").submit().await.unwrap();
    world.until_stored("Once ").await;
    host.db.execute(D::RENAME);
    // Whoever waits hears why; who comes later finds no tables either.
    let (error, ()) = tokio::join!(world.engine.answer(run.id), async { last.open() });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NotDriven { .. }), "{error}");
    let refused = world.ask("And then?").await.unwrap_err();
    assert!(matches!(refused, Error::NotMigrated(_)), "{refused}");
    for text in [error.to_string(), refused.to_string()] {
        assert!(text.contains("ai_engine_runs") && text.contains("engine.migrate()"), "{text}");
    }
    host.db.execute(D::RENAME_BACK);
    assert_eq!(world.engine.recover().await.unwrap().settled, 1);
    assert_eq!(world.engine.answer(run.id).await.unwrap().text(), "Once ");
    assert_eq!(world.ask("And then?").await.unwrap().run.status, RunStatus::Completed);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("no such folder");
    let error = SqliteDatabase::open(folder.join("stories.sqlite3")).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Connection(_)), "{error:?}");
    let advice = format!("there is no folder {}: create it", folder.display());
    assert!(text.contains("stories.sqlite3") && text.contains(&advice), "{text}");
}

/// With its only connection all of it would be gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_memory_outlives_being_full() {
    let database = SqliteDatabase::in_memory().unwrap();
    let fill = |size: usize| {
        database.transaction::<_, Error>(move |conn| {
            Ok(conn.try_execute(&format!("INSERT INTO notes VALUES (zeroblob({size}))"))?)
        })
    };
    let prepared = database.transaction::<_, Error>(|conn| {
        conn.execute("CREATE TABLE notes (text TEXT)");
        Ok(conn.number("SELECT 1"))
    });
    prepared.await.unwrap();
    fill(10).await.unwrap();
    let limited = database
        .transaction::<_, Error>(|conn| Ok(conn.try_execute("PRAGMA max_page_count = 10")?));
    limited.await.unwrap();
    let refused = fill(1_000_000).await.unwrap_err().to_string();
    assert!(refused.contains("full") && refused.contains("free some space"), "{refused}");
    let kept =
        database.transaction::<_, Error>(|conn| Ok(conn.number("SELECT count(*) FROM notes")));
    assert_eq!(kept.await.unwrap(), 1);
    fill(10).await.unwrap();
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use ai_engine::{MessageStatus, PgDatabase};

    use super::*;

    #[tokio::test]
    async fn a_database_that_does_not_exist_is_named() {
        let Some(db) = Postgres::fresh() else { return };
        let url = format!("{}_not", db.url());
        let pool = diesel::r2d2::Pool::builder()
            .min_idle(Some(0))
            .connection_timeout(Duration::from_millis(200))
            .build(diesel::r2d2::ConnectionManager::new(url))
            .unwrap();
        let error =
            PgDatabase::from_pool(pool).transaction::<_, Error>(|_| Ok(())).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Connection(_)), "{error:?}");
        assert!(text.contains("_not\" does not exist"), "{text}");
        assert!(text.contains("see that the database is there"), "{text}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_dropped_in_mid_run_is_named_and_the_run_given_up() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        let world = World::new(&host, Duration::from_secs(1)).await;
        let last = Gate::new();
        host.fake.reply(Reply::text("Once upon").hold_at(5, last.clone()));
        let run = world.ask("Tell me").submit().await.unwrap();
        world.until_stored("Once ").await;
        let name = host.db.name();
        Postgres::beside().execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
        in_time(async {
            let (error, ()) = tokio::join!(world.engine.answer(run.id), async { last.open() });
            let error = error.unwrap_err();
            let Error::NotDriven { message, .. } = &error else { panic!("{error}") };
            let missing = format!("database \"{name}\" does not exist");
            assert!(message.contains(&missing), "{message}");
        })
        .await;
    }

    /// Whichever commit of a run it is whose answer is lost: submit, claim, call, first text, end, announcement.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_commit_whose_answer_is_lost_costs_nothing_and_doubles_nothing() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        let proxy = Proxy::to(host.db.url()).await;
        in_time(async {
            for nth in 1.. {
                let builder = AiEngine::builder(PgDatabase::connect(proxy.url()).unwrap())
                    .openai(host.fake.openai().unwrap())
                    .state(host.hub.clone());
                let engine = Postgres::owners(builder).build().unwrap();
                let thread = host.user.assistant_threads(&engine).create().await.unwrap();
                host.hub.forget();
                let created = host.fake.responses_created();
                proxy.lose_answer(nth);
                host.fake.reply(Reply::text("Once upon a time."));
                let asked = host.teller.ai_engine_run(&engine, &thread, "Tell me");
                let run = asked.submit().await.unwrap();
                let announced =
                    format!("SELECT count(announced_at) FROM ai_engine_runs WHERE id = {}", run.id);
                while host.db.number(&announced) == 0 {
                    tokio::task::yield_now().await;
                }
                let lost = proxy.has_lost();
                proxy.lose_answer(0);
                let answer = host.engine.answer(run.id).await.unwrap();
                assert_eq!(answer.run.status, RunStatus::Completed, "commit {nth}");
                assert_eq!(answer.text(), "Once upon a time.", "commit {nth}");
                assert_eq!(answer.message().unwrap().status, MessageStatus::Completed);
                assert_eq!(host.hub.appended(), "Once upon a time.", "commit {nth}");
                assert_eq!(host.hub.settled(), answer.messages, "commit {nth}");
                let said = thread.messages(&host.engine).list(Page::default()).await.unwrap();
                assert_eq!(said.len(), 2, "commit {nth}");
                assert_eq!(host.fake.responses_created(), created + 1, "commit {nth}");
                if !lost {
                    assert!(nth > 5, "only {nth} commits");
                    return;
                }
            }
        })
        .await;
    }

    /// The connection kept for it is the only one that is free.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_lease_is_extended_while_all_other_connections_are_in_use() {
        let Some(db) = Postgres::fresh() else { return };
        let host = Host::new(db).await;
        let (pool, _) = host.db.impatient_pool(2);
        let database = PgDatabase::from_pool(pool);
        let builder = AiEngine::builder(database.clone())
            .openai(host.fake.openai().unwrap())
            .state(host.hub.clone())
            .lease(Duration::from_secs(1));
        let engine = Postgres::owners(builder).build().unwrap();
        let thread = host.thread().await;
        let last = Gate::new();
        host.fake.reply(Reply::text("Once upon").hold_at(5, last.clone()));
        let asked = host.teller.ai_engine_run(&engine, &thread, "Tell me");
        let run = asked.submit().await.unwrap();
        host.hub.until_text("Once ").await;
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let held = tokio::spawn(async move {
            let work = database.transaction::<_, Error>(move |_| wait.recv().map_err(Error::host));
            work.await
        });
        last.open();
        let ends = || host.db.number("SELECT max(lease_ends_at) FROM ai_engine_workers");
        let begun = ends();
        in_time(async {
            while ends() < begun + 2000 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        go_on.send(()).unwrap();
        held.await.unwrap().unwrap();
        assert_eq!(engine.answer(run.id).await.unwrap().text(), "Once upon");
    }
}
