//! Which turns a reader has: it is told that one left the path only if it was told of that one.

use std::collections::HashMap;

/// What one reader passed over, in the order of the numbers.
#[derive(Debug, Default)]
pub(crate) struct Has {
    /// Numbers that it passed without being told of a turn: those off the path, and those without a turn. Each from, and up to but
    /// not including; in order, none next to another.
    passed: Vec<(i64, i64)>,
    /// Turns that came back to the path or left it, as far as it was told.
    moved: HashMap<i64, bool>,
}

impl Has {
    /// It went on to number `to` without being told of those from `from`.
    pub(crate) fn pass(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        match self.passed.last_mut() {
            Some((_, end)) if *end >= from => *end = (*end).max(to),
            _ => self.passed.push((from, to)),
        }
    }

    /// It was told of a turn that came back, or not, because the turn has left again.
    pub(crate) fn came(&mut self, turn: i64, told: bool) {
        self.moved.insert(turn, told);
    }

    /// A turn leaves. Whether the reader has it: what it was not told of since it began, it knows from before.
    pub(crate) fn leaves(&mut self, turn: i64) -> bool {
        let known = self.moved.insert(turn, false);
        known.unwrap_or_else(|| {
            let behind = self.passed.partition_point(|(from, _)| *from <= turn);
            let range = behind.checked_sub(1).and_then(|at| self.passed.get(at));
            range.is_none_or(|(_, to)| turn >= *to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_what_it_was_told_and_what_it_knew() {
        let mut has = Has::default();
        // It began behind turn 2, and 4 and 5 were off the path; 8 is no turn.
        has.pass(4, 5);
        has.pass(5, 6);
        has.pass(8, 9);
        assert_eq!(has.passed, [(4, 6), (8, 9)]);
        let told: Vec<bool> = [1, 3, 4, 5, 6, 7, 9].map(|turn| has.leaves(turn)).into();
        assert_eq!(told, [true, true, false, false, true, true, true]);
        assert!(!has.leaves(1), "it is told once");
        has.came(1, true);
        has.came(4, false);
        assert!(has.leaves(1) && !has.leaves(4));
    }
}
