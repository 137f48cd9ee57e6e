//! The newest items of a list that is read in pages.

use std::collections::HashSet;

use super::{CallError, Result};
use crate::model::Item;
use crate::openai::Error;

/// Most pages read of a conversation: what is newer than the last item that is known for sure is short, as a rule.
const MOST_PAGES: usize = 50;

/// The newest items, oldest first, after the last one whose id `known` recognises; and that id. `page` gives the page behind an item,
/// newest first, and whether more follow.
pub(super) async fn tail<P>(
    known: &(dyn for<'a> Fn(&'a str) -> bool + Sync),
    page: impl Fn(Option<String>) -> P + Send,
) -> Result<(Vec<Item>, Option<String>)>
where
    P: Future<Output = Result<(Vec<Item>, bool)>> + Send,
{
    let mut newest_first: Vec<Item> = Vec::new();
    let (mut after, mut seen) = (None, HashSet::new());
    for _ in 0..MOST_PAGES {
        let (items, has_more) = page(after).await?;
        let next = items.last().and_then(Item::id).map(str::to_owned);
        for item in items {
            let id = item.id().map(str::to_owned);
            if let Some(anchor) = id.clone().filter(|id| known(id)) {
                newest_first.reverse();
                return Ok((newest_first, Some(anchor)));
            }
            if id.is_some_and(|id| !seen.insert(id)) {
                return Err(endless("it shows an item twice"));
            }
            newest_first.push(item);
        }
        // A server that says `has_more` without a place to go on would be asked forever.
        if !has_more || next.is_none() {
            newest_first.reverse();
            return Ok((newest_first, None));
        }
        after = next;
    }
    Err(endless("it does not end"))
}

pub(super) fn endless(what: &str) -> CallError {
    Error::malformed("the list of a conversation's items", what, "").into()
}
