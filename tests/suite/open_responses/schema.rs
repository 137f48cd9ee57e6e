//! What the Open Responses specification requires of a response and of the events of its stream.
//!
//! Source: <https://www.openresponses.org/specification>, the objects `ResponseResource`, `ItemField` and the streaming
//! events. Only what the fake can send is here; what is not here is refused.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// An object of which all these properties are required.
fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn nullable(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn any_of(schemas: &[Value]) -> Value {
    json!({"anyOf": schemas})
}

fn array(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn one(word: &str) -> Value {
    json!({"const": word})
}

fn string() -> Value {
    json!({"type": "string"})
}

fn integer() -> Value {
    json!({"type": "integer"})
}

fn number() -> Value {
    json!({"type": "number"})
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn item_status() -> Value {
    json!({"enum": ["in_progress", "completed", "incomplete"]})
}

fn output_text() -> Value {
    object(&json!({
        "type": one("output_text"), "text": string(), "annotations": array(&json!({})),
        "logprobs": array(&json!({})),
    }))
}

fn summary_text() -> Value {
    object(&json!({"type": one("summary_text"), "text": string()}))
}

fn item() -> Value {
    let mut message = object(&json!({
        "type": one("message"), "id": string(), "status": item_status(), "role": one("assistant"),
        "content": array(&output_text()),
    }));
    message["properties"]["phase"] = json!({"enum": ["commentary", "final_answer"]});
    let call = object(&json!({
        "type": one("function_call"), "id": string(), "call_id": string(), "name": string(),
        "arguments": string(), "status": item_status(),
    }));
    let reasoning = object(&json!({
        "type": one("reasoning"), "id": string(), "summary": array(&summary_text()),
    }));
    any_of(&[message, call, reasoning])
}

fn tool() -> Value {
    object(&json!({
        "type": one("function"), "name": string(), "description": nullable(&string()),
        "parameters": nullable(&json!({"type": "object"})), "strict": nullable(&boolean()),
    }))
}

fn usage() -> Value {
    object(&json!({
        "input_tokens": integer(), "output_tokens": integer(), "total_tokens": integer(),
        "input_tokens_details": object(&json!({"cached_tokens": integer()})),
        "output_tokens_details": object(&json!({"reasoning_tokens": integer()})),
    }))
}

fn response_schema() -> Value {
    let choice = any_of(&[
        json!({"enum": ["none", "auto", "required"]}),
        object(&json!({"type": one("function"), "name": string()})),
    ]);
    object(&json!({
        "id": string(), "object": one("response"), "created_at": integer(),
        "completed_at": nullable(&integer()),
        "status": {"enum": ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]},
        "incomplete_details": nullable(&object(&json!({"reason": string()}))),
        "model": string(), "previous_response_id": nullable(&string()),
        "instructions": nullable(&string()), "output": array(&item()),
        "error": nullable(&object(&json!({"code": string(), "message": string()}))),
        "tools": array(&tool()), "tool_choice": choice,
        "truncation": {"enum": ["auto", "disabled"]}, "parallel_tool_calls": boolean(),
        "text": object(&json!({"format": object(&json!({"type": string()}))})),
        "top_p": number(), "presence_penalty": number(), "frequency_penalty": number(),
        "top_logprobs": integer(), "temperature": number(),
        "reasoning": nullable(&object(&json!({
            "effort": nullable(&string()), "summary": nullable(&string()),
        }))),
        "user": nullable(&string()), "usage": nullable(&usage()),
        "max_output_tokens": nullable(&integer()), "max_tool_calls": nullable(&integer()),
        "store": boolean(), "background": boolean(), "service_tier": string(),
        "metadata": {"type": "object", "additionalProperties": string()},
        "safety_identifier": nullable(&string()), "prompt_cache_key": nullable(&string()),
    }))
}

/// What an event of this type has beside its type and its number.
fn event_fields(kind: &str) -> Option<Value> {
    let of_item = |more: Value| {
        let mut fields: Map<String, Value> = Map::new();
        fields.insert("item_id".to_owned(), string());
        fields.insert("output_index".to_owned(), integer());
        fields.extend(more.as_object().unwrap().clone());
        Value::Object(fields)
    };
    let of_part = |mut more: Value| {
        more["content_index"] = integer();
        of_item(more)
    };
    Some(match kind {
        "response.created"
        | "response.queued"
        | "response.in_progress"
        | "response.completed"
        | "response.incomplete"
        | "response.failed" => json!({"response": response_schema()}),
        "response.output_item.added" | "response.output_item.done" => {
            json!({"output_index": integer(), "item": item()})
        }
        "response.content_part.added" | "response.content_part.done" => {
            of_part(json!({"part": output_text()}))
        }
        "response.output_text.delta" => {
            of_part(json!({"delta": string(), "logprobs": array(&json!({}))}))
        }
        "response.output_text.done" => {
            of_part(json!({"text": string(), "logprobs": array(&json!({}))}))
        }
        "response.function_call_arguments.delta" => of_item(json!({"delta": string()})),
        "response.function_call_arguments.done" => of_item(json!({"arguments": string()})),
        _ => return None,
    })
}

fn assert_valid(schema: &Value, value: &Value) {
    let validator: Validator = jsonschema::options().offline().build(schema).unwrap();
    let wrong = validator.iter_errors(value);
    let wrong: Vec<String> =
        wrong.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{value:#}\n{wrong:#?}");
}

#[track_caller]
pub fn assert_response(response: &Value) {
    assert_valid(&response_schema(), response);
}

#[track_caller]
pub fn assert_event(event: &Value) {
    let kind = event["type"].as_str().unwrap();
    let fields = event_fields(kind);
    let mut fields = fields.unwrap_or_else(|| panic!("{kind} is no event of the specification"));
    fields["type"] = one(kind);
    fields["sequence_number"] = integer();
    assert_valid(&object(&fields), event);
}
