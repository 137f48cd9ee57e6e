//! The names that a request may have. OpenAI refuses every other one, and so a misspelt one is never taken for its default.
//!
//! Source: OpenAI's API description, and the parameters of its Python library where they are newer. The penalties are in the
//! answers of the one, and in the requests of Open Responses.

use serde_json::{Map, Value};

use crate::service::error::ApiError;

pub(crate) type Names = &'static [&'static str];

/// Of `POST /responses`.
pub(crate) const RESPONSE: Names = &[
    "access_programs",
    "background",
    "background_options",
    "context_management",
    "conversation",
    "frequency_penalty",
    "image",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Of `POST /responses/compact`.
pub(crate) const COMPACTION: Names = &[
    "image",
    "input",
    "instructions",
    "model",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
];

/// Of `POST /responses/input_tokens`.
pub(crate) const COUNT: Names = &[
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

pub(crate) const NEW_CONVERSATION: Names = &["items", "metadata"];
pub(crate) const METADATA: Names = &["metadata"];
pub(crate) const ITEMS: Names = &["items"];

/// Members that are objects with names of their own.
const WITHIN: &[(&str, Names)] = &[
    ("conversation", &["id"]),
    ("reasoning", &["context", "effort", "generate_summary", "mode", "summary"]),
    ("stream_options", &["include_obfuscation"]),
    ("text", &["format", "verbosity"]),
];

const FUNCTION: Names = &[
    "allowed_callers",
    "async",
    "defer_loading",
    "description",
    "name",
    "output_schema",
    "parameters",
    "strict",
    "type",
];

/// The names of an item of this type; `None` where any will do.
fn of_item(kind: &str) -> Option<Names> {
    Some(match kind {
        "message" => &["content", "id", "phase", "role", "status", "type"],
        "function_call" => &[
            "arguments",
            "async",
            "call_id",
            "caller",
            "id",
            "name",
            "namespace",
            "status",
            "type",
        ],
        "function_call_output" => {
            &["call_id", "caller", "id", "name", "namespace", "output", "status", "type"]
        }
        // The description has a `status`, too; the service was seen to refuse it.
        "reasoning" => &["content", "encrypted_content", "id", "summary", "type"],
        "item_reference" => &["id", "type"],
        "compaction" => &["encrypted_content", "id", "type"],
        _ => return None,
    })
}

/// The names of a content part of this type.
fn of_part(kind: &str) -> Option<Names> {
    Some(match kind {
        "input_text" => &["prompt_cache_breakpoint", "text", "type"],
        "output_text" => &["annotations", "logprobs", "text", "type"],
        "refusal" => &["refusal", "type"],
        "input_image" => &["detail", "file_id", "image_url", "prompt_cache_breakpoint", "type"],
        "input_file" => &[
            "detail",
            "file_data",
            "file_id",
            "file_url",
            "filename",
            "prompt_cache_breakpoint",
            "type",
        ],
        _ => return None,
    })
}

/// Refuses the first name that is not among these, in the body itself and in the objects it has.
pub(crate) fn check(body: &Value, names: Names) -> Result<(), ApiError> {
    let Some(members) = body.as_object() else {
        return Ok(());
    };
    check_members(members, names, "")?;
    for (name, names) in WITHIN {
        if let Some(Value::Object(members)) = members.get(*name) {
            check_members(members, names, name)?;
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten().enumerate();
    for (index, tool) in tools.filter(|(_, tool)| tool["type"] == "function") {
        if let Some(members) = tool.as_object() {
            check_members(members, FUNCTION, &format!("tools[{index}]"))?;
        }
    }
    Ok(())
}

/// The same for an item of this type.
pub(crate) fn check_item(
    item: &Map<String, Value>,
    kind: &str,
    path: &str,
) -> Result<(), ApiError> {
    of_item(kind).map_or(Ok(()), |names| check_members(item, names, path))
}

/// The same for a content part of this type.
pub(crate) fn check_part(
    part: &Map<String, Value>,
    kind: &str,
    path: &str,
) -> Result<(), ApiError> {
    of_part(kind).map_or(Ok(()), |names| check_members(part, names, path))
}

pub(crate) fn check_members(
    members: &Map<String, Value>,
    names: Names,
    path: &str,
) -> Result<(), ApiError> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if path.is_empty() => Err(ApiError::unknown_parameter(name)),
        Some(name) => Err(ApiError::unknown_parameter(&format!("{path}.{name}"))),
    }
}
