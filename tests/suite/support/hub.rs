//! What the hooks heard.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_engine::{AiEngine, HookResult, Message, MessageStatus, Role, Run, ToolCall};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

/// One call of a hook.
#[derive(Debug, Clone)]
pub enum Heard {
    Created(Message),
    Updated { message: Message, appended: String, replaced: bool },
    Run(Run),
    Tool(ToolCall),
}

/// How the hooks behave.
#[derive(Clone, Default)]
pub enum Manner {
    #[default]
    Listen,
    /// Fail each call after hearing it.
    Fail,
    /// Panic in each call after hearing it.
    Panic,
    /// Never return from the first update.
    Hang,
    /// Wait in each update until told to go on.
    Wait(Arc<Notify>),
    /// Take so long for each update.
    Slow(Duration),
    /// Do something with the engine after hearing each call.
    Do(Deed),
}

/// What a hook does with the engine that calls it.
pub type Deed = Arc<dyn Fn(AiEngine, Heard) -> BoxFuture<'static, HookResult> + Send + Sync>;

impl Manner {
    pub fn deed<F: Future<Output = HookResult> + Send + 'static>(
        deed: impl Fn(AiEngine, Heard) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::Do(Arc::new(move |engine, heard| Box::pin(deed(engine, heard))))
    }
}

/// Hears the hooks of all owners; the host's state in the engine.
#[derive(Clone, Default)]
pub struct Hub {
    heard: Arc<Mutex<Vec<(i32, Heard)>>>,
    manner: Arc<Mutex<Manner>>,
    count: Arc<watch::Sender<usize>>,
}

impl Hub {
    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Whether its hooks never return.
    pub fn hangs(&self) -> bool {
        matches!(*self.manner.lock().unwrap(), Manner::Hang)
    }

    pub async fn hear(&self, owner: i32, heard: Heard, engine: &AiEngine) -> HookResult {
        let update = matches!(heard, Heard::Updated { .. });
        let count = {
            let mut all = self.heard.lock().unwrap();
            all.push((owner, heard.clone()));
            all.len()
        };
        self.count.send_replace(count);
        let manner = self.manner.lock().unwrap().clone();
        match manner {
            Manner::Fail => Err("the hook fails".into()),
            Manner::Panic => panic!("the hook panics"),
            Manner::Hang if update => std::future::pending().await,
            Manner::Wait(go) if update => {
                go.notified().await;
                Ok(())
            }
            Manner::Slow(pace) if update => {
                tokio::time::sleep(pace).await;
                Ok(())
            }
            Manner::Do(deed) => deed(engine.clone(), heard).await,
            Manner::Listen | Manner::Hang | Manner::Wait(_) | Manner::Slow(_) => Ok(()),
        }
    }

    pub fn all(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().iter().map(|(_, heard)| heard.clone()).collect()
    }

    /// What was heard of one run.
    pub fn of_run(&self, id: i64) -> Vec<Heard> {
        let all = self.all().into_iter();
        all.filter(|heard| match heard {
            Heard::Created(message) | Heard::Updated { message, .. } => message.run_id == Some(id),
            Heard::Run(run) => run.id == id,
            Heard::Tool(call) => call.run_id == id,
        })
        .collect()
    }

    pub fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// Waits until the hooks heard something that `found` looks for.
    pub async fn until(&self, found: impl Fn(&Heard) -> bool) {
        let mut count = self.count.subscribe();
        loop {
            count.mark_unchanged();
            if self.all().iter().any(&found) {
                return;
            }
            count.changed().await.unwrap();
        }
    }

    /// Waits until the model's text, as the hooks heard it, holds `text`.
    pub async fn until_text(&self, text: &str) {
        self.until(|heard| matches!(heard, Heard::Updated { message, .. } if message.content.contains(text))).await;
    }

    /// The model's text as put together from what was appended.
    pub fn appended(&self) -> String {
        let appended = self.all().into_iter().filter_map(|heard| match heard {
            Heard::Updated { appended, .. } => Some(appended),
            _ => None,
        });
        appended.collect()
    }

    /// The settled messages of the model, as heard.
    pub fn settled(&self) -> Vec<Message> {
        let settled = self.all().into_iter().filter_map(|heard| match heard {
            Heard::Updated { message, .. } if message.status != MessageStatus::Streaming => {
                Some(message)
            }
            _ => None,
        });
        settled.collect()
    }

    /// The calls in a word each.
    pub fn story(&self) -> Vec<String> {
        let mut story: Vec<String> = Vec::new();
        for heard in self.all() {
            let word = match heard {
                Heard::Created(message) if message.role == Role::User => "user created".to_owned(),
                Heard::Created(_) => "assistant created".to_owned(),
                Heard::Updated { message, .. } => format!("message {}", message.status),
                Heard::Run(run) => format!("run {}", run.status),
                Heard::Tool(call) => format!("call {}", call.status),
            };
            // Updates are coalesced as it happens; how many there were is no matter.
            if story.last() != Some(&word) {
                story.push(word);
            }
        }
        story
    }
}
