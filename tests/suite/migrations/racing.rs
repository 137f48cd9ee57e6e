//! Many start at once: one runs the migrations, the others find them done.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

use ai_engine::AiEngine;
use diesel::Connection;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use super::{STARTS, one_did_the_work, untouched, write_migration};
use crate::support::*;

on_each_database!(
    racing_starts_run_the_hosts_migrations_and_ours,
    racing_connections_share_one_migration,
    racing_processes_share_one_migration,
);

/// What the guide says for processes that start together.
async fn racing_starts_run_the_hosts_migrations_and_ours<D: Raw>(db: D) {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..9 {
        write_migration(folder.path(), &format!("2026-01-0{number}"), &format!("posts_{number}"));
    }
    let hosts = FileBasedMigrations::from_path(folder.path()).unwrap();
    let (url, together) = (untouched(&db), Arc::new(Barrier::new(STARTS)));
    let starts: Vec<_> = (0..STARTS)
        .map(|_| {
            let (url, together, hosts) = (url.clone(), Arc::clone(&together), hosts.clone());
            std::thread::spawn(move || {
                let mut conn = D::Conn::establish(&url).unwrap();
                together.wait();
                D::migrate_the_host(&mut conn, hosts);
                ai_engine::migrate(&mut conn)
            })
        })
        .collect();
    let counts = starts.into_iter().map(|start| start.join().unwrap());
    one_did_the_work::<D>(counts.collect::<Result<_, _>>().unwrap());
    let mut conn = D::Conn::establish(&url).unwrap();
    assert!(!conn.has_pending_migration(hosts).unwrap());
}

async fn racing_connections_share_one_migration<D: Raw>(db: D) {
    let url = untouched(&db);
    let together = Arc::new(Barrier::new(STARTS));
    let starts: Vec<_> = (0..STARTS)
        .map(|_| {
            let mut conn = D::Conn::establish(&url).unwrap();
            let together = Arc::clone(&together);
            std::thread::spawn(move || {
                together.wait();
                ai_engine::migrate(&mut conn)
            })
        })
        .collect();
    let counts = starts.into_iter().map(|start| start.join().unwrap());
    one_did_the_work::<D>(counts.collect::<Result<_, _>>().unwrap());
}

const START_ON: &str = "AI_ENGINE_TEST_START_ON";

/// The other processes are this one's program, told to run a single test.
async fn racing_processes_share_one_migration<D: Raw>(db: D) {
    let url = untouched(&db);
    let mut starts: Vec<_> = (0..STARTS)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "migrations::racing::one_start", "--ignored", "--nocapture"])
                .env(START_ON, &url)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut said: Vec<_> =
        starts.iter_mut().map(|start| BufReader::new(start.stderr.take().unwrap())).collect();
    for said in &mut said {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }
    for start in &mut starts {
        start.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let counts = said.into_iter().map(|mut said| {
        let mut line = String::new();
        said.read_to_string(&mut line).unwrap();
        line.trim()
            .strip_prefix("migrated ")
            .unwrap_or_else(|| panic!("a start failed: {line}"))
            .parse()
            .unwrap()
    });
    one_did_the_work::<D>(counts.collect());
    for mut start in starts {
        assert!(start.wait().unwrap().success());
    }
}

/// One process of [`racing_processes_share_one_migration`].
#[tokio::test]
#[ignore = "a process of another test"]
async fn one_start() {
    async fn start<D: Raw>(url: &str) -> usize {
        eprintln!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let engine = AiEngine::builder(D::open(url)).build().unwrap();
        engine.migrate().await.unwrap()
    }
    let Ok(url) = std::env::var(START_ON) else {
        return;
    };
    let migrated = if url.contains("://") {
        #[cfg(feature = "postgres")]
        {
            start::<Postgres>(&url).await
        }
        #[cfg(not(feature = "postgres"))]
        unreachable!()
    } else {
        start::<Sqlite>(&url).await
    };
    eprintln!("migrated {migrated}");
}
