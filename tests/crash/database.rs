//! The one database that outlives all kills, and the checker's own way into it.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::script::{UNBIDDEN, UNWELCOME};

/// What the host keeps beside our tables.
const HOST_TABLES: &str = "CREATE TABLE notes (question TEXT NOT NULL); \
    CREATE TABLE effects (key TEXT NOT NULL); CREATE TABLE decisions (key TEXT NOT NULL, what TEXT NOT NULL);";

/// What the host's database refuses for good, in whichever transaction: the words of the provider's hostile answers.
fn triggers(postgres: bool) -> String {
    let refused = [
        ("messages", "INSERT OR UPDATE", "content", UNWELCOME),
        ("message_deltas", "INSERT", "text", UNBIDDEN),
    ];
    if postgres {
        let function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'the host does not take this'; END $$;"
            .to_owned();
        refused.into_iter().fold(function, |sql, (table, on, column, word)| {
            sql + &format!(
                "CREATE TRIGGER refuse BEFORE {on} ON ai_engine_{table} FOR EACH ROW \
                 WHEN (NEW.{column} LIKE '%{word}%') EXECUTE FUNCTION refuse();"
            )
        })
    } else {
        refused.into_iter().fold(String::new(), |sql, (table, on, column, word)| {
            on.split(" OR ").fold(sql, |sql, on| {
                sql + &format!(
                    "CREATE TRIGGER refuse_{on}_{table} BEFORE {on} ON ai_engine_{table} \
                     WHEN NEW.{column} LIKE '%{word}%' \
                     BEGIN SELECT RAISE(ABORT, 'the host does not take this'); END;"
                )
            })
        })
    }
}

/// Between two fields of a line.
pub const FIELD: char = '\u{1f}';

#[cfg(feature = "postgres")]
const OURS: [&str; 14] = [
    "assistants",
    "assistant_threads",
    "chats",
    "runs",
    "responses",
    "messages",
    "path_changes",
    "run_items",
    "message_deltas",
    "workers",
    "remote_deletions",
    "message_parts",
    "blobs",
    "tool_calls",
];

pub struct Place {
    pub url: String,
    folder: tempfile::TempDir,
    #[cfg(feature = "postgres")]
    server: Option<(String, String)>,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("crash.sqlite3").to_string_lossy().into_owned();
        let mut conn = SqliteConnection::establish(&url).unwrap();
        ai_engine::migrate(&mut conn).unwrap();
        conn.batch_execute(HOST_TABLES).unwrap();
        conn.batch_execute(&triggers(false)).unwrap();
        Self {
            url,
            folder,
            #[cfg(feature = "postgres")]
            server: None,
        }
    }

    /// `None` when `AI_ENGINE_TEST_POSTGRES` names no server.
    #[cfg(feature = "postgres")]
    pub fn postgres() -> Option<Self> {
        let server = std::env::var("AI_ENGINE_TEST_POSTGRES").ok()?;
        let name = format!("ai_engine_crash_{}", std::process::id());
        let create = format!("CREATE DATABASE {name}");
        PgConnection::establish(&server).unwrap().batch_execute(&create).unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        let mut conn = PgConnection::establish(&url).unwrap();
        ai_engine::migrate(&mut conn).unwrap();
        conn.batch_execute(HOST_TABLES).unwrap();
        conn.batch_execute(&triggers(true)).unwrap();
        Some(Self { url, folder: tempfile::tempdir().unwrap(), server: Some((server, name)) })
    }

    pub fn connect(&self) -> Conn {
        #[cfg(feature = "postgres")]
        if self.server.is_some() {
            return Conn::Postgres(PgConnection::establish(&self.url).unwrap());
        }
        let mut conn = SqliteConnection::establish(&self.url).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        Conn::Sqlite(conn)
    }

    /// Leaves the database for a look, with what the processes told; returns where.
    pub fn keep(self, told: &[String]) -> String {
        #[cfg(feature = "postgres")]
        if self.server.is_some() {
            let mut conn = self.connect();
            for table in OURS {
                let rows = conn.lines(&format!(
                    "SELECT row_to_json(t)::text AS line FROM ai_engine_{table} AS t"
                ));
                let path = self.folder.path().join(format!("{table}.json"));
                std::fs::write(path, rows.join("\n")).unwrap();
            }
        }
        std::fs::write(self.folder.path().join("told.log"), told.join("\n")).unwrap();
        self.folder.keep().to_string_lossy().into_owned()
    }

    /// Deletes the database.
    pub fn drop(self) {
        #[cfg(feature = "postgres")]
        if let Some((server, name)) = &self.server {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            PgConnection::establish(server).unwrap().batch_execute(&drop).unwrap();
        }
    }
}

pub enum Conn {
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Conn {
    pub fn is_postgres(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
    }

    pub fn execute(&mut self, sql: &str) {
        self.run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Whether it was done; a transaction that others hold up may not be.
    pub fn try_execute(&mut self, sql: &str) -> bool {
        self.run(sql).is_ok()
    }

    fn run(&mut self, sql: &str) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(sql),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.batch_execute(sql),
        }
    }

    /// The column `line` of each row.
    pub fn lines(&mut self, sql: &str) -> Vec<String> {
        let query = diesel::sql_query(sql);
        let lines = match self {
            Self::Sqlite(conn) => query.load::<Line>(conn),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => query.load::<Line>(conn),
        };
        let lines = lines.unwrap_or_else(|error| panic!("{sql}: {error}"));
        lines.into_iter().map(|line| line.line).collect()
    }

    /// The fields of each row, as text; of NULL, nothing.
    pub fn rows(&mut self, columns: &[&str], rest: &str) -> Vec<Vec<String>> {
        let columns: Vec<String> =
            columns.iter().map(|column| format!("coalesce(CAST({column} AS TEXT), '')")).collect();
        let line = columns.join(&format!(" || '{FIELD}' || "));
        let lines = self.lines(&format!("SELECT {line} AS line {rest}"));
        lines.iter().map(|line| line.split(FIELD).map(str::to_owned).collect()).collect()
    }

    pub fn numbers(&mut self, columns: &[&str], rest: &str) -> Vec<u64> {
        let row = self.rows(columns, rest).remove(0);
        row.iter().map(|number| number.parse().unwrap()).collect()
    }
}
