//! G15: tools that write a row into the host's own table, one for each word about repeating; people who decide on calls, several at
//! once; and what must be true of both when all is quiet.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::{
    AiEngine, AssistantDefinition, EngineBuilder, Error, Repeatable, Result, Tool, ToolCallStatus,
    ToolContext, ToolError,
};
use serde::Deserialize;

use crate::host::{HostDatabase, tell};
use crate::random::Random;

/// Which tool the model calls before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Again,
    Asked,
    Once,
}

impl Effect {
    pub const ALL: [Self; 3] = [Self::Again, Self::Asked, Self::Once];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Again => Again::NAME,
            Self::Asked => Asked::NAME,
            Self::Once => Once::NAME,
        }
    }

    pub const fn letter(self) -> char {
        match self {
            Self::Again => 'y',
            Self::Asked => 'k',
            Self::Once => 'n',
        }
    }

    /// The definition of a run in which the model may call all of them.
    pub fn uses(usual: AssistantDefinition) -> AssistantDefinition {
        usual.uses::<Again>().uses::<Asked>().uses::<Once>()
    }
}

type Writing = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Writes the row of an effect, by its key.
#[derive(Clone)]
struct Effects(Arc<dyn Fn(String) -> Writing + Send + Sync>);

/// An engine with the tools, which write into its database.
pub fn with_tools<D: HostDatabase>(builder: EngineBuilder<D>, database: &D) -> EngineBuilder<D> {
    let database = database.clone();
    let write = move |key: String| {
        let database = database.clone();
        Box::pin(async move { database.note_effect(key).await }) as Writing
    };
    let builder = builder.state(Effects(Arc::new(write)));
    builder.tool::<Again>().tool::<Asked>().tool::<Once>()
}

macro_rules! tools {
    ($($tool:ident $name:literal $repeatable:ident;)+) => {
        $(
            #[derive(Deserialize, JsonSchema)]
            struct $tool {
                question: String,
            }

            impl Tool for $tool {
                const NAME: &'static str = $name;
                const REPEATABLE: Repeatable = Repeatable::$repeatable;
                type Output = &'static str;

                async fn call(self, cx: &ToolContext<'_>) -> Result<&'static str, ToolError> {
                    carry_out(&self.question, cx).await
                }
            }
        )+
    };
}

tools! {
    Again "again" Yes;
    Asked "asked" Ask;
    Once "once" No;
}

/// Takes its time before and after, so that kills fall into both.
async fn carry_out(question: &str, cx: &ToolContext<'_>) -> Result<&'static str, ToolError> {
    let Effects(write) = cx.state()?;
    let mut random = Random::of(question);
    tokio::time::sleep(Duration::from_millis(random.below(40))).await;
    write(cx.idempotency_key().to_owned()).await?;
    tokio::time::sleep(Duration::from_millis(random.below(40))).await;
    Ok("done")
}

/// People who decide on whatever waits, also while others do: in each process, until it is killed.
pub async fn decide<D: HostDatabase>(database: D, engine: AiEngine, mut random: Random) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.below(80))).await;
        let waiting = match engine.tool_calls().waiting().await {
            Ok(waiting) => waiting,
            Err(error) => {
                tell(&format!("waiting: {error:?}").replace(['\n', '\t'], " "));
                continue;
            }
        };
        for call in waiting {
            if call.status != ToolCallStatus::AwaitingApproval {
                tell(&format!("call {} is {}", call.id, call.status));
            }
            match database.decide(engine.clone(), call, random.percent(70)).await {
                Ok(())
                | Err(Error::Decided { .. } | Error::NotFound { .. } | Error::ShuttingDown) => {}
                // A transaction of the host's is the host's to make again.
                Err(error) if format!("{error:?}").contains("deadlock") => {}
                Err(error) => tell(&format!("decide: {error:?}").replace(['\n', '\t'], " ")),
            }
        }
    }
}

/// What no call may be like when all is quiet. A copy of a call, in a fork, has the key of the first one.
pub const RULES: [(&str, &str); 8] = [
    (
        "a call is open",
        "'call ' || c.id || ' ' || c.status FROM ai_engine_tool_calls AS c WHERE c.finished_at IS NULL",
    ),
    (
        "the model is told of a call never, or twice",
        "'call ' || c.id FROM ai_engine_tool_calls AS c WHERE 1 <> (SELECT count(*) FROM ai_engine_run_items AS i WHERE i.run_id = c.run_id AND i.kind = 'function_call_output' AND i.call_id = c.call_id)",
    ),
    (
        "a call is done, and its effect is lost",
        "'call ' || c.id || ' ' || c.name FROM ai_engine_tool_calls AS c WHERE c.status = 'completed' AND NOT EXISTS (SELECT 1 FROM effects AS e WHERE e.key = c.idempotency_key)",
    ),
    (
        "an effect came more often than its call was begun",
        "'call ' || c.id || ' ' || c.name FROM ai_engine_tool_calls AS c WHERE (SELECT count(*) FROM effects AS e WHERE e.key = c.idempotency_key) > c.attempts",
    ),
    (
        "what is never repeated was begun twice",
        "'call ' || c.id FROM ai_engine_tool_calls AS c WHERE c.name = 'once' AND c.attempts > 1",
    ),
    (
        "what a person is asked about was begun again, and nobody agreed",
        "'call ' || c.id FROM ai_engine_tool_calls AS c WHERE c.name = 'asked' AND c.attempts > 1 + (SELECT count(*) FROM decisions AS d WHERE d.key = c.idempotency_key AND d.what = 'approve')",
    ),
    (
        "it was decided more often than it waited",
        "'call ' || c.id FROM ai_engine_tool_calls AS c WHERE (SELECT count(*) FROM decisions AS d WHERE d.key = c.idempotency_key) > c.attempts",
    ),
    (
        "a call was refused, by nobody or twice",
        "'call ' || c.id FROM ai_engine_tool_calls AS c WHERE 1 < (SELECT count(*) FROM decisions AS d WHERE d.key = c.idempotency_key AND d.what = 'reject') OR (c.status = 'rejected') <> EXISTS (SELECT 1 FROM decisions AS d WHERE d.key = c.idempotency_key AND d.what = 'reject')",
    ),
];
