//! The newest turns of a thread or chat, for all its readers in this process together.
//!
//! A hub holds the turns that are not over yet and the newest that are; earlier ones its readers take from the database,
//! each once. Runs of this process are their live transcripts; of others, a replica.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::cursor::Wanted;
use super::transcript::{Seen, Transcript};
use crate::engine::core::Core;
use crate::error::Error;
use crate::model::{Message, Messageable};
use crate::store::timeline::{self, Answer, Moved, Progress, Question, StoredTurn};

/// Turns that are over and still kept: a reader that is little behind need not read the database.
const KEPT: usize = 2;

/// The newest turns of one thread or chat.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) of: Messageable,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Without a gap up to `next`.
    turns: VecDeque<Turn>,
    /// The number of the first turn that is not known; `None` before the first look.
    next: Option<i64>,
    gone: bool,
}

/// What a number of a conversation stands for.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Run(Arc<Transcript>),
    /// A message without a run.
    Said(Box<Message>),
    /// What left the path and came back to it, before the turn of the same number.
    Moves(Arc<Moves>),
}

/// What changed of a path under one number.
#[derive(Debug, Clone)]
pub(crate) struct Moves {
    seq: i64,
    /// Each turn that left, and its run.
    pub(crate) left: Vec<(i64, Option<i64>)>,
    /// Each turn that came back; `None`: it has left since.
    pub(crate) back: Vec<(i64, Option<Turn>)>,
}

/// Where a reader finds the turn it wants.
#[derive(Debug)]
pub(crate) enum Place {
    /// Here.
    Turn(Turn),
    /// Up to, not including, this one in the database.
    Stored(i64),
    /// Nowhere yet.
    Later,
    /// Nobody has looked yet.
    Unknown,
    /// The thread or chat was deleted.
    Gone,
    /// Beyond the turns that there will be next.
    Beyond,
}

impl Turn {
    pub(crate) fn of(stored: StoredTurn) -> Self {
        match stored {
            StoredTurn::Run(run, messages, calls) => {
                Self::Run(Arc::new(Transcript::stored(run, messages, calls)))
            }
            StoredTurn::Said(message) => Self::Said(Box::new(message)),
            StoredTurn::Moved(Moved { seq, left, back }) => {
                let back = back.into_iter().map(|(turn, stored)| (turn, stored.map(Self::of)));
                Self::Moves(Arc::new(Moves { seq, left, back: back.collect() }))
            }
        }
    }

    pub(crate) fn seq(&self) -> i64 {
        match self {
            Self::Run(live) => live.seq,
            Self::Said(message) => message.seq,
            Self::Moves(moves) => moves.seq,
        }
    }

    /// Its place.
    pub(crate) fn place(&self) -> Wanted {
        Wanted { seq: self.seq(), own: !matches!(self, Self::Moves(_)) }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Run(run) => run.look(|seen| seen.ended),
            Self::Said(_) | Self::Moves(_) => true,
        }
    }

    /// Its transcript will say no more, and has not said all.
    fn is_left(&self) -> bool {
        match self {
            Self::Run(run) => run.look(Seen::is_left),
            Self::Said(_) | Self::Moves(_) => false,
        }
    }
}

impl Hub {
    pub(crate) fn new(of: Messageable) -> Self {
        Self { of, state: Mutex::default(), changed: watch::Sender::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first turn from `wanted` on, or where it is.
    pub(crate) fn find(&self, wanted: Wanted) -> Place {
        let state = self.state();
        if state.gone {
            return Place::Gone;
        }
        let Some(next) = state.next else { return Place::Unknown };
        let first = state.turns.front().map_or(next, Turn::seq);
        if wanted.seq < first {
            return Place::Stored(first);
        }
        match state.turns.iter().find(|turn| turn.place() >= wanted) {
            Some(turn) if turn.is_left() => Place::Later,
            Some(turn) => Place::Turn(turn.clone()),
            None if wanted.seq > next => Place::Beyond,
            None => Place::Later,
        }
    }

    /// The questions of the runs behind this turn that have not begun, unless they are these, by their ids.
    pub(super) fn waiting(&self, seq: i64, known: &[i64]) -> Option<Vec<Message>> {
        let state = self.state();
        let runs = || {
            state.turns.iter().filter_map(|turn| match turn {
                Turn::Run(run) if run.seq > seq => Some(run),
                Turn::Run(_) | Turn::Said(_) | Turn::Moves(_) => None,
            })
        };
        // Looked at for each event of a reader, so nothing is copied unless it is to be told.
        let ids = runs().filter_map(|run| run.look(|seen| seen.waits().map(|message| message.id)));
        if ids.eq(known.iter().copied()) {
            return None;
        }
        Some(runs().filter_map(|run| run.look(|seen| seen.waits().cloned())).collect())
    }

    /// Before the first look.
    pub(crate) fn is_unknown(&self) -> bool {
        self.state().next.is_none()
    }

    /// Tells of changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn question(&self) -> Question {
        let state = self.state();
        let followed = state.turns.iter().filter_map(|turn| match turn {
            Turn::Run(live) if live.look(|seen| seen.ended) => None,
            // It was given up: its replica begins anew.
            Turn::Run(live) if live.look(Seen::is_left) => {
                Some(timeline::Followed { run: live.id, texts: Vec::new() })
            }
            Turn::Run(live) => live.is_replica.then(|| live.followed()),
            Turn::Said(_) | Turn::Moves(_) => None,
        });
        Question { of: self.of, next: state.next, followed: followed.collect() }
    }

    pub(crate) fn learn(&self, core: &Core, answer: Option<Answer>) {
        let mut state = self.state();
        let news = match answer {
            None => !std::mem::replace(&mut state.gone, true),
            Some(answer) => state.learn(core, answer),
        };
        if state.gone {
            // Readers of a replica would wait for ever; those of a live run hear of it from the run.
            for turn in state.turns.drain(..) {
                if let Turn::Run(replica) = turn
                    && replica.is_replica
                {
                    replica.update(|seen| seen.finished = true);
                }
            }
        }
        drop(state);
        if news {
            self.changed.send_replace(());
        }
    }
}

impl State {
    /// Whether there is anything that readers of the hub wait for; those of a turn hear from the turn.
    fn learn(&mut self, core: &Core, answer: Answer) -> bool {
        let mut news = self.next.is_none();
        for progress in answer.followed {
            news |= self.follow(core, progress);
        }
        // A look that began before this one cannot end after it, so the turns follow on.
        let known = *self.next.get_or_insert(answer.from);
        for turn in answer.turns {
            let turn = match Turn::of(turn) {
                Turn::Run(stored) => Turn::Run(core.transcript(stored.id).unwrap_or(stored)),
                Turn::Moves(moves) => {
                    self.supersede(&moves.left);
                    Turn::Moves(moves)
                }
                said @ Turn::Said(_) => said,
            };
            if turn.seq() >= known {
                self.turns.push_back(turn);
                news = true;
            }
        }
        self.next = Some(known.max(answer.next));
        while self.turns.len() > KEPT && self.turns.front().is_some_and(Turn::is_over) {
            // What changed before a turn goes with it: nobody looks for the one here and for the other in the database.
            let number = self.turns.front().map(Turn::seq);
            let second = self.turns.get(1).filter(|second| Some(second.seq()) == number);
            if second.is_some_and(|second| !second.is_over()) {
                break;
            }
            let together = 1 + usize::from(second.is_some());
            self.turns.drain(..together);
        }
        news
    }

    /// Readers that come later are not told of these turns here.
    fn supersede(&mut self, left: &[(i64, Option<i64>)]) {
        let has_left = |turn: i64| left.iter().any(|(other, _)| *other == turn);
        self.turns.retain(|turn| matches!(turn, Turn::Moves(_)) || !has_left(turn.seq()));
        for turn in &mut self.turns {
            if let Turn::Moves(moves) = turn
                && moves.back.iter().any(|(turn, there)| there.is_some() && has_left(*turn))
            {
                let mut fewer = Moves::clone(moves);
                for (turn, there) in &mut fewer.back {
                    if has_left(*turn) {
                        *there = None;
                    }
                }
                *moves = Arc::new(fewer);
            }
        }
    }

    /// Whether the turn has another transcript now, or has left the queue.
    fn follow(&mut self, core: &Core, progress: Progress) -> bool {
        let of_run =
            |turn: &&mut Turn| matches!(turn, Turn::Run(live) if live.id == progress.run.id);
        let Some(Turn::Run(live)) = self.turns.iter_mut().find(of_run) else {
            return false;
        };
        let other = match core.transcript(live.id) {
            // This process took the run up.
            Some(driven) => driven,
            None if live.look(Seen::is_left) => {
                Arc::new(Transcript::stored(progress.run, progress.messages, progress.calls))
            }
            None => {
                let waited = live.look(|seen| seen.waits().is_some());
                if !live.follow(progress) {
                    // With the next look, from the beginning.
                    live.update(|seen| seen.finished = true);
                }
                return waited && live.look(|seen| seen.waits().is_none());
            }
        };
        let left = std::mem::replace(live, other);
        left.update(|seen| seen.finished = true);
        true
    }
}

/// The thread or chat of a hub was deleted.
pub(crate) fn gone(of: Messageable) -> Error {
    match of {
        Messageable::AssistantThread(id) => Error::not_found("assistant thread", id),
        Messageable::Chat(id) => Error::not_found("chat", id),
    }
}
