//! The harness with migrations that are not bundled: what a second one may do to what the first one's tables hold.

use diesel_migrations::FileBasedMigrations;
use tempfile::TempDir;

use super::*;

/// The bundled first migration, and others after it.
struct Folder {
    folder: TempDir,
    count: usize,
}

impl Folder {
    fn new(backend: &str) -> Self {
        let bundled = format!("{}/migrations/{backend}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<_> =
            std::fs::read_dir(&bundled).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let up = std::fs::read_to_string(names[0].join("up.sql")).unwrap();
        let this = Self { folder: tempfile::tempdir().unwrap(), count: 0 };
        this.and(&up)
    }

    fn and(mut self, up: &str) -> Self {
        self.count += 1;
        let folder = self.folder.path().join(format!("2000-01-01-00000{}_test", self.count));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("up.sql"), up).unwrap();
        std::fs::write(folder.join("down.sql"), "SELECT 1;").unwrap();
        self
    }

    fn source(&self) -> FileBasedMigrations {
        FileBasedMigrations::from_path(self.folder.path()).unwrap()
    }
}

/// A thread with a run, and of the run a response and two messages; a run of a chat.
const ROWS: &str = "
    INSERT INTO ai_engine_assistant_threads (id, threadable_type, threadable_id, created_at, updated_at)
        VALUES (1, 'User', '1', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
    INSERT INTO ai_engine_chats (id, chattable_type, chattable_id, created_at, updated_at)
        VALUES (1, 'User', '1', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
    INSERT INTO ai_engine_runs (id, assistant_thread_id, chat_id, model, definition, seq, status, created_at, updated_at)
        VALUES (1, 1, NULL, 'm', '{}', 1, 'completed', '2026-01-01 00:00:00', '2026-01-01 00:00:00'),
               (2, NULL, 1, 'm', '{}', 1, 'queued', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
    INSERT INTO ai_engine_responses (run_id, endpoint, protocol, stored, status, created_at)
        VALUES (1, 'e', 'responses', FALSE, 'completed', '2026-01-01 00:00:00');
    INSERT INTO ai_engine_messages (assistant_thread_id, run_id, seq, position, role, status, content, remote_state,
            created_at, updated_at)
        VALUES (1, 1, 1, 0, 'user', 'completed', 'Hi', 'absent', '2026-01-01 00:00:00', '2026-01-01 00:00:00'),
               (1, 1, 1, 1, 'assistant', 'completed', 'Ho', 'absent', '2026-01-01 00:00:00', '2026-01-01 00:00:00');";

/// Rows of the tables that a deleted run would take along, and runs that say something new.
const CHILDREN: &str = "SELECT (SELECT count(*) FROM ai_engine_responses) * 10 + (SELECT count(*) FROM ai_engine_messages)";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    number: i64,
}

fn number<C: diesel::connection::LoadConnection>(conn: &mut C, sql: &str) -> i64
where
    diesel::query_builder::SqlQuery: for<'q> diesel::query_dsl::LoadQuery<'q, C, Number>,
{
    let sql = format!("SELECT CAST(({sql}) AS BIGINT) AS number");
    diesel::sql_query(sql).get_result::<Number>(conn).unwrap().number
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    /// Makes `model` optional, which `ALTER TABLE` cannot.
    fn rebuilt_runs() -> String {
        let created = format!(
            "{}\nCREATE",
            include_str!("../../migrations/sqlite/2026-11-23-000000_create_ai_engine/up.sql")
        );
        let start = created.find("CREATE TABLE ai_engine_runs").unwrap();
        let (table, rest) = created[start..].split_once(";\n").unwrap();
        let table = table
            .replace("CREATE TABLE ai_engine_runs", "CREATE TABLE new_ai_engine_runs")
            .replace("model TEXT NOT NULL", "model TEXT");
        let indexes = &rest[..rest.find("-- One remote call of a run").unwrap()];
        format!(
            "{table};
             INSERT INTO new_ai_engine_runs SELECT * FROM ai_engine_runs;
             DELETE FROM sqlite_sequence WHERE name = 'new_ai_engine_runs';
             INSERT INTO sqlite_sequence (name, seq)
                 SELECT 'new_ai_engine_runs', seq FROM sqlite_sequence WHERE name = 'ai_engine_runs';
             DROP TABLE ai_engine_runs;
             ALTER TABLE new_ai_engine_runs RENAME TO ai_engine_runs;
             {indexes}"
        )
    }

    /// A host's connection on a database that the first migration made.
    fn filled() -> SqliteConnection {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("PRAGMA foreign_keys = ON").unwrap();
        assert_eq!(migrate_sqlite(&mut conn, &Folder::new("sqlite").source()).unwrap(), 1);
        conn.batch_execute(ROWS).unwrap();
        conn
    }

    fn schema(conn: &mut SqliteConnection) -> i64 {
        number(conn, "SELECT count(*) FROM sqlite_master WHERE name LIKE '%ai_engine%'")
    }

    fn pragmas(conn: &mut SqliteConnection) -> [i32; 3] {
        let Pragmas { timeout, foreign_keys, legacy_alter_table } =
            diesel::sql_query(Pragmas::SELECT).get_result(conn).unwrap();
        [timeout, foreign_keys, legacy_alter_table]
    }

    #[test]
    fn a_rebuilt_table_keeps_its_children() {
        let mut conn = filled();
        // An id that was given out and must not come again.
        conn.batch_execute(
            "INSERT INTO ai_engine_runs (id, chat_id, model, definition, seq, status, created_at, updated_at)
                 VALUES (9, 1, 'm', '{}', 2, 'queued', '2026-01-01', '2026-01-01');
             DELETE FROM ai_engine_runs WHERE id = 9",
        )
        .unwrap();
        let before = (schema(&mut conn), pragmas(&mut conn));
        let folder = Folder::new("sqlite").and(&rebuilt_runs());
        assert_eq!(migrate_sqlite(&mut conn, &folder.source()).unwrap(), 1);

        assert_eq!(number(&mut conn, CHILDREN), 12);
        assert_eq!((schema(&mut conn), pragmas(&mut conn)), before);
        let new =
            "INSERT INTO ai_engine_runs (chat_id, definition, seq, status, created_at, updated_at)
            VALUES (1, '{}', 2, 'queued', '2026-01-01', '2026-01-01')";
        conn.batch_execute(new).unwrap();
        assert_eq!(number(&mut conn, "SELECT max(id) FROM ai_engine_runs"), 10);
        // The references are enforced, and point to the table of now.
        conn.batch_execute("UPDATE ai_engine_responses SET run_id = 77").unwrap_err();
        conn.batch_execute("DELETE FROM ai_engine_assistant_threads").unwrap();
        assert_eq!(number(&mut conn, CHILDREN), 0);
    }

    #[test]
    fn the_hosts_views_and_triggers_do_not_stop_a_rebuild() {
        let mut conn = filled();
        conn.batch_execute(
            "CREATE TABLE log (line TEXT);
             CREATE VIEW active AS SELECT id FROM ai_engine_runs WHERE status = 'queued';
             CREATE TRIGGER said AFTER INSERT ON ai_engine_messages BEGIN
                 INSERT INTO log SELECT status FROM ai_engine_runs WHERE id = NEW.run_id;
             END",
        )
        .unwrap();
        let folder = Folder::new("sqlite").and(&rebuilt_runs());
        assert_eq!(migrate_sqlite(&mut conn, &folder.source()).unwrap(), 1);
        assert_eq!(number(&mut conn, "SELECT id FROM active"), 2);
        conn.batch_execute(
            "INSERT INTO ai_engine_messages (chat_id, run_id, seq, position, role, status, content, remote_state,
                 created_at, updated_at)
             VALUES (1, 2, 1, 0, 'user', 'completed', 'Hi', 'absent', '2026-01-01', '2026-01-01')",
        )
        .unwrap();
        assert_eq!(number(&mut conn, "SELECT count(*) FROM log WHERE line = 'queued'"), 1);
    }

    #[test]
    fn a_rebuild_that_leaves_rows_pointing_nowhere_is_refused() {
        let mut conn = filled();
        let before = (schema(&mut conn), pragmas(&mut conn));
        let forgetful =
            rebuilt_runs().replace("FROM ai_engine_runs;", "FROM ai_engine_runs WHERE id > 1;");
        let folder = Folder::new("sqlite").and(&forgetful);
        let refused = migrate_sqlite(&mut conn, &folder.source()).unwrap_err().to_string();
        assert!(refused.contains("would point nowhere; nothing was changed"), "{refused}");
        assert!(
            refused.contains("ai_engine_responses") || refused.contains("ai_engine_messages"),
            "{refused}"
        );
        assert_eq!((schema(&mut conn), pragmas(&mut conn)), before);
        assert_eq!(number(&mut conn, "SELECT count(*) FROM ai_engine_runs"), 2);
        assert_eq!(number(&mut conn, CHILDREN), 12);
    }

    #[test]
    fn a_migration_that_fails_halfway_leaves_everything_as_it_was() {
        let mut conn = filled();
        let before = (schema(&mut conn), pragmas(&mut conn));
        let halfway =
            rebuilt_runs().replace("ALTER TABLE", "SELECT no_such_function(); ALTER TABLE");
        let folder =
            Folder::new("sqlite").and("CREATE TABLE ai_engine_extras (id INTEGER)").and(&halfway);
        let failed = migrate_sqlite(&mut conn, &folder.source()).unwrap_err();
        assert!(matches!(failed, Error::Migration(_)), "{failed:?}");
        assert!(failed.to_string().contains("no_such_function"), "{failed}");
        assert_eq!((schema(&mut conn), pragmas(&mut conn)), before);
        assert_eq!(number(&mut conn, "SELECT count(*) FROM ai_engine_runs"), 2);
        assert_eq!(number(&mut conn, CHILDREN), 12);
        assert_eq!(number(&mut conn, "SELECT count(*) FROM ai_engine_schema_migrations"), 1);
        // And it can be tried again.
        let folder = Folder::new("sqlite")
            .and("CREATE TABLE ai_engine_extras (id INTEGER)")
            .and(&rebuilt_runs());
        assert_eq!(migrate_sqlite(&mut conn, &folder.source()).unwrap(), 2);
    }

    /// SQLite refuses to check such a reference at all.
    #[test]
    fn a_mistaken_reference_of_the_hosts_is_its_own_business() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute(
            "PRAGMA foreign_keys = OFF;
             CREATE TABLE users (name TEXT);
             CREATE TABLE posts (author TEXT REFERENCES users (name));
             INSERT INTO posts VALUES ('Ada');",
        )
        .unwrap();
        assert!(migrate_sqlite(&mut conn, &SQLITE).unwrap() > 0);
    }
}

/// On the server of `AI_ENGINE_TEST_POSTGRES`, in a schema that is gone with its connection.
#[cfg(feature = "postgres")]
mod postgres {
    use super::*;

    /// Makes `model` optional and renames a column, in the way of PostgreSQL.
    const ALTERED: &str = "
        ALTER TABLE ai_engine_runs ALTER COLUMN model DROP NOT NULL;
        ALTER TABLE ai_engine_runs RENAME COLUMN error TO failure;";

    fn filled() -> Option<PgConnection> {
        let Ok(url) = std::env::var("AI_ENGINE_TEST_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: AI_ENGINE_TEST_POSTGRES is not set");
            return None;
        };
        let mut conn = PgConnection::establish(&url).unwrap();
        conn.batch_execute("SET search_path = pg_temp").unwrap();
        assert_eq!(migrate_postgres(&mut conn, &Folder::new("postgres").source()).unwrap(), 1);
        conn.batch_execute(ROWS).unwrap();
        Some(conn)
    }

    fn columns(conn: &mut PgConnection) -> i64 {
        number(
            conn,
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'ai_engine_runs'::regclass AND attname = 'error'",
        )
    }

    #[test]
    fn an_altered_table_keeps_its_children() {
        let Some(mut conn) = filled() else { return };
        let folder = Folder::new("postgres").and(ALTERED);
        assert_eq!(migrate_postgres(&mut conn, &folder.source()).unwrap(), 1);
        assert_eq!(number(&mut conn, CHILDREN), 12);
        assert_eq!(columns(&mut conn), 0);
        conn.batch_execute("UPDATE ai_engine_responses SET run_id = 77").unwrap_err();
        conn.batch_execute("DELETE FROM ai_engine_assistant_threads").unwrap();
        assert_eq!(number(&mut conn, CHILDREN), 0);
    }

    #[test]
    fn a_migration_that_fails_halfway_leaves_everything_as_it_was() {
        let Some(mut conn) = filled() else { return };
        let halfway = format!("{ALTERED} SELECT no_such_function();");
        let extras = "CREATE TABLE ai_engine_extras (id INTEGER)";
        let folder = Folder::new("postgres").and(extras).and(&halfway);
        let failed = migrate_postgres(&mut conn, &folder.source()).unwrap_err();
        assert!(matches!(failed, Error::Migration(_)), "{failed:?}");
        assert!(failed.to_string().contains("no_such_function"), "{failed}");
        assert_eq!(columns(&mut conn), 1);
        assert_eq!(number(&mut conn, CHILDREN), 12);
        assert_eq!(number(&mut conn, "SELECT count(*) FROM ai_engine_schema_migrations"), 1);
        let folder = Folder::new("postgres").and(extras).and(ALTERED);
        assert_eq!(migrate_postgres(&mut conn, &folder.source()).unwrap(), 2);
    }

    #[test]
    fn rows_that_would_point_nowhere_stop_a_migration() {
        let Some(mut conn) = filled() else { return };
        let folder = Folder::new("postgres").and(
            "ALTER TABLE ai_engine_responses DROP CONSTRAINT ai_engine_responses_run_id_fkey;
             DELETE FROM ai_engine_runs WHERE id = 1;
             ALTER TABLE ai_engine_responses ADD FOREIGN KEY (run_id) REFERENCES ai_engine_runs (id)",
        );
        let refused = migrate_postgres(&mut conn, &folder.source()).unwrap_err().to_string();
        assert!(refused.contains("ai_engine_responses_run_id_fkey"), "{refused}");
        assert_eq!(number(&mut conn, CHILDREN), 12);
    }
}
