//! The events of a thread, a chat or a run, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt, stream};

use super::cursor::Cursor;
use super::event::Event;
use super::hub::gone;
use super::reader::Reader;
use crate::engine::core::Core;
use crate::error::Result;
use crate::model::{Messageable, Run};
use crate::store::{refuse_within, runs, threads};

/// The events of a thread or chat as an endless stream: first those that happened already, from the beginning or behind a
/// [`Cursor`], then each as it happens. No event is missing and none comes twice, whenever and in whichever process the reader
/// begins.
///
/// Pieces of text that a reader has not taken yet are joined: a slow reader gets larger pieces, and no queue grows for it. Text of a
/// run that this process drives comes as it arrives. Text of a run that another process drives comes once it is stored, within half
/// a second; all readers of a process share one query for that. The stream ends when the engine is shut down
/// ([`AiEngine::shutdown`](crate::AiEngine::shutdown)); the reader then goes on in another process, with its last cursor.
///
/// It does not check who owns the thread or chat: get it from its owner's
/// [`find`](crate::AssistantThreads::find).
///
/// # Errors
///
/// An error is the last item: [`Error::NotFound`](crate::Error::NotFound) once the thread or chat is deleted,
/// [`Error::Invalid`](crate::Error::Invalid) for a cursor of another one, or the database's while the reader catches up.
/// Once it has caught up, the stream waits for a database that is away instead of failing.
pub struct Events {
    core: Core,
    of: Messageable,
    after: Option<Cursor>,
    waiting: bool,
    inner: Inner,
}

/// The events of one run, from its beginning or a [`Cursor`] to its end. Dropping it leaves the run going.
///
/// # Errors
///
/// As [`Events`]; [`Error::RunGone`](crate::Error::RunGone) when the run was deleted with its thread, and
/// [`Error::NotDriven`](crate::Error::NotDriven) when this process had to give it up.
pub struct RunEvents {
    core: Core,
    run: Run,
    after: Option<Cursor>,
    inner: Inner,
}

type Inner = Pin<Box<dyn Stream<Item = Result<Event>> + Send>>;

impl Events {
    pub(crate) fn of(core: &Core, of: Messageable) -> Self {
        let inner = follow(Reader::of_conversation(core, of));
        Self { core: core.clone(), of, after: None, waiting: false, inner }
    }

    fn anew(mut self) -> Self {
        let mut reader = Reader::of_conversation(&self.core, self.of);
        if let Some(cursor) = self.after.clone() {
            reader = reader.after(cursor);
        }
        if self.waiting {
            reader = reader.with_waiting();
        }
        self.inner = follow(reader);
        self
    }

    /// Begins behind this place instead of at the beginning. It may come from another process, or from before a restart.
    /// A cursor of another thread or chat is the stream's first item, an error; [`resume`](Self::resume) checks it beforehand.
    #[must_use]
    pub fn after(self, cursor: Cursor) -> Self {
        Self { after: Some(cursor), ..self }.anew()
    }

    /// Tells as well which questions wait behind a run that is not over, whenever others do
    /// ([`EventKind::Waiting`](crate::EventKind::Waiting)). Without this a question is told of when its turn comes.
    #[must_use]
    pub fn with_waiting(self) -> Self {
        Self { waiting: true, ..self }.anew()
    }

    /// Begins behind the place that a browser gives back as `Last-Event-ID`, or at the beginning where there is none. Looks
    /// before the first event whether that place exists, so that a web handler can still answer with an error.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a text that is no cursor, that of another thread or chat, or one ahead
    /// of everything there is (another database's); [`Error::NotFound`](crate::Error::NotFound) when the thread or chat was
    /// deleted; or the database's.
    pub async fn resume(self, last_event_id: Option<&str>) -> Result<Self> {
        let cursor = checked(&self.core, self.of, last_event_id).await?;
        Ok(match cursor {
            Some(cursor) => self.after(cursor),
            None => self,
        })
    }

    /// The next event; `None` when the engine is shut down.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.inner.next().await
    }
}

/// The cursor that a text is, if it is one of this conversation, which is there.
async fn checked(
    core: &Core,
    of: Messageable,
    last_event_id: Option<&str>,
) -> Result<Option<Cursor>> {
    let text = last_event_id.map(str::trim).filter(|text| !text.is_empty());
    let cursor = text.map(str::parse::<Cursor>).transpose()?;
    if let Some(cursor) = &cursor {
        cursor.check(of)?;
    }
    let heads = core.store().read(move |session| threads::heads(session, &[of])).await?;
    let next = heads.get(&of).copied().ok_or_else(|| gone(of))?;
    match cursor {
        Some(cursor) if cursor.wanted().seq > next => Err(cursor.is_ahead()),
        cursor => Ok(cursor),
    }
}

impl RunEvents {
    pub(crate) fn of(core: &Core, run: Run) -> Self {
        let reader = Reader::of_run(core, &run);
        Self { core: core.clone(), run, after: None, inner: follow(reader) }
    }

    fn reader(&self) -> Reader {
        let reader = Reader::of_run(&self.core, &self.run);
        match &self.after {
            Some(cursor) => reader.after(cursor.clone()),
            None => reader,
        }
    }

    /// Only to where the run waits for somebody's decision.
    pub(crate) fn until_it_waits(self) -> Self {
        let reader = self.reader().until_it_waits();
        Self { inner: follow(reader), ..self }
    }

    pub(crate) const fn core(&self) -> &Core {
        &self.core
    }

    /// Where it begins, if not at the beginning.
    pub(crate) const fn begins_after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Whether the end of its stream is that of the engine.
    pub(crate) fn is_closed(&self) -> bool {
        *self.core.closed().borrow()
    }

    /// The run as it was when its events were asked for.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// Begins behind this place instead of at the beginning of the run; a place before the run is its beginning.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        let reader = self.reader();
        Self { inner: follow(reader), ..self }
    }

    /// Begins behind the place that a browser gives back as `Last-Event-ID`; as [`Events::resume`].
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// As there; [`Error::NotFound`](crate::Error::NotFound) when the run was deleted.
    pub async fn resume(self, last_event_id: Option<&str>) -> Result<Self> {
        let (id, of) = (self.run.id, self.run.messageable);
        let cursor = checked(&self.core, of, last_event_id).await?;
        let run = self.core.store().read(move |session| runs::require(session, id)).await?;
        let Some(cursor) = cursor else { return Ok(self) };
        // Behind the whole of a run that goes on there is no place yet.
        if !run.status.is_terminal() && cursor.clone().within(run.seq).wanted().seq > run.seq {
            return Err(cursor.is_ahead());
        }
        Ok(self.after(cursor))
    }

    /// The next event; `None` after the run's end, or when the engine is shut down.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.inner.next().await
    }
}

/// Reads until the end, the first error, or the engine's shutdown: a web server that ends in good order waits for the
/// answers that it streams.
fn follow(reader: Reader) -> Inner {
    let closed = reader.core().closed().subscribe();
    Box::pin(stream::unfold(Some((reader, closed)), |reading| async {
        let (mut reader, mut closed) = reading?;
        if let Err(error) = refuse_within() {
            return Some((Err(error), None));
        }
        let next = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return None,
            next = reader.next() => next,
        };
        match next {
            Ok(Some(change)) => {
                let event = Event { cursor: reader.cursor.clone(), kind: change.into() };
                Some((Ok(event), Some((reader, closed))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl Stream for Events {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl Stream for RunEvents {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("of", &self.of).finish_non_exhaustive()
    }
}

impl fmt::Debug for RunEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunEvents").field("run", &self.run).finish_non_exhaustive()
    }
}
