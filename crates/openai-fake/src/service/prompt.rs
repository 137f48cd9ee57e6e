//! What the model is given: what was said before, and the input of the request. Counted, and compacted.

use serde_json::{Value, json};

use crate::{
    Request,
    service::{
        check,
        error::ApiError,
        items, known, snapshot,
        state::{State, unix_seconds},
    },
};

pub(crate) struct Prompt {
    pub(crate) context: Vec<Value>,
    pub(crate) input: Vec<Value>,
}

impl Prompt {
    /// Finds what the body speaks of, and refuses it where there is nothing.
    pub(crate) fn of(body: &Value, state: &mut State) -> Result<Self, ApiError> {
        let conversation = check::conversation_id(body)?;
        let previous = body["previous_response_id"].as_str();
        let context = match (conversation, previous) {
            (Some(id), _) => state.conversation_items(id)?.into_iter().cloned().collect(),
            (None, Some(id)) => chain(state, id)?,
            (None, None) => Vec::new(),
        };
        let input = items::from_input(&body["input"], state)?;
        let elsewhere = conversation.is_some() || previous.is_some() || body["prompt"].is_object();
        if input.is_empty() && !elsewhere {
            let message = "One of \"input\" or \"previous_response_id\" or 'prompt' or \
                           'conversation_id' must be provided.";
            let error = ApiError::bad_request(message).param("input");
            return Err(error.code("missing_required_parameter"));
        }
        items::check_pairing(&context, &input)?;
        Ok(Self { context, input })
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Value> {
        self.context.iter().chain(&self.input)
    }

    /// About how many tokens the model reads, with what the body adds to the items.
    pub(crate) fn tokens(&self, body: &Value) -> u64 {
        let said: String = self.items().map(items::text_of).collect();
        let instructions = body["instructions"].as_str().unwrap_or_default();
        let tools = body["tools"].as_array().filter(|tools| !tools.is_empty());
        let tools = tools.map_or(0, |tools| snapshot::tokens(&json!(tools).to_string()));
        snapshot::tokens(&said) + snapshot::tokens(instructions) + tools
    }
}

/// All that was said up to this response.
fn chain(state: &State, previous: &str) -> Result<Vec<Value>, ApiError> {
    if state.response(previous).is_err() {
        let message = format!("Previous response with id '{previous}' not found.");
        let error = ApiError::bad_request(message).param("previous_response_id");
        return Err(error.code("previous_response_not_found"));
    }
    Ok(state.chain(previous))
}

/// `POST /responses/input_tokens`: what a response to this body would read.
pub(crate) fn count(state: &mut State, request: &Request) -> Result<Value, ApiError> {
    let body = check::object(request)?;
    known::check(body, known::COUNT)?;
    if !body["model"].is_null() {
        state.models.of(body)?;
    }
    check::tools(&body["tools"])?;
    let prompt = Prompt::of(body, state)?;
    Ok(json!({"object": "response.input_tokens", "input_tokens": prompt.tokens(body)}))
}

/// `POST /responses/compact`: the user's messages, and one item that stands for all the rest.
pub(crate) fn compact(state: &mut State, request: &Request) -> Result<Value, ApiError> {
    let body = check::object(request)?;
    known::check(body, known::COMPACTION)?;
    state.models.of(body)?;
    let prompt = Prompt::of(body, state)?;
    let users = |item: &&Value| item["type"] == "message" && item["role"] == "user";
    let mut output: Vec<Value> = prompt.items().filter(users).cloned().collect();
    // Nobody can read what it stands for, the demo model included.
    let sealed = state.mint("sealed");
    output.push(json!({
        "id": state.mint("cmp"), "type": "compaction", "encrypted_content": sealed,
    }));
    Ok(json!({
        "id": state.mint("resp"),
        "object": "response.compaction",
        "created_at": unix_seconds(),
        "output": output,
        "usage": snapshot::usage(prompt.tokens(body), snapshot::tokens(&sealed)),
    }))
}
