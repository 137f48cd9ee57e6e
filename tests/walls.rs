//! The rooms of `src/` and what each may use: `docs/DESIGN.md` has the picture. A room that reaches past its wall fails here,
//! with the line that does it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and those that it may use beside itself. From the bottom up.
const ROOMS: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("failpoint", &[]),
    ("task", &[]),
    ("item", &[]),
    ("openai", &["item"]),
    ("error", &["model"]),
    ("model", &["error", "item", "schema"]),
    ("price", &["error", "model"]),
    ("provider", &["error", "model", "openai"]),
    ("store", &["error", "failpoint", "model", "schema", "task"]),
    // What a host's tool is, and is handed: the engine among it.
    ("tool", &["core", "error", "host", "model", "openai"]),
    ("follow", &["core", "error", "model", "store", "task"]),
    (
        "drive",
        &[
            "core",
            "error",
            "failpoint",
            "follow",
            "host",
            "model",
            "price",
            "provider",
            "store",
            "task",
            "tool",
        ],
    ),
    ("worker", &["core", "drive", "error", "failpoint", "model", "store", "task"]),
    (
        "submit",
        &[
            "core",
            "drive",
            "error",
            "failpoint",
            "follow",
            "host",
            "model",
            "store",
            "tool",
            "worker",
        ],
    ),
    ("host", &["core", "drive", "error", "failpoint", "follow", "model", "store", "submit"]),
    ("engine", &["error", "host", "model", "price", "provider", "store", "tool", "worker"]),
    // What the tasks of all rooms are handed, so it holds a state of each.
    (
        "core",
        &[
            "drive", "error", "follow", "host", "model", "price", "provider", "store", "tool",
            "worker",
        ],
    ),
    ("fuzzing", &["drive", "error", "follow", "model", "openai", "provider"]),
    // What pages send and read: requests, and events as bytes.
    ("ui", &["core", "error", "follow", "model", "store", "submit"]),
    ("axum", &["error", "follow", "ui"]),
    // And what is public, as a host uses it: `use crate::{…}`.
    ("testing", &["openai"]),
];

/// Those that may use anything: what is public is put together there, and told of.
const OPEN: &[&str] = &["lib", "guide"];

#[test]
fn no_room_reaches_past_its_walls() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 50, "the source is somewhere else");
    let mut crossed = Vec::new();
    let mut used = BTreeSet::new();
    for file in files {
        let room = room_of(file.strip_prefix(&src).unwrap());
        if OPEN.contains(&&*room) {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            crossed.push(format!("{}: the room {room:?} is not in the table", file.display()));
            continue;
        };
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for other in rooms_in(line) {
                if other == room {
                    continue;
                }
                if allowed.contains(&&*other) {
                    used.insert((room.clone(), other));
                } else {
                    let place = format!("{}:{}", file.display(), number + 1);
                    crossed.push(format!("{place}: {room} may not use {other}: {}", line.trim()));
                }
            }
        }
    }
    assert!(crossed.is_empty(), "walls are crossed:\n{}", crossed.join("\n"));
    // A door that nobody uses is a hole in the wall.
    let unused: Vec<_> = ROOMS
        .iter()
        .flat_map(|(room, allowed)| allowed.iter().map(move |other| (*room, *other)))
        .filter(|(room, other)| !used.contains(&((*room).to_owned(), (*other).to_owned())))
        .collect();
    assert!(unused.is_empty(), "allowed in the table and not used: {unused:?}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn room_of(file: &Path) -> String {
    let of_core = ["engine/core.rs", "engine/options.rs", "engine/remotes.rs"];
    if of_core.iter().any(|core| file.ends_with(core)) {
        return "core".to_owned();
    }
    let first = file.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a line of code names. What is public at the top of the crate counts as the room it is from.
fn rooms_in(line: &str) -> Vec<String> {
    if line.trim_start().starts_with("//") {
        return Vec::new();
    }
    let after = line.split("crate::").skip(1);
    after
        .map(|path| {
            let name: String =
                path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // The handle that a host holds is core's, too; its verbs are the engine's.
            let of_core = ["engine::core", "engine::remotes", "engine::TICK", "engine::AiEngine"];
            if of_core.iter().any(|name| path.starts_with(name)) { "core".to_owned() } else { name }
        })
        .filter(|name| !name.is_empty() && !AT_THE_TOP.contains(&&**name))
        .collect()
}

/// Macros and names at the top of the crate that each room may use.
const AT_THE_TOP: &[&str] = &["on", "of", "Record", "CompositeId", "record"];
