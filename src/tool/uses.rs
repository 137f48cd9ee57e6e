//! A definition that uses a tool.

use serde_json::{Value, json};

use super::{Tool, schema};
use crate::error::{Error, Result};
use crate::model::AssistantDefinition;

/// What `strict` of a function is until it is known who is asked: strict where that is understood.
pub(super) const WHERE_UNDERSTOOD: &str = "where_understood";

impl AssistantDefinition {
    /// Lets the assistant use a tool. An engine that drives its runs has to have it
    /// ([`EngineBuilder::tool`](crate::EngineBuilder::tool)); where it has not, a call waits for the host, as that of any other
    /// function does ([`AiEngine::submit_output`](crate::AiEngine::submit_output)).
    ///
    /// A `tool_choice` that makes the model call a tool ([`parameter`](Self::parameter)) holds for the first call of a run; afterwards
    /// the model is free to answer.
    ///
    /// The schema is stored with the definition, so a change of the type is a new version of the assistant.
    #[must_use]
    pub fn uses<T: Tool>(self) -> Self {
        self.tool(function::<T>())
    }
}

/// As the Responses API takes it, but for `strict`.
fn function<T: Tool>() -> Value {
    let mut parameters = schema::of::<T>();
    let description = schema::take_description(&mut parameters);
    let mut function = json!({
        "type": "function",
        "name": T::NAME,
        "parameters": parameters,
        "strict": WHERE_UNDERSTOOD,
    });
    if let Some(description) = description {
        function["description"] = description.into();
    }
    function
}

/// Leaves it to the model whether it calls a tool. One that is made to call one in each step of a run would never answer.
pub(crate) fn choose_freely(definition: &mut AssistantDefinition) {
    const CHOICE: &str = "tool_choice";
    match definition.parameters.get_mut(CHOICE) {
        None => {}
        // Which tools it may choose from stays as it is.
        Some(Value::Object(choice)) if choice.contains_key("mode") => {
            choice.insert("mode".to_owned(), "auto".into());
        }
        Some(Value::String(choice)) if matches!(&**choice, "auto" | "none") => {}
        Some(_) => drop(definition.parameters.remove(CHOICE)),
    }
}

/// The names that OpenAI takes (its API description, schema `FunctionObject`).
pub(super) fn check_name(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    let rule = "must be 1 to 64 letters, digits, `_` and `-`";
    Err(Error::Configuration(format!("the name of the tool {name:?} {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_made_to_call_a_tool_once() {
        for (said, left) in [
            (json!("required"), None),
            (json!("auto"), Some(json!("auto"))),
            (json!("none"), Some(json!("none"))),
            (json!({"type": "function", "name": "f"}), None),
            (
                json!({"type": "allowed_tools", "mode": "required", "tools": []}),
                Some(json!({"type": "allowed_tools", "mode": "auto", "tools": []})),
            ),
        ] {
            let mut definition =
                AssistantDefinition::new("m").parameter("tool_choice", said.clone());
            choose_freely(&mut definition);
            assert_eq!(definition.parameters.get("tool_choice"), left.as_ref(), "{said}");
        }
    }
}
