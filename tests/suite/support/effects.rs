//! Tools that leave a trace which outlives their process: a line in a file for each time that one was carried out.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::{
    Approval, AssistantDefinition, Database, EngineBuilder, Repeatable, Tool, ToolContext,
    ToolError,
};
use serde::Deserialize;

/// Where the lines are.
#[derive(Debug, Clone)]
struct Effects(Arc<PathBuf>);

fn carry_out(what: &str, cx: &ToolContext<'_>) -> Result<String, ToolError> {
    let Effects(path) = cx.state()?;
    let mut file = OpenOptions::new().append(true).create(true).open(path.as_path())?;
    writeln!(file, "{what} {}", cx.idempotency_key())?;
    Ok(format!("done: {what}"))
}

macro_rules! tools {
    ($($tool:ident $name:literal $repeatable:ident $approval:ident;)+) => {
        $(
            #[derive(Debug, Deserialize, JsonSchema)]
            pub struct $tool {}

            impl Tool for $tool {
                const NAME: &'static str = $name;
                const REPEATABLE: Repeatable = Repeatable::$repeatable;
                type Output = String;

                async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
                    carry_out(Self::NAME, cx)
                }

                fn approval(&self, _: &ToolContext<'_>) -> Approval {
                    Approval::$approval
                }
            }
        )+

        /// An engine that has them all.
        pub fn with_effects<D: Database>(builder: EngineBuilder<D>, path: &Path) -> EngineBuilder<D> {
            let builder = builder.state(Effects(Arc::new(path.to_owned())));
            builder$(.tool::<$tool>())+
        }

        /// A definition that uses them all.
        pub fn uses_effects(usual: AssistantDefinition) -> AssistantDefinition {
            usual$(.uses::<$tool>())+
        }
    };
}

tools! {
    Again "again" Yes NotNeeded;
    Asked "asked" Ask NotNeeded;
    Once "once" No NotNeeded;
    Agreed "agreed" Yes Needed;
}

/// How often something was carried out.
pub fn effects(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |lines| lines.lines().count())
}
