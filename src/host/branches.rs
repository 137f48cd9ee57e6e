//! Branches of a thread or chat: another question, another end, another path; and a fork.

use crate::engine::AiEngine;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{AssistantThread, Chat, Content, Message, Run};
use crate::store::session::{Session, transaction};
use crate::store::threads::ConversationRow;
use crate::store::{forks, refuse_within};
use crate::submit::again;
use crate::submit::branch::{self, Branch};
use crate::submit::request::RunRequest;

/// What can be done with a thread and with a chat alike.
macro_rules! branches {
    ($row:ty) => {
        impl $row {
            /// Asks something else in the place of a user's question. For what becomes of the old turn and of what came after it, and
            /// for whom it asks, see [`Run::retry`].
            ///
            /// Of a message that is not a user's question of this thread or chat (the model's, or one that was stored with
            /// [`Messages::create`](crate::Messages::create), which nobody answered) it is [`Error::Invalid`](crate::Error::Invalid).
            pub fn edit(
                &self,
                engine: &AiEngine,
                message: &Message,
                content: impl Into<Content>,
            ) -> RunRequest {
                again::edit(engine, self.messageable(), message, content.into())
            }

            /// Ends the current path with this message: what comes after it leaves the path, and the next turn follows on it. Of a
            /// message off the path, the path that led to it is taken. [`choose`](Self::choose) brings back what left.
            ///
            /// # Cancellation
            ///
            /// Dropping the future does not interrupt it.
            ///
            /// # Errors
            ///
            /// [`Error::Busy`](crate::Error::Busy) while a run is active, [`Error::NotFound`](crate::Error::NotFound) for a message of
            /// another thread or chat, or the database's.
            pub async fn truncate_after(&self, engine: &AiEngine, message: &Message) -> Result<()> {
                branch::take(&engine.core, self.messageable(), Branch::end_at(message)).await
            }

            /// [`truncate_after`](Self::truncate_after) in your transaction.
            ///
            /// # Errors
            ///
            /// As there. An error leaves your transaction usable.
            pub fn truncate_after_in(
                &self,
                conn: &mut dyn Session,
                engine: &AiEngine,
                message: &Message,
            ) -> Result<()> {
                branch::take_in(conn, &engine.core, self.messageable(), Branch::end_at(message))
            }

            /// Takes the path through this run: the one that led to it, and what followed on it when it was left last. The next turn
            /// follows on its end. What is on the current path and not on this one leaves it.
            ///
            /// # Cancellation
            ///
            /// Dropping the future does not interrupt it.
            ///
            /// # Errors
            ///
            /// [`Error::Busy`](crate::Error::Busy) while a run is active, [`Error::NotFound`](crate::Error::NotFound) for a run of
            /// another thread or chat, or the database's.
            pub async fn choose(&self, engine: &AiEngine, run: &Run) -> Result<()> {
                branch::take(&engine.core, self.messageable(), Branch::through(run)).await
            }

            /// [`choose`](Self::choose) in your transaction.
            ///
            /// # Errors
            ///
            /// As there. An error leaves your transaction usable.
            pub fn choose_in(
                &self,
                conn: &mut dyn Session,
                engine: &AiEngine,
                run: &Run,
            ) -> Result<()> {
                branch::take_in(conn, &engine.core, self.messageable(), Branch::through(run))
            }

            /// A new one of the same owner, which begins with copies of what led to this message, its whole turn included. The two go on
            /// without each other; the copy says where it is from. Runs are copied as they ended, with no tokens and no attempts: they
            /// were paid there. The provider keeps nothing of the copy until its first run. No hook is called for copies.
            ///
            /// # Cancellation
            ///
            /// Dropping the future leaves the fork there, or not.
            ///
            /// # Errors
            ///
            /// [`Error::Busy`](crate::Error::Busy) when a run up to there is active, [`Error::NotFound`](crate::Error::NotFound) for a
            /// message of another thread or chat, or the database's.
            pub async fn fork_at(&self, engine: &AiEngine, message: &Message) -> Result<Self> {
                refuse_within()?;
                let (of, message) = (self.messageable(), message.id);
                let fork = move |session: &mut dyn Session| forks::fork(session, of, message);
                engine.core.store().write(Write::Fork, fork).await
            }

            /// [`fork_at`](Self::fork_at) in your transaction.
            ///
            /// # Errors
            ///
            /// As there. An error leaves your transaction usable.
            pub fn fork_at_in(&self, conn: &mut dyn Session, message: &Message) -> Result<Self> {
                let of = self.messageable();
                transaction(conn, |session| forks::fork(session, of, message.id))
            }
        }
    };
}

branches!(AssistantThread);
branches!(Chat);
