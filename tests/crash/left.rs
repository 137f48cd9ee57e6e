//! What is left at the provider when all is deleted here.

use std::collections::{BTreeMap, HashMap};

use crate::keeps::{Kind, Made};

/// What may stay: what a process had made and was killed before the id of it could be noted, since no provider lists these. A
/// conversation and a thread are noted before anything is said in them, so such a one is empty; the response to a call that the
/// process was still waiting for is not. An assistant can be found by its metadata, so none stays.
///
/// How many of each kind do.
pub fn left(
    keeps: Vec<Made>,
    ended: &HashMap<String, i64>,
    broken: &mut Vec<String>,
) -> BTreeMap<Kind, usize> {
    let mut left = BTreeMap::new();
    for made in keeps {
        let is_over = ended.contains_key(&made.by);
        let may_stay = match made.kind {
            Kind::Conversation | Kind::Thread => is_over && !made.has_words,
            Kind::Response => is_over,
            Kind::Assistant => false,
        };
        if may_stay {
            *left.entry(made.kind).or_default() += 1;
        } else {
            let Made { kind, id, by, has_words } = made;
            let what = if has_words { "with words" } else { "empty" };
            broken.push(format!("the provider keeps {kind:?} {id} of {by}, {what}"));
        }
    }
    left
}
