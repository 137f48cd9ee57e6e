//! One reader of a conversation: from its cursor through what is stored into what happens.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::Cursor;
use super::delivered::{Change, Delivered};
use super::hub::{Hub, Place, Turn, gone};
use super::hubs::{Hubs, look, look_first};
use super::readers::Reading;
use super::transcript::Transcript;
use crate::engine::core::Core;
use crate::error::{Error, Result};
use crate::model::{Messageable, Run};
use crate::store::timeline;

/// Turns read from the database at once.
const PAGE: i64 = 32;

#[derive(Debug)]
pub(crate) struct Reader {
    core: Core,
    pub(crate) cursor: Cursor,
    /// Read this run and nothing else.
    only: Option<Only>,
    /// The turn being delivered.
    turn: Option<Turn>,
    /// Turns read ahead.
    stored: VecDeque<Turn>,
    /// Joined when first needed: a run of this process is read without.
    hub: Option<Arc<Hub>>,
    refused: Option<Error>,
    _reading: Reading,
}

#[derive(Debug, Clone, Copy)]
struct Only {
    id: i64,
    seq: i64,
}

impl Reader {
    pub(crate) fn of_conversation(core: &Core, of: Messageable) -> Self {
        Self {
            core: core.clone(),
            cursor: Cursor::start(of),
            only: None,
            turn: None,
            stored: VecDeque::new(),
            hub: None,
            refused: None,
            _reading: Reading::new(core),
        }
    }

    pub(crate) fn of_run(core: &Core, run: &Run) -> Self {
        let mut reader = Self::of_conversation(core, run.messageable);
        reader.cursor = Cursor::at(run.messageable, run.seq);
        reader.only = Some(Only { id: run.id, seq: run.seq });
        reader.turn = core.transcript(run.id).map(Turn::Run);
        reader
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Begins behind `cursor`.
    pub(crate) fn after(mut self, cursor: Cursor) -> Self {
        if let Err(refused) = cursor.check(self.cursor.of) {
            self.refused = Some(refused);
        } else if self.only.is_none_or(|only| cursor.wanted() >= only.seq) {
            self.cursor = cursor;
        }
        self
    }

    /// The next thing; `None` after the end of the only run. After an error there is nothing more.
    pub(crate) async fn next(&mut self) -> Result<Option<Change>> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        loop {
            if self.only.is_some_and(|only| self.cursor.wanted() > only.seq) {
                return Ok(None);
            }
            if let Some(turn) = &self.turn {
                match turn.clone() {
                    Turn::Said(message) => {
                        self.turn = None;
                        self.cursor.delivered = Arc::new(Delivered::all());
                        return Ok(Some(Change::Said(*message)));
                    }
                    Turn::Run(live) => match self.step(&live).await {
                        Ok(change) => return Ok(Some(change)),
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
                let turn = self.find().await?;
                if let Some(only) = self.only
                    && !matches!(&turn, Turn::Run(live) if live.id == only.id)
                {
                    return Err(Error::RunGone(only.id));
                }
                if turn.seq() != self.cursor.seq {
                    self.cursor = Cursor::at(self.cursor.of, turn.seq());
                }
                self.turn = Some(turn);
            }
        }
    }

    /// What the run has to tell next. `Err`: its transcript says no more, perhaps for this reason.
    async fn step(&mut self, live: &Transcript) -> std::result::Result<Change, Option<String>> {
        // Copied only while somebody keeps the last event.
        let delivered = Arc::make_mut(&mut self.cursor.delivered);
        let step = live.wait(|seen| match seen.after(delivered) {
            Some(change) => Some(Ok(change)),
            None => seen.is_left().then(|| Err(seen.failure.clone())),
        });
        let step = step.await;
        if self.cursor.delivered.ended {
            self.turn = None;
            self.cursor.delivered = Arc::new(Delivered::all());
        }
        step
    }

    /// The turn to tell next, once there is one.
    async fn find(&mut self) -> Result<Turn> {
        let of = self.cursor.of;
        let mut wanted = self.cursor.wanted();
        let hub = Arc::clone(self.hub.get_or_insert_with(|| Hubs::join(&self.core, of)));
        let mut changes = hub.changes();
        let mut looked = false;
        loop {
            while let Some(turn) = self.stored.pop_front() {
                if turn.seq() >= wanted {
                    return Ok(turn);
                }
            }
            match hub.find(wanted) {
                Place::Turn(turn) => return Ok(turn),
                Place::Stored(end) => {
                    let (from, to) = (wanted, end.min(wanted.saturating_add(PAGE)));
                    let stored = self
                        .core
                        .store()
                        .read(move |session| timeline::between(session, of, from, to));
                    self.stored = stored.await?.into_iter().map(Turn::of).collect();
                    // Refused requests with a known key leave numbers without a turn, however many.
                    if self.stored.is_empty() {
                        let next = self
                            .core
                            .store()
                            .read(move |session| timeline::next_after(session, of, to, end));
                        wanted = next.await?.unwrap_or(end);
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
