//! A thread of a user's, and what a page shows of it.

use ai_engine::{AiEngine, AssistantThread, Page, PageToken, Turn, prelude::*};
use serde::Serialize;

use crate::problem::Problem;
use crate::told::Told;
use crate::turns::{TurnView, waits};
use crate::users::User;

/// Turns on one page.
const TURNS: u32 = 30;

/// One of this user's; another user's is not found.
pub(crate) async fn find(
    engine: &AiEngine,
    user: &User,
    id: i64,
) -> Result<AssistantThread, Problem> {
    Ok(user.assistant_threads(engine).find(id).await?)
}

/// A page of turns, from which place the events go on, and where older ones begin.
#[derive(Debug, Serialize)]
pub(crate) struct Turns {
    pub(crate) items: Vec<TurnView>,
    pub(crate) after: Option<String>,
    pub(crate) older: Option<PageToken>,
}

impl Turns {
    pub(crate) async fn read(
        engine: &AiEngine,
        thread: &AssistantThread,
        older: Option<PageToken>,
    ) -> Result<Self, Problem> {
        let page = older.map_or(Page::newest(TURNS), |token| Page::after(token, TURNS));
        let paged = thread.turns(engine, page).await?;
        let after = paged.follow().map(|place| place.to_string());
        let mut items = Vec::new();
        for turn in &paged.items {
            items.push(viewed(engine, thread, turn).await?);
        }
        Ok(Self { items, after, older: paged.next })
    }
}

/// One turn of the current path, by its number.
pub(crate) async fn turn(
    engine: &AiEngine,
    thread: &AssistantThread,
    seq: i64,
) -> Result<TurnView, Problem> {
    let page = Page::before(seq.saturating_add(1), 1);
    let found = thread.turns(engine, page).await?.items.pop().filter(|turn| turn.seq == seq);
    viewed(engine, thread, &found.ok_or(Problem::NotFound)?).await
}

/// With what it would publish, if it waits for that: a story may be further up than this page goes.
async fn viewed(
    engine: &AiEngine,
    thread: &AssistantThread,
    turn: &Turn,
) -> Result<TurnView, Problem> {
    let story = if waits(turn) { Told::before(engine, thread, turn.seq).await? } else { None };
    Ok(TurnView::of(thread.id, turn, story.as_ref()))
}
