//! Schemas that a provider holds the model to, where it can: OpenAI's *strict* ones. Each field is required, no other is allowed, and
//! what may be left out may be `null` instead.

use serde_json::{Map, Value, json};

use super::uses::WHERE_UNDERSTOOD;

/// Formats of texts that strict schemas may have (OpenAI's guide to structured outputs).
const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];
/// Words of a schema that they may not have, and without which it says the same to a reader.
const WITHOUT: [&str; 4] = ["default", "examples", "title", "$schema"];

/// The tools as a provider is told them.
pub(crate) fn told(tools: &[Value], is_strict: bool) -> Vec<Value> {
    let tell = |tool: &Value| {
        let mut tool = tool.clone();
        if tool["strict"] == WHERE_UNDERSTOOD {
            match is_strict.then(|| strict(&tool["parameters"])).flatten() {
                Some(parameters) => {
                    tool["parameters"] = parameters;
                    tool["strict"] = true.into();
                }
                // Where nothing is said, OpenAI tries to be strict.
                None if is_strict => tool["strict"] = false.into(),
                None => drop(tool.as_object_mut().map(|fields| fields.remove("strict"))),
            }
        }
        tool
    };
    tools.iter().map(tell).collect()
}

/// The same schema in the strict form; `None`: it has none, such as that of a map.
pub(crate) fn strict(schema: &Value) -> Option<Value> {
    let fields = schema.as_object()?;
    let mut made = Map::new();
    for (word, value) in fields {
        let value = match word.as_str() {
            _ if WITHOUT.contains(&word.as_str()) => continue,
            "properties" | "required" | "additionalProperties" => continue,
            "format" if !value.as_str().is_some_and(|format| FORMATS.contains(&format)) => continue,
            "items" => strict(value)?,
            "anyOf" | "oneOf" => {
                let ways: Option<Vec<Value>> = value.as_array()?.iter().map(strict).collect();
                made.insert("anyOf".to_owned(), ways?.into());
                continue;
            }
            "$defs" => {
                let types = value.as_object()?.iter();
                let types: Option<Map<_, _>> =
                    types.map(|(name, of)| Some((name.clone(), strict(of)?))).collect();
                types?.into()
            }
            "allOf" | "not" | "if" | "patternProperties" | "prefixItems" | "dependentSchemas" => {
                return None;
            }
            _ => value.clone(),
        };
        made.insert(word.clone(), value);
    }
    let properties = fields.get("properties").and_then(Value::as_object);
    if schema["type"] == "object" || properties.is_some() {
        if !matches!(fields.get("additionalProperties"), None | Some(Value::Bool(false))) {
            return None;
        }
        let required = fields.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
        let mut all = Map::new();
        for (name, of) in properties.into_iter().flatten() {
            let made = strict(of)?;
            all.insert(name.clone(), if is_required(name) { made } else { or_null(made) });
        }
        made.insert("required".to_owned(), all.keys().cloned().collect());
        made.insert("properties".to_owned(), all.into());
        made.insert("additionalProperties".to_owned(), false.into());
    }
    Some(made.into())
}

/// A schema that `null` fits as well.
fn or_null(schema: Value) -> Value {
    let takes_null = |of: &Value| {
        of["type"] == "null"
            || of["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
    };
    let has_null = takes_null(&schema)
        || schema["anyOf"].as_array().is_some_and(|ways| ways.iter().any(takes_null));
    if has_null {
        return schema;
    }
    // What its values are, is said where they are listed.
    if schema["enum"].is_null() && schema["const"].is_null() && schema["type"].is_string() {
        let mut schema = schema;
        schema["type"] = json!([schema["type"], "null"]);
        return schema;
    }
    json!({"anyOf": [schema, {"type": "null"}]})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;

    use super::super::schema;
    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Order {
        /// How many.
        count: u32,
        note: Option<String>,
        #[schemars(default)]
        gift: bool,
        lines: Vec<Line>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Line {
        kind: Kind,
        from: Option<Kind>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    enum Kind {
        Book,
        Pen,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Counts {
        of: BTreeMap<String, u32>,
    }

    #[test]
    fn each_field_is_required_and_no_other_allowed() {
        let made = strict(&schema::of::<Order>()).unwrap();
        let line = &made["properties"]["lines"]["items"];
        for object in [&made, line] {
            assert_eq!(object["additionalProperties"], false, "{object:#}");
            let names = object["properties"].as_object().unwrap().keys();
            assert_eq!(object["required"], names.cloned().collect::<Value>());
        }
        assert_eq!(made["properties"]["note"]["type"], json!(["string", "null"]));
        assert_eq!(made["properties"]["gift"]["type"], json!(["boolean", "null"]));
        assert_eq!(
            made["properties"]["count"],
            json!({"type": "integer", "minimum": 0, "description": "How many."})
        );
        let from = &line["properties"]["from"];
        assert_eq!(from["enum"], json!(["Book", "Pen", null]), "{from:#}");
        assert_eq!(from["type"], json!(["string", "null"]), "{from:#}");
        assert_eq!(line["properties"]["kind"]["enum"], json!(["Book", "Pen"]));
    }

    #[test]
    fn what_has_no_strict_form_is_told_as_it_is() {
        assert_eq!(strict(&schema::of::<Counts>()), None);
        let parameters = schema::of::<Counts>();
        let tool =
            json!({"type": "function", "parameters": parameters, "strict": WHERE_UNDERSTOOD});
        assert_eq!(told(std::slice::from_ref(&tool), true)[0]["strict"], false);
        let plain = &told(&[tool], false)[0];
        assert_eq!((plain.get("strict"), &plain["parameters"]), (None, &parameters));
    }

    #[test]
    fn a_tool_of_the_hosts_own_is_told_as_the_host_says() {
        let own = json!({"type": "function", "name": "own", "parameters": {"type": "object"}});
        assert_eq!(told(std::slice::from_ref(&own), true), [own]);
    }
}
