//! The tree of a conversation's turns: which one follows which, and which of them are on the current path.

use std::collections::{BTreeSet, HashMap};

/// A turn, by the first of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: i64,
    pub(crate) run_id: Option<i64>,
    /// The turn that it follows, 0 for none; `None`: the one with the highest number below its own.
    pub(crate) parent: Option<i64>,
    /// The number under which it left the path; `None`: it is on it.
    pub(crate) superseded_at: Option<i64>,
}

/// All turns of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// By their numbers.
    places: Vec<Place>,
}

/// What becomes of the turns for another path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) left: Vec<i64>,
    pub(crate) back: Vec<i64>,
}

/// The end of a turn of which nothing left.
pub(crate) const WHOLE: i64 = i64::MAX;

/// How much of each turn is on the path, or was when it left: the last place of it. A turn without a word is whole.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// In order: under which number which turn got which end.
    noted: Vec<(i64, i64, i64)>,
}

impl Ends {
    pub(crate) fn note(&mut self, number: i64, turn: i64, end: i64) {
        self.noted.push((number, turn, end));
    }

    /// Whether this turn was ever another than whole.
    pub(crate) fn knows(&self, turn: i64) -> bool {
        self.noted.iter().any(|(_, other, _)| *other == turn)
    }

    /// The end that a turn has now.
    pub(crate) fn now(&self, turn: i64) -> i64 {
        self.under(turn, i64::MAX)
    }

    /// The end that a turn had when this one was asked on it.
    pub(crate) fn under(&self, turn: i64, child: i64) -> i64 {
        let mut latest = self.noted.iter().rev();
        latest
            .find(|(number, other, _)| *other == turn && *number <= child)
            .map_or(WHOLE, |(_, _, end)| *end)
    }

    /// The end of each turn of a path but the last: the next one was asked on so much of it.
    pub(crate) fn along(&self, path: &[i64]) -> Vec<(i64, i64)> {
        let known = path.windows(2).filter(|pair| self.knows(pair[0]));
        known.map(|pair| (pair[0], self.under(pair[0], pair[1]))).collect()
    }
}

impl Tree {
    pub(crate) fn of(mut places: Vec<Place>) -> Self {
        places.sort_unstable_by_key(|place| place.seq);
        Self { places }
    }

    fn at(&self, seq: i64) -> Result<usize, usize> {
        self.places.binary_search_by_key(&seq, |place| place.seq)
    }

    pub(crate) fn find(&self, seq: i64) -> Option<&Place> {
        self.places.get(self.at(seq).ok()?)
    }

    /// The turn that this one follows; 0: none.
    pub(crate) fn parent(&self, seq: i64) -> i64 {
        let (Ok(at) | Err(at)) = self.at(seq);
        let stored = self.find(seq).and_then(|place| place.parent);
        // One that does not come before it would never end.
        stored.filter(|parent| *parent < seq).unwrap_or_else(|| {
            at.checked_sub(1).and_then(|below| self.places.get(below)).map_or(0, |place| place.seq)
        })
    }

    /// The turn that follows this one, 0 for none, without a word of it in its row: once another follows it, too, it needs one, since
    /// siblings are found by it.
    pub(crate) fn heir(&self, seq: i64) -> Option<i64> {
        let next = self.places.iter().find(|place| place.seq > seq)?;
        next.parent.is_none().then_some(next.seq)
    }

    /// The highest number of a turn; 0: there is none.
    pub(crate) fn highest(&self) -> i64 {
        self.places.last().map_or(0, |place| place.seq)
    }

    /// The current path.
    pub(crate) fn path(&self) -> Vec<i64> {
        let on_it = self.places.iter().filter(|place| place.superseded_at.is_none());
        on_it.map(|place| place.seq).collect()
    }

    /// A turn and those before it on its path; nothing for 0.
    pub(crate) fn up_to(&self, seq: i64) -> Vec<i64> {
        let ancestors = std::iter::successors(Some(seq), |seq| Some(self.parent(*seq)));
        let mut path: Vec<i64> =
            ancestors.take_while(|seq| *seq > 0 && self.find(*seq).is_some()).collect();
        path.reverse();
        path
    }

    /// The path through a turn: up to it, and from there on what is on the current path, or left that last. What was asked on a part of
    /// the turn itself does not count.
    pub(crate) fn through(&self, seq: i64, ends: &Ends) -> Vec<i64> {
        let mut next: HashMap<i64, &Place> = HashMap::new();
        let stayed = |place: &Place| place.superseded_at.unwrap_or(i64::MAX);
        for place in &self.places {
            let parent = self.parent(place.seq);
            if parent == seq && ends.under(seq, place.seq) != WHOLE {
                continue;
            }
            let known = next.entry(parent).or_insert(place);
            if stayed(place) >= stayed(known) {
                *known = place;
            }
        }
        let mut path = self.up_to(seq);
        let mut last = seq;
        // Each has a higher number than the one before it, so this ends.
        while let Some(place) = next.get(&last) {
            last = place.seq;
            path.push(last);
        }
        path
    }

    /// Which turns leave the current path and which come back to it, for this one to be the path.
    pub(crate) fn moves_to(&self, path: &[i64]) -> Moves {
        let (now, then): (BTreeSet<i64>, BTreeSet<i64>) =
            (self.path().into_iter().collect(), path.iter().copied().collect());
        Moves {
            left: now.difference(&then).copied().collect(),
            back: then.difference(&now).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(seq: i64, parent: Option<i64>, superseded_at: Option<i64>) -> Place {
        Place { seq, run_id: None, parent, superseded_at }
    }

    #[test]
    fn a_turn_follows_the_one_below_it_unless_it_says_otherwise() {
        let tree = Tree::of(vec![
            place(1, None, None),
            place(3, None, Some(4)),
            place(4, Some(1), None),
            place(6, None, None),
            // No turn can follow itself, or a later one.
            place(7, Some(9), Some(8)),
        ]);
        let parents: Vec<i64> = [1, 3, 4, 6, 7].map(|seq| tree.parent(seq)).into();
        assert_eq!(parents, [0, 1, 1, 4, 6]);
        assert_eq!((tree.path(), tree.highest()), (vec![1, 4, 6], 7));
        assert_eq!((tree.up_to(3), tree.up_to(0)), (vec![1, 3], vec![]));
    }

    #[test]
    fn a_path_goes_on_with_what_is_on_it_or_left_it_last() {
        let tree = Tree::of(vec![
            place(1, None, None),
            place(2, Some(1), Some(4)),
            place(3, None, Some(4)),
            place(4, Some(1), Some(6)),
            place(5, None, Some(6)),
            place(6, Some(1), None),
        ]);
        let mut ends = Ends::default();
        assert_eq!(tree.through(1, &ends), [1, 6]);
        assert_eq!(tree.through(2, &ends), [1, 2, 3]);
        ends.note(6, 1, 0);
        assert_eq!(tree.through(1, &ends), [1, 4, 5], "6 was asked on a part of 1");
        ends.note(7, 1, WHOLE);
        assert_eq!(ends.along(&[1, 6]), [(1, 0)]);
        assert_eq!(ends.along(&[1, 4, 5]), [(1, WHOLE)]);
        assert_eq!(ends.now(1), WHOLE);
        assert_eq!(tree.moves_to(&[1, 2, 3]), Moves { left: vec![6], back: vec![2, 3] });
    }

    /// A tree as a child would keep it: each turn with its parent and all that is on the path, by hand.
    #[derive(Debug, Default)]
    struct Naive {
        parents: Vec<(i64, i64)>,
        path: Vec<i64>,
        left: HashMap<i64, i64>,
    }

    impl Naive {
        fn up_to(&self, seq: i64) -> Vec<i64> {
            let parent = self.parents.iter().find(|(child, _)| *child == seq);
            parent.map_or_else(Vec::new, |(_, parent)| {
                let mut path = self.up_to(*parent);
                path.push(seq);
                path
            })
        }

        fn through(&self, seq: i64) -> Vec<i64> {
            let mut path = self.up_to(seq);
            while let Some(last) = path.last().copied() {
                let children = self.parents.iter().filter(|(_, parent)| *parent == last);
                let on = |child: &i64| {
                    if self.path.contains(child) { i64::MAX } else { self.left[child] }
                };
                match children.map(|(child, _)| *child).max_by_key(on) {
                    Some(child) => path.push(child),
                    None => break,
                }
            }
            path
        }
    }

    proptest! {
        /// Rows as the store writes them tell the same tree as one that is kept by hand.
        #[test]
        fn the_rows_tell_the_tree(acts in prop::collection::vec((0..4_u8, 0..64_usize), 0..40)) {
            let (mut rows, mut naive, mut head) = (Vec::<Place>::new(), Naive::default(), None);
            for (number, (act, which)) in (1_i64..).zip(acts) {
                let tree = Tree::of(rows.clone());
                let chosen = (!rows.is_empty()).then(|| rows[which % rows.len()].seq);
                let (path, follows) = match (act, chosen) {
                    (0, _) | (_, None) => (naive.path.clone(), true),
                    // Again.
                    (1, Some(turn)) => (tree.up_to(tree.parent(turn)), true),
                    (2, Some(turn)) => (tree.up_to(turn), false),
                    (_, Some(turn)) => (tree.through(turn, &Ends::default()), false),
                };
                match (act, chosen) {
                    (1, Some(turn)) => {
                        let parent = naive.up_to(turn);
                        prop_assert_eq!(&path, &parent[..parent.len() - 1]);
                    }
                    (2, Some(turn)) => prop_assert_eq!(&path, &naive.up_to(turn)),
                    (3, Some(turn)) => prop_assert_eq!(&path, &naive.through(turn)),
                    _ => {}
                }
                // As the store does.
                let moves = tree.moves_to(&path);
                if let Some(heir) = tree.heir(path.last().copied().unwrap_or_default()).filter(|_| act != 0 && chosen.is_some()) {
                    let parent = tree.parent(heir);
                    rows.iter_mut().filter(|row| row.seq == heir).for_each(|row| row.parent = Some(parent));
                }
                for row in &mut rows {
                    if moves.left.contains(&row.seq) { row.superseded_at = Some(number); }
                    if moves.back.contains(&row.seq) { row.superseded_at = None; }
                }
                // By hand.
                naive.left.extend(naive.path.iter().filter(|seq| !path.contains(seq)).map(|seq| (*seq, number)));
                naive.path.clone_from(&path);
                let last = path.last().copied().unwrap_or_default();
                if follows {
                    let parent = if act == 1 && chosen.is_some() { Some(last) } else { head };
                    rows.push(place(number, parent, None));
                    naive.parents.push((number, last));
                    naive.path.push(number);
                    head = None;
                } else {
                    head = (last != tree.highest()).then_some(last);
                }
                let tree = Tree::of(rows.clone());
                prop_assert_eq!(tree.path(), naive.path.clone());
                for (turn, parent) in &naive.parents {
                    prop_assert_eq!(tree.parent(*turn), *parent);
                }
                // Siblings are rows with the same explicit parent.
                for (turn, parent) in &naive.parents {
                    let alone = naive.parents.iter().filter(|(_, other)| other == parent).count() == 1;
                    let stored = tree.find(*turn).and_then(|place| place.parent);
                    prop_assert!(alone || stored == Some(*parent), "{turn} of {parent}");
                }
            }
        }
    }
}
