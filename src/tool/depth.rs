//! How deep a run is: what a tool starts is deeper by one than the run that called it.

use std::future::Future;

tokio::task_local! {
    static DEPTH: u32;
}

/// That of a run which is submitted here: 0 outside of tools.
pub(crate) fn current() -> u32 {
    DEPTH.try_with(|depth| *depth).unwrap_or_default()
}

/// What a tool of a run at this depth does.
pub(crate) fn within<F: Future>(depth: u32, work: F) -> impl Future<Output = F::Output> {
    DEPTH.scope(depth.saturating_add(1), work)
}
