//! Fills a database with the code of today, and writes it down.

use std::fmt::Write as _;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{AiEngine, AssistantThread, History, Recovery, Role, prelude::*};
use serde_json::json;

use super::{CRITIC, LEFT, VERSIONS, file, told};
use crate::support::*;

#[tokio::test]
#[ignore = "writes tests/data"]
async fn this_version_on_sqlite() {
    in_time(write(Sqlite::fresh())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
#[ignore = "writes tests/data"]
async fn this_version_on_postgres() {
    if let Some(db) = Postgres::fresh() {
        in_time(write(db)).await;
    }
}

async fn write<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let mut migrations: Vec<_> = std::fs::read_dir(D::MIGRATIONS)
        .unwrap()
        .map(|folder| folder.unwrap().path().join("up.sql"))
        .collect();
    migrations.sort();
    let version = VERSIONS.iter().find(|version| version.migrations == migrations.len());
    let version = version.expect("this version's file has a name");
    let schema: Vec<_> = migrations.iter().map(|up| std::fs::read_to_string(up).unwrap()).collect();
    let schema = schema.join("\n");

    say_something(&host).await;
    leave_off(&host).await;
    assert_eq!(told(&host.engine, &host.user).await, LEFT);
    // As a kill between the commit and the hooks leaves it.
    host.db.execute("UPDATE ai_engine_runs SET announced_at = NULL WHERE chat_id = 1");
    let rows = host.db.with(|conn| dump::<D>(conn, &host.fake.base_url()));
    std::fs::write(
        file::<D>(version),
        format!(
            "-- Written by tests/suite/earlier_versions/write.rs: the schema of that version, and rows in every state.\n\
             {schema}\n\
             CREATE TABLE ai_engine_schema_migrations (version TEXT NOT NULL PRIMARY KEY, run_on TIMESTAMP NOT NULL);\n\n\
             {rows}"
        ),
    )
    .unwrap();
}

/// Whatever ends.
async fn say_something<D: TestDatabase>(host: &Host<D>) {
    let Host { engine, fake, user, teller, .. } = host;
    CRITIC.create_openai_assistant(engine).await.unwrap();

    let thread = host.thread().await;
    thread.messages(engine).create(Role::System, "Be brief.").await.unwrap();
    fake.reply(Reply::text("Once upon a time.").usage(11, 4));
    let told = teller.ai_engine_run(engine, &thread, "Tell me a story").idempotency_key("once");
    told.await.unwrap();
    fake.reply(Reply::text("There was").incomplete("max_output_tokens"));
    let went_on = teller.ai_engine_run(engine, &thread, "Go on").recovery(Recovery::Retry);
    went_on.await.unwrap();
    fake.reply(Reply::status(
        400,
        json!({"error": {"message": "No such story.", "code": "no_story"}}),
    ));
    teller.ai_engine_run(engine, &thread, "And then?").await.unwrap_err();
    let call =
        json!({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"});
    let thought = json!({"type": "reasoning", "summary": []});
    fake.reply(Reply::text("").without_message().item(thought).item(call));
    teller.ai_engine_run(engine, &thread, "Look it up").await.unwrap();

    let conversing =
        super::engine(&host.db, fake, &host.hub, |builder| builder.history(History::Conversation));
    let thread = user.assistant_threads(&conversing).create().await.unwrap();
    fake.reply(Reply::text("A storyteller.").usage(20, 3));
    teller.ai_engine_run(&conversing, &thread, "Who are you?").await.unwrap();

    let thread = host.thread().await;
    let gate = Gate::new();
    fake.reply(Reply::deltas(["I shall", "!"]).hold_at(5, gate.clone()));
    let run = teller.ai_engine_run(engine, &thread, "Stop soon").submit().await.unwrap();
    until(
        host,
        "SELECT content AS line FROM ai_engine_messages WHERE status = 'streaming'",
        "I shall",
    )
    .await;
    thread.cancel(engine).await.unwrap();
    engine.answer(run.id).await.unwrap();

    let chat = user.chats(engine).create().await.unwrap();
    fake.reply(Reply::text("Hello.").usage(2, 1));
    chat.run(engine, "test-model", "Hi").await.unwrap();
}

/// What a kill leaves: a run in mid-answer, a run that nobody drives, remote objects to delete.
async fn leave_off<D: TestDatabase>(host: &Host<D>) {
    const DELTAS: &str =
        "SELECT text AS line FROM ai_engine_message_deltas ORDER BY id DESC LIMIT 1";
    let Host { engine, fake, user, teller, .. } = host;
    let thread = host.thread().await;
    let (first, second) = (Gate::new(), Gate::new());
    let reply = Reply::deltas(["It was ", "dark ", "and stormy", "."]);
    fake.reply(reply.hold_at(5, first.clone()).hold_at(6, second.clone()).stall_at(7));
    teller.ai_engine_run(engine, &thread, "Tell me more").submit().await.unwrap();
    until(
        host,
        "SELECT content AS line FROM ai_engine_messages WHERE status = 'streaming'",
        "It was ",
    )
    .await;
    first.open();
    until(host, DELTAS, "dark ").await;
    second.open();
    until(host, DELTAS, "and stormy").await;

    let thread = host.thread().await;
    submit_undriven(host, &thread);

    let conversing =
        super::engine(&host.db, fake, &host.hub, |builder| builder.history(History::Conversation));
    let thread = user.assistant_threads(&conversing).create().await.unwrap();
    teller.ai_engine_run(&conversing, &thread, "Forget this").await.unwrap();
    // An engine that cannot reach the provider.
    let reader = D::owners(AiEngine::builder(host.db.database())).build().unwrap();
    user.assistant_threads(&reader).destroy(thread.id).await.unwrap();
}

/// Where no runtime is, nobody can drive a run.
fn submit_undriven<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) {
    let (client, db) = (host.fake.openai().unwrap(), host.db.clone());
    let (teller, asked) = (host.teller.clone(), thread.clone());
    let submitting = std::thread::spawn(move || {
        let engine = D::owners(AiEngine::builder(db.database())).openai(client).build().unwrap();
        let request = teller.ai_engine_run(&engine, &asked, "Is anybody there?");
        db.with(|conn| request.submit_in(conn.session())).unwrap();
    });
    submitting.join().unwrap();
}

/// Waits for the writer by asking the database; nothing else can tell.
async fn until<D: TestDatabase>(host: &Host<D>, sql: &str, line: &str) {
    while host.db.texts(sql) != [line] {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Parents before children.
const TABLES: [&str; 11] = [
    "assistants",
    "assistant_threads",
    "chats",
    "runs",
    "responses",
    "messages",
    "run_items",
    "message_deltas",
    "workers",
    "remote_deletions",
    "schema_migrations",
];

/// The rows as statements, the same each time: times, the provider's address and the process are made up.
fn dump<D: Raw>(conn: &mut dyn HostConnection, base_url: &str) -> String {
    let sqlite = D::MIGRATIONS.ends_with("sqlite");
    let mut dump = String::new();
    for table in TABLES {
        let name = format!("ai_engine_{table}");
        let columns = conn.texts(&if sqlite {
            format!("SELECT name || ' ' || type AS line FROM pragma_table_info('{name}') ORDER BY cid")
        } else {
            format!(
                "SELECT column_name || ' ' || upper(data_type) AS line FROM information_schema.columns \
                 WHERE table_name = '{name}' ORDER BY ordinal_position"
            )
        });
        let columns: Vec<_> = columns.iter().map(|line| line.split_once(' ').unwrap()).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = columns
            .iter()
            .map(|(column, kind)| {
                let known = |value: &str| {
                    format!("CASE WHEN {column} IS NULL THEN 'NULL' ELSE '{value}' END")
                };
                let quoted = |value: &str| {
                    if sqlite {
                        format!("quote({value})")
                    } else {
                        format!("quote_nullable(CAST({value} AS TEXT))")
                    }
                };
                match (table, *column) {
                    _ if kind.starts_with("TIMESTAMP") => known("''2026-01-01 00:00:00''"),
                    ("workers", "id") | ("runs", "lease_owner") => known("''first''"),
                    (_, "announced_at" | "cancel_requested_at" | "lease_ends_at")
                    | ("workers", "started_at") => known("1767225600000"),
                    (_, "endpoint") => {
                        quoted(&format!("replace(endpoint, '{base_url}', 'http://first.test/v1')"))
                    }
                    (_, column) => quoted(column),
                }
            })
            .collect();
        let (key, only) = match table {
            "schema_migrations" => ("version", ""),
            // The one that is killed.
            "workers" => (
                "id",
                "WHERE id IN (SELECT lease_owner FROM ai_engine_runs WHERE status = 'in_progress')",
            ),
            _ => ("id", ""),
        };
        let rows = conn.texts(&format!(
            "SELECT 'INSERT INTO {name} ({}) VALUES (' || {} || ');' AS line FROM {name} {only} ORDER BY {key}",
            names.join(", "),
            values.join(" || ', ' || ")
        ));
        assert!(!rows.is_empty(), "{name} has no rows");
        dump += &rows.join("\n");
        dump += "\n";
        if !sqlite && key == "id" && table != "workers" {
            writeln!(
                dump,
                "SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}));"
            )
            .unwrap();
        }
    }
    dump
}
