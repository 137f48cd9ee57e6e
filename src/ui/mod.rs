//! Two public protocols for chat pages, from the same events: the AI SDK's UI message stream, and AG-UI.
//!
//! Both show one run at a time. A page that sends a question gets the stream of its run; a page that comes back gets the stream of
//! the run that is active ([`AssistantThread::active_run`](crate::AssistantThread::active_run)), in whichever process: all of it is
//! in the database, so nothing else is needed for that, and nothing is lost by a reload, a restart or a kill.
//!
//! | | AI SDK 7 (`useChat`) | AG-UI 1.0 |
//! |---|---|---|
//! | what the page sends | [`ChatRequest`] | [`AgUiRequest`] |
//! | an answer as it comes | [`RunEvents::ui_message_stream`](crate::RunEvents::ui_message_stream) | [`RunEvents::ag_ui`](crate::RunEvents::ag_ui) |
//! | what was said | [`ui_messages`](crate::AssistantThread::ui_messages) | in the stream: [`RunEvents::ag_ui_with_history`](crate::RunEvents::ag_ui_with_history) |
//! | the encoder alone | [`UiMessageEncoder`] | [`AgUiEncoder`] |
//!
//! A run that waits for somebody's decision ends the stream, as both protocols want it; the page sends the decision
//! ([`ChatRequest::decisions`], [`AgUiRequest::decisions`]) and gets the rest of the same run.
//!
//! Ids: a message is `message-` and its id, the answer of a run in the AI SDK's form `run-` and the run's, a call of a tool the id of
//! its row. What a call asks of somebody (`approvalId`, an interrupt's id) is that id and how often the call was begun: a page sends
//! decisions by itself, and none answers a question that was asked since.
//!
//! The streams show what the run's events hold of texts, calls of tools with their arguments and outputs, tokens and costs. They
//! hold no error in the provider's words and no system message. What a page must not see of a tool, its output must not hold.

mod ag_ui;
mod ag_ui_request;
mod beside;
mod chat_request;
mod history;
mod stream;
#[cfg(test)]
mod tests;
mod ui_message;
mod ui_message_encoder;
mod ui_messages;

pub use ag_ui::AgUiEncoder;
pub use ag_ui_request::AgUiRequest;
pub use chat_request::{ChatRequest, Trigger};
pub use stream::UiStream;
pub use ui_message::UiMessage;
pub use ui_message_encoder::UiMessageEncoder;

use serde_json::{Map, Number, Value};

use crate::model::{Message, Run, ToolCall};

/// How a page is told which message something is of.
fn message_name(id: i64) -> String {
    format!("message-{id}")
}

/// And which run.
fn run_name(id: i64) -> String {
    format!("run-{id}")
}

/// What is asked about a call: its id and how often it was begun, since a call whose process died may be asked about again. So no answer
/// to the one question is taken for one to the other.
fn question_name(call: &ToolCall) -> String {
    format!("{}.{}", call.id, call.attempts)
}

/// The call and its question that were named like that.
fn question_named(name: &str) -> Option<(i64, i64)> {
    let (call, attempts) = name.split_once('.')?;
    Some((call.parse().ok()?, attempts.parse().ok()?))
}

/// JSON where it is JSON, or else the text. So is a number that a page would read as another one or write otherwise: a version, a
/// price, a long id.
fn json_or_text(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) if !is_exact(&number) || number.to_string() != text => {
            text.into()
        }
        Ok(value) => value,
        Err(_) => text.into(),
    }
}

/// Whether JavaScript reads it as it is.
fn is_exact(number: &Number) -> bool {
    number.is_f64() || number.as_i64().is_some_and(|number| number.unsigned_abs() < 1 << 53)
}

/// The arguments that a call is carried out with.
fn arguments(call: &ToolCall) -> &str {
    call.changed_arguments.as_deref().unwrap_or(&call.arguments)
}

/// What went wrong with a call, in words for a page.
fn call_error(call: &ToolCall) -> &str {
    let error = call.error.as_deref().or(call.output.as_deref());
    error.filter(|text| !text.is_empty()).unwrap_or(call.status.as_str())
}

/// What went wrong with a run, in words for a page: the provider's own may quote what is nobody's business.
fn run_error(run: &Run) -> String {
    match &run.reason {
        Some(reason) => format!("There is no answer: {}", reason.as_str()),
        None => "There is no answer".to_owned(),
    }
}

/// What both protocols tell of a run beside its texts.
fn run_facts(run: &Run) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("runId".to_owned(), run.id.into());
    facts.insert("status".to_owned(), run.status.as_str().into());
    facts.insert("model".to_owned(), run.model.as_str().into());
    facts.insert("createdAt".to_owned(), run.created_at.to_rfc3339().into());
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    add("assistant", run.assistant_name.as_deref().map(Value::from));
    add("reason", run.reason.as_ref().map(|reason| reason.as_str().into()));
    if run.status.is_terminal() {
        add("finishedAt", run.finished_at.map(|at| at.to_rfc3339().into()));
        add("usage", Some(usage(run).into()));
        add("cost", run.cost().map(|cost| cost.to_string().into()));
    }
    facts
}

/// Tokens in the names that both protocols use. Those of reasoning and of caches are parts of the others.
fn usage(run: &Run) -> Map<String, Value> {
    let usage = &run.usage;
    let counts = [
        ("inputTokens", usage.input_tokens),
        ("outputTokens", usage.output_tokens),
        ("totalTokens", usage.total_tokens()),
        ("reasoningTokens", usage.reasoning_tokens),
        ("cachedInputTokens", usage.cached_input_tokens),
        ("cacheWriteInputTokens", usage.cache_write_tokens),
    ];
    counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

/// What is noted of a message.
fn message_facts(message: &Message) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("createdAt".to_owned(), message.created_at.to_rfc3339().into());
    if let Some(author) = &message.author {
        facts.insert("author".to_owned(), author.as_str().into());
    }
    facts
}
