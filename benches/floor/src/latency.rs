//! How long a word is on its way, from the server's write to the hook, when many answers are written at once.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::clients::Client;
use crate::clients::library::{Ages, Heard, Library, has_postgres};
use crate::server::Server;
use crate::wire::Load;

const AT_ONCE: usize = 1_000;
const SECONDS: u32 = 30;
const DELTAS_A_SECOND: u32 = 50;

/// Measures each database in a process of its own.
pub fn measure() {
    let databases = ["sqlite", "postgres"];
    for database in databases.into_iter().take(if has_postgres() { 2 } else { 1 }) {
        let server = Server::start();
        let load = Load {
            deltas: SECONDS * DELTAS_A_SECOND,
            events_a_write: 1,
            pace: 1_000_000 / u64::from(DELTAS_A_SECOND),
        };
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["paced", database, &server.base_url(), &load.model(), &AT_ONCE.to_string()])
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{database} failed");
    }
}

/// Listens to so many answers of this kind, and prints what came of it as a line of JSON.
pub fn listen(database: &str, base_url: &str, model: &str, at_once: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let heard = Heard { ages: Some(Mutex::default()), ..Heard::default() };
        let library = match database {
            "sqlite" => Library::on_sqlite(base_url, heard).await,
            _ => Library::on_postgres(base_url, heard).await,
        };
        let library = Arc::new(library);
        library.prepare(at_once).await;
        let mut runs = tokio::task::JoinSet::new();
        for number in 0..at_once {
            let (library, model) = (Arc::clone(&library), model.to_owned());
            runs.spawn(async move { library.run(&model, number).await });
        }
        while let Some(run) = runs.join_next().await {
            run.unwrap();
        }
        let ages = library.heard.ages.as_ref().unwrap();
        let Ages { words, begun, last_began } = std::mem::take(&mut *ages.lock().unwrap());
        assert_eq!(begun.len(), at_once);
        // A second for what had gathered meanwhile.
        let from = last_began + 1_000_000;
        let mut ages: Vec<u64> =
            words.iter().filter(|(sent, _)| *sent > from).map(|(_, age)| *age).collect();
        ages.sort_unstable();
        let at = |thousandths: usize| ages.get(ages.len() * thousandths / 1000).copied();
        let said = json!({
            "database": database, "answers": at_once, "words": ages.len(),
            "p50_us": at(500), "p99_us": at(990), "p999_us": at(999),
        });
        println!("{said}");
    });
}
