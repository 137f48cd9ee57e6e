//! What the process that drives a run writes: done while it does, and otherwise not at all.

use std::sync::Arc;

use tracing::Instrument;

use super::flight::{Flight, Halt};
use super::persist::{STORE_RETRY, persist};
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::failpoint::Write;
use crate::store::news::{self, News};
use crate::store::runs::{self, Fence};
use crate::store::session::Session;

/// What a wish to cancel means for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancel {
    /// Nothing new begins.
    Stops,
    /// What has been done is stored all the same.
    IsLeft,
}

/// One transaction behind the run's fence. It waits for whoever of the host's has the row, without a connection in hand.
pub(super) async fn fenced<T: Send + 'static>(
    core: &Core,
    flight: &Flight,
    write: Write,
    cancel: Cancel,
    work: impl Fn(&mut dyn Session) -> Result<T> + Send + Sync + 'static,
) -> std::result::Result<T, Halt> {
    let claim = flight.claim()?;
    let told = News::Run(flight.transcript.of, flight.id());
    // What nobody sees of a run is not told.
    let told = (!matches!(write, Write::Call | Write::LeaseCheck)).then_some(told);
    let work = Arc::new(work);
    loop {
        let work = Arc::clone(&work);
        let written = persist(core, write, move |session| {
            let fence = runs::fence(session, &[claim])?.first().copied().unwrap_or(Fence::Gone);
            match fence {
                Fence::Held { cancel: asked } if !asked || cancel == Cancel::IsLeft => {
                    let done = work(session)?;
                    news::tell(session, told.as_slice())?;
                    Ok(Ok(done))
                }
                fence => Ok(Err(fence)),
            }
        });
        match written.await? {
            Ok(written) => return Ok(written),
            Err(Fence::Locked) => tokio::time::sleep(STORE_RETRY).await,
            Err(fence) => return Err(fence.into()),
        }
    }
}

/// Stores something and shows it to readers: both, whoever stops waiting for it. A transaction that has begun commits all the same, so a
/// run that is to stop first waits for what is stored of it ([`Flight::begin_storing`]), and then ends behind that.
pub(super) async fn whole<T: Send + 'static>(
    flight: &Flight,
    work: impl Future<Output = std::result::Result<T, Halt>> + Send + 'static,
) -> std::result::Result<T, Halt> {
    let storing = flight.begin_storing().await;
    let work = async move {
        let done = work.await;
        drop(storing);
        done
    };
    let done = tokio::spawn(work.in_current_span()).await;
    done.map_err(|error| Error::Panicked(error.to_string()))?
}
