//! A host with many threads, whose owner and whose subscribers note how old each word is when they hear it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ai_engine::{
    AiEngine, AssistantDefinition, AssistantThread, Database, EventKind, HookContext, HookResult,
    Message, OpenAi, Run, prelude::*,
};

use crate::provider::{Provider, now};

#[derive(Debug)]
pub struct Owner {
    id: i32,
}

struct Teller {
    id: i32,
    model: String,
}

ai_engine::record! { Owner { id: i32 } as "Owner", Teller { id: i32 } as "Teller" }

impl Assistable for Teller {
    fn ai_engine_assistant(&self) -> AssistantDefinition {
        AssistantDefinition::new(&self.model)
    }
}

impl MessageHooks for Owner {
    async fn ai_engine_on_message_update(&self, _: &Message, cx: &HookContext<'_>) -> HookResult {
        cx.state::<Heard>()?.hear("hook", cx.appended());
        Ok(())
    }
}
impl Threadable for Owner {}

/// Ages of words in microseconds, by who heard them.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<BTreeMap<&'static str, Vec<u64>>>>);

impl Heard {
    fn hear(&self, who: &'static str, text: &str) {
        let now = now();
        let ages = text.split_whitespace().map(|sent| now.saturating_sub(sent.parse().unwrap()));
        self.0.lock().unwrap().entry(who).or_default().extend(ages);
    }

    pub fn count(&self, who: &str) -> usize {
        self.0.lock().unwrap().get(who).map_or(0, Vec::len)
    }

    pub fn latency(&self, who: &str) -> String {
        let mut ages = self.0.lock().unwrap().remove(who).unwrap_or_default();
        ages.sort_unstable();
        let at = |percent: usize| {
            let age = ages.get((ages.len() * percent / 100).min(ages.len().saturating_sub(1)));
            f64::from(u32::try_from(age.copied().unwrap_or(0)).unwrap_or(u32::MAX)) / 1000.0
        };
        format!("p50 {:.2} ms, p99 {:.2} ms ({} words)", at(50), at(99), ages.len())
    }
}

pub struct Crowd {
    pub heard: Heard,
    engine: AiEngine,
}

impl Crowd {
    pub async fn new(database: impl Database, provider: &Provider) -> Self {
        let client = OpenAi::builder().api_key("k").base_url(provider.base_url()).build().unwrap();
        let heard = Heard::default();
        let engine = AiEngine::builder(database)
            .openai(client)
            .state(heard.clone())
            .owner::<Owner>(|_, id| Ok(Some(Owner { id })))
            .build()
            .unwrap();
        engine.migrate().await.unwrap();
        Self { heard, engine }
    }

    pub async fn threads(&self, count: usize) -> Vec<AssistantThread> {
        let owner = Owner { id: 1 };
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            threads.push(owner.assistant_threads(&self.engine).create().await.unwrap());
        }
        threads
    }

    /// Asks, follows the events, and returns how long the answer is; `None` when there was none, with a line that says why.
    pub async fn ask(&self, thread: &AssistantThread, model: &str) -> Option<usize> {
        let run = self.submit(thread, model).await?;
        let mut events = run.events(&self.engine);
        while let Some(event) = events.next().await {
            if let EventKind::MessageAppended { text, .. } = event.unwrap().kind {
                self.heard.hear("subscriber", &text);
            }
        }
        self.end(run).await
    }

    pub async fn submit(&self, thread: &AssistantThread, model: &str) -> Option<Run> {
        let teller = Teller { id: 1, model: model.to_owned() };
        match teller.ai_engine_run(&self.engine, thread, "Tell me").submit().await {
            Ok(run) => Some(run),
            Err(error) => {
                println!("{error}");
                None
            }
        }
    }

    pub async fn end(&self, run: Run) -> Option<usize> {
        match self.engine.answer(run.id).await {
            Ok(answer) if answer.run.status == ai_engine::RunStatus::Completed => {
                Some(answer.text().len())
            }
            Ok(answer) => {
                println!("run {} is {}: {:?}", answer.run.id, answer.run.status, answer.run.error);
                None
            }
            Err(error) => {
                println!("{error}");
                None
            }
        }
    }
}
