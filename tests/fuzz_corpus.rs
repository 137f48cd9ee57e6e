//! The inputs that led the fuzzer somewhere, again: what it checks must hold without it too. `scripts/fuzz` finds more.
#![allow(
    missing_docs,
    unreachable_pub,
    unnameable_types,
    missing_debug_implementations,
    reason = "tests are nobody's API"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "that is how a test fails"
)]

#[path = "../fuzz/src/lib.rs"]
mod properties;

fn replay(target: &str, holds: fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        let held = std::panic::catch_unwind(|| holds(&input));
        assert!(held.is_ok(), "{} breaks a rule; see above", path.display());
        count += 1;
    }
    assert!(count > 10, "{folder} holds {count} inputs");
}

#[test]
fn server_sent_events() {
    replay("sse", properties::sse::holds);
}

#[test]
fn cursors() {
    replay("cursor", properties::cursor::holds);
}

#[test]
fn answers() {
    replay("event", properties::event::holds);
}

#[test]
fn chat_completions() {
    replay("chat", properties::chat::holds);
}
