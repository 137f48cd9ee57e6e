//! The title and the metadata of a thread or chat.

use serde_json::Value;

use crate::engine::AiEngine;
use crate::error::Result;
use crate::failpoint::Write;
use crate::model::{AssistantThread, Chat, StoredMetadata, checked_title};
use crate::store::naming::Nameable;
use crate::store::session::Session;

/// What can be done with a thread and with a chat alike.
macro_rules! nameable {
    ($row:ty) => {
        impl $row {
            /// Gives it this title, of at most 255 characters and without NUL, in place of any other; a blank one takes the title
            /// away. No model replaces a title given here; of one that was taken away an engine with
            /// [`titles`](crate::EngineBuilder::titles) asks a model again after the next answer.
            ///
            /// It is no activity: the order of [`recent`](crate::Conversations::recent) stays. Returns it as it then is. Readers of
            /// its events are not told: lists show the title when they are read again.
            ///
            /// # Cancellation
            ///
            /// Dropping the future leaves it renamed, or not.
            ///
            /// # Errors
            ///
            /// [`Error::Invalid`](crate::Error::Invalid) for a title out of its limits,
            /// [`Error::NotFound`](crate::Error::NotFound) when it was deleted, or the database's.
            pub async fn rename(
                &self,
                engine: &AiEngine,
                title: impl Into<String>,
            ) -> Result<Self> {
                let (id, title) = (self.id, checked_title(&title.into())?);
                let renamed = engine.core.store().write(Write::Rename, move |session| {
                    <Self as Nameable>::rename(session, id, title.as_deref())
                });
                renamed.await
            }

            /// [`rename`](Self::rename) in your transaction.
            ///
            /// # Errors
            ///
            /// As [`rename`](Self::rename).
            pub fn rename_in(
                &self,
                conn: &mut dyn Session,
                title: impl Into<String>,
            ) -> Result<Self> {
                let title = checked_title(&title.into())?;
                <Self as Nameable>::rename(conn, self.id, title.as_deref())
            }

            /// Replaces what you noted of it by this JSON object of at most 16 KiB, without NUL. The model is not told. It is no
            /// activity. Returns it as it then is.
            ///
            /// # Cancellation
            ///
            /// Dropping the future leaves the metadata replaced, or not.
            ///
            /// # Errors
            ///
            /// [`Error::Invalid`](crate::Error::Invalid) for metadata that is no object or out of its limits,
            /// [`Error::NotFound`](crate::Error::NotFound) when it was deleted, or the database's.
            pub async fn set_metadata(&self, engine: &AiEngine, metadata: Value) -> Result<Self> {
                let (id, metadata) = (self.id, StoredMetadata::checked(metadata)?);
                let replaced = engine.core.store().write(Write::Metadata, move |session| {
                    <Self as Nameable>::set_metadata(session, id, &metadata)
                });
                replaced.await
            }

            /// [`set_metadata`](Self::set_metadata) in your transaction.
            ///
            /// # Errors
            ///
            /// As [`set_metadata`](Self::set_metadata).
            pub fn set_metadata_in(&self, conn: &mut dyn Session, metadata: Value) -> Result<Self> {
                let metadata = StoredMetadata::checked(metadata)?;
                <Self as Nameable>::set_metadata(conn, self.id, &metadata)
            }
        }
    };
}

nameable!(AssistantThread);
nameable!(Chat);
