//! The names that a chat request may have, from OpenAI's API description and its Python library.

use serde_json::Value;

use crate::service::{
    error::ApiError,
    known::{Names, check_members},
};

const CHAT: Names = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const FUNCTION: Names = &["description", "name", "parameters", "strict"];

/// The names of a message of this role; `None` where there is no such role.
fn of_role(role: &str) -> Option<Names> {
    Some(match role {
        "system" | "developer" | "user" | "function" => &["content", "name", "role"],
        // The description has no `annotations` here, but an answer is sent back as it came.
        "assistant" => &[
            "annotations",
            "audio",
            "content",
            "function_call",
            "name",
            "refusal",
            "role",
            "tool_calls",
        ],
        "tool" => &["content", "role", "tool_call_id"],
        _ => return None,
    })
}

/// The names of a content part of this type; `None` where there is no such type.
fn of_part(kind: &str) -> Option<Names> {
    Some(match kind {
        "text" => &["prompt_cache_breakpoint", "text", "type"],
        "image_url" => &["image_url", "prompt_cache_breakpoint", "type"],
        "input_audio" => &["input_audio", "prompt_cache_breakpoint", "type"],
        "file" => &["file", "prompt_cache_breakpoint", "type"],
        "refusal" => &["refusal", "type"],
        _ => return None,
    })
}

/// Refuses the first name that is none.
pub(super) fn check(body: &Value) -> Result<(), ApiError> {
    of_object(body, CHAT, "")?;
    let options = &["include_obfuscation", "include_usage"];
    of_object(&body["stream_options"], options, "stream_options")?;
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        if tool["type"] == "function" {
            of_object(tool, &["function", "type"], &format!("tools[{index}]"))?;
            of_object(&tool["function"], FUNCTION, &format!("tools[{index}].function"))?;
        }
    }
    Ok(())
}

pub(super) fn check_message(message: &Value, role: &str, path: &str) -> Result<(), ApiError> {
    let Some(names) = of_role(role) else {
        let text = format!(
            "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', \
             'function', 'tool', and 'developer'."
        );
        return Err(ApiError::invalid_value(&format!("{path}.role"), text));
    };
    of_object(message, names, path)
}

pub(super) fn check_part(part: &Value, path: &str) -> Result<(), ApiError> {
    let kind = part["type"].as_str();
    let kind = kind.ok_or_else(|| ApiError::missing(&format!("{path}.type")))?;
    let Some(names) = of_part(kind) else {
        let text = format!(
            "Invalid value: '{kind}'. Supported values are: 'text', 'image_url', 'input_audio', \
             'refusal', and 'file'."
        );
        return Err(ApiError::invalid_value(&format!("{path}.type"), text));
    };
    of_object(part, names, path)
}

fn of_object(value: &Value, names: Names, path: &str) -> Result<(), ApiError> {
    value.as_object().map_or(Ok(()), |members| check_members(members, names, path))
}
