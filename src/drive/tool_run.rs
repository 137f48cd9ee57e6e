//! Carrying out one call that was noted: its output, or why there is none.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use super::flight::Flight;
use crate::engine::AiEngine;
use crate::engine::core::Core;
use crate::host::record::Owner;
use crate::model::{Run, ToolCall, ToolCallStatus};
use crate::store::tool_calls::Move;
use crate::tool::{self, Bad, ErasedTool, ToolContext, text};

/// What a tool is called with, beside its call.
pub(super) struct Called {
    engine: AiEngine,
    run: Run,
    owner: Owner,
}

impl Called {
    /// By the run that this flight is of.
    pub(super) fn by(core: &Core, flight: &Flight) -> Self {
        Self {
            engine: AiEngine::from(core.clone()),
            run: flight.transcript.look(|seen| seen.run.clone()),
            owner: flight.owner(),
        }
    }

    pub(super) fn context<'a>(&'a self, call: &'a ToolCall) -> ToolContext<'a> {
        ToolContext { engine: &self.engine, run: &self.run, call, owner: &self.owner }
    }
}

/// Returns how the call ends, and with what.
pub(super) async fn run(
    core: &Core,
    flight: &Flight,
    call: ToolCall,
) -> (ToolCall, ToolCallStatus, Move) {
    let told = match core.tools().find(&call.name).cloned() {
        Some(tool) => guarded(&Called::by(core, flight), &call, tool).await,
        None => Err("this process has no such tool".to_owned()),
    };
    let most = core.options().max_tool_output_bytes;
    let told = told.and_then(|output| {
        if output.len() > most {
            return Err(format!("the output is longer than max_tool_output_bytes ({most} bytes)"));
        }
        Ok(output)
    });
    match told {
        Ok(output) => {
            (call, ToolCallStatus::Completed, Move { output: Some(output), ..Move::default() })
        }
        Err(error) => {
            let error = text::reason(error);
            let told = Some(format!("Error: {error}"));
            let with = Move { output: told, error: Some(error), ..Move::default() };
            (call, ToolCallStatus::Failed, with)
        }
    }
}

/// Its output, or why there is none: an error, a panic, or too long a time.
async fn guarded(
    called: &Called,
    call: &ToolCall,
    tool: Arc<dyn ErasedTool>,
) -> Result<String, String> {
    let cx = called.context(call);
    let limit = tool.timeout();
    let depth = called.run.submission.as_ref().map_or(0, |known| known.depth);
    let calling = tool::within_depth(depth, tool.call(call.effective_arguments(), &cx));
    let calling = AssertUnwindSafe(calling).catch_unwind();
    match tokio::time::timeout(limit, calling).await {
        Ok(Ok(Ok(Ok(output)))) => Ok(output),
        Ok(Ok(Ok(Err(error)))) => Err(error.message().to_owned()),
        Ok(Ok(Err(Bad(told)))) => Err(told),
        Ok(Err(_)) => {
            let Bad(told) = panicked(call);
            Err(told)
        }
        Err(_) => Err(format!("the tool took longer than {limit:?}")),
    }
}

/// What the model is told of a panic; its text is for the log, where the panic hook put it.
pub(super) fn panicked(call: &ToolCall) -> Bad {
    tracing::error!(run = call.run_id, tool = call.name, "a tool panicked");
    Bad("the tool failed".to_owned())
}
