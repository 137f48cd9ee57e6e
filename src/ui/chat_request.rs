//! What `useChat` of the AI SDK sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::{UiMessage, question_named};
use crate::error::{Error, Result};
use crate::follow::cursor::Cursor;
use crate::model::Content;
use crate::submit::decide::Decision;

/// The body that the AI SDK's `DefaultChatTransport` posts (package `ai`, version 7).
///
/// It holds all messages that the page has. The engine has them in its database: only what is new is taken from it.
///
/// ```
/// # #[cfg(feature = "axum")] mod with_axum {
/// use ai_engine::ui::{ChatRequest, Trigger, UiStream};
/// use ai_engine::{AiEngine, Error, Page, prelude::*};
/// # struct User { id: i64 }
/// # struct Storyteller { id: i64 }
/// # ai_engine::record! { User { id: i64 } as "User", Storyteller { id: i64 } as "Storyteller" }
/// # impl MessageHooks for User {}
/// # impl Threadable for User {}
/// # impl Assistable for Storyteller {
/// #     fn ai_engine_assistant(&self) -> ai_engine::AssistantDefinition { ai_engine::AssistantDefinition::new("gpt-6-luna") }
/// # }
///
/// async fn chat(engine: AiEngine, user: User, teller: Storyteller, thread: i64, request: ChatRequest) -> Result<UiStream, Error> {
///     let thread = user.assistant_threads(&engine).find(thread).await?;
///     // Somebody agreed, or not: the run that waited goes on.
///     let decided = user.tool_calls(&engine).decide(request.decisions()).await?;
///     if let Some(call) = decided.first() {
///         let run = user.find_run(&engine, call.run_id).await?;
///         return Ok(run.events(&engine).resume(request.cursor().as_deref()).await?.ui_message_stream());
///     }
///     if let Some(message) = request.edited()? {
///         let message = thread.messages(&engine).find(message).await?;
///         return Ok(thread.edit(&engine, &message, request.question()?).stream().await?.ui_message_stream());
///     }
///     let newest = thread.runs(&engine, Page::newest(1)).await?.pop();
///     let again = match request.run_id()? {
///         Some(id) => Some(user.find_run(&engine, id).await?),
///         None => newest,
///     };
///     if let (Trigger::RegenerateMessage, Some(run)) = (request.trigger, again) {
///         return Ok(run.regenerate(&engine).stream().await?.ui_message_stream());
///     }
///     let question = request.question()?;
///     Ok(teller.ai_engine_run(&engine, &thread, question).stream().await?.ui_message_stream())
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChatRequest {
    /// What the page calls the conversation: `useChat({ id })`.
    pub id: String,
    /// All messages that the page has.
    #[serde(default)]
    pub messages: Vec<UiMessage>,
    /// What is to be done.
    #[serde(default)]
    pub trigger: Trigger,
    /// The message that is to be made again, asked anew, or was decided about.
    #[serde(default)]
    pub message_id: Option<String>,
}

/// What a page wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trigger {
    /// An answer to its last message, or the rest of one that waited.
    #[default]
    SubmitMessage,
    /// Another answer.
    RegenerateMessage,
}

impl ChatRequest {
    /// The last message of the page, with the pictures and files that it holds.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the last message is not the user's, or a part of it cannot be read.
    pub fn question(&self) -> Result<Content> {
        let last = self.messages.last().filter(|message| message.role == "user");
        let Some(last) = last else {
            let role = self.messages.last().map_or("none", |message| &message.role);
            return Err(Error::invalid(
                "messages",
                role,
                "do not end with a message of the user's",
            ));
        };
        let mut files = last.parts.iter().filter(|part| part["type"] == "file");
        files.try_fold(Content::text(last.text()), with_file)
    }

    /// The run whose answer is to be made again; `None`: the page named none, and means its last one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the message that it named is no answer of a run.
    pub fn run_id(&self) -> Result<Option<i64>> {
        let Some(id) = &self.message_id else { return Ok(None) };
        let number = id.strip_prefix("run-").and_then(|number| number.parse().ok());
        number.map(Some).ok_or_else(|| Error::invalid("messageId", id, "is no answer of a run"))
    }

    /// The user's message that is asked anew in its place; `None`: it is a new question. The message is that of this id
    /// ([`Messages::find`](crate::Messages::find)), for [`AssistantThread::edit`](crate::AssistantThread::edit) with
    /// [`question`](Self::question).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is known to the page alone: a message that was sent since the page was loaded has an id of the page's
    /// making.
    pub fn edited(&self) -> Result<Option<i64>> {
        let is_question = self.messages.last().is_some_and(|last| last.role == "user");
        let Some(id) = self.message_id.as_ref().filter(|_| {
            self.trigger == Trigger::SubmitMessage && is_question && self.named().is_none()
        }) else {
            return Ok(None);
        };
        let number = id.strip_prefix("message-").and_then(|number| number.parse().ok());
        number.map(Some).ok_or_else(|| {
            Error::invalid("messageId", id, "is no message of the thread; load the page again")
        })
    }

    /// What the page's user decided about calls of tools, by their ids, and what came of calls that the page carried out itself. Give
    /// each to [`ToolCalls::decide`](crate::ToolCalls::decide) of that user. A page sends all that its answer holds: what was decided
    /// before in the same way changes nothing.
    #[must_use]
    pub fn decisions(&self) -> Vec<(i64, Decision)> {
        let last = || self.messages.last().filter(|message| message.role == "assistant");
        let Some(answer) = self.named().or_else(last) else { return Vec::new() };
        let facts = answer.metadata.as_ref();
        let awaited = facts.filter(|facts| facts["status"] == "requires_action");
        let awaited = awaited.and_then(|facts| facts["awaitingOutput"].as_array());
        let is_awaited =
            |part: &Value| awaited.is_some_and(|ids| ids.contains(&part["toolCallId"]));
        let decided = answer.parts.iter().filter_map(|part| {
            let call = || part["toolCallId"].as_str()?.parse().ok();
            match part["state"].as_str()? {
                "approval-responded" => {
                    let approval = &part["approval"];
                    let (call, attempts) = question_named(approval["id"].as_str()?)?;
                    let decision = decision(&approval["approved"], &approval["reason"]);
                    Some((call, decision.asked_after(attempts)))
                }
                "output-available" if is_awaited(part) => {
                    Some((call()?, Decision::output(part["output"].clone())))
                }
                "output-error" if is_awaited(part) => {
                    let reason = part["errorText"].as_str().unwrap_or("It failed.");
                    Some((call()?, Decision::reject(reason)))
                }
                _ => None,
            }
        });
        decided.collect()
    }

    /// The place behind what the page has of the answer that waited, for [`RunEvents::resume`](crate::RunEvents::resume).
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        let last = || self.messages.iter().rev().find(|said| said.role == "assistant");
        let facts = self.named().or_else(last)?.metadata.as_ref()?;
        let cursor: Cursor = facts["cursor"].as_str()?.parse().ok()?;
        Some(cursor.to_string())
    }

    /// The answer that the page names: that which it decided about stands before a question that was asked meanwhile.
    fn named(&self) -> Option<&UiMessage> {
        let id = self.message_id.as_ref()?;
        self.messages.iter().find(|message| message.role == "assistant" && message.id == *id)
    }
}

pub(super) fn decision(approved: &Value, reason: &Value) -> Decision {
    if approved == true {
        Decision::approve()
    } else {
        Decision::reject(reason.as_str().unwrap_or("The user does not agree."))
    }
}

/// A file that a page sends comes as a `data:` URL, or lies elsewhere.
fn with_file(content: Content, part: &Value) -> Result<Content> {
    let text = |name: &str| part[name].as_str().unwrap_or_default();
    let (url, media_type) = (text("url"), text("mediaType"));
    let Some(data) = url.strip_prefix("data:") else {
        if media_type.starts_with("image/") {
            return Ok(content.image_url(url));
        }
        return Err(Error::invalid(
            "file",
            media_type,
            "is neither a data URL nor a picture's address",
        ));
    };
    let bytes = data.split_once(";base64,").and_then(|(_, data)| STANDARD.decode(data).ok());
    let shown: String = url.chars().take(32).collect();
    let bytes = bytes.ok_or_else(|| Error::invalid("file", shown, "is no data URL in base64"))?;
    Ok(if media_type.starts_with("image/") {
        content.image(media_type, bytes)
    } else {
        let name = text("filename");
        content.file(if name.is_empty() { "file" } else { name }, media_type, bytes)
    })
}
