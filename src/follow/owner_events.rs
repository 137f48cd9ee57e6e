//! The events of all conversations of an owner, as one stream.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::NaiveDateTime;
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::{self, SelectAll};
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::cursor::Cursor;
use super::event::{Event, EventKind};
use super::events::Events;
use super::feeds::{Changes, Feed, MARGIN, OwnerKey};
use super::hubs::Hubs;
use super::owner_cursor::OwnerCursor;
use super::owner_places::{heads, now, place_of};
use super::rest::{may_be_over, nothing_is_left};
use crate::engine::core::Core;
use crate::error::{Error, Result, with_causes};
use crate::model::{Messageable, utc_now};
use crate::store::changed::{self, Changed};
use crate::store::refuse_within;
use crate::store::verdict::{Verdict, verdict};

/// One thing that happened on a thread or chat of an owner, and the place after it.
///
/// As JSON: that of the [`Event`](crate::Event), with `messageable`, and `cursor` for all conversations together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OwnerEvent {
    /// The place behind this event; give it to [`OwnerEvents::after`], or its text to [`OwnerEvents::resume`].
    pub cursor: OwnerCursor,
    /// Where it happened.
    pub messageable: Messageable,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl OwnerEvent {
    /// The kind's name, such as `message_appended`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// The events of all threads and chats of an owner as one endless stream: a browser has few connections to a host, and a page with a
/// list of threads needs all of them. New threads and chats are among them as soon as something happens there.
///
/// Without a place it begins now: with the runs that have not ended, each from its beginning, and with what comes after them. The events
/// of one thread or chat come as [`Events`](crate::Events) tells them: none is missing and none comes twice. Between two conversations
/// there is no order. A thread or chat that is deleted just ends.
///
/// It is as quick as the stream of one conversation, and its cost is of those on which something happens: a process looks for them
/// with two statements for all its owners of a type. It relies on the clocks of the processes being less than a minute apart, and
/// on a transaction of yours with a `_in` method in it being committed within a minute: what is older when it is committed is told
/// only by the conversation's own stream.
///
/// # Errors
///
/// An error is the last item, as with [`Events`](crate::Events).
pub struct OwnerEvents {
    core: Core,
    owner: OwnerKey,
    after: Option<OwnerCursor>,
    waiting: bool,
    inner: Inner,
}

type Inner = Pin<Box<dyn Stream<Item = Result<OwnerEvent>> + Send>>;

impl OwnerEvents {
    pub(crate) fn of(core: &Core, owner: OwnerKey) -> Self {
        let inner = follow(core.clone(), owner.clone(), None, false);
        Self { core: core.clone(), owner, after: None, waiting: false, inner }
    }

    fn anew(self) -> Self {
        let (core, owner) = (self.core.clone(), self.owner.clone());
        let inner = follow(core, owner, self.after.clone(), self.waiting);
        Self { inner, ..self }
    }

    /// The place where a stream would begin now. A page takes it before it reads what it shows, adds the place of a thread that it
    /// shows whole ([`OwnerCursor::with`]), and follows from there: so nothing is missing in between.
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn now(&self) -> impl Future<Output = Result<OwnerCursor>> + Send + use<> {
        let (core, owner) = (self.core.clone(), self.owner.clone());
        async move { now(&core, &owner).await }
    }

    /// Begins behind this place instead. It may come from another process, or from before a restart. A conversation in it that is not
    /// this owner's, or is deleted, is left out.
    #[must_use]
    pub fn after(self, cursor: OwnerCursor) -> Self {
        Self { after: Some(cursor), ..self }.anew()
    }

    /// Tells as well which questions wait behind a run that is not over, as [`Events::with_waiting`] does for one conversation.
    #[must_use]
    pub fn with_waiting(self) -> Self {
        Self { waiting: true, ..self }.anew()
    }

    /// Begins behind the place that a browser gives back as `Last-Event-ID`, or now where there is none; as [`after`](Self::after).
    ///
    /// # Cancellation
    ///
    /// It only reads: dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a text that is no such place, or one ahead of everything there is (another
    /// database's); or the database's.
    pub async fn resume(self, last_event_id: Option<&str>) -> Result<Self> {
        let text = last_event_id.map(str::trim).filter(|text| !text.is_empty());
        let Some(cursor) = text.map(str::parse::<OwnerCursor>).transpose()? else {
            return Ok(self);
        };
        cursor.check(utc_now())?;
        let heads = heads(&self.core, &self.owner, &cursor).await?;
        let mut places = cursor.places.values();
        let is_ahead =
            |place: &&Cursor| heads.get(&place.of).is_some_and(|next| place.wanted().seq > *next);
        if let Some(place) = places.find(is_ahead) {
            return Err(place.is_ahead());
        }
        Ok(self.after(cursor))
    }

    /// The next event; `None` when the engine is shut down.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no event: the next call returns it.
    pub async fn next(&mut self) -> Option<Result<OwnerEvent>> {
        self.inner.next().await
    }
}

/// The events of one conversation.
type OfOne = Pin<Box<dyn Stream<Item = (Messageable, Result<Event>)> + Send>>;

/// The conversations that are followed, and what is known of them.
struct Following {
    core: Core,
    owner: OwnerKey,
    /// Whether each conversation tells what waits, too.
    waiting: bool,
    cursor: OwnerCursor,
    changes: watch::Receiver<Arc<Changes>>,
    streams: SelectAll<OfOne>,
    followed: HashMap<Messageable, Followed>,
    _feed: Arc<Feed>,
}

struct Followed {
    /// Dropping it ends the stream.
    _stop: oneshot::Sender<()>,
    last: Changed,
    /// When the database was asked last whether there is anything left to tell.
    asked: Option<NaiveDateTime>,
}

fn follow(core: Core, owner: OwnerKey, after: Option<OwnerCursor>, waiting: bool) -> Inner {
    let closed = core.closed().subscribe();
    let begin = async move {
        refuse_within()?;
        let feed = Hubs::join_owner(&core, &owner);
        let changes = feed.changes();
        let cursor = match after {
            Some(cursor) => cursor.check(utc_now()).map(|()| cursor)?,
            None => now(&core, &owner).await?,
        };
        let mut following = Following {
            core,
            owner,
            waiting,
            cursor,
            changes,
            streams: SelectAll::new(),
            followed: HashMap::new(),
            _feed: feed,
        };
        following.begin().await?;
        Ok(following)
    };
    let events = stream::once(begin).flat_map(|following| match following {
        Ok(following) => stream::unfold(Some(following), step).left_stream(),
        Err(error) => stream::once(async { Err(error) }).right_stream(),
    });
    let mut closed = closed;
    Box::pin(events.take_until(async move {
        let _ = closed.wait_for(|closed| *closed).await;
    }))
}

async fn step(following: Option<Following>) -> Option<(Result<OwnerEvent>, Option<Following>)> {
    let mut following = following?;
    loop {
        tokio::select! {
            biased;
            Some((of, event)) = following.streams.next() => match event {
                Ok(event) => {
                    following.cursor.put(event.cursor);
                    let cursor = following.cursor.clone();
                    let event = OwnerEvent { cursor, messageable: of, kind: event.kind };
                    return Some((Ok(event), Some(following)));
                }
                Err(Error::NotFound { .. } | Error::RunGone(_)) => following.leave(of),
                // A row that cannot be read must not blind the reader of all others.
                Err(error) if verdict(&error) == Verdict::OfTheRow => {
                    let error = with_causes(&error);
                    tracing::warn!(%of, error, "could not read a conversation; it is left out");
                    following.leave(of);
                }
                Err(error) => return Some((Err(error), None)),
            },
            looked = following.changes.changed() => {
                looked.ok()?;
                let changes = Arc::clone(&following.changes.borrow_and_update());
                if let Err(error) = following.go_on(&changes).await {
                    return Some((Err(error), None));
                }
            }
        }
    }
}

impl Following {
    /// Follows what the place names of this owner's, and what changed since then.
    async fn begin(&mut self) -> Result<()> {
        for changed in self.changed_since(self.cursor.since - MARGIN).await? {
            self.hear(changed).await?;
        }
        let named = self.cursor.places.values().cloned();
        let named: Vec<Cursor> =
            named.filter(|place| !self.followed.contains_key(&place.of)).collect();
        let heads = heads(&self.core, &self.owner, &self.cursor).await?;
        for place in named {
            match heads.get(&place.of) {
                Some(next) => {
                    let at = self.cursor.since;
                    self.join(place.clone(), Changed { of: place.of, next: *next, at });
                }
                None => self.leave(place.of),
            }
        }
        Ok(())
    }

    async fn changed_since(&mut self, since: NaiveDateTime) -> Result<Vec<Changed>> {
        let (kind, id) = self.owner.clone();
        let found = self
            .core
            .store()
            .read(move |session| changed::since(session, &kind, std::slice::from_ref(&id), since));
        Ok(found.await?.into_iter().map(|(_, changed)| changed).collect())
    }

    /// Follows what changed, and leaves what is over.
    async fn go_on(&mut self, changes: &Changes) -> Result<()> {
        let since = self.cursor.since - MARGIN;
        // Only the last look is kept. Whoever was slower than the looks asks himself about what they found in between.
        let missed =
            if changes.since > since { self.changed_since(since).await? } else { Vec::new() };
        for changed in missed.iter().chain(&changes.all) {
            self.hear(*changed).await?;
        }
        for of in self.over(changes.at).await? {
            self.leave(of);
        }
        // Whatever is not named now changed before this, or will be found.
        self.cursor.since = self.cursor.since.max(changes.at);
        Ok(())
    }

    /// The conversations on which nothing happened for a while, everything was told, and nothing is going on.
    async fn over(&mut self, at: NaiveDateTime) -> Result<Vec<Messageable>> {
        let long_ago = at - MARGIN;
        let mut over = Vec::new();
        let mut unclear = Vec::new();
        for (of, followed) in &mut self.followed {
            let Some(place) = self.cursor.of(*of).filter(|_| followed.last.at < long_ago) else {
                continue;
            };
            let next = followed.last.next;
            if place.delivered.ended && place.wanted().seq >= next {
                over.push(*of);
            } else if may_be_over(place) && followed.asked.is_none_or(|asked| asked < long_ago) {
                followed.asked = Some(at);
                unclear.push((place.clone(), next));
            }
        }
        if unclear.is_empty() {
            return Ok(over);
        }
        let asked = self.core.store().read(move |session| {
            let mut over = Vec::new();
            for (place, next) in &unclear {
                if nothing_is_left(session, place, *next)? {
                    over.push(place.of);
                }
            }
            Ok(over)
        });
        over.extend(asked.await?);
        Ok(over)
    }

    async fn hear(&mut self, changed: Changed) -> Result<()> {
        if let Some(followed) = self.followed.get_mut(&changed.of) {
            followed.last = changed;
            return Ok(());
        }
        let place = match self.cursor.of(changed.of) {
            Some(place) => place.clone(),
            None => place_of(&self.core, changed.of, self.cursor.since - MARGIN).await?,
        };
        self.join(place, changed);
        Ok(())
    }

    fn join(&mut self, place: Cursor, last: Changed) {
        let of = place.of;
        let (stop, stopped) = oneshot::channel::<()>();
        self.cursor.put(place.clone());
        let events = Events::of(&self.core, of).after(place);
        let events = if self.waiting { events.with_waiting() } else { events };
        let events = events.map(move |event| (of, event)).take_until(stopped);
        self.streams.push(Box::pin(events));
        self.followed.insert(of, Followed { _stop: stop, last, asked: None });
    }

    fn leave(&mut self, of: Messageable) {
        self.followed.remove(&of);
        self.cursor.forget(of);
    }
}

impl Stream for OwnerEvents {
    type Item = Result<OwnerEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for OwnerEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerEvents").field("owner", &self.owner).finish_non_exhaustive()
    }
}
