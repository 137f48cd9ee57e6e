//! What the provider answers. Everything is read leniently: a missing field is `None`, zero or
//! empty, never an error.

use serde_json::Value;

use super::event::CHAT_COMPLETIONS;
use super::item::take_items;
use super::lenient::{self, Object};
use super::secrets::Secrets;
use super::{ApiError, Error, Item, Result};

/// A response: one call of a model. Source: OpenAI's API description, schema `Response`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// The id (`resp_…` at OpenAI); empty when the server sent none.
    pub id: String,
    /// `queued`, `in_progress`, `completed`, `incomplete`, `failed`, `cancelled`, or a status not
    /// known today.
    pub status: Option<String>,
    /// The model that answered, which may be more exact than the one asked for.
    pub model: Option<String>,
    /// What the model produced, in order.
    pub output: Vec<Item>,
    /// The tokens used; not known before the end.
    pub usage: Option<Usage>,
    /// Why a response is `incomplete`: `max_output_tokens`, `content_filter`, or a reason not
    /// known today.
    pub incomplete_reason: Option<String>,
    /// Why a response `failed`.
    pub error: Option<ResponseError>,
    /// The conversation the response belongs to.
    pub conversation_id: Option<String>,
    /// The object as sent, without `output` and `error`, which were moved into the fields above.
    pub raw: Object,
}

/// Why a response failed. Source: OpenAI's API description, schema `ResponseError`; its list of
/// codes is not complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseError {
    /// The provider's code, such as `server_error` or `rate_limit_exceeded`.
    pub code: Option<String>,
    /// The provider's `type`, such as `invalid_request_error`, of a server that sends one.
    pub kind: Option<String>,
    /// The HTTP status that the error says it has, or that the same error has as an answer. `None` when nothing tells.
    pub status: Option<u16>,
    /// The provider's text, without the API key and at most 2 KiB.
    pub message: String,
}

impl Response {
    /// The text of all messages in the output, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        self.output.iter().filter(|item| item.type_name() == "message").map(Item::text).collect()
    }

    /// A response that is all of an answer.
    pub(super) fn whole(object: Object, secrets: &Secrets) -> Result<Self> {
        let what = match object.get("choices") {
            Some(Value::Array(_)) => CHAT_COMPLETIONS,
            _ if Self::is_meant(&object) => return Ok(Self::from_object(object, secrets)),
            _ => "it is no response: it has neither output nor the status of one",
        };
        let text = Value::Object(object).to_string();
        Err(Error::malformed("the answer", what, &secrets.redact(&text)))
    }

    /// Whether an object can be a response, and not some other word of a server's.
    pub(super) fn is_meant(object: &Object) -> bool {
        const STATUSES: [&str; 7] =
            ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled", "canceled"];
        object.get("output").is_some_and(Value::is_array)
            || lenient::text(object, "object") == Some("response")
            || lenient::text(object, "status").is_some_and(|status| STATUSES.contains(&status))
    }

    /// Whether it is written while nobody waits for it.
    pub(super) fn is_in_background(&self) -> bool {
        self.raw.get("background").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn from_object(mut raw: Object, secrets: &Secrets) -> Self {
        let error = raw.remove("error").filter(|error| !error.is_null());
        let conversation_id = match raw.get("conversation") {
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Object(conversation)) => lenient::owned_text(conversation, "id"),
            _ => None,
        };
        Self {
            id: lenient::owned_text(&raw, "id").unwrap_or_default(),
            status: lenient::owned_text(&raw, "status"),
            model: lenient::owned_text(&raw, "model"),
            output: take_items(&mut raw, "output"),
            usage: lenient::object(&raw, "usage").map(Usage::from_object),
            incomplete_reason: lenient::object(&raw, "incomplete_details")
                .and_then(|details| lenient::owned_text(details, "reason")),
            error: error.map(|error| ResponseError::from_value(error, secrets)),
            conversation_id,
            raw,
        }
    }
}

impl ResponseError {
    fn from_value(error: Value, secrets: &Secrets) -> Self {
        // The same shapes as an error of the whole request, so the same reader.
        let envelope = Object::from_iter([("error".to_owned(), error)]);
        let error = ApiError::from_object(&envelope).in_stream().finish(secrets);
        let ApiError { code, kind, status, message, .. } = error;
        Self { code, kind, status, message }
    }

    /// The same error as that of a call.
    pub(crate) fn into_api(self) -> ApiError {
        let Self { code, kind, status, message } = self;
        ApiError { status, message, kind, code, ..ApiError::default() }
    }
}

/// Tokens used by one response. Source: OpenAI's API description, schema `ResponseUsage`.
///
/// `cached_input_tokens` and `cache_write_tokens` are part of `input_tokens`, and
/// `reasoning_tokens` of `output_tokens`. Counts that a server leaves out are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read by the model.
    pub input_tokens: i64,
    /// Of these, tokens read from the prompt cache.
    pub cached_input_tokens: i64,
    /// Of these, tokens written to the prompt cache.
    pub cache_write_tokens: i64,
    /// Tokens written by the model.
    pub output_tokens: i64,
    /// Of these, tokens of its reasoning.
    pub reasoning_tokens: i64,
    /// Of `cache_write_tokens`, those that are kept for 12 hours, and not for 30 minutes. Source: OpenAI's API description,
    /// `input_tokens_details.cache_write_tokens_details`.
    pub long_cache_write_tokens: i64,
    /// Of `input_tokens`, tokens of sound.
    pub audio_input_tokens: i64,
    /// Of `output_tokens`, tokens of sound.
    pub audio_output_tokens: i64,
}

impl Usage {
    /// Tokens read and written.
    #[must_use]
    pub fn total_tokens(&self) -> i64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// The names of the Chat Completions API are accepted too.
    pub(super) fn from_object(usage: &Object) -> Self {
        let count =
            |object: &Object, key| lenient::integer(object, key).filter(|count| *count >= 0);
        let either = |new, old| count(usage, new).or_else(|| count(usage, old)).unwrap_or(0);
        let detail = |new, old, key| {
            [new, old]
                .into_iter()
                .find_map(|group| count(lenient::object(usage, group)?, key))
                .unwrap_or(0)
        };
        let input = |key| detail("input_tokens_details", "prompt_tokens_details", key);
        let output = |key| detail("output_tokens_details", "completion_tokens_details", key);
        let writes = lenient::object(usage, "input_tokens_details")
            .and_then(|details| lenient::object(details, "cache_write_tokens_details"));
        Self {
            input_tokens: either("input_tokens", "prompt_tokens"),
            cached_input_tokens: input("cached_tokens"),
            cache_write_tokens: input("cache_write_tokens"),
            output_tokens: either("output_tokens", "completion_tokens"),
            reasoning_tokens: output("reasoning_tokens"),
            long_cache_write_tokens: writes
                .and_then(|writes| count(writes, "ttl_12h_tokens"))
                .unwrap_or(0),
            audio_input_tokens: input("audio_tokens"),
            audio_output_tokens: output("audio_tokens"),
        }
    }
}

/// A conversation. Source: OpenAI's API description, schema `ConversationResource`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Conversation {
    /// The id (`conv_…` at OpenAI).
    pub id: String,
    /// Key-value pairs the creator attached.
    pub metadata: Object,
    /// When it was created, in seconds since 1970 (UTC).
    pub created_at: Option<i64>,
}

impl Conversation {
    pub(super) fn from_object(mut object: Object) -> Self {
        Self {
            id: lenient::take_text(&mut object, "id").unwrap_or_default(),
            metadata: lenient::take_object(&mut object, "metadata").unwrap_or_default(),
            created_at: lenient::integer(&object, "created_at"),
        }
    }
}

/// A page of items. Source: OpenAI's API description, schema `ConversationItemList`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ItemPage {
    /// The items, in the order asked for.
    pub data: Vec<Item>,
    /// Whether more items follow.
    pub has_more: bool,
    /// The id of the first item.
    pub first_id: Option<String>,
    /// The id of the last item: the `after` of the next page.
    pub last_id: Option<String>,
}

impl ItemPage {
    pub(super) fn from_object(mut object: Object) -> Self {
        let data = take_items(&mut object, "data");
        let id_of = |item: Option<&Item>| item.and_then(Item::id).map(str::to_owned);
        Self {
            has_more: object.get("has_more").and_then(Value::as_bool).unwrap_or(false),
            first_id: lenient::take_text(&mut object, "first_id").or_else(|| id_of(data.first())),
            last_id: lenient::take_text(&mut object, "last_id").or_else(|| id_of(data.last())),
            data,
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
