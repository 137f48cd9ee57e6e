//! Random sequences of what a host does, of providers that refuse all, of two engines at once, and of processes that die. At the end
//! the provider that the definition names has one assistant for ours, as it says, and no other provider has any.

use ai_engine::testing::{API_KEY, FakeOpenAi, Reply};
use ai_engine::{AiEngine, AssistantDefinition, prelude::*};
use serde_json::json;

use super::changing::{Changing, is_as};
use super::elsewhere::with_others;
use super::{END_CLAIMS, END_WAITS, dies, keeping, ours, there};
use crate::support::*;

/// Those of this run, or the one that `REMOTE_ASSISTANTS_SEED` names.
pub fn seeds() -> Vec<u64> {
    match std::env::var("REMOTE_ASSISTANTS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => vec![1, 2, 3, u64::from(std::process::id())],
    }
}

/// xorshift64*: the same sequence for the same seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    /// Whether a member is set; often it is not.
    fn sets(&mut self) -> bool {
        self.below(2) == 0
    }

    fn definition(&mut self) -> AssistantDefinition {
        let mut definition = AssistantDefinition::new(format!("model-{}", self.below(5)));
        if self.sets() {
            definition = definition.name("Dinarzade").instructions("You listen.");
        }
        if self.sets() {
            definition = definition.reasoning(json!({"effort": "low"})).temperature(0.5);
        }
        if self.sets() {
            definition =
                definition.tool(json!({"type": "code_interpreter"})).metadata("night", "1");
        }
        match self.below(5) {
            0 => definition.provider("other"),
            1 => definition.provider("plain"),
            _ => definition,
        }
    }
}

const STEPS: u64 = 20;
const POINTS: [&str; 7] = [
    "assistant.committed",
    "remote_assistant_claim.committing",
    "remote_assistant_claim.committed",
    "remote_assistant.carried_out",
    "remote_assistant.committing",
    "assistant_deletion.committing",
    "assistant_deletion.committed",
];

/// What is played on.
struct Play<D> {
    host: Host<D>,
    other: FakeOpenAi,
    /// A second engine, which does not know the other providers.
    second: AiEngine,
}

pub async fn play<D: TestDatabase>(db: D, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut done = Vec::new();
    let (host, other) = with_others(db).await;
    let play = Play { second: keeping(&host), host, other };
    let (host, mut is_away) = (&play.host, false);
    let mut teller = Changing::of(host);
    let thread = host.thread().await;
    for fake in play.fakes() {
        fake.reply_always(Reply::text("Yes."));
    }
    for _ in 0..STEPS {
        match random.below(12) {
            0 => {
                done.push("create".to_owned());
                drop(teller.create_openai_assistant(&host.engine).await);
            }
            1 | 2 => {
                teller.definition = random.definition();
                done.push(format!("change to {:?}", teller.definition));
                teller.store(&host.db);
            }
            3 => {
                done.push("delete".to_owned());
                teller.delete_openai_assistant(&host.engine).await.unwrap();
            }
            4 => {
                done.push("run".to_owned());
                drop(teller.ai_engine_run(&host.engine, &thread, "Well?").await);
            }
            5 => {
                is_away = !is_away;
                done.push(if is_away { "away" } else { "back" }.to_owned());
                for fake in play.fakes() {
                    fake.keys(if is_away { vec!["nobody"] } else { vec![API_KEY, "k"] });
                }
            }
            6 => {
                let one = Changing { definition: random.definition(), ..teller.clone() };
                let two = Changing { definition: random.definition(), ..teller.clone() };
                let deletes = random.sets();
                done.push(format!("at once {:?} and {:?}", one.definition, two.definition));
                let ends = async {
                    if deletes {
                        drop(teller.delete_openai_assistant(&play.second).await);
                    }
                };
                drop(tokio::join!(
                    one.update_openai_assistant(&host.engine),
                    two.update_openai_assistant(&play.second),
                    ends,
                ));
            }
            // The child's own points need a provider that is there, and something to be done at it.
            7 | 8 if !is_away => {
                let point = POINTS[usize::try_from(random.below(7)).unwrap()];
                done.push(format!("a process dies at {point}"));
                host.db.execute(END_CLAIMS);
                dies(host, point, &format!("model-of-child-{}", done.len()));
                if random.sets() {
                    host.db.execute(END_CLAIMS);
                }
            }
            _ => {
                teller.definition = random.definition();
                done.push(format!("update to {:?}", teller.definition));
                drop(teller.update_openai_assistant(&host.engine).await);
            }
        }
    }
    for fake in play.fakes() {
        fake.keys([API_KEY, "k"]);
    }
    for _ in 0..100 {
        host.db.execute(END_CLAIMS);
        host.db.execute(END_WAITS);
        host.engine.recover().await.unwrap();
        if play.is_equal().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (ours, here, other) = (ours(host).await, there(&host.fake), there(&play.other));
    panic!(
        "REMOTE_ASSISTANTS_SEED={seed}: {done:#?}\nours: {ours:#?}\nthere: {here:#?}\nother: {other:#?}"
    );
}

impl<D: TestDatabase> Play<D> {
    fn fakes(&self) -> [&FakeOpenAi; 2] {
        [&self.host.fake, &self.other]
    }

    async fn is_equal(&self) -> bool {
        let db = &self.host.db;
        if db.number("SELECT count(*) FROM ai_engine_remote_deletions") > 0 {
            return false;
        }
        let (ours, here, other) =
            (ours(&self.host).await, there(&self.host.fake), there(&self.other));
        let Some(ours) = ours else { return here.is_empty() && other.is_empty() };
        let definition = ours.definition().unwrap();
        let (at, nowhere) = match definition.provider.as_deref() {
            None => (here, other),
            Some("other") => (other, here),
            Some(_) => return here.is_empty() && other.is_empty() && ours.remote_id.is_none(),
        };
        nowhere.is_empty()
            && at.len() == 1
            && at[0]["id"].as_str() == ours.remote_id.as_deref()
            && is_as(&at[0], &definition)
            && ours.remote_version == Some(ours.version)
    }
}
