//! A record is asked that does not say what it is as an assistant.
//~ error[E0599]: no method named `ai_engine_run` found for reference `&Teller` in the current scope
//~ trait defines an item `ai_engine_run`, perhaps you need to implement it
//~ `ai_engine::Assistable`

use ai_engine::{AiEngine, AssistantThread, RunRequest, prelude::*};

pub struct Teller {
    pub id: i64,
}

ai_engine::record! { Teller { id: i64 } as "Teller" }

pub fn ask(engine: &AiEngine, teller: &Teller, thread: &AssistantThread) -> RunRequest {
    teller.ai_engine_run(engine, thread, "Tell me")
}
