//! Which text of a thread a call publishes. The card that asks for a decision and the tool that carries it out both read it here,
//! so what is shown is what is published.

use ai_engine::{AiEngine, AssistantThread, Message, MessageStatus, Page, Result, Turn};
use serde::{Serialize, Serializer};

use crate::markdown;
use crate::words::shortened;

/// How far back a story is looked for, in turns.
const FAR: u32 = 50;
/// How much of it the card shows, in characters.
const BEGINNING: usize = 160;

/// A text that was told, and who told it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    /// The message it is. A finished message does not change, so its id stands for its text.
    pub(crate) message: i64,
    /// Its first words, for the card.
    beginning: String,
    /// The whole of it; pages have it as HTML, as it may be further up than they go.
    #[serde(rename = "html", serialize_with = "rendered")]
    pub(crate) text: String,
    pub(crate) teller: String,
}

impl Told {
    /// What a call in this turn publishes: the text that the same turn told before its first call, or else the last one of the
    /// newest earlier turn that called nothing. A turn that called something talks about the call: it is no story.
    pub(crate) async fn before(
        engine: &AiEngine,
        thread: &AssistantThread,
        seq: i64,
    ) -> Result<Option<Self>> {
        let page = Page::before(seq.saturating_add(1), FAR);
        let turns = thread.turns(engine, page).await?.items;
        let own = turns.iter().find(|turn| turn.seq == seq);
        let own = own.and_then(|turn| {
            let first = turn.tool_calls.iter().map(|call| call.position).min()?;
            last_text(turn, first).map(|message| Self::of(turn, message))
        });
        Ok(own.or_else(|| {
            let earlier = turns.iter().rev().filter(|turn| turn.seq < seq);
            let mut silent = earlier.filter(|turn| turn.tool_calls.is_empty());
            silent.find_map(|turn| last_text(turn, i64::MAX).map(|text| Self::of(turn, text)))
        }))
    }

    fn of(turn: &Turn, message: &Message) -> Self {
        let teller = turn.run.as_ref().and_then(|run| run.assistant_name.clone());
        Self {
            message: message.id,
            beginning: shortened(&markdown::words(&message.content), BEGINNING),
            text: message.content.clone(),
            teller: teller.unwrap_or_else(|| "Storyteller".to_owned()),
        }
    }
}

fn rendered<S: Serializer>(text: &str, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(&markdown::html(text))
}

/// The last finished answer of a turn before this place.
fn last_text(turn: &Turn, before: i64) -> Option<&Message> {
    turn.messages.iter().rev().find(|message| {
        message.is_assistant()
            && message.position < before
            && message.status == MessageStatus::Completed
            && !message.content.trim().is_empty()
    })
}
