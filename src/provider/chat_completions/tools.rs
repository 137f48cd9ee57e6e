//! Tools: functions alone, in a form of their own.

use serde_json::{Value, json};

use super::PROTOCOL;
use crate::error::{Error, Result};
use crate::model::AssistantDefinition;

const ADVICE: &str = "set the client's protocol to Protocol::Responses";

/// Fails for tools that cannot be had. `OpenAI` refuses functions for its newer models unless they are not to reason.
pub(super) fn check(definition: &AssistantDefinition, is_openai: bool) -> Result<()> {
    let unsupported =
        |what| Error::Unsupported { what, protocol: PROTOCOL.as_str(), advice: ADVICE };
    let kinds = definition.tools.iter().map(|tool| tool["type"].as_str().unwrap_or_default());
    if let Some(kind) = kinds.clone().find(|kind| *kind != "function") {
        return Err(unsupported(format!("a tool of type {kind:?}, which no function is,")));
    }
    let effort = definition.reasoning.as_ref().and_then(|options| options["effort"].as_str());
    let effort = effort.or_else(|| definition.parameters.get("reasoning_effort")?.as_str());
    let has_tools = kinds.count() > 0;
    if is_openai && has_tools && effort != Some("none") && is_new(&definition.model) {
        let model = &definition.model;
        return Err(unsupported(format!("a function for {model:?} that reasons")));
    }
    Ok(())
}

/// Whether a model takes functions here only when it does not reason (seen since October 2026).
fn is_new(model: &str) -> bool {
    let name = model.strip_prefix("ft:").unwrap_or(model);
    ["gpt-5.6", "gpt-6"].iter().any(|family| {
        let rest = name.strip_prefix(family);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':']))
    })
}

/// A function as this protocol has it.
pub(in crate::provider) fn function(tool: Value) -> Value {
    match tool {
        Value::Object(mut fields) if !fields.contains_key("function") => {
            fields.remove("type");
            json!({"type": "function", "function": fields})
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_put_into_this_protocols_form() {
        let flat = json!({"type": "function", "name": "f", "parameters": {}, "strict": true});
        let nested = json!({
            "type": "function", "function": {"name": "f", "parameters": {}, "strict": true},
        });
        assert_eq!(function(flat), nested);
        assert_eq!(function(nested.clone()), nested);
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_advice() {
        let with = |model: &str, kind: &str| {
            AssistantDefinition::new(model).tool(json!({"type": kind, "name": "f"}))
        };
        let calm = |model| with(model, "function").reasoning(json!({"effort": "none"}));
        for (definition, is_openai, refused) in [
            (AssistantDefinition::new("gpt-6-luna"), true, None),
            (with("gpt-5.4-mini", "function"), true, None),
            (with("gpt-60", "function"), true, None),
            (with("qwen3", "function"), false, None),
            (with("gpt-6-luna", "function"), false, None),
            (calm("gpt-6-luna"), true, None),
            (with("gpt-6", "function").parameter("reasoning_effort", "none"), true, None),
            (with("gpt-6-luna", "function"), true, Some("gpt-6-luna")),
            (with("gpt-6.1-sol", "function"), true, Some("gpt-6.1-sol")),
            (with("ft:gpt-5.6-sol:x", "function"), true, Some("gpt-5.6-sol")),
            (with("qwen3", "web_search"), false, Some("web_search")),
            (with("qwen3", "function").tool(json!({"type": "custom"})), false, Some("custom")),
        ] {
            let found = check(&definition, is_openai).err();
            let text = found.as_ref().map(ToString::to_string);
            match refused {
                None => assert_eq!(text, None, "{definition:?}"),
                Some(word) => {
                    let text = text.unwrap();
                    let words = [word, "chat_completions", "Protocol::Responses"];
                    assert!(words.iter().all(|word| text.contains(word)), "{text}");
                    assert!(matches!(found, Some(Error::Unsupported { .. })));
                }
            }
        }
    }
}
