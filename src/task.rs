//! Tasks that end with whoever started them, and tasks that run while there is something to do.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinError, JoinHandle};

/// A task that ends when this is dropped.
pub(crate) struct Guarded<T>(JoinHandle<T>);

impl<T: Send + 'static> Guarded<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Its end. Dropping the future leaves the task going.
    pub(crate) async fn ended(&mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Held by a task of the engine's that is started when there is something to do, and of which there is one at most. In
/// whatever way it ends, whoever has something to do next must find none running.
pub(crate) struct Running<E> {
    engine: E,
    flag: fn(&E) -> &AtomicBool,
    retired: bool,
}

impl<E: Clone> Running<E> {
    pub(crate) fn new(engine: &E, flag: fn(&E) -> &AtomicBool) -> Self {
        Self { engine: engine.clone(), flag, retired: false }
    }

    /// The flag is taken back already; another task may have set it since.
    pub(crate) fn retire(mut self) {
        self.retired = true;
    }
}

impl<E> Drop for Running<E> {
    fn drop(&mut self) {
        if !self.retired {
            (self.flag)(&self.engine).store(false, Ordering::SeqCst);
        }
    }
}
