//! An assistant that does something in your app, and asks you before it does more.
//!
//! `cargo run --example tools -- "Open door 7, please"`
//!
//! It looks around by itself, waits for your word before it opens a door (answer `y` or `n`), and reports in the form of a Rust
//! type. Kill it while it waits and start it again: it still waits. Without `OPENAI_API_KEY` an in-process model answers as in a play. Settings: `OPENAI_BASE_URL`,
//! `OPENAI_MODEL`, `DATABASE_URL` (a SQLite file).
#![allow(missing_docs, clippy::print_stdout, reason = "a program")]

use std::io::{BufRead, Write};

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::testing::{FakeOpenAi, Reply};
use ai_engine::{
    AiEngine, Approval, AssistantDefinition, AssistantThread, BoxError, Decision, OpenAi, Page,
    Repeatable, RunStatus, SqliteDatabase, ToolContext, ToolError, prelude::*,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct User(String);
struct Porter(i32);
ai_engine::record! { User(String) as "User", Porter(i32) as "Porter" }

impl MessageHooks for User {}
impl Threadable for User {}
impl Assistable for Porter {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(setting("OPENAI_MODEL", "gpt-6-luna"))
            .instructions("You are the porter of a house with ten doors.")
            .uses::<Look>()
            .uses::<Open>()
    }
}

/// Looks which doors are open.
#[derive(Deserialize, JsonSchema)]
struct Look {}

#[derive(Serialize)]
struct Doors {
    open: Vec<u8>,
}

impl Tool for Look {
    const NAME: &'static str = "look";
    const REPEATABLE: Repeatable = Repeatable::Yes;
    type Output = Doors;

    async fn call(self, _: &ToolContext<'_>) -> Result<Doors, ToolError> {
        Ok(Doors { open: vec![1, 3] })
    }
}

/// Opens a door.
#[derive(Deserialize, JsonSchema)]
struct Open {
    /// Its number, from 1 to 10.
    door: u8,
}

impl Tool for Open {
    const NAME: &'static str = "open";
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        println!("[door {} opens; {}]", self.door, cx.idempotency_key());
        Ok(format!("Door {} is open.", self.door))
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        Approval::Needed
    }
}

/// What it says in the end: read as a type, with words for each field that the model is told.
#[derive(Deserialize, JsonSchema)]
struct Report {
    /// The doors that it opened.
    opened: Vec<u8>,
    /// A sentence for whoever asked.
    remark: String,
}

fn setting(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// How the play begins: the model looks, and asks for the door.
fn begin(demo: &FakeOpenAi) {
    let call = |name: &str, arguments: &Value| {
        let id = format!("call_{name}");
        json!({
            "type": "function_call", "id": format!("fc_{name}"), "call_id": id, "name": name,
            "arguments": arguments.to_string(), "status": "completed",
        })
    };
    demo.reply(Reply::text("Let me look.").item(call("look", &json!({}))));
    demo.reply(Reply::text("It is closed.").item(call("open", &json!({"door": 7}))));
}

/// How it ends.
fn end(demo: &FakeOpenAi, agreed: bool) {
    let report = if agreed {
        json!({"opened": [7], "remark": "There you are."})
    } else {
        json!({"opened": [], "remark": "It stays closed, then."})
    };
    demo.reply(Reply::text(report.to_string()));
}

/// Asks on the terminal about each call that waits. `demo`: the model in this process, if there is no other.
async fn decide(
    engine: &AiEngine,
    thread: &AssistantThread,
    demo: Option<&FakeOpenAi>,
) -> Result<(), BoxError> {
    for call in thread.pending(engine).await? {
        print!("{} {}: may it? [y/n] ", call.name, call.arguments);
        std::io::stdout().flush()?;
        let mut word = String::new();
        std::io::stdin().lock().read_line(&mut word)?;
        let agreed = matches!(word.trim(), "y" | "yes");
        if let Some(demo) = demo {
            end(demo, agreed);
        }
        let decision =
            if agreed { Decision::approve() } else { Decision::reject("the user says no") };
        engine.tool_calls().decide([(call.id, decision.by("terminal"))]).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let demo = match std::env::var_os("OPENAI_API_KEY") {
        Some(_) => None,
        None => Some(FakeOpenAi::start().await?),
    };
    let model = match &demo {
        Some(demo) => demo.openai()?,
        None => OpenAi::from_env()?,
    };
    let engine = AiEngine::builder(SqliteDatabase::open(setting("DATABASE_URL", "tools.sqlite3"))?)
        .openai(model)
        .owner::<User>(|_conn, name| Ok(Some(User(name))))
        .tool::<Look>()
        .tool::<Open>()
        .build()?;
    engine.start().await?;
    let (user, porter) = (User("ada".to_owned()), Porter(1));
    let threads = user.assistant_threads(&engine);
    let thread = match threads.list(Page::newest(1)).await?.pop() {
        Some(thread) => thread,
        None => threads.create().await?,
    };
    // What an earlier process left waiting comes first.
    let left = thread.pending(&engine).await?.first().map(|call| call.run_id);
    let run = match left {
        Some(run) => run,
        None => {
            if let Some(demo) = &demo {
                begin(demo);
            }
            let words: Vec<String> = std::env::args().skip(1).collect();
            let question =
                if words.is_empty() { "Open door 7, please".to_owned() } else { words.join(" ") };
            let request = porter.ai_engine_run(&engine, &thread, question);
            request.output::<Report>().submit().await?.id
        }
    };
    let answer = loop {
        let answer = engine.answer(run).await?;
        if answer.run.status != RunStatus::RequiresAction {
            break answer;
        }
        decide(&engine, &thread, demo.as_ref()).await?;
    };
    let report: Report = answer.parse()?;
    println!("{} [opened: {:?}]", report.remark, report.opened);
    let cost = match answer.run.cost() {
        Some(cost) => cost.to_string(),
        None => "a price that is not known".to_owned(),
    };
    let tokens = answer.run.usage.total_tokens();
    println!("[{}; {tokens} tokens for {cost}]", answer.run.status);
    engine.shutdown(std::time::Duration::from_secs(5)).await?;
    Ok(())
}
