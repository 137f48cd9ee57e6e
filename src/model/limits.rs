//! What a definition may be: checked before anything is stored or sent.

use serde_json::Value;

use super::{Assistant, AssistantDefinition, Content, Money};
use crate::error::{Error, Result, shortened};

/// Metadata limits of `OpenAI`'s API description, schema `Metadata`.
const METADATA_PAIRS: usize = 16;
const METADATA_KEY_CHARS: usize = 64;
const METADATA_VALUE_CHARS: usize = 512;

/// Most levels of a JSON value: `serde_json` reads 128 back, of which some are around it.
const DEEPEST: usize = 64;

/// Whether a value has more levels of arrays and objects than this.
fn is_deep(value: &Value, levels: usize) -> bool {
    let inner = |value: &Value| is_deep(value, levels - 1);
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => true,
        Value::Array(values) => values.iter().any(inner),
        Value::Object(fields) => fields.values().any(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Request fields that the engine or a setter of the definition owns.
const OWNED_PARAMETERS: [&str; 15] = [
    "model",
    "input",
    "messages",
    "instructions",
    "conversation",
    "previous_response_id",
    "store",
    "stream",
    "background",
    "temperature",
    "top_p",
    "max_output_tokens",
    "metadata",
    "reasoning",
    "tools",
];

impl AssistantDefinition {
    /// Checks every limit that can be checked without the provider.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the first field that is out of its limits.
    pub fn validate(&self) -> Result<()> {
        self.validate_depth()?;
        if self.model.trim().is_empty() {
            return Err(Error::invalid("model", &self.model, "must name a model of the provider"));
        }
        let texts = [
            ("model", Some(&self.model)),
            ("name", self.name.as_ref()),
            ("description", self.description.as_ref()),
            ("instructions", self.instructions.as_ref()),
        ];
        for (field, text) in texts {
            let Some(text) = text else { continue };
            if text.len() > Content::MAX_BYTES {
                let reason =
                    format!("has {} bytes; at most {} are allowed", text.len(), Content::MAX_BYTES);
                return Err(Error::invalid(field, shortened(text), reason));
            }
            without_nul(field, text)?;
        }
        within("temperature", self.temperature, 0.0, 2.0)?;
        within("top_p", self.top_p, 0.0, 1.0)?;
        at_least("max_output_tokens", self.max_output_tokens, Assistant::MIN_COMPLETION_TOKENS)?;
        at_least("max_prompt_tokens", self.max_prompt_tokens, Assistant::MIN_PROMPT_TOKENS)?;
        at_least("max_tokens", self.max_tokens, 1)?;
        if let Some(cost) = self.max_cost.filter(|cost| *cost <= Money::ZERO) {
            return Err(Error::invalid("max_cost", cost.nanos(), "must be more than nothing"));
        }
        if let Some(reasoning) = self.reasoning.as_ref().filter(|reasoning| !reasoning.is_object())
        {
            return Err(Error::invalid("reasoning", reasoning, "must be an object"));
        }
        self.validate_providers()?;
        self.validate_metadata()?;
        for tool in &self.tools {
            if !tool.get("type").is_some_and(Value::is_string) {
                return Err(Error::invalid(
                    "tools",
                    tool.to_string(),
                    "each tool must be an object with a text `type`",
                ));
            }
        }
        if let Some(name) =
            self.parameters.keys().find(|name| OWNED_PARAMETERS.contains(&name.as_str()))
        {
            return Err(Error::invalid(
                "parameters",
                name,
                "is set by the engine or by a method of the definition of its own",
            ));
        }
        for (field, pairs) in [("metadata", &self.metadata), ("parameters", &self.parameters)] {
            for (name, value) in pairs {
                without_nul(field, name)?;
                json_without_nul(field, value)?;
            }
        }
        self.tools.iter().try_for_each(|tool| json_without_nul("tools", tool))?;
        self.reasoning.iter().try_for_each(|reasoning| json_without_nul("reasoning", reasoning))?;
        Ok(())
    }

    /// What is nested too deep could be stored and never be read again. First of all: other checks go down as far.
    fn validate_depth(&self) -> Result<()> {
        let nested = [
            ("tools", self.tools.iter().any(|tool| is_deep(tool, DEEPEST))),
            ("parameters", self.parameters.values().any(|value| is_deep(value, DEEPEST))),
            ("metadata", self.metadata.values().any(|value| is_deep(value, DEEPEST))),
            ("reasoning", self.reasoning.iter().any(|value| is_deep(value, DEEPEST))),
        ];
        match nested.into_iter().find(|(_, deep)| *deep) {
            Some((field, _)) => Err(too_deep(field)),
            None => Ok(()),
        }
    }

    fn validate_metadata(&self) -> Result<()> {
        if self.metadata.len() > METADATA_PAIRS {
            let reason = format!("may hold {METADATA_PAIRS} pairs at most");
            return Err(Error::invalid(
                "metadata",
                format!("{} pairs", self.metadata.len()),
                reason,
            ));
        }
        for (key, value) in &self.metadata {
            if key.chars().count() > METADATA_KEY_CHARS {
                return Err(Error::invalid(
                    "metadata",
                    key,
                    format!("a key may have {METADATA_KEY_CHARS} characters at most"),
                ));
            }
            let Value::String(text) = value else {
                return Err(Error::invalid("metadata", value, "a value must be text"));
            };
            if text.chars().count() > METADATA_VALUE_CHARS {
                let reason = format!(
                    "the value of {key:?} may have {METADATA_VALUE_CHARS} characters at most"
                );
                return Err(Error::invalid("metadata", text, reason));
            }
        }
        Ok(())
    }
}

/// PostgreSQL cannot store NUL, in text or in JSON.
pub(crate) fn without_nul(field: &'static str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(field, text, "must not contain a NUL character; remove it"));
    }
    Ok(())
}

/// JSON that may be stored and can be read back.
pub(crate) fn checked_json(field: &'static str, value: &Value) -> Result<()> {
    if is_deep(value, DEEPEST) {
        return Err(too_deep(field));
    }
    json_without_nul(field, value)
}

fn too_deep(field: &'static str) -> Error {
    let reason = format!("may be nested {DEEPEST} levels deep at most; make it flatter");
    Error::invalid(field, "deeper JSON", reason)
}

pub(crate) fn json_without_nul(field: &'static str, value: &Value) -> Result<()> {
    match value {
        Value::String(text) => without_nul(field, text),
        Value::Array(values) => values.iter().try_for_each(|value| json_without_nul(field, value)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            without_nul(field, name)?;
            json_without_nul(field, value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn within(field: &'static str, value: Option<f64>, low: f64, high: f64) -> Result<()> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(Error::invalid(field, value, format!("must lie between {low} and {high}")))
        }
        _ => Ok(()),
    }
}

fn at_least(field: &'static str, value: Option<i64>, limit: i64) -> Result<()> {
    match value {
        Some(value) if value < limit => {
            Err(Error::invalid(field, value, format!("must be at least {limit}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(definition: &AssistantDefinition) -> String {
        definition.validate().unwrap_err().to_string()
    }

    #[test]
    fn each_limit_is_named_with_the_field_and_the_value() {
        let base = || AssistantDefinition::new("m");
        assert_eq!(
            refused(&AssistantDefinition::new(" ")),
            "model \" \" must name a model of the provider"
        );
        assert_eq!(refused(&base().temperature(2.5)), "temperature 2.5 must lie between 0 and 2");
        assert_eq!(
            refused(&base().temperature(f64::NAN)),
            "temperature NaN must lie between 0 and 2"
        );
        assert_eq!(refused(&base().top_p(-0.1)), "top_p -0.1 must lie between 0 and 1");
        assert_eq!(
            refused(&base().max_output_tokens(15)),
            "max_output_tokens 15 must be at least 16"
        );
        assert_eq!(
            refused(&base().max_prompt_tokens(255)),
            "max_prompt_tokens 255 must be at least 256"
        );
        assert!(
            refused(&base().metadata("k".repeat(65), "v"))
                .ends_with("a key may have 64 characters at most")
        );
        assert!(
            refused(&base().metadata("k", "v".repeat(513)))
                .ends_with("may have 512 characters at most")
        );
        let crowded = (0..17).fold(base(), |d, i| d.metadata(i.to_string(), "v"));
        assert_eq!(refused(&crowded), "metadata \"17 pairs\" may hold 16 pairs at most");
        assert!(refused(&base().tool(json!({"name": "f"}))).contains("a text `type`"));
        assert!(
            refused(&base().parameter("input", "x"))
                .starts_with("parameters \"input\" is set by the engine")
        );
        assert!(refused(&base().instructions("a\0b")).contains("NUL"));
        assert!(refused(&base().parameter("user", "a\0b")).contains("NUL"));
    }

    #[test]
    fn json_that_could_not_be_read_back_is_refused_by_its_field() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |value, _| json!([value]));
        let base = || AssistantDefinition::new("m");
        base().parameter("x", nested(DEEPEST)).validate().unwrap();
        let tool = json!({"type": "function", "x": nested(DEEPEST)});
        for (field, definition) in [
            ("parameters", base().parameter("x", nested(DEEPEST + 1))),
            ("tools", base().tool(tool)),
            ("reasoning", base().reasoning(json!({"x": nested(200)}))),
        ] {
            let error = refused(&definition);
            assert!(error.starts_with(field) && error.contains("64 levels"), "{error}");
        }
        let stored = serde_json::to_string(&base().parameter("x", nested(DEEPEST))).unwrap();
        serde_json::from_str::<AssistantDefinition>(&stored).unwrap();
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let widest = (0..16).fold(AssistantDefinition::new("m"), |d, i| {
            d.metadata(format!("{i:064}"), "é".repeat(512))
        });
        widest
            .temperature(2.0)
            .top_p(0.0)
            .max_output_tokens(16)
            .max_prompt_tokens(256)
            .validate()
            .unwrap();
    }

    #[test]
    fn a_long_value_is_shortened_in_the_error() {
        let error = refused(&AssistantDefinition::new("m").metadata("k", "v".repeat(5000)));
        assert!(error.len() < 300, "{error}");
    }
}
