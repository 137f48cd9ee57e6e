//! Ours in the host's transaction: both or neither, whatever goes wrong in between.

mod given_up;

use std::sync::{Arc, Barrier};
use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, Error, Result, Role, Run, RunStatus, Session, prelude::*};
use diesel::Connection;
use serde_json::json;

use crate::support::*;

on_each_database!(
    the_engines_transaction_commits_both,
    the_engines_transaction_rolls_back_both,
    the_hosts_transaction_commits_both,
    the_hosts_transaction_rolls_back_both,
    a_savepoint_rolled_back_takes_ours_and_leaves_the_rest,
    a_savepoint_released_still_rolls_back_with_its_transaction,
    busy_leaves_the_transaction_usable,
    a_repeated_key_leaves_the_transaction_usable,
    destroying_threads_without_foreign_keys_leaves_no_orphan,
    destroying_through_a_pool_without_foreign_keys_leaves_no_orphan,
);

/// What a host's transaction needs to own.
#[derive(Clone)]
struct Parts {
    engine: AiEngine,
    user: User,
    teller: Storyteller,
}

impl Parts {
    fn of<D: TestDatabase>(host: &Host<D>) -> Self {
        let teller =
            Storyteller { id: 8, name: "Dinarzade".to_owned(), model: "test-model".to_owned() };
        Self { engine: host.engine.clone(), user: host.user.clone(), teller }
    }

    /// A row of the host, and each verb that joins a transaction.
    fn all_verbs<C: HostConnection + Session>(&self, conn: &mut C) -> Result<Run> {
        conn.insert_storyteller(&self.teller)?;
        self.teller.create_openai_assistant_in(conn)?;
        let thread = self.user.assistant_threads(&self.engine).create_in(conn)?;
        thread.messages(&self.engine).create_in(conn, Role::System, "Be brief.")?;
        self.teller.ai_engine_run(&self.engine, &thread, "Tell me a story").submit_in(conn)
    }
}

/// Far longer than anything here takes.
const NEVER: Duration = Duration::from_secs(30);
const TELLERS: &str = "SELECT count(*) FROM storytellers WHERE id = 8";

/// The run is driven although nobody told the engine about the commit.
async fn committed<D: Raw>(host: &Host<D>, run: Run) {
    assert_eq!(host.db.number(TELLERS), 1);
    let answered = tokio::time::timeout(NEVER, host.engine.answer(run.id)).await;
    let answer = answered.expect("nobody drives the run").unwrap();
    assert_eq!(answer.text(), "Once upon a time.");
    let ours: Vec<_> = host.db.ours();
    assert_eq!(
        ours,
        [
            "ai_engine_assistant_threads: 1",
            "ai_engine_assistant_versions: 1",
            "ai_engine_assistants: 1",
            "ai_engine_messages: 3",
            "ai_engine_responses: 1",
            "ai_engine_runs: 1",
            "ai_engine_workers: 1"
        ]
    );
    let sent = host.fake.requests().pop().unwrap().body.unwrap();
    assert_eq!(sent["instructions"], json!("You tell stories.\n\nBe brief."));
}

/// Nothing is left, and the engine is not misled by what was there for a moment.
async fn rolled_back<D: Raw>(host: &Host<D>) {
    assert_eq!(host.db.number(TELLERS), 0);
    assert_eq!(host.db.ours(), Vec::<String>::new());
    // The next run may well have the id of the one that never was.
    let thread = host.thread().await;
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
    assert_eq!(asked.await.unwrap().text(), "Once upon a time.");
    assert_eq!(host.fake.responses_created(), 1);
}

async fn told<D: Raw>(db: D) -> Host<D> {
    let host = Host::new(db).await;
    host.fake.reply(Reply::text("Once upon a time."));
    host
}

async fn the_engines_transaction_commits_both<D: Raw>(db: D) {
    let host = told(db).await;
    let parts = Parts::of(&host);
    let database = host.db.database();
    let run = D::transaction(&database, move |conn| parts.all_verbs(conn)).await;
    committed(&host, run.unwrap()).await;
}

async fn the_engines_transaction_rolls_back_both<D: Raw>(db: D) {
    let host = told(db).await;
    let parts = Parts::of(&host);
    let database = host.db.database();
    let result = D::transaction(&database, move |conn| {
        parts.all_verbs(conn)?;
        assert_eq!(ours::<D>(conn).len(), 5);
        Err::<(), _>(Error::host("the host thinks again"))
    });
    let error = result.await.unwrap_err();
    assert!(matches!(error, Error::Host(_)), "{error:?}");
    rolled_back(&host).await;
}

async fn the_hosts_transaction_commits_both<D: Raw>(db: D) {
    let host = told(db).await;
    let parts = Parts::of(&host);
    let run = D::begin(&mut host.db.connect(), |conn| parts.all_verbs(conn));
    committed(&host, run.unwrap()).await;
}

async fn the_hosts_transaction_rolls_back_both<D: Raw>(db: D) {
    let host = told(db).await;
    let parts = Parts::of(&host);
    let result = D::begin(&mut host.db.connect(), |conn| {
        parts.all_verbs(conn)?;
        Err::<(), _>(Error::host("the host thinks again"))
    });
    assert!(matches!(result, Err(Error::Host(_))));
    rolled_back(&host).await;
}

async fn a_savepoint_rolled_back_takes_ours_and_leaves_the_rest<D: Raw>(db: D) {
    let host = told(db).await;
    let parts = Parts::of(&host);
    let run = D::begin(&mut host.db.connect(), |conn| {
        let undone: Result<()> = Connection::transaction(conn, |conn| {
            parts.all_verbs(conn)?;
            Err(Error::host("the host thinks again"))
        });
        assert!(matches!(undone, Err(Error::Host(_))));
        assert_eq!(ours::<D>(conn), Vec::<String>::new());
        Connection::transaction(conn, |conn| parts.all_verbs(conn))
    });
    committed(&host, run.unwrap()).await;
}

async fn a_savepoint_released_still_rolls_back_with_its_transaction<D: Raw>(db: D) {
    let host = told(db).await;
    let parts = Parts::of(&host);
    let result: Result<()> = D::begin(&mut host.db.connect(), |conn| {
        Connection::transaction(conn, |conn| parts.all_verbs(conn))?;
        Err(Error::host("the host thinks again"))
    });
    assert!(matches!(result, Err(Error::Host(_))));
    rolled_back(&host).await;
}

async fn busy_leaves_the_transaction_usable<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("slow").hold_at(0, gate.clone()));
    let ask = |content: &str| host.teller.ai_engine_run(&host.engine, &thread, content);
    let active = ask("first").submit().await.unwrap();
    let parts = Parts::of(&host);
    let busy = |result: Result<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Busy { run_id, .. } if run_id == active.id), "{error:?}");
    };

    D::begin(&mut host.db.connect(), |conn| {
        conn.insert_storyteller(&parts.teller)?;
        busy(ask("second").submit_in(conn).map(|_| ()));
        let messages = thread.messages(&host.engine);
        busy(messages.create_in(conn, Role::System, "Be brief.").map(|_| ()));
        // After each refusal the host goes on.
        parts.teller.create_openai_assistant_in(conn)?;
        Ok(())
    })
    .unwrap();

    assert_eq!(host.db.number(TELLERS), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_assistants"), 2);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 1);
    // The refused ones left no gap in the order either.
    assert_eq!(host.db.number("SELECT next_seq FROM ai_engine_assistant_threads"), active.seq + 1);
    gate.open();
    host.engine.answer(active.id).await.unwrap();
    ask("third").await.unwrap();
}

async fn a_repeated_key_leaves_the_transaction_usable<D: Raw>(db: D) {
    let host = told(db).await;
    let thread = host.thread().await;
    let ask = |key: &str| {
        let asked = host.teller.ai_engine_run(&host.engine, &thread, "once");
        asked.idempotency_key(key)
    };
    let before = ask("k-1").await.unwrap().run;
    let parts = Parts::of(&host);

    let run = D::begin(&mut host.db.connect(), |conn| {
        assert_eq!(ask("k-1").submit_in(conn)?.id, before.id);
        conn.insert_storyteller(&parts.teller)?;
        let run = ask("k-2").submit_in(conn)?;
        assert_eq!(ask("k-2").submit_in(conn)?.id, run.id);
        parts.teller.create_openai_assistant_in(conn)?;
        Ok(run)
    })
    .unwrap();

    let answer = host.engine.answer(run.id).await.unwrap();
    assert_eq!(answer.run.status, RunStatus::Completed);
    assert_eq!(host.db.number(TELLERS), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 2);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 4);
    assert_eq!(host.fake.responses_created(), 2);
}

/// A thread and a chat with a row in every table that hangs on them, and how many there are of each.
async fn full_conversations<D: Raw>(host: &Host<D>) -> (i64, i64) {
    let thread = host.thread().await;
    let reasoning = json!({"type": "reasoning", "summary": []});
    host.fake.reply(Reply::text("Once upon a time.").item(reasoning));
    let asked = host.teller.ai_engine_run(&host.engine, &thread, "Tell me");
    asked.await.unwrap();
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    chat.run(&host.engine, "test-model", "Hello").await.unwrap();
    // As if the process had died in the middle.
    host.db.execute(
        "INSERT INTO ai_engine_message_deltas (message_id, byte_offset, sequence_number, text)
         SELECT id, 0, 1, 'Once' FROM ai_engine_messages",
    );
    let tables: Vec<_> = host.db.ours();
    for table in ["message_deltas", "messages", "run_items", "responses", "runs", "chats"] {
        let begins = format!("ai_engine_{table}: ");
        assert!(tables.iter().any(|line| line.starts_with(&begins)), "no {table}: {tables:?}");
    }
    (thread.id, chat.id)
}

const CHILDLESS: [&str; 3] =
    ["ai_engine_assistant_versions: 1", "ai_engine_assistants: 1", "ai_engine_workers: 1"];

async fn destroying_threads_without_foreign_keys_leaves_no_orphan<D: Raw>(db: D) {
    let host = Host::new(db).await;
    full_conversations(&host).await;
    let mut conn = host.db.connect();
    conn.execute(D::UNENFORCED);
    D::begin(&mut conn, |conn| {
        host.user.assistant_threads(&host.engine).destroy_all_in(conn)?;
        host.user.chats(&host.engine).destroy_all_in(conn)
    })
    .unwrap();
    assert_eq!(host.db.ours(), CHILDLESS);
}

async fn destroying_through_a_pool_without_foreign_keys_leaves_no_orphan<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let (thread, chat) = full_conversations(&host).await;
    let pool = D::from_pool(host.db.pool(2, D::UNENFORCED));
    let builder = AiEngine::builder(pool).openai(host.fake.openai().unwrap());
    let engine = D::owners(builder.state(host.hub.clone())).build().unwrap();

    host.user.assistant_threads(&engine).destroy(thread).await.unwrap();
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 1);
    let of_teller = "SELECT count(*) FROM ai_engine_runs WHERE assistant_id IS NOT NULL";
    assert_eq!(host.db.number(of_teller), 0);
    host.user.chats(&engine).destroy(chat).await.unwrap();
    assert_eq!(host.db.ours(), CHILDLESS);

    // The runs of an assistant outlive it, and point at no other that may come later.
    full_conversations(&host).await;
    assert_eq!(host.db.number(of_teller), 1);
    host.teller.delete_openai_assistant(&engine).await.unwrap();
    assert_eq!(host.db.number(of_teller), 0);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 2);
}

/// All begin at once, each reads before it writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_before_the_write_costs_no_transaction_on_sqlite() {
    let host = Host::new(Sqlite::fresh()).await;
    let together = Arc::new(Barrier::new(2));
    let mut other = host.db.connect();
    let begun = Arc::clone(&together);
    let writer = std::thread::spawn(move || {
        begun.wait();
        for _ in 0..20 {
            Sqlite::begin(&mut other, |conn| {
                conn.execute("UPDATE users SET name = name || 'a' WHERE id = 2");
                Ok(())
            })
            .unwrap();
        }
    });
    together.wait();
    let database = host.db.database();
    for _ in 0..20 {
        let parts = Parts::of(&host);
        database
            .transaction::<_, Error>(move |conn| {
                conn.number("SELECT count(*) FROM users");
                parts.teller.create_openai_assistant_in(conn)?;
                conn.execute("UPDATE users SET name = name || 'b' WHERE id = 2");
                Ok(())
            })
            .await
            .unwrap();
    }
    writer.join().unwrap();
    let length = host.db.number("SELECT length(name) FROM users WHERE id = 2");
    assert_eq!(length, 43);
}
