//! From method and path to the endpoint.

use std::sync::Arc;

use crate::{
    Request,
    fake::Shared,
    service::{
        assistants, chat, conversations, error::ApiError, prompt, responses, server::Answer,
    },
};

pub(crate) fn answer(shared: &Arc<Shared>, request: &Request) -> Result<Answer, ApiError> {
    let unknown = || {
        let message = format!("Invalid URL ({} {})", request.method, request.path);
        ApiError::new(404, message)
    };
    let path = request.path.strip_prefix("/v1/").ok_or_else(unknown)?;
    let segments: Vec<&str> = path.split('/').collect();
    let state = || shared.state();

    let value = match (request.method.as_str(), segments.as_slice()) {
        ("POST", ["responses"]) => return responses::create(shared, request),
        ("POST", ["responses", "input_tokens"]) => prompt::count(&mut state(), request),
        ("POST", ["responses", "compact"]) => prompt::compact(&mut state(), request),
        ("GET", ["responses", id]) => return responses::get(shared, id, request),
        ("DELETE", ["responses", id]) => responses::delete(&mut state(), id),
        ("POST", ["responses", id, "cancel"]) => state().cancel_response(id),
        ("GET", ["responses", id, "input_items"]) => responses::inputs(&state(), id, request),

        ("POST", ["chat", "completions"]) => return chat::create(shared, request),

        ("GET", ["models"]) => Ok(state().models.list()),
        ("GET", ["models", id]) => state().models.get(id),

        ("POST", ["conversations"]) => conversations::create(&mut state(), request),
        ("GET", ["conversations", id]) => state().conversation_object(id),
        ("POST", ["conversations", id]) => conversations::update(&mut state(), id, request),
        ("DELETE", ["conversations", id]) => conversations::delete(&mut state(), id),
        ("POST", ["conversations", id, "items"]) => {
            conversations::add_items(&mut state(), id, request)
        }
        ("GET", ["conversations", id, "items"]) => conversations::list_items(&state(), id, request),
        ("GET", ["conversations", id, "items", item]) => {
            state().conversation_item(id, item).cloned()
        }
        ("DELETE", ["conversations", id, "items", item]) => {
            conversations::delete_item(&mut state(), id, item)
        }
        _ => {
            return assistants::answer(shared, request, &segments)
                .unwrap_or_else(|| Err(unknown()));
        }
    };
    value.map(|value| Answer::Json(Vec::new(), value))
}
