//! The host app of the killed processes: owners whose hooks tell what they heard, and its own row beside a run.

use std::io::Write;
use std::time::Duration;

use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, Chat, Database, Decision, Error, Events,
    HookContext, HookResult, Message, MessageStatus, Page, Result, Run, RunRequest, Session,
    SqliteDatabase, ToolCall, prelude::*,
};
use diesel::prelude::*;

use crate::question::{self, Api, addressed};

/// Whoever has this number is gone: the loader does not find it.
pub const GONE: i64 = 0;

#[derive(Debug)]
pub struct Owner {
    pub id: i64,
}

/// One assistant for each provider.
pub struct Teller {
    id: i64,
}

impl Teller {
    pub fn of(api: Api) -> Self {
        Self { id: 1 + api as i64 }
    }
}

ai_engine::record! { Owner { id: i64 } as "Owner", Teller { id: i64 } as "Teller" }

impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        let usual = AssistantDefinition::new("model").instructions("Answer.");
        // The first one is the engine's default.
        let api = Api::ALL.into_iter().find(|api| 1 + *api as i64 == self.id);
        match api.filter(|api| *api != Api::Responses) {
            Some(api) => usual.provider(api.provider()),
            None => usual,
        }
    }
}

impl MessageHooks for Owner {
    async fn ai_engine_on_message_update(
        &self,
        message: &Message,
        _: &HookContext<'_>,
    ) -> HookResult {
        be_slow(message.run_id).await;
        if message.status == MessageStatus::Streaming {
            show(message.id, "part", &message.content);
        } else {
            tell(&format!("message\t{}\t{}", message.id, quoted(&message.content)));
        }
        Ok(())
    }

    async fn ai_engine_on_run_update(&self, run: &Run, _: &HookContext<'_>) -> HookResult {
        be_slow(Some(run.id)).await;
        if run.status.is_terminal() {
            tell(&format!("heard\t{}\t{}", run.id, run.status));
        }
        Ok(())
    }
}
impl Threadable for Owner {}
impl Chattable for Owner {}

/// Some hooks take their time, so that kills fall into them.
async fn be_slow(run: Option<i64>) {
    if run.is_some_and(|run| run % 4 == 0) {
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// One write, of a whole line: what the kill finds written stays.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes());
    let _ = out.flush();
}

/// Says what was shown of a message: a `part` of it, or the `whole`.
pub fn show(message: i64, part: &str, text: &str) {
    tell(&format!("shown\t{message}\t{part}\t{}", quoted(text)));
}

/// A text within a line.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where something is asked.
#[derive(Debug, Clone)]
pub enum Place {
    Thread(AssistantThread),
    Chat(Chat),
}

impl Place {
    /// `t12` or `c5`.
    pub fn name(&self) -> String {
        match self {
            Self::Thread(thread) => format!("t{}", thread.id),
            Self::Chat(chat) => format!("c{}", chat.id),
        }
    }

    pub async fn create(engine: &AiEngine, owner: i64, thread: bool) -> Result<Self> {
        let owner = Owner { id: owner };
        Ok(if thread {
            Self::Thread(owner.assistant_threads(engine).create().await?)
        } else {
            Self::Chat(owner.chats(engine).create().await?)
        })
    }

    pub async fn find(engine: &AiEngine, owner: i64, name: &str) -> Result<Self> {
        let (owner, id) = (Owner { id: owner }, name[1..].parse().unwrap());
        Ok(if name.starts_with('t') {
            Self::Thread(owner.assistant_threads(engine).find(id).await?)
        } else {
            Self::Chat(owner.chats(engine).find(id).await?)
        })
    }

    pub async fn destroy(&self, engine: &AiEngine) -> Result<()> {
        match self {
            Self::Thread(thread) => {
                let owner = Owner { id: thread.threadable_id.parse().unwrap() };
                owner.assistant_threads(engine).destroy(thread.id).await
            }
            Self::Chat(chat) => {
                let owner = Owner { id: chat.chattable_id.parse().unwrap() };
                owner.chats(engine).destroy(chat.id).await
            }
        }
    }

    pub async fn cancel(&self, engine: &AiEngine) -> Result<Option<Run>> {
        match self {
            Self::Thread(thread) => thread.cancel(engine).await,
            Self::Chat(chat) => chat.cancel(engine).await,
        }
    }

    pub fn events(&self, engine: &AiEngine) -> Events {
        match self {
            Self::Thread(thread) => thread.events(engine),
            Self::Chat(chat) => chat.events(engine),
        }
    }

    pub async fn runs(&self, engine: &AiEngine) -> Result<Vec<Run>> {
        match self {
            Self::Thread(thread) => thread.runs(engine, Page::default()).await,
            Self::Chat(chat) => chat.runs(engine, Page::default()).await,
        }
    }

    pub async fn messages(&self, engine: &AiEngine) -> Result<Vec<Message>> {
        match self {
            Self::Thread(thread) => thread.messages(engine).list(Page::default()).await,
            Self::Chat(chat) => chat.messages(engine).list(Page::default()).await,
        }
    }

    pub fn edit(&self, engine: &AiEngine, message: &Message, question: &str) -> RunRequest {
        let content = question::content(question);
        let request = match self {
            Self::Thread(thread) => thread.edit(engine, message, content),
            Self::Chat(chat) => chat.edit(engine, message, content),
        };
        // It may ask whomever the edited one asked.
        let asked = question::Question::of(question);
        request.definition(move |usual| asked.address(usual))
    }

    pub async fn truncate_after(&self, engine: &AiEngine, message: &Message) -> Result<()> {
        match self {
            Self::Thread(thread) => thread.truncate_after(engine, message).await,
            Self::Chat(chat) => chat.truncate_after(engine, message).await,
        }
    }

    pub async fn choose(&self, engine: &AiEngine, run: &Run) -> Result<()> {
        match self {
            Self::Thread(thread) => thread.choose(engine, run).await,
            Self::Chat(chat) => chat.choose(engine, run).await,
        }
    }

    pub async fn fork_at(&self, engine: &AiEngine, message: &Message) -> Result<Self> {
        Ok(match self {
            Self::Thread(thread) => Self::Thread(thread.fork_at(engine, message).await?),
            Self::Chat(chat) => Self::Chat(chat.fork_at(engine, message).await?),
        })
    }

    pub fn owner(&self) -> i64 {
        match self {
            Self::Thread(thread) => thread.threadable_id.parse().unwrap(),
            Self::Chat(chat) => chat.chattable_id.parse().unwrap(),
        }
    }

    pub fn ask(&self, engine: &AiEngine, question: &str) -> RunRequest {
        let content = question::content(question);
        match self {
            Self::Thread(thread) => {
                let usual = Api::of_conversation(&self.name());
                let request = Teller::of(usual).ai_engine_run(engine, thread, content);
                addressed(request, question, Some(usual))
            }
            Self::Chat(chat) => addressed(chat.run(engine, "model", content), question, None),
        }
    }
}

/// A database with the host's own transactions.
pub trait HostDatabase: Database + Clone {
    /// The host's row about a question and the run that answers it, or neither.
    fn submit_with_note(
        &self,
        question: String,
        commit: bool,
        submit: impl FnOnce(&mut dyn Session) -> Result<Run> + Send + 'static,
    ) -> impl Future<Output = Result<Run>> + Send;

    /// The host's row about what a tool did.
    fn note_effect(&self, key: String) -> impl Future<Output = Result<()>> + Send;

    /// A decision on a call of a tool, with the host's row about it, or neither.
    fn decide(
        &self,
        engine: AiEngine,
        call: ToolCall,
        approves: bool,
    ) -> impl Future<Output = Result<()>> + Send;
}

macro_rules! host_database {
    ($database:ty) => {
        impl HostDatabase for $database {
            async fn submit_with_note(
                &self,
                question: String,
                commit: bool,
                submit: impl FnOnce(&mut dyn Session) -> Result<Run> + Send + 'static,
            ) -> Result<Run> {
                self.transaction(move |conn| {
                    let note = format!("INSERT INTO notes (question) VALUES ('{question}')");
                    diesel::sql_query(note).execute(conn)?;
                    let run = submit(conn)?;
                    if commit { Ok(run) } else { Err(Error::host("the host changed its mind")) }
                })
                .await
            }

            async fn note_effect(&self, key: String) -> Result<()> {
                self.transaction(move |conn| {
                    let effect = format!("INSERT INTO effects (key) VALUES ('{key}')");
                    diesel::sql_query(effect).execute(conn)?;
                    Ok(())
                })
                .await
            }

            async fn decide(&self, engine: AiEngine, call: ToolCall, approves: bool) -> Result<()> {
                self.transaction(move |conn| {
                    let (what, decision) = match approves {
                        true => ("approve", Decision::approve()),
                        false => ("reject", Decision::reject("not today")),
                    };
                    let key = &call.idempotency_key;
                    let row =
                        format!("INSERT INTO decisions (key, what) VALUES ('{key}', '{what}')");
                    diesel::sql_query(row).execute(conn)?;
                    engine.tool_calls().decide_in(conn, [(call.id, decision)])?;
                    Ok(())
                })
                .await
            }
        }
    };
}
host_database!(SqliteDatabase);
#[cfg(feature = "postgres")]
host_database!(ai_engine::PgDatabase);
