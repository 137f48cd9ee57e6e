//! The migrations: the same on both databases, safe to run at every start, apart from the host's own.

mod racing;

use std::path::Path;

use ai_engine::testing::FakeOpenAi;
use ai_engine::{AiEngine, Error, Page, Role, SqliteDatabase, prelude::*};
use diesel::connection::SimpleConnection;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use crate::support::*;

on_each_database!(
    a_second_start_finds_nothing_to_do,
    every_down_undoes_its_up,
    the_hosts_migrations_may_have_our_version_numbers,
    an_open_transaction_is_refused_and_stays_usable,
    a_newer_database_is_refused,
    before_the_migrations_each_verb_says_to_run_them,
);

const STARTS: usize = 6;

/// How many migrations there are.
fn bundled<D: Raw>() -> usize {
    std::fs::read_dir(D::MIGRATIONS).unwrap().count()
}

async fn a_second_start_finds_nothing_to_do<D: Raw>(db: D) {
    let mut conn = db.connect();
    assert_eq!(ai_engine::migrate(&mut conn).unwrap(), bundled::<D>());
    let tables = conn.texts(D::TABLES);
    assert!(tables.contains(&"ai_engine_runs".to_owned()), "{tables:?}");
    assert_eq!(ai_engine::migrate(&mut conn).unwrap(), 0);
    let engine = AiEngine::builder(db.database()).build().unwrap();
    assert_eq!(engine.migrate().await.unwrap(), 0);
    assert_eq!(conn.texts(D::TABLES), tables);

    db.execute("INSERT INTO users (id, name) VALUES (1, 'Ada')");
    let versions = "SELECT count(*) FROM ai_engine_schema_migrations";
    assert_eq!(conn.number(versions), i64::try_from(bundled::<D>()).unwrap());
}

/// The host's way to the same tables: our folder, run by Diesel.
async fn every_down_undoes_its_up<D: Raw>(db: D) {
    let ours = FileBasedMigrations::from_path(D::MIGRATIONS).unwrap();
    let mut conn = db.connect();
    conn.run_pending_migrations(ours.clone()).unwrap();
    let up = everything_named_ours::<D>(&mut conn);
    assert!(!up.is_empty());
    conn.revert_all_migrations(ours.clone()).unwrap();
    assert_eq!(everything_named_ours::<D>(&mut conn), Vec::<String>::new());
    conn.run_pending_migrations(ours).unwrap();
    assert_eq!(everything_named_ours::<D>(&mut conn), up);
}

/// Tables, indexes, sequences.
fn everything_named_ours<D: Raw>(conn: &mut D::Conn) -> Vec<String> {
    conn.texts(if D::MIGRATIONS.ends_with("sqlite") {
        "SELECT type || ' ' || name AS line FROM sqlite_master \
         WHERE name LIKE '%ai\\_engine\\_%' ESCAPE '\\' ORDER BY 1"
    } else {
        "SELECT CAST(relkind AS TEXT) || ' ' || relname AS line FROM pg_class \
         WHERE relname LIKE '%ai\\_engine\\_%' ORDER BY 1"
    })
}

/// Where there is a database, or for SQLite will be one: not even a file yet, nor in WAL mode later.
fn untouched<D: Raw>(db: &D) -> String {
    match db.url() {
        url if url.contains("://") => url.to_owned(),
        path => format!("{path}.new"),
    }
}

fn one_did_the_work<D: Raw>(mut counts: Vec<usize>) {
    counts.sort_unstable();
    let mut expected = vec![0; STARTS - 1];
    expected.push(bundled::<D>());
    assert_eq!(counts, expected);
}

async fn the_hosts_migrations_may_have_our_version_numbers<D: Raw>(db: D) {
    let folder = tempfile::tempdir().unwrap();
    let mut written = 0;
    for ours in std::fs::read_dir(D::MIGRATIONS).unwrap() {
        let ours = ours.unwrap().file_name().into_string().unwrap();
        let (version, _) = ours.split_once('_').unwrap();
        written += 1;
        write_migration(folder.path(), version, &format!("posts_{written}"));
    }
    write_migration(folder.path(), "2027-01-01-000000", "comments");
    let hosts = FileBasedMigrations::from_path(folder.path()).unwrap();
    let mut conn = db.connect();

    // The host's before ours, and reverted after ours.
    conn.run_pending_migrations(hosts.clone()).unwrap();
    assert_eq!(ai_engine::migrate(&mut conn).unwrap(), bundled::<D>());
    let ours = conn.texts(D::TABLES);
    assert_eq!(conn.number("SELECT count(*) FROM posts_1"), 0);
    conn.revert_last_migration(hosts.clone()).unwrap();
    conn.revert_last_migration(hosts.clone()).unwrap();
    conn.run_pending_migrations(hosts.clone()).unwrap();
    let reverted = conn.revert_all_migrations(hosts.clone()).unwrap();
    assert_eq!(reverted.len(), written + 1);
    assert_eq!(conn.texts(D::TABLES), ours);
    assert_eq!(ai_engine::migrate(&mut conn).unwrap(), 0);

    // Ours before the host's.
    let ran = conn.run_pending_migrations(hosts.clone()).unwrap();
    assert_eq!(ran.len(), written + 1);
    assert!(!conn.has_pending_migration(hosts).unwrap());
}

fn write_migration(folder: &Path, version: &str, table: &str) {
    let folder = folder.join(format!("{version}_create_{table}"));
    std::fs::create_dir(&folder).unwrap();
    let up = format!("CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY);");
    std::fs::write(folder.join("up.sql"), up).unwrap();
    std::fs::write(folder.join("down.sql"), format!("DROP TABLE {table};")).unwrap();
}

async fn an_open_transaction_is_refused_and_stays_usable<D: Raw>(db: D) {
    let mut conn = db.connect();
    D::begin(&mut conn, |conn| {
        let refused = ai_engine::migrate(conn).unwrap_err();
        assert!(matches!(refused, Error::Migration(_)), "{refused:?}");
        assert!(refused.to_string().contains("open transaction"), "{refused}");
        conn.execute("INSERT INTO users (id, name) VALUES (1, 'Ada')");
        Ok(())
    })
    .unwrap();
    assert_eq!(db.number("SELECT count(*) FROM users"), 1);
    assert!(conn.texts(D::TABLES).is_empty());
    assert_eq!(ai_engine::migrate(&mut conn).unwrap(), bundled::<D>());
}

async fn a_newer_database_is_refused<D: Raw>(db: D) {
    let mut conn = db.connect();
    ai_engine::migrate(&mut conn).unwrap();
    conn.execute(
        "INSERT INTO ai_engine_schema_migrations (version, run_on) \
         VALUES ('29990101000000', '2999-01-01 00:00:00')",
    );
    let refused = ai_engine::migrate(&mut conn).unwrap_err();
    assert!(matches!(refused, Error::Migration(_)), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("29990101000000") && text.contains("update ai-engine"), "{text}");
    let engine = AiEngine::builder(db.database()).build().unwrap();
    assert_eq!(engine.migrate().await.unwrap_err().to_string(), text);
}

async fn before_the_migrations_each_verb_says_to_run_them<D: Raw>(db: D) {
    fn says_so<T: std::fmt::Debug>(verb: &str, result: Result<T, Error>) {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NotMigrated(_)), "{verb}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("run the migrations first: `engine.migrate()"), "{text}");
        assert!(text.contains("ai_engine_"), "{verb} does not name the table: {text}");
    }
    let fake = FakeOpenAi::start().await.unwrap();
    let engine = engine(&db, &fake, &Hub::default(), |builder| builder);
    let user = User { id: 1, name: "Ada".to_owned() };
    let teller =
        Storyteller { id: 7, name: "Scheherazade".to_owned(), model: "test-model".to_owned() };
    let (threads, chats) = (user.assistant_threads(&engine), user.chats(&engine));
    says_so("create thread", threads.create().await);
    says_so("list threads", threads.list(Page::default()).await);
    says_so("destroy thread", threads.destroy(1).await);
    says_so("create chat", chats.create().await);
    says_so("create assistant", teller.create_openai_assistant(&engine).await);
    says_so("assistant", teller.assistant(&engine).await);
    says_so("run", engine.find_run(1).await);
    says_so("recover", engine.recover().await);

    // Rows of another life, to have something to call the verbs on.
    let other = Host::new(Sqlite::fresh()).await;
    let thread = other.thread().await;
    let mut conn = db.connect();
    let conn = &mut conn;
    says_so("create thread in", D::begin(conn, |conn| threads.create_in(conn)));
    says_so("create chat in", D::begin(conn, |conn| chats.create_in(conn)));
    says_so("create assistant in", D::begin(conn, |conn| teller.create_openai_assistant_in(conn)));
    says_so("delete assistant in", D::begin(conn, |conn| teller.delete_openai_assistant_in(conn)));
    says_so("destroy all in", D::begin(conn, |conn| threads.destroy_all_in(conn)));
    says_so(
        "create message in",
        D::begin(conn, |conn| thread.messages(&engine).create_in(conn, Role::System, "Be brief.")),
    );
    says_so(
        "submit in",
        D::begin(conn, |conn| teller.ai_engine_run(&engine, &thread, "Tell me").submit_in(conn)),
    );
    says_so("submit", teller.ai_engine_run(&engine, &thread, "Tell me").submit().await);

    engine.migrate().await.unwrap();
    threads.create().await.unwrap();
}

fn foreign_keys(conn: &mut diesel::SqliteConnection) -> i64 {
    conn.number("SELECT foreign_keys FROM pragma_foreign_keys")
}

fn busy_timeout(conn: &mut diesel::SqliteConnection) -> i64 {
    conn.number("SELECT timeout FROM pragma_busy_timeout")
}

/// Whether the migrations ran, had nothing to do, or were refused.
#[test]
fn the_hosts_pragmas_are_as_before() {
    for (on, timeout) in [(1, 70), (0, 0)] {
        let db = Sqlite::fresh();
        let mut conn = db.bare();
        conn.batch_execute(&format!("PRAGMA foreign_keys = {on}; PRAGMA busy_timeout = {timeout}"))
            .unwrap();
        let as_before = |conn: &mut diesel::SqliteConnection| {
            assert_eq!((foreign_keys(conn), busy_timeout(conn)), (on, timeout));
        };
        ai_engine::migrate(&mut conn).unwrap();
        as_before(&mut conn);
        ai_engine::migrate(&mut conn).unwrap();
        as_before(&mut conn);
        conn.execute(
            "INSERT INTO ai_engine_schema_migrations (version, run_on) VALUES ('2999', '2999-01-01')",
        );
        ai_engine::migrate(&mut conn).unwrap_err();
        as_before(&mut conn);
    }
}

#[test]
fn rows_of_ours_that_point_nowhere_stop_the_migrations() {
    let db = Sqlite::fresh();
    let mut conn = db.bare();
    conn.execute(
        "PRAGMA foreign_keys = OFF;
         CREATE TABLE ai_engine_extras (thread_id BIGINT REFERENCES ai_engine_assistant_threads (id));
         INSERT INTO ai_engine_extras VALUES (5);",
    );
    let refused = ai_engine::migrate(&mut conn).unwrap_err();
    assert!(matches!(refused, Error::Migration(_)), "{refused:?}");
    assert!(refused.to_string().contains("ai_engine_extras"), "{refused}");
    assert_eq!(conn.texts(Sqlite::TABLES), ["ai_engine_extras"]);

    conn.execute("DELETE FROM ai_engine_extras");
    ai_engine::migrate(&mut conn).unwrap();
}

#[test]
fn rows_of_the_host_that_point_nowhere_are_its_own_business() {
    let db = Sqlite::fresh();
    let mut conn = db.bare();
    conn.execute(
        "PRAGMA foreign_keys = OFF;
         CREATE TABLE posts (user_id INTEGER REFERENCES users (id));
         INSERT INTO posts VALUES (5);",
    );
    assert_eq!(ai_engine::migrate(&mut conn).unwrap(), bundled::<Sqlite>());
}

#[tokio::test]
async fn a_database_in_memory_migrates_once() {
    let engine = AiEngine::builder(SqliteDatabase::in_memory().unwrap()).build().unwrap();
    assert_eq!(engine.migrate().await.unwrap(), bundled::<Sqlite>());
    assert_eq!(engine.migrate().await.unwrap(), 0);
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;

    /// With snapshots taken before the lock was had, the late ones would not see what the first one did.
    #[test]
    fn racing_starts_do_not_mind_the_hosts_isolation_level() {
        let Some(db) = Postgres::fresh() else { return };
        let mut holder = db.connect();
        holder.execute("SELECT pg_advisory_lock(7019191407900846446)");
        let starts: Vec<_> = (0..STARTS)
            .map(|_| {
                let mut conn = db.bare();
                conn.execute("SET default_transaction_isolation = 'serializable'");
                std::thread::spawn(move || ai_engine::migrate(&mut conn))
            })
            .collect();
        db.until_waiting(i64::try_from(STARTS).unwrap());
        holder.execute("SELECT pg_advisory_unlock(7019191407900846446)");
        let counts = starts.into_iter().map(|start| start.join().unwrap());
        one_did_the_work::<Postgres>(counts.collect::<Result<_, _>>().unwrap());
    }

    #[test]
    fn both_databases_get_the_same_schema() {
        let Some(postgres) = Postgres::fresh() else {
            return;
        };
        let (sqlite, mut pg) = (Sqlite::fresh(), postgres.connect());
        let mut sqlite = sqlite.connect();
        ai_engine::migrate(&mut sqlite).unwrap();
        ai_engine::migrate(&mut pg).unwrap();
        for (what, ours_on_sqlite, ours_on_postgres) in [
            ("columns", SQLITE_COLUMNS, POSTGRES_COLUMNS),
            ("indexes", SQLITE_INDEXES, POSTGRES_INDEXES),
            ("foreign keys", SQLITE_REFERENCES, POSTGRES_REFERENCES),
            ("checks", SQLITE_CHECKS, POSTGRES_CHECKS),
        ] {
            let sorted = |mut lines: Vec<String>| {
                lines.sort();
                lines
            };
            let on_sqlite = sorted(sqlite.texts(ours_on_sqlite));
            assert!(on_sqlite.len() > 1, "{what}: {on_sqlite:?}");
            let on_postgres = sorted(pg.texts(ours_on_postgres));
            let missing = |here: &[String], there: &[String]| -> Vec<String> {
                here.iter().filter(|line| !there.contains(line)).cloned().collect()
            };
            assert_eq!(
                (missing(&on_sqlite, &on_postgres), missing(&on_postgres, &on_sqlite)),
                (vec![], vec![]),
                "{what} of one database only"
            );
            assert_eq!(on_sqlite, on_postgres);
        }
    }

    /// JSON is text in SQLite.
    const SQLITE_COLUMNS: &str = r#"
        SELECT m.name || '.' || c.name || ' ' ||
            CASE c.type WHEN 'INTEGER' THEN 'integer' WHEN 'BIGINT' THEN 'integer' WHEN 'TEXT' THEN 'text'
                WHEN 'DOUBLE' THEN 'float' WHEN 'BOOLEAN' THEN 'boolean' WHEN 'TIMESTAMP' THEN 'timestamp' WHEN 'BLOB' THEN 'bytes' WHEN 'DATE' THEN 'date'
                ELSE c.type END ||
            CASE c."notnull" WHEN 1 THEN ' not null' ELSE '' END ||
            coalesce(' default ' || c.dflt_value, '') ||
            CASE WHEN c.pk > 0 THEN ' primary key' ELSE '' END AS line
        FROM sqlite_master m JOIN pragma_table_info(m.name) c
        WHERE m.type = 'table' AND m.name LIKE 'ai\_engine\_%' ESCAPE '\'"#;
    const POSTGRES_COLUMNS: &str = r"
        SELECT c.table_name || '.' || c.column_name || ' ' ||
            CASE c.data_type WHEN 'bigint' THEN 'integer' WHEN 'text' THEN 'text' WHEN 'json' THEN 'text' WHEN 'bytea' THEN 'bytes'
                WHEN 'double precision' THEN 'float' WHEN 'boolean' THEN 'boolean'
                WHEN 'timestamp without time zone' THEN 'timestamp' ELSE c.data_type END ||
            CASE c.is_nullable WHEN 'NO' THEN ' not null' ELSE '' END ||
            coalesce(' default ' || replace(c.column_default, '::json', ''), '') ||
            CASE WHEN EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                WHERE i.indisprimary AND i.indrelid = CAST(CAST(c.table_name AS TEXT) AS REGCLASS)
                    AND a.attname = c.column_name
            ) THEN ' primary key' ELSE '' END AS line
        FROM information_schema.columns c WHERE c.table_name LIKE 'ai\_engine\_%'";

    /// Constraints have names of the database's own.
    const SQLITE_INDEXES: &str = r#"
        SELECT m.name || ' (' || (
                SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)
            ) || ')' ||
            CASE i."unique" WHEN 1 THEN ' unique' ELSE '' END ||
            CASE i.partial WHEN 1 THEN ' partial' ELSE '' END ||
            CASE i.origin WHEN 'c' THEN ' ' || i.name ELSE '' END AS line
        FROM sqlite_master m JOIN pragma_index_list(m.name) i
        WHERE m.type = 'table' AND m.name LIKE 'ai\_engine\_%' ESCAPE '\' AND i.origin <> 'pk'"#;
    const POSTGRES_INDEXES: &str = r"
        SELECT t.relname || ' (' || (
                SELECT string_agg(CAST(a.attname AS TEXT), ', ' ORDER BY k.place)
                FROM unnest(CAST(i.indkey AS INT2[])) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            ) || ')' ||
            CASE WHEN i.indisunique THEN ' unique' ELSE '' END ||
            CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END ||
            CASE WHEN EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype = 'u')
                THEN '' ELSE ' ' || x.relname END AS line
        FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
        WHERE t.relname LIKE 'ai\_engine\_%' AND NOT i.indisprimary";

    const SQLITE_REFERENCES: &str = r#"
        SELECT m.name || '.' || f."from" || ' to ' || f."table" || '.' || f."to" || ' ' || lower(f.on_delete) AS line
        FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
        WHERE m.type = 'table' AND m.name LIKE 'ai\_engine\_%' ESCAPE '\'"#;
    const POSTGRES_REFERENCES: &str = r"
        SELECT CAST(c.conrelid AS REGCLASS) || '.' || a.attname || ' to ' || CAST(c.confrelid AS REGCLASS) || '.' ||
            b.attname || ' ' ||
            CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'a' THEN 'no action'
                ELSE CAST(c.confdeltype AS TEXT) END AS line
        FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
        JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = ANY (c.confkey)
        WHERE c.contype = 'f' AND CAST(CAST(c.conrelid AS REGCLASS) AS TEXT) LIKE 'ai\_engine\_%'";

    const SQLITE_CHECKS: &str = r"
        SELECT name || ' ' || ((length(sql) - length(replace(sql, 'CHECK (', ''))) / length('CHECK (')) AS line
        FROM sqlite_master WHERE type = 'table' AND sql LIKE '%CHECK (%' AND name LIKE 'ai\_engine\_%' ESCAPE '\'";
    const POSTGRES_CHECKS: &str = r"
        SELECT CAST(conrelid AS REGCLASS) || ' ' || count(*) AS line FROM pg_constraint
        WHERE contype = 'c' AND CAST(CAST(conrelid AS REGCLASS) AS TEXT) LIKE 'ai\_engine\_%' GROUP BY conrelid";
}
