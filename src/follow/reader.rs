//! One reader of a conversation: from its cursor through what is stored into what happens.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::{Cursor, Part, Wanted};
use super::delivered::{Change, Delivered, Opening};
use super::has::Has;
use super::hub::{Hub, Moves, Place, Turn, gone};
use super::hubs::{Hubs, look, look_first};
use super::queue::Queue;
use super::readers::Reading;
use super::transcript::Transcript;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::model::{Message, Messageable, Run, RunStatus};
use crate::store::timeline;

/// Turns read from the database at once.
const PAGE: i64 = 32;

#[derive(Debug)]
pub(crate) struct Reader {
    core: Core,
    pub(crate) cursor: Cursor,
    /// Read this run and nothing else.
    only: Option<Only>,
    /// Read it no further than to where it waits for somebody's decision.
    until_it_waits: bool,
    /// Told what waits behind a run as well.
    with_waiting: bool,
    /// What waits, as far as it was told.
    queue: Option<Queue>,
    /// The turn being delivered.
    turn: Option<Turn>,
    /// Turns read ahead.
    stored: VecDeque<Turn>,
    /// Joined when first needed: a run of this process is read without.
    hub: Option<Arc<Hub>>,
    /// Which turns it was told of.
    has: Has,
    refused: Option<Error>,
    _reading: Reading,
}

#[derive(Debug, Clone, Copy)]
struct Only {
    id: i64,
    seq: i64,
}

impl Only {
    const fn place(self) -> Wanted {
        Wanted { seq: self.seq, own: true }
    }
}

impl Reader {
    pub(crate) fn of_conversation(core: &Core, of: Messageable) -> Self {
        Self {
            core: core.clone(),
            cursor: Cursor::start(of),
            only: None,
            until_it_waits: false,
            with_waiting: false,
            queue: None,
            turn: None,
            stored: VecDeque::new(),
            hub: None,
            has: Has::default(),
            refused: None,
            _reading: Reading::new(core),
        }
    }

    pub(crate) fn of_run(core: &Core, run: &Run) -> Self {
        let mut reader = Self::of_conversation(core, run.messageable);
        reader.cursor = Cursor::at(run.messageable, run.seq, Part::Own);
        reader.only = Some(Only { id: run.id, seq: run.seq });
        reader.turn = core.transcript(run.id).map(Turn::Run);
        reader
    }

    /// Of a run: ends where that waits for somebody's decision as well.
    pub(crate) fn until_it_waits(mut self) -> Self {
        self.until_it_waits = true;
        self
    }

    /// Of a conversation: tells what waits behind a run as well.
    pub(crate) fn with_waiting(mut self) -> Self {
        self.with_waiting = true;
        self
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Begins behind `cursor`.
    pub(crate) fn after(mut self, cursor: Cursor) -> Self {
        if let Err(refused) = cursor.check(self.cursor.of) {
            self.refused = Some(refused);
            return self;
        }
        let cursor = match self.only {
            Some(only) => cursor.within(only.seq),
            None => cursor,
        };
        if self.only.is_none_or(|only| cursor.wanted() >= only.place()) {
            self.cursor = cursor;
        }
        self
    }

    /// The next thing; `None` after the end of the only run, or where that waits. After an error there is nothing more.
    pub(crate) async fn next(&mut self) -> Result<Option<Change>> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        loop {
            if self.only.is_some_and(|only| self.cursor.wanted() > only.place()) {
                return Ok(None);
            }
            if let Some(turn) = &self.turn {
                match turn.clone() {
                    Turn::Moves(moves) => {
                        if let Some(change) = self.of_moves(&moves).await {
                            return Ok(Some(change));
                        }
                        self.turn = None;
                        self.cursor = Cursor::at(self.cursor.of, self.cursor.seq, Part::Own);
                    }
                    Turn::Said(message) => {
                        self.turn = None;
                        self.cursor.delivered = Arc::new(Delivered::all());
                        return Ok(Some(Change::Said(*message)));
                    }
                    Turn::Run(live) => match self.step(&live).await {
                        Ok(change) => {
                            if self.cursor.delivered.ended {
                                self.turn = None;
                            }
                            return Ok(change);
                        }
                        Err(failure) => {
                            self.turn = None;
                            if let (Some(message), Some(only)) = (failure, self.only) {
                                return Err(Error::NotDriven { run_id: only.id, message });
                            }
                            self.core.hubs().nudge();
                        }
                    },
                }
            } else {
                // What waited may have left the path since.
                if let (Some(queue), Some(hub)) = (&mut self.queue, &self.hub)
                    && let Some(waiting) = queue.look_again(hub, self.cursor.seq)
                {
                    return Ok(Some(Change::Waiting(waiting)));
                }
                let mut turn = self.find().await?;
                if let Some(only) = self.only
                    && !matches!(&turn, Turn::Run(live) if live.id == only.id)
                {
                    turn = self.off_the_path(only).await?;
                }
                self.go_to(&turn);
                self.turn = Some(turn);
            }
        }
    }

    /// What the run has to tell next; `None`: it waits, and that is as far as it is read. `Err`: its transcript says no more, perhaps
    /// for this reason.
    async fn step(
        &mut self,
        live: &Transcript,
    ) -> std::result::Result<Option<Change>, Option<String>> {
        let until_it_waits = self.until_it_waits;
        // Copied only while somebody keeps the last event.
        let delivered = Arc::make_mut(&mut self.cursor.delivered);
        let step = live.wait(|seen| match seen.after(delivered) {
            Some(change) => Some(Ok(Some(change))),
            // What this process drove says no more; whether the run still waits, the database knows.
            None if seen.is_left() => Some(Err(seen.failure.clone())),
            None => {
                (until_it_waits && seen.run.status == RunStatus::RequiresAction).then_some(Ok(None))
            }
        });
        let step = match (&mut self.queue, &self.hub) {
            (Some(queue), Some(hub)) => tokio::select! {
                biased;
                step = step => step,
                waiting = queue.change(hub, live.seq) => Ok(Some(Change::Waiting(waiting))),
            },
            _ => step.await,
        };
        if self.cursor.delivered.ended {
            self.cursor.delivered = Arc::new(Delivered::all());
        }
        step
    }

    /// Goes on to this turn, and notes what is passed over.
    fn go_to(&mut self, turn: &Turn) {
        let (wanted, place) = (self.cursor.wanted(), turn.place());
        // Of a turn that left the path in the middle of its telling the reader has a part.
        let begun = wanted.own && self.cursor.delivered.opening > Opening::Nothing;
        self.has.pass(wanted.seq + i64::from(begun), place.seq);
        if place != wanted || self.cursor.seq != place.seq {
            let part = if place.own { Part::Own } else { Part::Left(0) };
            self.cursor = Cursor::at(self.cursor.of, place.seq, part);
        }
    }

    /// What changed of the path, as far as it was not told; `None`: all of it was.
    async fn of_moves(&mut self, moves: &Moves) -> Option<Change> {
        if let Part::Left(told) = self.cursor.part {
            for (seq, run_id) in moves.left.iter().filter(|(seq, _)| *seq > told) {
                self.cursor.part = Part::Left(*seq);
                if self.has.leaves(*seq) {
                    return Some(Change::Superseded { seq: *seq, run_id: *run_id });
                }
            }
            self.cursor.part = Part::Back(0);
            self.cursor.delivered = Arc::new(Delivered::all());
        }
        while let Part::Back(told) = self.cursor.part {
            let in_mid_turn = |seq: i64| seq == told && !self.cursor.delivered.ended;
            let next = moves.back.iter().find(|(seq, _)| *seq > told || in_mid_turn(*seq))?;
            if next.0 > told {
                self.cursor.part = Part::Back(next.0);
                self.cursor.delivered = Arc::default();
            }
            let change = match &next.1 {
                // It has left again; and a change holds none of its kind.
                None | Some(Turn::Moves(_)) => None,
                Some(Turn::Said(message)) => {
                    self.cursor.delivered = Arc::new(Delivered::all());
                    Some(Change::Said(Message::clone(message)))
                }
                Some(Turn::Run(stored)) => self.step(stored).await.ok().flatten(),
            };
            let begun = change.is_some() || self.cursor.delivered.opening > Opening::Nothing;
            self.has.came(next.0, begun);
            if change.is_some() {
                return change;
            }
            self.cursor.delivered = Arc::new(Delivered::all());
        }
        None
    }

    /// The only run that is read, which another branch took the place of.
    async fn off_the_path(&self, only: Only) -> Result<Turn> {
        let stored = self.core.store().read(move |session| timeline::run(session, only.id)).await?;
        stored.map(Turn::of).ok_or(Error::RunGone(only.id))
    }

    /// The turn to tell next, once there is one.
    async fn find(&mut self) -> Result<Turn> {
        let of = self.cursor.of;
        let mut wanted = self.cursor.wanted();
        let hub = Arc::clone(self.hub.get_or_insert_with(|| Hubs::join(&self.core, of)));
        if self.with_waiting {
            self.queue.get_or_insert_with(|| Queue::of(&hub));
        }
        let mut changes = hub.changes();
        let mut looked = false;
        loop {
            while let Some(turn) = self.stored.pop_front() {
                if turn.place() >= wanted {
                    return Ok(turn);
                }
            }
            match hub.find(wanted) {
                Place::Turn(turn) => return Ok(turn),
                Place::Stored(end) => {
                    let (from, to) = (wanted.seq, end.min(wanted.seq.saturating_add(PAGE)));
                    let stored = self
                        .core
                        .store()
                        .read(move |session| timeline::between(session, of, from, to));
                    let stored = stored.await?.into_iter().map(Turn::of);
                    self.stored = stored.filter(|turn| turn.place() >= wanted).collect();
                    // Refused requests with a known key leave numbers without a turn, however many.
                    if self.stored.is_empty() {
                        let next = self
                            .core
                            .store()
                            .read(move |session| timeline::next_after(session, of, to, end));
                        wanted = Wanted { seq: next.await?.unwrap_or(end), own: false };
                    }
                }
                Place::Later if changes.changed().await.is_ok() => {}
                Place::Unknown => look_first(&self.core, &hub).await?,
                Place::Gone | Place::Later => {
                    return Err(self.only.map_or_else(|| gone(of), |only| Error::RunGone(only.id)));
                }
                // The cursor may be newer than the last look.
                Place::Beyond if !std::mem::replace(&mut looked, true) => {
                    look(&self.core, std::slice::from_ref(&hub)).await?;
                }
                Place::Beyond => return Err(self.cursor.is_ahead()),
            }
        }
    }
}
