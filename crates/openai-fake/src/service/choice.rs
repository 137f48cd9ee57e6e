//! What the model answers: what the script says, else what the demo model makes up.

use serde_json::{Value, json};

use crate::{
    Input,
    fake::Shared,
    script::{demo, reply::Reply},
    service::{error::ApiError, items, prompt::Prompt, state::State},
};

/// The reply to this prompt. `body` is the request in the form of the Responses API, whatever protocol it came in.
pub(crate) fn reply(
    shared: &Shared,
    body: &Value,
    prompt: &Prompt,
    input: impl FnOnce() -> Input,
) -> Result<Reply, ApiError> {
    let mut script = shared.script();
    let of_user = prompt.items().filter(|item| item["role"] == "user");
    let user_texts: Vec<String> = of_user.map(items::text_of).collect();
    let last = user_texts.last().map_or("", String::as_str);
    if let Some(reply) = script.next_reply(last) {
        return Ok(reply);
    }
    if script.refuses(input) {
        return Err(ApiError::unexpected(last));
    }
    let tool_output = prompt
        .input
        .last()
        .filter(|item| item["type"] == "function_call_output")
        .map(items::text_of);
    Ok(demo::answer(&user_texts, tool_output.as_deref(), body).pace(script.demo_pace))
}

/// Scripted items need not bring ids or a status.
pub(crate) fn fill_in_items(mut reply: Reply, state: &mut State) -> Reply {
    for item in &mut reply.items {
        let is_call = item["type"] == "function_call";
        let prefix = match item["type"].as_str() {
            Some("function_call") => "fc",
            Some("reasoning") => "rs",
            Some("message") => "msg",
            _ => "item",
        };
        if let Some(fields) = item.as_object_mut() {
            let id = json!(state.mint(prefix));
            fields.entry("id").or_insert(id);
            if is_call {
                let call_id = json!(state.mint("call"));
                fields.entry("call_id").or_insert(call_id);
                fields.entry("status").or_insert(json!("completed"));
            }
        }
    }
    reply
}
