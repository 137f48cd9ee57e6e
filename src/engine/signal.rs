//! The end of a process that is asked to end.

use std::io;
use std::time::Duration;

use super::core::AiEngine;
use crate::error::with_causes;

impl AiEngine {
    /// Waits until the process is asked to end, and then shuts the engine down, as [`shutdown`](Self::shutdown) does with this
    /// `deadline`. What asks is Ctrl-C, and on Unix SIGTERM, which most platforms send before they kill.
    ///
    /// The future owns a clone of the engine, as a web server wants it that waits for its streams:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # async fn serve(engine: ai_engine::AiEngine, listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// axum::serve(listener, app).with_graceful_shutdown(engine.shutdown_on_signal(Duration::from_secs(10))).await
    /// # }
    /// ```
    ///
    /// An error of `shutdown` is logged: the leases then end by themselves. While the future waits, the signals do not end the process
    /// by themselves. If the system refuses to tell of them, that is logged, and they go on ending it.
    ///
    /// # Cancellation
    ///
    /// Dropping the future while it waits shuts nothing down; for later see `shutdown`. A signal that was listened for once does not
    /// end the process by itself any more.
    pub fn shutdown_on_signal(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = ()> + Send + 'static {
        let engine = self.clone();
        async move {
            if let Err(error) = asked_to_end().await {
                tracing::error!(
                    error = with_causes(&error),
                    "the process cannot listen for signals"
                );
                return std::future::pending().await;
            }
            if let Err(error) = engine.shutdown(deadline).await {
                tracing::error!(
                    error = with_causes(&error),
                    "the leases of this process end by themselves"
                );
            }
        }
    }
}

#[cfg(unix)]
async fn asked_to_end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_end() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
