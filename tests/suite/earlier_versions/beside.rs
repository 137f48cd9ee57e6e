//! Processes of the version before, beside this one on a migrated database: in a rolling deploy there are both. And what
//! neither can read.

use ai_engine::{Assistant, AssistantDefinition, Error, Page, prelude::*};
use serde_json::json;

use super::{COLUMNS, CRITIC, Critic, file};
use crate::support::*;

on_each_database!(
    what_the_version_before_writes_is_read,
    the_version_before_reads_what_is_written,
    a_definition_that_cannot_be_read_is_an_error_of_its_assistant_alone,
);

/// A critic's row as the version before inserted it.
fn inserted_before(id: i32) -> String {
    format!(
        "INSERT INTO ai_engine_assistants (assistable_type, assistable_id, created_at, updated_at, name, description, model, \
             instructions, temperature, top_p, max_output_tokens, max_prompt_tokens, reasoning, metadata, tools, parameters) \
         VALUES ('Critic', '{id}', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'Statler', 'Sits in the balcony.', 'test-model', \
             'It''s ''good'', but not \\ \"great\".', 0.5, 0.25, 1000, 2000, '{{\"effort\":\"low\"}}', \
             '{{\"seat\":\"balcony\"}}', '[{{\"type\":\"web_search\"}}]', '{{\"service_tier\":\"flex\"}}')"
    )
}

/// And as it updated one.
const UPDATED_BEFORE: &str = "UPDATE ai_engine_assistants SET name = 'Waldorf', description = NULL, model = 'other-model', \
    instructions = 'Boo.', temperature = NULL, top_p = NULL, max_output_tokens = NULL, max_prompt_tokens = NULL, \
    reasoning = NULL, metadata = '{}', tools = '[]', parameters = '{\"user\":\"x\"}', version = version + 1 \
    WHERE assistable_type = 'Critic'";

/// What the version before reads of a row, beside what both know.
fn read_before<D: TestDatabase>(db: &D, id: i32) -> Vec<String> {
    [
        "description",
        "instructions",
        "temperature",
        "top_p",
        "max_output_tokens",
        "max_prompt_tokens",
        "reasoning",
        "metadata",
        "tools",
        "parameters",
    ]
    .map(|column| {
        db.texts(&format!(
            "SELECT coalesce(CAST({column} AS TEXT), 'NULL') AS line FROM ai_engine_assistants \
             WHERE assistable_type = 'Critic' AND assistable_id = '{id}'"
        ))
        .remove(0)
    })
    .to_vec()
}

async fn what_the_version_before_writes_is_read<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    host.db.execute(&inserted_before(CRITIC.id));
    let stored = CRITIC.assistant(&host.engine).await.unwrap().unwrap();
    assert_eq!(stored.definition().unwrap(), CRITIC.ai_engine_assistant());
    assert_eq!(
        CRITIC.update_openai_assistant(&host.engine).await.unwrap(),
        stored,
        "nothing changed"
    );

    host.db.execute(UPDATED_BEFORE);
    let stored = CRITIC.assistant(&host.engine).await.unwrap().unwrap();
    let updated = AssistantDefinition::new("other-model").name("Waldorf").instructions("Boo.");
    assert_eq!(stored.definition().unwrap(), updated.parameter("user", "x"));
    // And once more, by this version.
    let stored = CRITIC.update_openai_assistant(&host.engine).await.unwrap();
    assert_eq!((stored.definition().unwrap(), stored.version), (CRITIC.ai_engine_assistant(), 3));
}

async fn the_version_before_reads_what_is_written<D: TestDatabase>(db: D) {
    let host = Host::new(db).await;
    let by_both = Critic { id: 4 };
    host.db.execute(&inserted_before(by_both.id));
    let expected = read_before(&host.db, by_both.id);
    CRITIC.create_openai_assistant(&host.engine).await.unwrap();
    assert_eq!(read_before(&host.db, CRITIC.id), expected);

    host.db.execute(UPDATED_BEFORE);
    assert_ne!(read_before(&host.db, by_both.id), expected);
    by_both.update_openai_assistant(&host.engine).await.unwrap();
    assert_eq!(read_before(&host.db, by_both.id), expected);
    // What it is not told is as it was when that version left it out.
    host.teller.create_openai_assistant(&host.engine).await.unwrap();
    host.db.execute(
        "UPDATE ai_engine_assistants SET assistable_type = 'Critic' WHERE assistable_id = '7'",
    );
    assert_eq!(
        read_before(&host.db, 7),
        ["NULL", "You tell stories.", "NULL", "NULL", "NULL", "NULL", "NULL", "{}", "[]", "{}"]
    );
}

fn unreadable(assistant: &Assistant) -> String {
    let error = assistant.definition().unwrap_err();
    assert!(matches!(error, Error::Invalid { field: "definition", .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("assistant with id {}", assistant.id)), "{text}");
    text
}

async fn a_definition_that_cannot_be_read_is_an_error_of_its_assistant_alone<D: TestDatabase>(
    db: D,
) {
    let host = Host::new(db).await;
    CRITIC.create_openai_assistant(&host.engine).await.unwrap();
    let sound = host.teller.create_openai_assistant(&host.engine).await.unwrap();
    host.db.execute(
        "UPDATE ai_engine_assistants SET definition = '{\"temperature\":\"hot\"}' WHERE assistable_type = 'Critic'",
    );

    let all = host.db.with(|conn| conn.assistants());
    assert_eq!(all[1..], [sound]);
    assert!(unreadable(&all[0]).contains("hot"));
    let thread = host.thread().await;
    let refused = thread.run(&host.engine, &all[0], "Was it good?").await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { field: "definition", .. }), "{refused:?}");
    assert!(thread.runs(&host.engine, Page::default()).await.unwrap().is_empty());
    thread.run(&host.engine, &all[1], "Tell me").await.unwrap();
    // It is the record that says what it is.
    CRITIC.ai_engine_run(&host.engine, &thread, "Was it good?").await.unwrap();
    let stored = CRITIC.assistant(&host.engine).await.unwrap().unwrap();
    assert_eq!((stored.definition().unwrap(), stored.version), (CRITIC.ai_engine_assistant(), 2));
}

/// PostgreSQL keeps its JSON sound itself.
#[tokio::test]
async fn broken_json_does_not_stop_the_migrations() {
    let db = Sqlite::fresh();
    db.execute(&std::fs::read_to_string(file::<Sqlite>(&COLUMNS)).unwrap());
    db.execute(
        "UPDATE ai_engine_assistants SET tools = 'no json' WHERE assistable_type = 'Critic'",
    );
    ai_engine::migrate(&mut db.connect()).unwrap();
    let all = db.with(|conn| conn.assistants());
    assert!(unreadable(&all[0]).contains("no json"));
    assert_eq!(all[1].definition().unwrap().instructions.as_deref(), Some("You tell stories."));
    assert_eq!(json!(all[1])["definition"]["tools"], json!([]));
}
