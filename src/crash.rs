//! Places where a test can have the process die: `docs/CRASHES.md` says what each leaves.
//!
//! Without the feature `testing` they are not there. With it, a process that was started with `AI_ENGINE_CRASH_AT` set to
//! a point's name dies there, as abruptly as by `kill -9`: no destructor runs, no transaction is ended. `name:3` is the
//! third time that the point is passed. With `AI_ENGINE_SLEEP_AT` set likewise, the thread that passes there sleeps for four
//! seconds, and on a runtime of one thread all of the engine with it.

#[cfg(feature = "testing")]
pub use points::POINTS;
#[cfg(feature = "testing")]
pub(crate) use points::{is_listed, pass};

/// Passes a point. A name that is not among the points does not compile.
macro_rules! point {
    ($name:literal) => {{
        #[cfg(feature = "testing")]
        {
            const { assert!($crate::crash::is_listed($name), "no such crash point") };
            $crate::crash::pass($name);
        }
        // Two points stay two pieces of code, also to lints.
        #[cfg(not(feature = "testing"))]
        let _ = $name;
    }};
}
pub(crate) use point;

#[cfg(feature = "testing")]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// All points. `committing` is the end of a write transaction, before its COMMIT; `committed` comes right after it.
    pub const POINTS: &[&str] = &[
        // What a host asks for.
        "thread.committing",
        "thread.committed",
        "chat.committing",
        "chat.committed",
        "assistant.committing",
        "assistant.committed",
        "assistant_deletion.committing",
        "assistant_deletion.committed",
        "message.committing",
        "message.committed",
        "submit.committing",
        "submit.committed",
        "interrupt.committing",
        "interrupt.committed",
        "cancel_request.committing",
        "cancel_request.committed",
        "cancel_waiting.committing",
        "cancel_waiting.committed",
        "destroy.committing",
        "destroy.committed",
        "chat_destroy.committing",
        "chat_destroy.committed",
        // The life of a run.
        "claim.committing",
        "claim.committed",
        "conversation.created",
        "conversation.committing",
        "conversation.committed",
        "lost_conversation.committing",
        "lost_conversation.committed",
        "reconcile.committing",
        "reconcile.committed",
        "call.committing",
        "call.committed",
        "call.answered",
        "output.arrived",
        "row.committing",
        "row.committed",
        "deltas.committing",
        "deltas.committed",
        "end.arrived",
        "settle.committing",
        "settle.committed",
        "last_hooks.between",
        "announce.committing",
        "announce.committed",
        // What a process does beside its runs.
        "beat.committing",
        "beat.committed",
        "release.committing",
        "release.committed",
        // Recovery, which can die as well.
        "recover_settle.committing",
        "recover_settle.committed",
        "recover_retry.committing",
        "recover_retry.committed",
        "late_hooks.between",
        "late_announce.committing",
        "late_announce.committed",
        "forget_workers.committing",
        "forget_workers.committed",
        "deletion.carried_out",
        "deletion.committing",
        "deletion.committed",
        "deletion_failure.committing",
        "deletion_failure.committed",
    ];

    /// A point, and how often to pass there before.
    type At = Option<(String, AtomicU64)>;

    static DIE_AT: OnceLock<At> = OnceLock::new();
    static SLEEP_AT: OnceLock<At> = OnceLock::new();
    /// Longer than the leases of processes that sleep in tests.
    const SLEEP: Duration = Duration::from_secs(4);

    fn at(variable: &str) -> At {
        let wanted = std::env::var(variable).ok()?;
        let (name, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        let time: u64 = time.parse().unwrap_or(1);
        Some((name.to_owned(), AtomicU64::new(time)))
    }

    #[allow(clippy::disallowed_methods, reason = "the thread is to be held up")]
    pub(crate) fn pass(name: &str) {
        if is_time(DIE_AT.get_or_init(|| at("AI_ENGINE_CRASH_AT")), name) {
            std::process::abort();
        }
        if is_time(SLEEP_AT.get_or_init(|| at("AI_ENGINE_SLEEP_AT")), name) {
            std::thread::sleep(SLEEP);
        }
    }

    /// Once, at the time that is wanted.
    fn is_time(at: &At, name: &str) -> bool {
        let Some((_, left)) = at.as_ref().filter(|(wanted, _)| wanted == name) else {
            return false;
        };
        let passed =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        passed == Ok(1)
    }

    pub(crate) const fn is_listed(name: &str) -> bool {
        let mut at = 0;
        while at < POINTS.len() {
            if same(POINTS[at].as_bytes(), name.as_bytes()) {
                return true;
            }
            at += 1;
        }
        false
    }

    const fn same(one: &[u8], other: &[u8]) -> bool {
        if one.len() != other.len() {
            return false;
        }
        let mut at = 0;
        while at < one.len() {
            if one[at] != other[at] {
                return false;
            }
            at += 1;
        }
        true
    }
}
