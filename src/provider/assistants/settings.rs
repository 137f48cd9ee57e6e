//! A definition in this protocol's names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::PROTOCOL;
use crate::error::{Error, Result};
use crate::model::AssistantDefinition;
use crate::openai::{AssistantSettings, CreateRun};
use crate::provider::chat_completions::function;

/// Fewest tokens that a run may be limited to (`OpenAI`'s guide to runs).
const LEAST_TOKENS: i64 = 256;

/// Tools that the Responses API alone has. Servers have further ones of their own here.
const NEWER_TOOLS: [&str; 9] = [
    "web_search",
    "web_search_preview",
    "computer",
    "computer_use_preview",
    "image_generation",
    "custom",
    "local_shell",
    "shell",
    "apply_patch",
];

pub(super) fn check(definition: &AssistantDefinition) -> Result<()> {
    let unsupported =
        |what, advice| Error::Unsupported { what, protocol: PROTOCOL.as_str(), advice };
    let mut kinds = definition.tools.iter().filter_map(|tool| tool["type"].as_str());
    if let Some(kind) = kinds.find(|kind| NEWER_TOOLS.contains(kind)) {
        let what = format!("a tool of type {kind:?}");
        return Err(unsupported(what, "set the client's protocol to Protocol::Responses"));
    }
    for (name, tokens) in [
        ("max_output_tokens", definition.max_output_tokens),
        ("max_prompt_tokens", definition.max_prompt_tokens),
    ] {
        if let Some(tokens) = tokens.filter(|tokens| *tokens < LEAST_TOKENS) {
            let what = format!("{name} of {tokens}");
            return Err(unsupported(what, "set it to at least 256, or leave it out"));
        }
    }
    Ok(())
}

/// The assistant that this definition describes.
pub(super) fn of(definition: &AssistantDefinition) -> AssistantSettings {
    AssistantSettings {
        model: definition.model.clone(),
        name: definition.name.clone(),
        description: definition.description.clone(),
        instructions: definition.instructions.clone(),
        temperature: definition.temperature,
        top_p: definition.top_p,
        reasoning_effort: effort(definition),
        tools: definition.tools.iter().cloned().map(tool).collect(),
        metadata: metadata(definition),
    }
}

/// A run of an assistant, with all of the definition: an assistant may not be in step with it yet.
pub(super) fn run(definition: &AssistantDefinition) -> CreateRun {
    CreateRun {
        model: definition.model.clone(),
        instructions: definition.instructions.clone(),
        temperature: definition.temperature,
        top_p: definition.top_p,
        reasoning_effort: effort(definition),
        max_prompt_tokens: definition.max_prompt_tokens,
        max_completion_tokens: definition.max_output_tokens,
        tools: definition.tools.iter().cloned().map(tool).collect(),
        metadata: metadata(definition),
        extra: definition.parameters.clone(),
        ..CreateRun::default()
    }
}

fn tool(tool: Value) -> Value {
    if tool["type"] == "function" { function(tool) } else { tool }
}

fn effort(definition: &AssistantDefinition) -> Option<String> {
    let options = definition.reasoning.as_ref()?;
    Some(options["effort"].as_str()?.to_owned())
}

fn metadata(definition: &AssistantDefinition) -> BTreeMap<String, String> {
    let pairs = definition.metadata.iter();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
