//! One event of a run. Its name is in the event line alone; of a server that sends none, the object and its status say the same.

use serde_json::Value;

use super::object::{MESSAGE, Run, ThreadMessage, id_of};
use crate::openai::lenient::{self, Object};
use crate::openai::secrets::Secrets;
use crate::openai::{ApiError, Error, Response, Result};

#[derive(Debug)]
pub(crate) enum RunEventKind {
    /// The run lives.
    Run(Box<Run>),
    /// It ended, or waits for the outputs of its calls. Nothing follows it.
    Ended(Box<Run>),
    /// The run as it is at its beginning, of a server that does not stream. Nothing follows it.
    Whole(Box<Run>),
    /// A message began.
    Message { id: String },
    /// More of a message.
    Text { id: String, delta: String },
    /// A message as it is at its end.
    Said(Box<ThreadMessage>),
    /// A sign of life.
    Alive,
    /// `[DONE]`.
    Done,
}

/// The event with this name and these data.
pub(super) fn decode(name: &str, data: &str, secrets: &Secrets) -> Result<RunEventKind> {
    match data.trim() {
        "" => return Ok(RunEventKind::Alive),
        "[DONE]" => return Ok(RunEventKind::Done),
        _ => {}
    }
    let malformed = |message: String| {
        Error::malformed("an event of the stream", message, &secrets.redact(data))
    };
    let object = match lenient::parse(data.as_bytes()) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(malformed("its data is no JSON object".to_owned())),
        Err(error) => return Err(malformed(error.to_string())),
    };
    let kind = lenient::text(&object, "object").unwrap_or_default();
    let has_error = object.get("error").is_some_and(|error| !error.is_null());
    if name == "error" || !kind.starts_with("thread") && (has_error || ApiError::is_meant(&object))
    {
        return Err(ApiError::from_object(&object).in_stream().finish(secrets).into());
    }
    let name = named(name, &object);
    match &*name {
        "thread.message.delta" => text(&object, secrets),
        "thread.message.completed" | "thread.message.incomplete" => {
            Ok(RunEventKind::Said(Box::new(ThreadMessage::of(object, secrets)?)))
        }
        name if name.starts_with("thread.message.") => {
            Ok(RunEventKind::Message { id: id_of(&object, MESSAGE, secrets)? })
        }
        name if name.starts_with("thread.run.step.") => Ok(RunEventKind::Alive),
        name if name.starts_with("thread.run.") => {
            let run = Box::new(Run::of(object, secrets)?);
            let has_ended = run.is_over() || run.status == "requires_action";
            Ok(if has_ended { RunEventKind::Ended(run) } else { RunEventKind::Run(run) })
        }
        _ if Response::is_meant(&object) || object.contains_key("choices") => {
            let message = "it is an answer of another protocol, where one of the Assistants API was asked for";
            Err(malformed(message.to_owned()))
        }
        _ => Ok(RunEventKind::Alive),
    }
}

fn named(name: &str, object: &Object) -> String {
    if name.starts_with("thread.") {
        return name.to_owned();
    }
    let kind = lenient::text(object, "object").unwrap_or_default();
    match lenient::text(object, "status") {
        Some(status) => format!("{kind}.{status}"),
        None => kind.to_owned(),
    }
}

fn text(object: &Object, secrets: &Secrets) -> Result<RunEventKind> {
    let id = id_of(object, MESSAGE, secrets)?;
    let parts = lenient::object(object, "delta").and_then(|delta| delta.get("content"));
    let delta: String = match parts {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| {
                part["text"]["value"]
                    .as_str()
                    .or_else(|| part["text"].as_str())
                    .or_else(|| part["refusal"].as_str())
            })
            .collect(),
        _ => String::new(),
    };
    Ok(if delta.is_empty() {
        RunEventKind::Message { id }
    } else {
        RunEventKind::Text { id, delta }
    })
}
