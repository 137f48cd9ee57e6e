//! The history of a thread or chat, as a page of the AI SDK holds it.

use super::UiMessage;
use crate::engine::AiEngine;
use crate::error::Result;
use crate::model::{AssistantThread, Chat, Page, Paged};

macro_rules! history {
    ($row:ty) => {
        impl $row {
            /// A page of its turns ([`turns`](Self::turns)) as messages of the AI SDK: what `useChat` begins with. An answer that is on
            /// its way comes with what is stored of it; `useChat`'s resume takes it up under the same id.
            ///
            /// Pictures and files that are stored here are left out: [`UiMessage::with_files`] has them.
            ///
            /// # Cancellation
            ///
            /// It only reads: dropping the future changes nothing.
            ///
            /// # Errors
            ///
            /// As [`turns`](Self::turns).
            pub async fn ui_messages(
                &self,
                engine: &AiEngine,
                page: Page,
            ) -> Result<Paged<UiMessage>> {
                let turns = self.turns(engine, page).await?;
                let messages = turns.items.iter().flat_map(UiMessage::of_turn);
                Ok(Paged { items: messages.collect(), next: turns.next })
            }
        }
    };
}

history!(AssistantThread);
history!(Chat);
