//! G8: an event larger than the limit.

use super::case::{Case, End, check_all};
use super::{AFTER, FIRST, story};
use crate::support::*;

on_each_database!(a_long_line_is_refused_unless_the_limit_allows_it);

const LINE: usize = 64 << 20;

async fn a_long_line_is_refused_unless_the_limit_allows_it<D: TestDatabase>(db: D) {
    let cases = [
        Case::new("before output", story().padded_at(FIRST, LINE), End::Failed("too_large")),
        Case::new(
            "after output",
            story().padded_at(AFTER, LINE),
            End::Kept("too_large", "Once upon"),
        ),
        Case::new("allowed", story().padded_at(AFTER, LINE), End::Answered("Once upon"))
            .client(|client| client.max_event_bytes(LINE + 1)),
    ];
    check_all(db, cases).await;
}

/// The limit bounds memory, whatever the server sends: this test alone in a process, whose peak the system tells.
#[cfg(target_os = "linux")]
#[test]
fn a_line_without_end_takes_no_more_memory_than_its_limit() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "network::long_lines::read_a_line_without_end",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{told}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "the process of the test before"]
async fn read_a_line_without_end() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    check_all(Sqlite::fresh(), [Case::new("warm up", story(), End::Answered("Once upon"))]).await;
    let before = peak();
    let endless = story().padded_at(AFTER, 64 * LINE);
    let kept = End::Kept("too_large", "Once upon");
    check_all(Sqlite::fresh(), [Case::new("4 GiB", endless, kept)]).await;
    // The default limit is 32 MiB; a buffer that grows holds half as much again for a moment.
    let grown = peak() - before;
    assert!(grown < LINE, "{grown} bytes");
}
