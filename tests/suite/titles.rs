//! Titles by a model: asked for after an answer, beside everything else, and never over a person's.

use std::sync::Arc;
use std::time::Duration;

use ai_engine::testing::{Gate, Reply};
use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, EngineBuilder, Error, Run, TitleAuthor,
    prelude::*,
};
use diesel::connection::InstrumentationEvent;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::*;

on_each_database!(
    an_untitled_conversation_gets_a_title_of_a_model_after_its_first_answer,
    a_title_that_a_person_gives_while_the_model_thinks_stays,
    no_answer_and_no_shutdown_waits_for_a_title,
    a_title_that_could_not_be_had_is_asked_for_after_the_next_answer,
    a_run_without_an_answer_asks_for_no_title,
);

/// In what the model is shown when a title is asked for, and in nothing else.
const ASKED: &str = "The title of this conversation";

fn titled<B: ai_engine::Database>(builder: EngineBuilder<B>) -> EngineBuilder<B> {
    builder.titles(AssistantDefinition::new("title-model").max_output_tokens(64))
}

async fn find<D: TestDatabase>(host: &Host<D>, thread: &AssistantThread) -> AssistantThread {
    host.user.assistant_threads(&host.engine).find(thread.id).await.unwrap()
}

async fn until_titled<D: TestDatabase>(host: &Host<D>) {
    until(|| {
        host.db.number("SELECT count(*) FROM ai_engine_assistant_threads WHERE title IS NOT NULL")
            > 0
    })
    .await;
}

/// The requests for a title.
fn asked<D: TestDatabase>(host: &Host<D>) -> Vec<Value> {
    let bodies = host.fake.requests().into_iter().filter_map(|request| request.body);
    bodies.filter(|body| body["model"] == "title-model").collect()
}

async fn an_untitled_conversation_gets_a_title_of_a_model_after_its_first_answer<
    D: TestDatabase,
>(
    db: D,
) {
    let host = Host::with(db, titled).await;
    let thread = host.thread().await;
    host.fake.reply(Reply::text("Once upon a time."));
    host.fake.reply_to(ASKED, Reply::text("\n\"A short story\"\nas you wished"));
    let long = format!("Tell me {}", "x".repeat(9000));
    host.teller.ai_engine_run(&host.engine, &thread, &*long).await.unwrap();
    until_titled(&host).await;
    let found = find(&host, &thread).await;
    assert_eq!(found.title.as_deref(), Some("A short story"));
    assert_eq!(found.title_by, Some(TitleAuthor::Model));
    let request = asked(&host).pop().unwrap();
    assert_eq!((&request["store"], &request["max_output_tokens"]), (&json!(false), &json!(64)));
    assert!(request["instructions"].as_str().unwrap().contains("title"));
    let shown = request["input"].to_string();
    assert!(shown.contains("Tell me") && shown.contains("Once upon a time."), "{shown}");
    assert!(shown.len() < 5000, "{} bytes of the question and the answer", shown.len());
    // It is no run, and nobody hears of it.
    until_announced(&host.db).await;
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_runs"), 1);
    assert_eq!(host.db.number("SELECT count(*) FROM ai_engine_messages"), 2);
    assert_eq!(host.hub.settled().len(), 1);
    // Once is enough; and who has a title is not asked for.
    host.teller.ai_engine_run(&host.engine, &thread, "And then?").await.unwrap();
    let mine = host.user.assistant_threads(&host.engine).create().title("Mine").await.unwrap();
    host.teller.ai_engine_run(&host.engine, &mine, "Hello").await.unwrap();
    let chat = host.user.chats(&host.engine).create().await.unwrap();
    host.fake.reply_to(ASKED, Reply::text("A chat"));
    chat.run(&host.engine, "test-model", "Hi").await.unwrap();
    until(|| host.db.number("SELECT count(*) FROM ai_engine_chats WHERE title = 'A chat'") > 0)
        .await;
    assert_eq!(asked(&host).len(), 2);
    assert_eq!(find(&host, &mine).await.title_by, Some(TitleAuthor::Person));
}

/// Counts how often a pool's connections tried to store a model's title.
#[derive(Debug, Clone, Default)]
struct Tries(Arc<watch::Sender<usize>>);

impl<C: diesel::Connection> CustomizeConnection<C, diesel::r2d2::Error> for Tries {
    fn on_acquire(&self, conn: &mut C) -> Result<(), diesel::r2d2::Error> {
        let tries = Arc::clone(&self.0);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::FinishQuery { query, .. } = event {
                let statement = query.to_string();
                // The databases quote names differently.
                let title = ["SET \"title\"", "SET `title`"];
                if title.iter().any(|change| statement.contains(change)) {
                    tries.send_modify(|tries| *tries += 1);
                }
            }
        });
        Ok(())
    }
}

async fn a_title_that_a_person_gives_while_the_model_thinks_stays<D: Raw>(db: D) {
    let host = Host::new(db).await;
    let tries = Tries::default();
    let pool = Pool::builder().max_size(4).connection_customizer(Box::new(tries.clone()));
    let pool = pool.build(ConnectionManager::<D::Conn>::new(host.db.url())).unwrap();
    let builder = D::owners(AiEngine::builder(D::from_pool(pool))).state(host.hub.clone());
    let engine = titled(builder.openai(host.fake.openai().unwrap())).build().unwrap();
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply(Reply::text("Once."));
    host.fake.reply_to(ASKED, Reply::text("The model's").hold_at(1, gate.clone()));
    host.teller.ai_engine_run(&engine, &thread, "Tell me").await.unwrap();
    gate.reached().await;
    thread.rename(&host.engine, "Mine").await.unwrap();
    gate.open();
    tries.0.subscribe().wait_for(|tries| *tries > 0).await.unwrap();
    let found = find(&host, &thread).await;
    assert_eq!((found.title.as_deref(), found.title_by), (Some("Mine"), Some(TitleAuthor::Person)));
}

async fn no_answer_and_no_shutdown_waits_for_a_title<D: TestDatabase>(db: D) {
    let host = Host::with(db, titled).await;
    let thread = host.thread().await;
    let gate = Gate::new();
    host.fake.reply_to(ASKED, Reply::text("Too late").hold_at(1, gate.clone()));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap();
    gate.reached().await;
    // Its conversation goes on meanwhile, and nobody asks for the same title twice.
    host.teller.ai_engine_run(&host.engine, &thread, "And then?").await.unwrap();
    assert_eq!(asked(&host).len(), 1);
    host.engine.shutdown(Duration::from_secs(30)).await.unwrap();
    // The client left.
    host.fake.disconnected(1).await;
    gate.open();
    assert_eq!(find(&host, &thread).await.title, None);
}

async fn a_title_that_could_not_be_had_is_asked_for_after_the_next_answer<D: TestDatabase>(db: D) {
    let host = Host::with(db, titled).await;
    let thread = host.thread().await;
    let refusal = json!({"error": {"message": "no", "type": "invalid_request_error"}});
    for reply in [
        Reply::status(400, refusal),
        Reply::text(" \n"),
        Reply::text("Cut").incomplete("max_output_tokens"),
        Reply::text("At last"),
    ] {
        host.fake.reply_to(ASKED, reply);
    }
    let mut runs: Vec<Run> = Vec::new();
    // An answer during which a title is still being asked for asks for none.
    while find(&host, &thread).await.title.is_none() {
        let answer = host.teller.ai_engine_run(&host.engine, &thread, "Go on").await.unwrap();
        runs.push(answer.run);
    }
    assert_eq!(find(&host, &thread).await.title.as_deref(), Some("At last"));
    assert_eq!(asked(&host).len(), 4);
    assert!(runs.len() >= 4, "each of them after an answer of its own");
}

async fn a_run_without_an_answer_asks_for_no_title<D: TestDatabase>(db: D) {
    let host = Host::with(db, titled).await;
    let thread = host.thread().await;
    let refusal = json!({"error": {"message": "no", "type": "invalid_request_error"}});
    host.fake.reply(Reply::status(400, refusal));
    host.teller.ai_engine_run(&host.engine, &thread, "Tell me").await.unwrap_err();
    host.fake.reply(Reply::text("Yes."));
    host.fake.reply_to(ASKED, Reply::text("After the answer"));
    host.teller.ai_engine_run(&host.engine, &thread, "Again").await.unwrap();
    until_titled(&host).await;
    assert_eq!(asked(&host).len(), 1);
    // A definition that could never be sent is refused before anything is asked.
    let builder = D::owners(AiEngine::builder(host.db.database()));
    let refused = builder.titles(AssistantDefinition::new(" ")).build().unwrap_err();
    assert!(matches!(refused, Error::Invalid { field: "model", .. }), "{refused}");
}
