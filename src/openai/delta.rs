//! The events that come by the thousand: one piece of a text each. They are read in one go, into the few members that
//! anybody asks for; everything else goes through a map of all that was sent (`event.rs`).
//!
//! Only what is certain is taken. A member that is there twice, has another type than it should, or holds a NUL, half of a
//! surrogate pair, JSON that is not quite JSON: each makes [`read`] give up, and the event goes the long way. What it does take
//! is read exactly alike by both; the tests and the fuzz targets compare them.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::{StreamEvent, StreamEventKind};

/// What a piece of text is a piece of.
#[derive(Debug, Clone, Copy)]
enum Of {
    Text,
    Refusal,
    Arguments,
    Reasoning,
}

/// Read by hand: what is derived for an enum would take an object for a name, and tell each other name in an error.
impl<'de> Deserialize<'de> for Of {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Of;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a delta")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Of, E> {
                match name {
                    "response.output_text.delta" => Ok(Of::Text),
                    "response.refusal.delta" => Ok(Of::Refusal),
                    "response.function_call_arguments.delta" => Ok(Of::Arguments),
                    "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                        Ok(Of::Reasoning)
                    }
                    _ => Err(E::custom("another event")),
                }
            }
        }

        deserializer.deserialize_str(Name)
    }
}

#[derive(serde::Deserialize)]
struct Piece {
    #[serde(rename = "type")]
    of: Of,
    sequence_number: Option<i64>,
    item_id: Option<String>,
    output_index: Option<u64>,
    content_index: Option<u64>,
    #[serde(rename = "delta")]
    text: String,
}

/// An object that has just these members, among others that say nothing here.
pub(super) fn certain<'a, T: Deserialize<'a>>(data: &'a str) -> Option<T> {
    // A list would be read as the members in their order.
    if data.starts_with('{') { serde_json::from_str(data).ok() } else { None }
}

/// Reads the data of an event that is surely a piece of text.
pub(super) fn read(data: &str) -> Option<StreamEvent> {
    let Piece { of, sequence_number, item_id, output_index, content_index, text: delta } =
        certain(data)?;
    if delta.contains('\0') || item_id.as_ref().is_some_and(|id| id.contains('\0')) {
        return None;
    }
    let kind = match of {
        Of::Text => {
            StreamEventKind::OutputTextDelta { item_id, output_index, content_index, delta }
        }
        Of::Refusal => {
            StreamEventKind::RefusalDelta { item_id, output_index, content_index, delta }
        }
        Of::Arguments => {
            StreamEventKind::FunctionCallArgumentsDelta { item_id, output_index, delta }
        }
        Of::Reasoning => StreamEventKind::ReasoningDelta { item_id, output_index, delta },
    };
    Some(StreamEvent { sequence_number, kind })
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
