//! Random sequences of what a host does, of a provider that refuses all, and of processes that die. At the end the provider has one
//! assistant for ours, as it is, or none where there is none.

use ai_engine::testing::{API_KEY, Reply};

use super::{END_CLAIMS, END_WAITS, dies, ours, there};
use crate::support::*;
use ai_engine::prelude::*;

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
}

const STEPS: u64 = 14;
const POINTS: [&str; 7] = [
    "assistant.committed",
    "remote_assistant_claim.committing",
    "remote_assistant_claim.committed",
    "remote_assistant.carried_out",
    "remote_assistant.committing",
    "assistant_deletion.committing",
    "assistant_deletion.committed",
];

pub async fn play<D: TestDatabase>(host: &Host<D>, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut done = Vec::new();
    let (mut teller, mut is_away) = (host.teller.clone(), false);
    host.fake.reply_always(Reply::text("Yes."));
    let thread = host.thread().await;
    for _ in 0..STEPS {
        match random.below(8) {
            0 => {
                done.push("create".to_owned());
                drop(teller.create_openai_assistant(&host.engine).await);
            }
            1 | 2 => {
                teller.model = format!("model-{}", random.below(5));
                done.push(format!("change to {}", teller.model));
                host.db.with(|conn| teller.update_openai_assistant_in(conn.session())).unwrap();
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
                host.fake.keys(if is_away { vec!["nobody"] } else { vec![API_KEY, "k"] });
            }
            // The child's own points need a provider that is there, and something to be done at it.
            _ if !is_away => {
                let point = POINTS[usize::try_from(random.below(7)).unwrap()];
                teller.model = format!("model-of-child-{}", done.len());
                done.push(format!("a process dies at {point}"));
                host.db.execute(END_CLAIMS);
                dies(host, point, &teller.model);
                if random.below(2) == 0 {
                    host.db.execute(END_CLAIMS);
                }
            }
            _ => {}
        }
    }
    host.fake.keys([API_KEY, "k"]);
    let tell = format!("REMOTE_ASSISTANTS_SEED={seed}: {done:#?}");
    for _ in 0..100 {
        host.db.execute(END_CLAIMS);
        host.db.execute(END_WAITS);
        host.engine.recover().await.unwrap();
        if equal(host).await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{tell}\nours: {:#?}\nthere: {:#?}", ours(host).await, there(&host.fake));
}

async fn equal<D: TestDatabase>(host: &Host<D>) -> bool {
    let open = host.db.number("SELECT count(*) FROM ai_engine_remote_deletions")
        + host
            .db
            .number("SELECT count(*) FROM ai_engine_assistants WHERE remote_due_at IS NOT NULL");
    let there = there(&host.fake);
    open == 0
        && match ours(host).await {
            None => there.is_empty(),
            Some(ours) => {
                there.len() == 1
                    && there[0]["id"].as_str() == ours.remote_id.as_deref()
                    && there[0]["model"] == *ours.model
                    && ours.remote_version == Some(ours.version)
            }
        }
}
