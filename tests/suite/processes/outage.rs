//! The PostgreSQL server is stopped in mid-run and started again: a server of this test's own, from the binaries of the one
//! that the tests are given.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ai_engine::testing::{Gate, Reply};
use ai_engine::{Busy, RunStatus, prelude::*};
use diesel::prelude::*;

use crate::support::*;

/// A server, stopped when this is dropped; and with the thread that started it, where `setpriv` can see to that.
struct Server {
    bin: PathBuf,
    folder: tempfile::TempDir,
    user: (u32, u32),
    port: u16,
    running: Option<Child>,
}

impl Server {
    /// `None`, with a line that says so, when the server of the tests is not one of this machine.
    async fn start(given: &Postgres) -> Option<Self> {
        let asked = |sql: &str| PathBuf::from(given.texts(sql).remove(0));
        let bin = asked("SELECT setting AS line FROM pg_config WHERE name = 'BINDIR'");
        let data = asked("SELECT setting AS line FROM pg_settings WHERE name = 'data_directory'");
        let owner = std::fs::metadata(bin.join("initdb")).and(std::fs::metadata(&data));
        let Ok(owner) = owner else {
            eprintln!("skipped: the PostgreSQL server is not one of this machine");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let user = (owner.uid(), owner.gid());
        if std::fs::metadata(folder.path()).unwrap().uid() != user.0 {
            chown(folder.path(), Some(user.0), Some(user.1)).unwrap();
        }
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self { bin, folder, user, port, running: None };
        let made = server
            .program("initdb")
            .args([
                "--username",
                "postgres",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
            ])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        server.go_on().await;
        Some(server)
    }

    /// A program of the server's, as its user: it refuses to be root.
    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let me = std::fs::metadata("/proc/self").map_or(self.user.0, |me| me.uid());
        let mut command = if me == self.user.0 {
            Command::new(program)
        } else {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                &self.user.0.to_string(),
                "--regid",
                &self.user.1.to_string(),
            ]);
            command.args(["--clear-groups", "--pdeathsig", "INT", "--"]).arg(program);
            command
        };
        command.current_dir("/").arg("-D").arg(self.data()).stdin(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        Path::new(self.folder.path()).join("data")
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    async fn go_on(&mut self) {
        let (port, folder) = (self.port.to_string(), self.folder.path().to_owned());
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut postgres = self.program("postgres");
        postgres.args(["-p", &port, "-c", "listen_addresses=127.0.0.1"]).arg("-k").arg(folder);
        self.running = Some(postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        while PgConnection::establish(&self.url()).is_err() {
            let log = || std::fs::read_to_string(self.folder.path().join("log"));
            assert!(Instant::now() < deadline, "the server does not start: {:?}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As a restart for maintenance does: open transactions are rolled back, clients are turned away.
    fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = Command::new("kill").args(["-INT", &running.id().to_string()]).status();
            let _ = running.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_server_loses_no_text_and_no_run() {
    let Some(given) = Postgres::fresh() else { return };
    let Some(mut server) = Server::start(&given).await else { return };
    let db = Postgres::on(server.url());
    in_time(async {
        let host = Host::new(db).await;
        let (told, silent, over) = (host.thread().await, host.thread().await, host.thread().await);
        let gates = [Gate::new(), Gate::new(), Gate::new(), Gate::new()];
        let words = Reply::deltas(["before ", "during ", "after"]);
        host.fake.reply_to(
            "Tell",
            words.clone().hold_at(5, gates[0].clone()).hold_at(6, gates[1].clone()),
        );
        host.fake.reply_to("Wait", words.clone().hold_at(0, gates[2].clone()));
        host.fake.reply_to("Finish", words.hold_at(5, gates[3].clone()));
        host.fake.reply_to("Next", Reply::text("next"));
        let ask = |thread, text: &'static str| {
            host.teller.ai_engine_run(&host.engine, thread, text).when_busy(Busy::Queue).submit()
        };
        let runs = [
            ask(&told, "Tell me").await.unwrap(),
            ask(&silent, "Wait for me").await.unwrap(),
            ask(&over, "Finish it").await.unwrap(),
        ];
        let next = ask(&told, "Next").await.unwrap();
        let first = "SELECT count(*) FROM ai_engine_messages WHERE content = 'before '";
        while host.db.number(first) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gates[2].reached().await;

        server.stop();
        gates[0].open();
        // The owner hears what nobody can store.
        host.hub.until_text("before during ").await;
        // One run ends while there is no database.
        gates[3].open();
        host.hub.until_text("before during after").await;
        assert!(ask(&silent, "Lost").await.is_err(), "not acknowledged");
        server.go_on().await;
        gates[1].open();
        gates[2].open();

        for run in &runs {
            let answer = host.engine.answer(run.id).await.unwrap();
            assert_eq!(
                (answer.run.status, answer.text().as_str()),
                (RunStatus::Completed, "before during after")
            );
        }
        assert_eq!(host.engine.answer(next.id).await.unwrap().text(), "next");
        assert_eq!(
            host.db.texts("SELECT content AS line FROM ai_engine_messages WHERE role = 'user' ORDER BY id"),
            ["Tell me", "Wait for me", "Finish it", "Next"]
        );
        assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
        host.hub.until(|heard| matches!(heard, Heard::Run(run) if run.id == next.id && run.status.is_terminal())).await;
        assert_eq!(host.fake.responses_created(), 4, "each is asked once");
    })
    .await;
}
