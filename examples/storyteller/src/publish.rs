//! The tool that publishes a story: the model asks for it, the user agrees, and it is done once, whatever dies meanwhile.

use ai_engine::schemars::{self, JsonSchema};
use ai_engine::{
    Approval, MessageStatus, Messageable, Page, Repeatable, ToolContext, ToolError, prelude::*,
};
use chrono::Utc;
use diesel::prelude::*;
use serde::Deserialize;

use crate::database::{Db, read, transaction};
use crate::schema::{stories, users};
use crate::users::User;

/// Publishes the last story that was told in this conversation. Use it only when the user asks for it.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Publish {
    /// The title of the story, of at most 120 characters.
    title: String,
}

impl Publish {
    /// Longest title, in characters.
    pub(crate) const MOST_CHARS: usize = 120;
    /// How far back the story is looked for, in messages.
    const FAR: u32 = 50;

    /// The last story that was told before this call, and who told it: the model need not say it again.
    async fn story(
        user: &User,
        cx: &ToolContext<'_>,
    ) -> Result<Option<(String, String)>, ToolError> {
        let Messageable::AssistantThread(id) = cx.run.messageable else { return Ok(None) };
        let thread = user.assistant_threads(cx.engine).find(id).await?;
        let messages = thread.messages(cx.engine).list(Page::newest(Self::FAR)).await?;
        let told = messages.into_iter().rev().find(|message| {
            message.is_assistant()
                && message.seq < cx.run.seq
                && message.status == MessageStatus::Completed
                && !message.content.trim().is_empty()
        });
        let Some(told) = told else { return Ok(None) };
        let run = match told.run_id {
            Some(run) => user.find_run(cx.engine, run).await?.assistant_name,
            None => None,
        };
        Ok(Some((told.content, run.unwrap_or_else(|| "Storyteller".to_owned()))))
    }
}

impl Tool for Publish {
    // Not "publish_story": the demo model calls a tool whose name has a word of the question in it.
    const NAME: &'static str = "publish";
    // It may begin again after a crash: its key makes sure that it is done once.
    const REPEATABLE: Repeatable = Repeatable::Yes;
    type Output = String;

    async fn call(self, cx: &ToolContext<'_>) -> Result<String, ToolError> {
        let title = self.title.trim().to_owned();
        if title.is_empty() || title.chars().count() > Self::MOST_CHARS {
            return Err(ToolError::new("The title must have 1 to 120 characters."));
        }
        let failed = |_| ToolError::new("The story could not be stored.");
        // The model chooses the arguments; whose story it is says the engine.
        let owner =
            cx.owner_id::<User>()?.ok_or_else(|| ToolError::new("There is no such user."))?;
        let db: &Db = cx.state()?;
        let user: User =
            read!(*db, |conn| users::table.find(owner).select(User::as_select()).first(conn)?)
                .map_err(failed)?;
        let (text, teller) = Self::story(&user, cx)
            .await?
            .ok_or_else(|| ToolError::new("No story was told in this conversation yet."))?;
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
