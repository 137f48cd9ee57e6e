//! Writing to a database that may be away for some seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::core::Core;
use crate::error::{Result, with_causes};
use crate::failpoint::Write;
use crate::store::session::Session;

/// Between two tries of our own database.
pub(crate) const STORE_RETRY: Duration = Duration::from_millis(250);

/// One write transaction, tried again while the lease holds: a database that is away for some seconds costs no run.
pub(crate) async fn persist<T: Send + 'static>(
    core: &Core,
    write: Write,
    work: impl Fn(&mut dyn Session) -> Result<T> + Send + Sync + 'static,
) -> Result<T> {
    let work = Arc::new(work);
    persistently(core, || {
        let once = Arc::clone(&work);
        core.store().write(write, move |session| once(session))
    })
    .await
}

/// Work on the database, tried again for as long as a lease holds.
pub(crate) async fn persistently<T, F: Future<Output = Result<T>>>(
    core: &Core,
    work: impl Fn() -> F,
) -> Result<T> {
    let deadline = Instant::now() + core.options().lease;
    loop {
        match work().await {
            Err(error) if error.may_pass() && Instant::now() < deadline => {
                tracing::warn!(error = with_causes(&error), "the database refused; trying again");
                tokio::time::sleep(STORE_RETRY).await;
            }
            result => return result,
        }
    }
}
