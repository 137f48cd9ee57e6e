//! The TCP stream under a connection, which can tell when everything written has gone out.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
};

/// Counts the flushes of one connection.
///
/// Hyper collects small chunks and throws away what it has collected when the body fails. A reply
/// that cuts its connection therefore first waits for a flush; otherwise the events before the cut
/// would arrive or not depending on timing.
#[derive(Clone, Debug)]
pub(crate) struct Flushes(Arc<watch::Sender<u64>>);

impl Flushes {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Waits until all that the body has yielded so far is written. Hyper flushes when a body has
    /// nothing ready, so waiting here is what causes the flush.
    pub(crate) async fn flushed(&self) {
        let mut count = self.0.subscribe();
        let before = *count.borrow_and_update();
        let _ = count.wait_for(|n| *n > before).await;
    }
}

/// A TCP stream that reports its flushes.
#[derive(Debug)]
pub(crate) struct Wire {
    tcp: TcpStream,
    flushes: Flushes,
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream, flushes: Flushes) -> Self {
        Self { tcp, flushes }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    /// Hyper comes here only once its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.tcp).poll_flush(cx);
        if let Poll::Ready(Ok(())) = &flushed {
            self.flushes.0.send_modify(|n| *n += 1);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
