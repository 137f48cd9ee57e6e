//! Places where a test can have the process die: `docs/CRASHES.md` says what each leaves.
//!
//! Without the feature `testing` they are not there. With it, a process that was started with `AI_ENGINE_CRASH_AT` set to
//! a point's name dies there, as abruptly as by `kill -9`: no destructor runs, no transaction is ended. `name:3` is the
//! third time that the point is passed.

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

    /// Where to die, and how often to pass there before.
    static AT: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

    fn at() -> Option<(String, AtomicU64)> {
        let wanted = std::env::var("AI_ENGINE_CRASH_AT").ok()?;
        let (name, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        let time: u64 = time.parse().unwrap_or(1);
        Some((name.to_owned(), AtomicU64::new(time.saturating_sub(1))))
    }

    pub(crate) fn pass(name: &str) {
        let Some((_, left)) = AT.get_or_init(at).as_ref().filter(|(wanted, _)| wanted == name)
        else {
            return;
        };
        let passed =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if passed.is_err() {
            std::process::abort();
        }
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
