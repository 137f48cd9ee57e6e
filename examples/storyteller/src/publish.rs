//! The tool that publishes a story: the model asks for it, the user agrees, and it is done once, whatever dies meanwhile.

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::{Approval, Error, Messageable, Repeatable, ToolContext, ToolError, prelude::*};
use chrono::Utc;
use diesel::prelude::*;
use serde::Deserialize;

use crate::database::{Db, read, transaction};
use crate::names;
use crate::schema::{stories, users};
use crate::told::Told;
use crate::users::User;

/// Publishes the last story that was told in this conversation. Use it only when the user asks for it. Say nothing beside the call,
/// unless that is the story.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Publish {
    /// The title of the story, of at most 120 characters.
    title: String,
    /// The message that the user agreed to. Not the model's to say: the decision brings it.
    #[serde(default)]
    #[schemars(skip)]
    message: Option<i64>,
}

impl Publish {
    /// What is published: the text that the user was shown. Were it another one now, nothing would be.
    async fn story(&self, user: &User, cx: &ToolContext<'_>) -> Result<Told, ToolError> {
        let Messageable::AssistantThread(id) = cx.run.messageable else {
            return Err(ToolError::new("Stories are told in threads."));
        };
        let thread = user.assistant_threads(cx.engine).find(id).await?;
        let told = Told::before(cx.engine, &thread, cx.run.seq).await?;
        let told =
            told.ok_or_else(|| ToolError::new("No story was told in this conversation yet."))?;
        if self.message != Some(told.message) {
            return Err(ToolError::new(
                "Nothing was published: it is not the story that the user agreed to.",
            ));
        }
        Ok(told)
    }
}

impl Tool for Publish {
    // Not "publish_story": the demo model calls a tool whose name has a word of the question in it.
    const NAME: &'static str = "publish";
    // It may begin again after a crash: its key makes sure that it is done once.
    const REPEATABLE: Repeatable = Repeatable::Yes;
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let title = names::title(&self.title).map_err(ToolError::new)?;
        let failed = |error: Error| {
            tracing::error!(%error, "a story could not be stored");
            ToolError::new("The story could not be stored.")
        };
        // The model chooses the arguments; whose story it is says the engine.
        let owner =
            cx.owner_id::<User>()?.ok_or_else(|| ToolError::new("There is no such user."))?;
        let db: &Db = cx.state()?;
        let user: User =
            read!(*db, |conn| users::table.find(owner).select(User::as_select()).first(conn)?)
                .map_err(failed)?;
        let Told { text, teller, .. } = self.story(&user, cx).await?;
        let (key, shown) = (cx.idempotency_key().to_owned(), title.clone());
        transaction!(*db, |conn| {
            diesel::insert_into(stories::table)
                .values((
                    stories::user_id.eq(owner),
                    stories::title.eq(&title),
                    stories::text.eq(&text),
                    stories::teller.eq(&teller),
                    stories::idempotency_key.eq(&key),
                    stories::created_at.eq(Utc::now().naive_utc()),
                ))
                .on_conflict(stories::idempotency_key)
                .do_nothing()
                .execute(conn)?
        })
        .map_err(failed)?;
        Ok(format!("\"{shown}\" is published."))
    }

    fn approval(&self, _: &ToolContext<'_>) -> Approval {
        Approval::Needed
    }
}
