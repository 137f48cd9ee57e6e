//! The turns of a conversation, a page at a time, as its page shows them.

use ai_engine::{AiEngine, Page, PageToken, Turn};

use crate::conversations::Conversation;
use crate::problem::Problem;
use crate::told::Told;
use crate::turns::{TurnView, waits};

/// Turns on one page.
const TURNS: u32 = 30;

/// A page of turns, from which place the events go on, and where older ones begin.
#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) items: Vec<TurnView>,
    pub(crate) after: Option<String>,
    pub(crate) older: Option<PageToken>,
}

impl Turns {
    pub(crate) async fn read(
        engine: &AiEngine,
        conversation: &Conversation,
        older: Option<PageToken>,
    ) -> Result<Self, Problem> {
        let page = older.map_or(Page::newest(TURNS), |token| Page::after(token, TURNS));
        let paged = conversation.turns(engine, page).await?;
        let after = paged.follow().map(|place| place.to_string());
        let mut items = Vec::new();
        for turn in &paged.items {
            items.push(turn_view(engine, conversation, turn).await?);
        }
        Ok(Self { items, after, older: paged.next })
    }
}

/// With what it would publish, if it waits for that: a story may be further up than this page goes.
pub(crate) async fn turn_view(
    engine: &AiEngine,
    conversation: &Conversation,
    turn: &Turn,
) -> Result<TurnView, Problem> {
    let story = match conversation {
        Conversation::Thread(thread) if waits(turn) => {
            Told::before(engine, thread, turn.seq).await?
        }
        _ => None,
    };
    Ok(TurnView::of(conversation.path(), turn, story.as_ref()))
}
