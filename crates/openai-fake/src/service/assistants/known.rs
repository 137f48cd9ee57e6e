//! The names that requests of the Assistants API may have, from OpenAI's API description.

use crate::service::known::Names;

pub(super) const ASSISTANT: Names = &[
    "description",
    "instructions",
    "metadata",
    "model",
    "name",
    "reasoning_effort",
    "response_format",
    "temperature",
    "tool_resources",
    "tools",
    "top_p",
];

pub(super) const NEW_THREAD: Names = &["messages", "metadata", "tool_resources"];
pub(super) const THREAD: Names = &["metadata", "tool_resources"];
pub(super) const MESSAGE: Names = &["attachments", "content", "metadata", "role"];
pub(super) const METADATA: Names = &["metadata"];
pub(super) const OUTPUTS: Names = &["stream", "tool_outputs"];

pub(super) const RUN: Names = &[
    "additional_instructions",
    "additional_messages",
    "assistant_id",
    "instructions",
    "max_completion_tokens",
    "max_prompt_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "truncation_strategy",
];

/// Of a run that brings its thread.
pub(super) const THREAD_AND_RUN: Names = &[
    "assistant_id",
    "instructions",
    "max_completion_tokens",
    "max_prompt_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "response_format",
    "stream",
    "temperature",
    "thread",
    "tool_choice",
    "tool_resources",
    "tools",
    "top_p",
    "truncation_strategy",
];
