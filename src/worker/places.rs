//! How many runs this process drives at once, and whose turn it is when there are that many.
//!
//! A lane asks for a place before it claims a run, and gives it back when the run's end is stored. While a place is free it is given at
//! once. Otherwise the next one goes to the owner of whom the fewest runs are driven; of owners with as many, to the one who has waited
//! longest since the last time; and of one owner's runs to the one that was submitted first. So an owner who asks for much holds up
//! nobody but himself, and whoever has nothing driven has his turn.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::model::Run;

/// The type and id of the host's record that owns a conversation.
pub(crate) type Owner = (String, String);

/// The places of this process: as many as are wanted, or a limited number.
#[derive(Debug)]
pub(crate) struct Places(Option<Arc<Limited>>);

#[derive(Debug)]
struct Limited {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Those who have places, and how many.
    held: HashMap<Owner, usize>,
    /// Who waits, with their runs by id. The one whose last turn was longest ago stands first.
    waiting: VecDeque<(Owner, BTreeMap<i64, oneshot::Sender<Place>>)>,
}

/// A place that a run has, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<(Arc<Limited>, Owner)>);

/// A place that a run will be given. Dropping it gives the turn to the next one.
#[derive(Debug)]
pub(crate) struct Ticket {
    given: oneshot::Receiver<Place>,
    /// The sender lives in there.
    _places: Arc<Limited>,
}

impl Ticket {
    pub(crate) async fn given(self) -> Place {
        match self.given.await {
            Ok(place) => place,
            // Another task of this process waits for the same run.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Places {
    /// `None`: as many as are wanted.
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self(most.map(|most| Arc::new(Limited { most, state: Mutex::default() })))
    }

    pub(crate) const fn are_limited(&self) -> bool {
        self.0.is_some()
    }

    /// The place of a run, now or later.
    pub(crate) fn of_run(&self, owner: Owner, run: &Run) -> Result<Place, Ticket> {
        // The tool of another run started it: that run has a place, and waits for it.
        let within_another = run.submission.as_ref().is_some_and(|known| known.depth > 0);
        if within_another { Ok(Place(None)) } else { self.ask(owner, run.id) }
    }

    fn ask(&self, owner: Owner, run: i64) -> Result<Place, Ticket> {
        let Some(places) = &self.0 else { return Ok(Place(None)) };
        let mut state = places.lock();
        if state.taken < places.most {
            state.take(&owner);
            return Ok(Place(Some((Arc::clone(places), owner))));
        }
        let (give, given) = oneshot::channel();
        state.wait(owner, run, give);
        Err(Ticket { given, _places: Arc::clone(places) })
    }
}

impl Limited {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(self: &Arc<Self>, owner: Owner) {
        let mut left = owner;
        loop {
            let next = {
                let mut state = self.lock();
                state.leave(&left);
                state.next()
            };
            let Some((owner, give)) = next else { return };
            // Not under the lock: the place may come back at once.
            match give.send(Place(Some((Arc::clone(self), owner)))) {
                Ok(()) => return,
                // Nobody waits for it any more.
                Err(mut place) => match place.0.take() {
                    Some((_, owner)) => left = owner,
                    None => return,
                },
            }
        }
    }
}

impl State {
    fn take(&mut self, owner: &Owner) {
        self.taken += 1;
        *self.held.entry(owner.clone()).or_default() += 1;
    }

    fn leave(&mut self, owner: &Owner) {
        self.taken -= 1;
        if let Some(held) = self.held.get_mut(owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(owner);
            }
        }
    }

    fn wait(&mut self, owner: Owner, run: i64, give: oneshot::Sender<Place>) {
        match self.waiting.iter_mut().find(|(waits, _)| *waits == owner) {
            Some((_, runs)) => {
                runs.insert(run, give);
            }
            None => self.waiting.push_back((owner, BTreeMap::from([(run, give)]))),
        }
    }

    /// Takes a place for whoever's turn it is.
    fn next(&mut self) -> Option<(Owner, oneshot::Sender<Place>)> {
        let held = |owner| self.held.get(owner).copied().unwrap_or_default();
        let turn = self.waiting.iter().enumerate().min_by_key(|(_, (owner, _))| held(owner))?.0;
        let (owner, mut runs) = self.waiting.remove(turn)?;
        let (_, give) = runs.pop_first()?;
        if !runs.is_empty() {
            self.waiting.push_back((owner.clone(), runs));
        }
        self.take(&owner);
        Some((owner, give))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((places, owner)) = self.0.take() {
            places.give_back(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn owner(name: &str) -> Owner {
        ("User".to_owned(), name.to_owned())
    }

    fn waits(places: &Places, name: &str, run: i64) -> Ticket {
        places.ask(owner(name), run).unwrap_err()
    }

    /// The run whose turn it is, and its place; it waits no more.
    fn turn(waiting: &mut Vec<(i64, Ticket)>) -> (i64, Place) {
        let mut given = Vec::new();
        waiting.retain_mut(|(run, ticket)| match (&mut ticket.given).now_or_never() {
            Some(place) => {
                given.push((*run, place.unwrap()));
                false
            }
            None => true,
        });
        assert_eq!(given.len(), 1, "one place, one turn: {given:?}");
        given.remove(0)
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let places = Places::new(None);
        let all: Vec<Place> = (0..1000).map(|run| places.ask(owner("a"), run).unwrap()).collect();
        assert_eq!(all.len(), 1000);
    }

    #[test]
    fn whoever_has_the_fewest_runs_driven_is_next() {
        let places = Places::new(Some(2));
        let held = [places.ask(owner("a"), 1).unwrap(), places.ask(owner("a"), 2).unwrap()];
        let mut waiting: Vec<_> = (3..50).map(|run| (run, waits(&places, "a", run))).collect();
        waiting.push((50, waits(&places, "b", 50)));
        let [first, _second] = held;
        drop(first);
        let (run, place) = turn(&mut waiting);
        assert_eq!(run, 50, "it waits behind another owner's flood");
        drop(place);
        assert_eq!(turn(&mut waiting).0, 3);
    }

    #[test]
    fn owners_take_turns_and_an_owners_runs_keep_their_order() {
        let places = Places::new(Some(1));
        let mut place = places.ask(owner("a"), 1).unwrap();
        // Lanes may ask in another order than that of submission.
        let asked = [("a", 4), ("a", 2), ("b", 9), ("c", 5), ("b", 6), ("a", 3)];
        let mut waiting: Vec<_> =
            asked.iter().map(|(name, run)| (*run, waits(&places, name, *run))).collect();
        let mut turns = Vec::new();
        for _ in asked {
            drop(place);
            let (run, next) = turn(&mut waiting);
            turns.push(run);
            place = next;
        }
        assert_eq!(turns, [2, 6, 5, 3, 9, 4]);
    }

    /// Else one place after the other would be lost, and in the end nothing would be driven.
    #[test]
    fn whoever_does_not_wait_any_more_loses_no_place() {
        let places = Places::new(Some(1));
        let place = places.ask(owner("a"), 1).unwrap();
        for run in 2..10_000 {
            drop(waits(&places, "a", run));
        }
        let mut last = vec![(10_000, waits(&places, "a", 10_000))];
        drop(place);
        let (_, place) = turn(&mut last);
        // Given, and dropped before it was looked at.
        let unseen = waits(&places, "b", 1);
        drop(place);
        drop(unseen);
        assert!(places.ask(owner("c"), 1).is_ok());
        let limited = places.0.as_ref().unwrap().lock();
        assert_eq!((limited.taken, limited.held.len(), limited.waiting.len()), (0, 0, 0));
    }
}
