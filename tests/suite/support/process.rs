//! Another process: this test binary again, at a test of its own that is ignored otherwise.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use ai_engine::openai::Protocol;
use ai_engine::{AiEngine, AssistantDefinition, OpenAi};

use super::{Host, Hub, Sqlite, Storyteller, TestDatabase, User, with_effects};

/// Marks the lines of the process among those of the test harness.
const MARK: &str = "says: ";

/// A process; killed, if it still is, when this is dropped.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts `test`, which finds the host's database and provider as [`engine_of_this_process`], and these settings in
    /// its environment.
    pub fn start<D: TestDatabase>(host: &Host<D>, test: &str, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("CHILD_DATABASE", host.db.url())
            .env("CHILD_PROVIDER", host.fake.base_url())
            .env("CHILD_PROTOCOL", host.protocol.as_str())
            .env("CHILD_HISTORY", if host.conversing { "conversation" } else { "local" })
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// The next thing it says; `None` when it has ended.
    pub fn hear(&mut self) -> Option<String> {
        tokio::task::block_in_place(|| {
            let mut line = String::new();
            while self.output.read_line(&mut line).unwrap() > 0 {
                // The harness begins its lines as it likes.
                if let Some((_, said)) = line.trim_end().split_once(MARK) {
                    return Some(said.to_owned());
                }
                line.clear();
            }
            None
        })
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        tokio::task::block_in_place(|| self.child.wait().unwrap())
    }

    /// SIGKILL: no destructor runs.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP; returns once no thread of it runs.
    pub fn stop(&self) {
        self.signal("STOP");
        while !self.is_stopped() {
            std::thread::yield_now();
        }
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success());
    }

    fn is_stopped(&self) -> bool {
        let pid = self.child.id().to_string();
        let told = Command::new("ps").args(["-o", "state=", "-p", &pid]).output().unwrap();
        String::from_utf8_lossy(&told.stdout).trim_start().starts_with('T')
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A setting, in the other process.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Says a line to the test, in the other process.
#[allow(clippy::print_stdout, reason = "that is how the test hears it")]
pub fn say(line: &str) {
    println!("{MARK}{line}");
}

/// What the test tells next, in the other process; `None` when the test is over.
pub fn told() -> Option<String> {
    let mut line = String::new();
    let read = tokio::task::block_in_place(|| std::io::stdin().read_line(&mut line).unwrap());
    (read > 0).then(|| line.trim_end().to_owned())
}

/// The engine of the other process, on the database and provider of the test. Its lease is `CHILD_LEASE` milliseconds; the address of a
/// provider `local` is `CHILD_LOCAL`. It speaks `CHILD_PROTOCOL`.
pub fn engine_of_this_process(hub: &Hub) -> AiEngine {
    let url = setting("CHILD_DATABASE");
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres") {
        return build::<super::Postgres>(ai_engine::PgDatabase::connect(url).unwrap(), hub);
    }
    build::<Sqlite>(ai_engine::SqliteDatabase::open(url).unwrap(), hub)
}

fn build<D: TestDatabase>(database: D::Database, hub: &Hub) -> AiEngine {
    let provider = setting("CHILD_PROVIDER");
    let all = [Protocol::Responses, Protocol::ChatCompletions, Protocol::Assistants];
    let named = setting("CHILD_PROTOCOL");
    let protocol = all.into_iter().find(|protocol| protocol.as_str() == named).unwrap();
    let client = OpenAi::builder().api_key("k").base_url(provider).protocol(protocol);
    let client = client.build().unwrap();
    let mut builder = D::owners(AiEngine::builder(database))
        .openai(client)
        .history(setting("CHILD_HISTORY").parse().unwrap())
        .state(hub.clone());
    if let Ok(lease) = std::env::var("CHILD_LEASE") {
        builder = builder.lease(Duration::from_millis(lease.parse().unwrap()));
    }
    if let Ok(local) = std::env::var("CHILD_LOCAL") {
        let client = OpenAi::builder().api_key("k").base_url(local).build().unwrap();
        let history = setting("CHILD_HISTORY").parse().unwrap();
        builder = builder.provider("local", client).provider_history("local", history);
    }
    if std::env::var("CHILD_TITLES").is_ok() {
        builder = builder.titles(AssistantDefinition::new("title-model"));
    }
    if let Ok(path) = std::env::var("CHILD_EFFECTS") {
        builder = with_effects(builder, path.as_ref());
    }
    builder.build().unwrap()
}

/// The host's records, as every process of it has them.
pub fn ada() -> User {
    User { id: 1, name: "Ada".to_owned() }
}

pub fn scheherazade() -> Storyteller {
    Storyteller { id: 7, name: "Scheherazade".to_owned(), model: "test-model".to_owned() }
}
