//! Work for one connection, and the mark of the thread that does it.

use std::cell::Cell;

use super::session::Session;
use crate::error::{Error, Result};

type Work = Box<dyn FnMut(&mut dyn Session) -> Result<()> + Send>;

/// Work for a connection.
#[doc(hidden)]
#[allow(unnameable_types, reason = "sealed: the databases are ours")]
pub struct Job {
    work: Work,
    /// It may be done again after it began.
    repeatable: bool,
    begun: bool,
    /// Somebody's lock was in its way.
    met_a_lock: bool,
}

impl Job {
    pub(crate) fn repeatable(
        work: impl FnMut(&mut dyn Session) -> Result<()> + Send + 'static,
    ) -> Self {
        Self { work: Box::new(work), repeatable: true, begun: false, met_a_lock: false }
    }

    pub(crate) fn once(work: impl FnOnce(&mut dyn Session) -> Result<()> + Send + 'static) -> Self {
        let mut work = Some(work);
        let work = move |session: &mut dyn Session| match work.take() {
            Some(work) => work(session),
            None => Err(Error::Panicked("the work was begun before".to_owned())),
        };
        Self { work: Box::new(work), repeatable: false, begun: false, met_a_lock: false }
    }

    pub(crate) fn run(&mut self, session: &mut dyn Session) -> Result<()> {
        self.begun = true;
        let _within = Within::enter();
        (self.work)(session)
    }

    pub(crate) const fn may_run(&self) -> bool {
        self.repeatable || !self.begun
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.begun
    }

    pub(crate) const fn meet_a_lock(&mut self) {
        self.met_a_lock = true;
    }

    #[cfg(feature = "postgres")]
    pub(crate) const fn has_met_a_lock(&self) -> bool {
        self.met_a_lock
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("repeatable", &self.repeatable)
            .field("met_a_lock", &self.met_a_lock)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// This thread is at work for a connection.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

struct Within {
    before: bool,
}

impl Within {
    fn enter() -> Self {
        Self { before: WITHIN.replace(true) }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.set(self.before);
    }
}

/// Fails on a thread that is at work for a connection: whoever awaits the engine there, by `block_on`, would wait for what
/// waits for that work to end.
pub(crate) fn refuse_within() -> Result<()> {
    if WITHIN.get() { Err(Error::WithinTransaction) } else { Ok(()) }
}
