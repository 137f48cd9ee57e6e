//! The body of a `text/event-stream`: what is ready goes together, silence is broken by comments, an error ends it,
//! and is its last item.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep};

use crate::error::{Error, Result, with_causes};

/// How long nothing is sent at most. Proxies close connections after a minute of silence, as a rule.
const QUIET: Duration = Duration::from_secs(15);
/// What is ready is sent together, up to about so many bytes.
const TOGETHER: usize = 16 * 1024;

/// Adds an item to the text as a block, or as none.
pub(crate) type Write<T> = Box<dyn FnMut(&T, &mut String) -> serde_json::Result<()> + Send + Sync>;

/// Bytes from items.
pub(crate) struct Body<T> {
    items: Pin<Box<dyn Stream<Item = Result<T>> + Send>>,
    pub(crate) write: Write<T>,
    /// What is sent at once, so that the head of the answer goes.
    opening: &'static str,
    /// Until the next comment; begun with the first look.
    quiet: Option<Pin<Box<Sleep>>>,
    pub(crate) ended: bool,
    /// Why it ended before its time: said behind what is written.
    broken: Option<io::Error>,
}

impl<T> Body<T> {
    pub(crate) fn new(
        items: impl Stream<Item = Result<T>> + Send + 'static,
        opening: &'static str,
        write: Write<T>,
    ) -> Self {
        Self { items: Box::pin(items), write, opening, quiet: None, ended: false, broken: None }
    }

    /// Adds what is ready.
    fn take(&mut self, cx: &mut Context<'_>, text: &mut String) {
        while !self.ended && text.len() < TOGETHER {
            match self.items.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(item))) => {
                    if let Err(error) = (self.write)(&item, text) {
                        tracing::error!(%error, "an event cannot be written as JSON; its reader is sent away");
                        self.ended = true;
                        self.broken = Some(error.into());
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    match &error {
                        Error::NotFound { .. } | Error::RunGone(_) | Error::ShuttingDown => {}
                        error => tracing::warn!(
                            error = with_causes(error),
                            "a reader of events is sent away"
                        ),
                    }
                    self.ended = true;
                    self.broken = Some(io::Error::new(io::ErrorKind::ConnectionAborted, error));
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }

    /// The next bytes, for the `poll_next` of a stream.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Bytes, io::Error>>> {
        let mut text = String::new();
        if self.quiet.is_none() {
            text.push_str(self.opening);
        }
        self.take(cx, &mut text);
        let next = Instant::now() + QUIET;
        if !text.is_empty() {
            match &mut self.quiet {
                Some(quiet) => quiet.as_mut().reset(next),
                quiet => *quiet = Some(Box::pin(sleep(QUIET))),
            }
            return Poll::Ready(Some(Ok(text.into())));
        }
        if self.ended {
            return Poll::Ready(self.broken.take().map(Err));
        }
        let Some(quiet) = &mut self.quiet else { return Poll::Pending };
        if quiet.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        quiet.as_mut().reset(next);
        Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))))
    }
}
