//! A server of somebody else's as a child process, with files of its own.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Names the folder of the servers' programs; `scripts/counterparts` fills one.
const FOLDER: &str = "AI_ENGINE_COUNTERPARTS";

/// The folder of the programs, or `None` and a line that says so.
pub(crate) fn programs_for(program: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty());
    if folder.is_none() {
        eprintln!(
            "skipped: {FOLDER} does not name the folder of {program}; run scripts/counterparts"
        );
    }
    folder.map(PathBuf::from)
}

/// What a server may take to begin to listen.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// Starts a program from the folder that the environment names, on a free port. `None`, with a line that says so, where
    /// none is named.
    pub(crate) async fn start(
        program: &str,
        configure: impl FnOnce(&mut Command, &Path, u16),
    ) -> Option<Self> {
        let programs = programs_for(program)?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(programs.join(program));
        let log = File::create(folder.path().join("log")).unwrap();
        // Nothing of the host's: no key, no proxy, no settings, and its home is where its files are.
        command
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", path_with(&programs))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        configure(&mut command, folder.path(), port);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let mut server = Self { child, port, folder };
        server.wait_until_it_listens().await;
        Some(server)
    }

    async fn wait_until_it_listens(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the server does not listen\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.log());
        }
    }
}

/// How many rows each of these tables of a SQLite database has.
pub(crate) fn rows(database: &Path, tables: &[&str]) -> Vec<i64> {
    let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    diesel::sql_query("PRAGMA busy_timeout = 5000").execute(&mut conn).unwrap();
    let count = |table: &&str| {
        let sql = format!("SELECT count(*) AS count FROM {table}");
        diesel::sql_query(sql).get_result::<Count>(&mut conn).unwrap().count
    };
    tables.iter().map(count).collect()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// One that nobody listens at. Another program could take it first; the test then fails and says so.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn path_with(programs: &Path) -> OsString {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&others);
    std::env::join_paths(std::iter::once(programs.to_owned()).chain(others)).unwrap()
}
