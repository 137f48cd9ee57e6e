//! Who reads the streams. Each is measured in a process of its own, so that its processor time and memory are its alone.

mod async_openai;
mod floor;
pub mod library;
mod rig;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::library::{Heard, Library};
use crate::process;
use crate::wire::{Load, WORD};

/// All of them, but for the library on PostgreSQL without one.
pub fn names() -> Vec<&'static str> {
    let mut names = vec!["floor", "async-openai", "rig", "sqlite"];
    if library::has_postgres() {
        names.push("postgres");
    }
    names
}

/// Something that asks for a stream and reads it to its end.
pub trait Client: Send + Sync + 'static {
    /// Prepares so many runs.
    fn prepare(&self, _runs: usize) -> impl Future<Output = ()> + Send {
        async {}
    }
    /// Reads one stream and returns how much text it had, in bytes.
    fn run(&self, model: &str, number: usize) -> impl Future<Output = usize> + Send;
}

/// What is measured: `at_once` tasks, each of which reads `runs` streams one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub load: Load,
    pub at_once: usize,
    pub runs: usize,
}

/// Does the work as this client, and prints what it cost as one line of JSON.
pub fn work_as(name: &str, base_url: &str, work: Work) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let measured = runtime.block_on(async {
        match name {
            "floor" => measure(floor::Floor::new(base_url), work).await,
            "async-openai" => measure(async_openai::AsyncOpenAi::new(base_url), work).await,
            "rig" => measure(rig::Rig::new(base_url), work).await,
            "sqlite" => measure(Library::on_sqlite(base_url, Heard::default()).await, work).await,
            "postgres" => {
                measure(Library::on_postgres(base_url, Heard::default()).await, work).await
            }
            other => panic!("{other} is no client: {:?}", names()),
        }
    });
    println!("{measured}");
}

async fn measure(client: impl Client, work: Work) -> Value {
    let client = Arc::new(client);
    let Work { load, at_once, runs } = work;
    client.prepare(at_once * (runs + 1)).await;
    // Connections, pools and prepared statements are made by a short stream of each task.
    let brief = Load { deltas: 20, ..load };
    all(&client, brief, at_once, 1, 0).await;
    process::forget_peak();
    let (before, start) = (cpu(), Instant::now());
    all(&client, load, at_once, runs, at_once).await;
    let (spent, after) = (start.elapsed(), cpu());
    json!({
        "user": (after.0 - before.0).as_secs_f64(),
        "system": (after.1 - before.1).as_secs_f64(),
        "seconds": spent.as_secs_f64(),
        "peak_kb": process::memory("VmHWM"),
    })
}

async fn all<C: Client>(client: &Arc<C>, load: Load, at_once: usize, runs: usize, from: usize) {
    let mut tasks = JoinSet::new();
    for task in 0..at_once {
        let (client, model) = (Arc::clone(client), load.model());
        tasks.spawn(async move {
            for run in 0..runs {
                let said = client.run(&model, from + task * runs + run).await;
                assert_eq!(said, load.deltas as usize * WORD, "the text is not whole");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Processor time of this process so far, as user and in the system.
fn cpu() -> (Duration, Duration) {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap())
    };
    (time(usage.user_time()), time(usage.system_time()))
}
