//! Two turns with a real model, and the conformance suite as far as one can be told apart: `scripts/real-model` builds one, serves it
//! and runs this, in the protocol of `AI_ENGINE_PROTOCOL`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};

use ai_engine::openai::{OpenAiBuilder, Protocol};
use ai_engine::schemars::{self, JsonSchema};
use ai_engine::testing::conformance::{self, Subject};
use ai_engine::{
    AiEngine, Answer, AssistantDefinition, History, HookContext, HookResult, Message,
    MessageStatus, OpenAi, Page, Role, RunStatus, SqliteDatabase, ToolCallStatus, ToolContext,
    ToolError, prelude::*,
};
use serde::Deserialize;
use serde_json::json;

struct User {
    id: i32,
}

struct Storyteller {
    id: i32,
    model: String,
}

ai_engine::record! { User { id: i32 } as "User", Storyteller { id: i32 } as "Storyteller" }

impl Assistable for Storyteller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(&self.model)
            .name("Scheherazade")
            .instructions("You tell short stories for children.")
            .max_output_tokens(48)
    }
}

/// What the hook heard of the answer that is being written.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl MessageHooks for User {
    async fn ai_engine_on_message_update(&self, _: &Message, cx: &HookContext<'_>) -> HookResult {
        let Heard(heard) = cx.state()?;
        heard.lock().unwrap().push_str(cx.appended());
        Ok(())
    }
}

impl Threadable for User {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a model server: run scripts/real-model"]
async fn a_real_model_answers_two_turns() {
    let folder = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let engine =
        AiEngine::builder(SqliteDatabase::open(folder.path().join("real.sqlite3")).unwrap())
            .openai(OpenAi::from_env().unwrap())
            .history(History::Local)
            .state(heard.clone())
            .owner::<User>(|_, id| Ok(Some(User { id })))
            .build()
            .unwrap();
    engine.migrate().await.unwrap();
    let model = std::env::var("OPENAI_MODEL").unwrap();
    let (user, teller) = (User { id: 1 }, Storyteller { id: 1, model });
    let thread = user.assistant_threads(&engine).create().await.unwrap();

    let mut answers: Vec<Answer> = Vec::new();
    for question in ["Tell me a story about a lighthouse.", "What happened next?"] {
        let answer = teller.ai_engine_run(&engine, &thread, question).await.unwrap();
        let streamed = std::mem::take(&mut *heard.0.lock().unwrap());
        let run = &answer.run;
        println!("\n> {question}\n{streamed}");
        println!("[{} {:?}; {:?}]", run.status, run.reason, run.usage);
        match run.status {
            RunStatus::Completed => {}
            RunStatus::Incomplete => assert!(run.reason.is_some()),
            other => panic!("the run is {other}"),
        }
        assert!(!streamed.trim().is_empty());
        assert_eq!(streamed, answer.text());
        assert!(run.usage.output_tokens > 0 && run.usage.output_tokens <= 48);
        answers.push(answer);
    }
    // The history travelled.
    assert!(answers[1].run.usage.input_tokens > answers[0].run.usage.input_tokens);

    let stored = thread.messages(&engine).list(Page::default()).await.unwrap();
    let roles: Vec<Role> = stored.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    assert_eq!(
        [&stored[1], &stored[3]],
        [answers[0].message().unwrap(), answers[1].message().unwrap()]
    );
    for message in [&stored[1], &stored[3]] {
        assert!(matches!(message.status, MessageStatus::Completed | MessageStatus::Incomplete));
    }
}

/// Looks into a room.
#[derive(Deserialize, JsonSchema)]
struct Look {
    room: Room,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Room {
    Hall,
    Kitchen,
}

impl Room {
    const fn name(&self) -> &'static str {
        match self {
            Self::Hall => "hall ",
            Self::Kitchen => "kitchen ",
        }
    }
}

impl Tool for Look {
    const NAME: &'static str = "look";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let Heard(looked) = cx.state()?;
        looked.lock().unwrap().push_str(self.room.name());
        Ok("There is a red chair.".to_owned())
    }
}

/// So small a model calls no tool by itself. The server is told to have one called, and holds the model to the form of a call; but
/// it lets the model talk before and call again afterwards, for ever. So the words that begin a call are made likely, and the end (token 2) still more,
/// which the server allows behind a call alone. The model then has nothing to say about what came of it; a turn without the tool follows,
/// which has all of that behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a model server: run scripts/real-model"]
async fn a_real_model_that_has_to_calls_a_tool() {
    if !std::env::var("REAL_MODEL_TEMPLATE").is_ok_and(|name| name.ends_with("tools.jinja")) {
        println!("skipped: REAL_MODEL_TEMPLATE is not tests/data/tools.jinja");
        return;
    }
    let looked = Heard::default();
    let engine = AiEngine::builder(SqliteDatabase::in_memory().unwrap())
        .openai(OpenAi::from_env().unwrap())
        .history(History::Local)
        .state(looked.clone())
        .owner::<User>(|_, id| Ok(Some(User { id })))
        .tool::<Look>()
        .build()
        .unwrap();
    engine.migrate().await.unwrap();
    let model = std::env::var("OPENAI_MODEL").unwrap();
    let (user, teller) = (User { id: 1 }, Storyteller { id: 1, model });
    let thread = user.assistant_threads(&engine).create().await.unwrap();
    let made = |usual: AssistantDefinition| {
        usual
            .uses::<Look>()
            .temperature(0.0)
            .max_output_tokens(80)
            .parameter("tool_choice", "required")
            .parameter("parallel_tool_calls", false)
            .parameter("logit_bias", json!([["<tool_call>", 9], ["\n", 4], [2, 30]]))
    };
    let request = teller.ai_engine_run(&engine, &thread, "What is in the hall?");
    let answer = request.definition(made).await.unwrap();
    let turn = thread.turns(&engine, Page::default()).await.unwrap().items.remove(0);
    for call in &turn.tool_calls {
        println!("{} {} -> {:?} {:?}", call.name, call.arguments, call.status, call.output);
    }
    println!("[{} {:?}] {}", answer.run.status, answer.run.reason, answer.text());
    let [call, ..] = &turn.tool_calls[..] else { panic!("no tool was called: {:?}", answer.run) };
    assert_eq!((&*call.name, call.status), ("look", ToolCallStatus::Completed));
    assert_eq!(call.output.as_deref(), Some("There is a red chair."));
    assert!(!looked.0.lock().unwrap().is_empty());
    assert_eq!(answer.run.attempts, 2, "the model is called again with what came of it");

    let next = teller.ai_engine_run(&engine, &thread, "Thank you").await.unwrap();
    println!("[{} {:?}] {}", next.run.status, next.run.reason, next.text());
    assert!(!next.text().is_empty(), "the server takes the call and its output as history");
}

/// A server that nobody looks into, and that says what it likes.
struct Server {
    model: String,
}

impl Subject for Server {
    type Database = SqliteDatabase;

    fn database(&self) -> SqliteDatabase {
        SqliteDatabase::in_memory().unwrap()
    }

    fn client(&self) -> OpenAiBuilder {
        OpenAiBuilder::from_env().unwrap()
    }

    fn definition(&self) -> AssistantDefinition {
        AssistantDefinition::new(&self.model).max_output_tokens(48)
    }

    fn other_protocols(&self) -> Vec<OpenAiBuilder> {
        let ours = self.client().build().unwrap().protocol();
        let both = [Protocol::Responses, Protocol::ChatCompletions].into_iter();
        both.filter(|other| *other != ours).map(|other| self.client().protocol(other)).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a model server: run scripts/real-model"]
async fn a_real_model_conforms() {
    let report =
        conformance::run_all(&Server { model: std::env::var("OPENAI_MODEL").unwrap() }).await;
    println!("\n{report}");
    report.verify();
}
