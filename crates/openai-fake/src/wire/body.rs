//! The body of a streamed answer: the events of a run, or of a tape, as the connection carries them.

use std::{collections::VecDeque, io, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::time::timeout;

use crate::{
    service::{
        run::{Next, Run},
        tape::Playback,
    },
    wire::{
        flush::Flushes,
        frame::{Framer, Mangle},
    },
};

/// Where the events come from.
pub(crate) enum Source {
    /// A response that lives as long as its connection.
    Run(Box<Run>),
    /// A background response.
    Tape(Playback),
}

pub(crate) struct Body {
    source: Source,
    framer: Framer,
    mangle: Option<Mangle>,
    /// What is written but not yet sent.
    pieces: VecDeque<Bytes>,
    comment_every: Option<Duration>,
    flushes: Flushes,
}

impl Body {
    pub(crate) fn new(
        mut source: Source,
        framer: Framer,
        comment_every: Option<Duration>,
        flushes: Flushes,
    ) -> Self {
        if let Source::Run(run) = &mut source {
            run.flush_with(flushes.clone());
        }
        Self { source, framer, mangle: None, pieces: VecDeque::new(), comment_every, flushes }
    }

    /// The bytes, made as the client takes them.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.piece().await {
                Ok(piece) => piece.map(|piece| (Ok(piece), Some(body))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            match self.next().await {
                None => return Ok(Some(Bytes::from_static(b": still here\n\n"))),
                Some(Next::Raw(raw)) => self.pieces = self.framer.cut(raw),
                Some(Next::Mangle(mangle)) => self.mangle = Some(mangle),
                Some(Next::Event(number, event)) => {
                    self.pieces = self.framer.frame(number, &event, self.mangle.take());
                }
                Some(Next::End) => return Ok(None),
                Some(Next::Broken) => {
                    self.flushes.flushed().await;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
    }

    /// What comes next, or `None` when it is time for a comment.
    async fn next(&mut self) -> Option<Next> {
        let next = async {
            match &mut self.source {
                Source::Run(run) => run.next().await,
                Source::Tape(playback) => playback.next().await,
            }
        };
        match self.comment_every {
            None => Some(next.await),
            Some(every) => timeout(every, next).await.ok(),
        }
    }
}
