//! The engine's write transactions by name, and the places where a test can have the process die: `docs/CRASHES.md` says
//! what each leaves.
//!
//! Every write transaction has a name, and every name a case in `tests/suite/crash_points.rs`: a test compares them.
//!
//! The store passes `NAME.committing` at the end of each write transaction, before its COMMIT, and `NAME.committed` right
//! after it; the few places in between say [`point!`]. Without the feature `_internal` nothing happens there. With it, a
//! process that was started with `AI_ENGINE_CRASH_AT` set to a place's name dies there, as abruptly as by `kill -9`: no
//! destructor runs, no transaction is ended. `name:3` is the third time that the place is passed. With `AI_ENGINE_SLEEP_AT`
//! set likewise, the thread that passes there sleeps for four seconds, and on a runtime of one thread all of the engine with
//! it.

#[cfg(feature = "_internal")]
pub(crate) use points::{is_listed, pass};

/// Passes a place between two transactions. A name that is not listed does not compile.
macro_rules! point {
    ($name:literal) => {{
        #[cfg(feature = "_internal")]
        {
            const { assert!($crate::failpoint::is_listed($name), "no such crash point") };
            $crate::failpoint::pass($name);
        }
        // Two points stay two pieces of code, also to lints.
        #[cfg(not(feature = "_internal"))]
        let _ = $name;
    }};
}
pub(crate) use point;

macro_rules! writes {
    (
        transactions { $($(#[$meta:meta])* $variant:ident $name:literal,)+ }
        between { $($between:literal,)+ }
    ) => {
        /// A write transaction of the engine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Write {
            $($(#[$meta])* $variant,)+
        }

        impl Write {
            /// Its name, for logs.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Its work is done and not committed.
            pub(crate) fn committing(self) {
                #[cfg(feature = "_internal")]
                pass(match self {
                    $(Self::$variant => concat!($name, ".committing"),)+
                });
            }

            /// It was committed, and nobody knows yet.
            pub(crate) fn committed(self) {
                #[cfg(feature = "_internal")]
                pass(match self {
                    $(Self::$variant => concat!($name, ".committed"),)+
                });
            }
        }

        /// The places that `docs/CRASHES.md` lists.
        #[cfg(feature = "_internal")]
        pub const POINTS: &[&str] = &[
            $(concat!($name, ".committing"), concat!($name, ".committed"),)+
            $($between,)+
        ];
    };
}

writes! {
    transactions {
        Thread "thread",
        Chat "chat",
        Assistant "assistant",
        AssistantDeletion "assistant_deletion",
        /// All that belongs to one record is deleted.
        Forget "forget",
        Message "message",
        Submit "submit",
        /// A submit that cancels the runs in its way.
        Interrupt "interrupt",
        /// A submit that takes a turn again.
        Again "again",
        /// What came after a message leaves the path.
        Truncate "truncate",
        /// A path that was left before.
        Choose "choose",
        /// A thread or chat with the beginning of another.
        Fork "fork",
        /// Of a run that somebody drives: whoever that is, is asked to stop it.
        CancelRequest "cancel_request",
        /// Of a run that nobody drives: it ends.
        CancelWaiting "cancel_waiting",
        Rename "rename",
        Metadata "metadata",
        /// A title by a model.
        Title "title",
        ThreadDestroy "destroy",
        ChatDestroy "chat_destroy",
        Claim "claim",
        /// The provider's conversation of a thread.
        Conversation "conversation",
        ConversationLost "lost_conversation",
        /// What the provider's conversation was found to hold.
        Reconcile "reconcile",
        /// A call that is about to be made.
        Call "call",
        /// A process that slept since then asks whether the run is still its own, and extends its lease.
        LeaseCheck "lease_check",
        /// A flush of streamed text with the first words of a message.
        FirstWords "row",
        /// A flush of streamed text.
        Words "deltas",
        /// A server takes conversations and does not keep them.
        ConversationIgnored "ignored_conversation",
        /// The end of a call of the model that asks for tools.
        Step "step",
        /// Tools are about to be carried out, or wait for somebody.
        ToolsBegin "tools_begin",
        ToolOutput "tool_output",
        /// Somebody decides on calls of tools.
        Decide "decide",
        /// Nobody decided in time.
        Expire "expire",
        /// This process has the tool for which a call waited.
        Adopt "adopt",
        /// A run waits for somebody's decision.
        Pause "pause",
        /// The hooks of a run that waits were called.
        Heard "heard",
        Settle "settle",
        /// The end of a run with less than all of it, since the database refuses the rest.
        SettleWithLess "settle_with_less",
        /// A response of a run whose thread was deleted in mid-call.
        ResponseLeft "response_left",
        /// The last hooks of a run that was driven here were called.
        Announce "announce",
        Heartbeat "beat",
        LeaseRelease "release",
        RecoverSettle "recover_settle",
        RecoverRetry "recover_retry",
        /// A run of a dead process waits for somebody's decision on a call of a tool.
        RecoverPause "recover_pause",
        /// This process will call the last hooks of a run that it did not drive.
        AnnounceClaim "late_claim",
        /// They were called.
        AnnounceLate "late_announce",
        ForgetWorkers "forget_workers",
        /// This process will ask the provider to delete something.
        DeletionClaim "deletion_claim",
        DeletionDone "deletion",
        DeletionFailed "deletion_failure",
        /// A call is about to make an assistant at the provider for itself alone.
        OwnAssistant "own_assistant",
        /// A call has made a thread at the provider for itself alone.
        OwnThread "own_thread",
        /// What a call made for itself is deleted.
        OwnEnd "own_end",
        /// This process will ask the provider to make its own assistant as ours is.
        RemoteAssistantClaim "remote_assistant_claim",
        RemoteAssistantDone "remote_assistant",
        RemoteAssistantFailed "remote_assistant_failure",
    }
    between {
        "conversation.created",
        "call.answered",
        "output.arrived",
        "end.arrived",
        "tool.returned",
        "last_hooks.between",
        "late_hooks.between",
        "deletion.carried_out",
        "remote_assistant.carried_out",
    }
}

#[cfg(feature = "_internal")]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

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
        while at < super::POINTS.len() {
            if same(super::POINTS[at].as_bytes(), name.as_bytes()) {
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
