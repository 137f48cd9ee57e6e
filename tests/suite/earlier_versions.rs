//! A database that an earlier version filled (`tests/data/*.sql`) is upgraded, and goes on.
//!
//! Each file holds the schema of its version, so that it stays what it is however the migrations grow. [`write`] wrote them, each
//! with the code of then. A new one is written by giving it a name and the number of its migrations below, and:
//!
//! ```text
//! scripts/with-postgres cargo test --all-features --test suite earlier_versions -- --ignored
//! ```

use std::fmt::Write as _;

use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, AssistantDefinition, History, Message, Page, Run, RunStatus, prelude::*,
};

use serde_json::json;

use crate::support::*;

mod beside;
mod write;

on_each_database!(
    a_database_of_the_first_version_is_upgraded_and_goes_on,
    a_database_with_a_column_for_each_field_is_upgraded_and_goes_on,
    a_database_without_versions_is_upgraded_and_goes_on,
);

/// A version that filled a database.
struct Version {
    /// Of its file, before the name of the database.
    name: &'static str,
    /// How many there were.
    migrations: usize,
}

const FIRST: Version = Version { name: "first_version", migrations: 1 };
/// An assistant's definition was a column for each field.
const COLUMNS: Version = Version { name: "definition_in_columns", migrations: 5 };
/// An assistant's definition is one column, and nothing is known of those before it.
const ONE: Version = Version { name: "one_definition", migrations: 6 };
const VERSIONS: [Version; 3] = [FIRST, COLUMNS, ONE];

/// Beside the storyteller, an assistant that says everything one can say of itself.
struct Critic {
    id: i32,
}

ai_engine::record! { Critic { id: i32 } as "Critic" }

impl Assistable for Critic {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new("test-model")
            .name("Statler")
            .description("Sits in the balcony.")
            .instructions("It's 'good', but not \\ \"great\".")
            .temperature(0.5)
            .top_p(0.25)
            .max_output_tokens(1000)
            .max_prompt_tokens(2000)
            .reasoning(json!({"effort": "low"}))
            .metadata("seat", "balcony")
            .tool(json!({"type": "web_search"}))
            .parameter("service_tier", "flex")
    }
}

const CRITIC: Critic = Critic { id: 3 };

/// What was said and run, and in what state, when the first process was killed.
const LEFT: &str = "\
thread 1
  1.0 system completed: Be brief.
  2.0 user completed: Tell me a story
  2.1 assistant completed: Once upon a time.
  3.0 user completed: Go on
  3.1 assistant incomplete: There was
  4.0 user completed: And then?
  5.0 user completed: Look it up
  run 2 completed
  run 3 incomplete max_output_tokens
  run 4 failed no_story
  run 5 incomplete tool_calls
thread 2
  1.0 user completed: Who are you?
  1.1 assistant completed: A storyteller.
  run 1 completed
thread 3
  1.0 user completed: Stop soon
  1.1 assistant incomplete: I shall
  run 1 cancelled
thread 4
  1.0 user completed: Tell me more
  1.1 assistant streaming: It was dark and stormy
  run 1 in_progress
thread 5
  1.0 user completed: Is anybody there?
  run 1 queued
chat 1
  1.0 user completed: Hi
  1.1 assistant completed: Hello.
  run 1 completed
";

fn file<D: Raw>(version: &Version) -> String {
    let backend = if D::MIGRATIONS.ends_with("sqlite") { "sqlite" } else { "postgres" };
    format!("{}/tests/data/{}.{backend}.sql", env!("CARGO_MANIFEST_DIR"), version.name)
}

async fn a_database_of_the_first_version_is_upgraded_and_goes_on<D: Raw>(db: D) {
    upgraded_it_goes_on(db, &FIRST).await;
}

async fn a_database_with_a_column_for_each_field_is_upgraded_and_goes_on<D: Raw>(db: D) {
    upgraded_it_goes_on(db, &COLUMNS).await;
}

async fn a_database_without_versions_is_upgraded_and_goes_on<D: Raw>(db: D) {
    upgraded_it_goes_on(db, &ONE).await;
}

async fn upgraded_it_goes_on<D: Raw>(db: D, version: &Version) {
    db.execute(&std::fs::read_to_string(file::<D>(version)).unwrap());
    db.execute("INSERT INTO users (id, name) VALUES (1, 'Ada')");
    let (fake, hub) = (FakeOpenAi::start().await.unwrap(), Hub::default());
    let local = engine(&db, &fake, &hub, |builder| builder);
    let user = User { id: 1, name: "Ada".to_owned() };
    let teller =
        Storyteller { id: 7, name: "Scheherazade".to_owned(), model: "test-model".to_owned() };

    let of_assistants = "SELECT count(assistant_id) FROM ai_engine_runs";
    let runs = db.number(of_assistants);
    let bundled = std::fs::read_dir(D::MIGRATIONS).unwrap().count();
    assert_eq!(local.migrate().await.unwrap(), bundled - version.migrations);
    assert_eq!(told(&local, &user).await, LEFT);
    let deletions = db.number("SELECT count(*) FROM ai_engine_remote_deletions");
    assert!(deletions > 0);

    assert_eq!(db.number(of_assistants), runs);
    // Nothing of a definition is lost, so none seems to have changed.
    let stored = CRITIC.assistant(&local).await.unwrap().unwrap();
    assert_eq!(stored.definition().unwrap(), CRITIC.ai_engine_assistant());
    assert_eq!((stored.name.as_deref(), stored.model.as_str()), (Some("Statler"), "test-model"));
    assert_eq!(CRITIC.update_openai_assistant(&local).await.unwrap(), stored);
    let versions = stored.versions(&local, Page::default()).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].definition().unwrap(), CRITIC.ai_engine_assistant());
    assert_eq!(versions[0].created_at, stored.updated_at);
    assert_eq!(teller.update_openai_assistant(&local).await.unwrap().version, 1);

    let queued = db.number("SELECT id FROM ai_engine_runs WHERE status = 'queued'");
    fake.reply(Reply::text("Somebody is."));
    let recovered = local.recover().await.unwrap();
    assert_eq!((recovered.settled, recovered.driven, recovered.announced), (1, 1, 2));
    local.answer(queued).await.unwrap();
    let recovered = LEFT
        .replace("streaming: It was", "incomplete: It was")
        .replace("in_progress", "incomplete interrupted")
        .replace("there?\n", "there?\n  1.1 assistant completed: Somebody is.\n")
        .replace("queued", "completed");
    assert_eq!(told(&local, &user).await, recovered);
    assert_eq!(db.number("SELECT count(*) FROM ai_engine_message_deltas"), 0);
    // They are for the provider of then.
    assert_eq!(db.number("SELECT count(*) FROM ai_engine_remote_deletions"), deletions);

    // Both ways of keeping the history go on, with a provider that has never heard of it.
    let conversing = engine(&db, &fake, &hub, |builder| builder.history(History::Conversation));
    for (engine, thread, earlier) in
        [(&local, 1, "Once upon a time."), (&conversing, 2, "A storyteller.")]
    {
        let thread = user.assistant_threads(engine).find(thread).await.unwrap();
        let answer = teller.ai_engine_run(engine, &thread, "One more").await.unwrap();
        assert_eq!(answer.run.status, RunStatus::Completed);
        assert_eq!(answer.run.assistable_id::<Storyteller>().unwrap(), Some(7));
        let before = thread.runs(engine, Page::before(answer.run.id, 1)).await.unwrap();
        assert_eq!(
            (before[0].assistable_id::<Storyteller>().unwrap(), before[0].assistant_version),
            (None, None)
        );
        let last = thread.last_assistant(engine).await.unwrap().unwrap();
        assert_eq!((Some(last.id), last.version), (answer.run.assistant_id, 1));
        let sent = fake.requests().into_iter().rfind(|sent| sent.path.ends_with("/responses"));
        let input = sent.unwrap().body.unwrap()["input"].to_string();
        assert!(input.contains(earlier) && input.contains("One more"), "{input}");
    }
}

/// Everything the owner's conversations say, in one text.
async fn told(engine: &AiEngine, user: &User) -> String {
    let mut text = String::new();
    let mut threads = user.assistant_threads(engine).list(Page::default()).await.unwrap();
    threads.sort_by_key(|thread| thread.id);
    for thread in threads {
        writeln!(text, "thread {}", thread.id).unwrap();
        let messages = thread.messages(engine).list(Page::default()).await.unwrap();
        text += &lines(&messages, &thread.runs(engine, Page::default()).await.unwrap());
    }
    for chat in user.chats(engine).list(Page::default()).await.unwrap() {
        writeln!(text, "chat {}", chat.id).unwrap();
        let messages = chat.messages(engine).list(Page::default()).await.unwrap();
        text += &lines(&messages, &chat.runs(engine, Page::default()).await.unwrap());
    }
    text
}

fn lines(messages: &[Message], newest_first: &[Run]) -> String {
    let said = messages.iter().map(|said| {
        let Message { seq, position, role, status, content, .. } = said;
        format!("  {seq}.{position} {role} {status}: {content}\n")
    });
    let ran = newest_first.iter().rev().map(|run| {
        let reason = run.reason.as_ref().map(|reason| format!(" {reason}"));
        format!("  run {} {}{}\n", run.seq, run.status, reason.unwrap_or_default())
    });
    said.chain(ran).collect()
}
