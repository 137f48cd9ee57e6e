//! A question that nobody submits.
//~ error: unused `RunRequest` that must be used
//~ a run request does nothing until it is awaited, streamed, submitted or enqueued

use ai_engine::{AiEngine, Assistant, AssistantThread};

pub fn ask(engine: &AiEngine, thread: &AssistantThread, assistant: &Assistant) {
    thread.run(engine, assistant, "Tell me");
}
