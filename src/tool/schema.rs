//! The JSON Schema of a type, as models are told it.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of a type: all in one place but for what contains itself, and without what says nothing to a model.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("title");
    }
    schema
}

/// Takes the description of a schema out of it: it is told as that of the tool.
pub(super) fn take_description(schema: &mut Value) -> Option<String> {
    match schema.as_object_mut()?.remove("description")? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Leaves out each `null` of a field that may be left out: strict schemas have all fields, and `null` for what is not given.
pub(super) fn drop_nulls(value: &mut Value, schema: &Value) {
    drop_within(value, schema, schema, MOST_STEPS);
}

/// How many references and choices may stand between a value and its schema: one that leads to itself ends here.
const MOST_STEPS: u32 = 16;

/// `root`: the schema that references are of.
fn drop_within(value: &mut Value, schema: &Value, root: &Value, steps: u32) {
    let Some(steps) = steps.checked_sub(1) else { return };
    if let Some(of) = referred(schema, root) {
        return drop_within(value, of, root, steps);
    }
    // Which of them is meant is found out while nothing has been left out.
    let ways = ["anyOf", "oneOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
    let meant: Vec<&Value> = ways.filter(|way| fits(value, way, root, steps)).collect();
    for way in meant {
        drop_within(value, way, root, steps);
    }
    match value {
        Value::Object(fields) => {
            let properties = &schema["properties"];
            if properties.is_object() {
                fields.retain(|name, value| !value.is_null() || is_required(schema, name));
            }
            for (name, value) in fields {
                drop_within(value, &properties[name.as_str()], root, MOST_STEPS);
            }
        }
        Value::Array(items) => {
            for item in items {
                drop_within(item, &schema["items"], root, MOST_STEPS);
            }
        }
        _ => {}
    }
}

/// What a schema refers to.
fn referred<'a>(schema: &Value, root: &'a Value) -> Option<&'a Value> {
    root.pointer(schema["$ref"].as_str()?.strip_prefix('#')?)
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|names| names.iter().any(|known| known == name))
}

/// Whether an object may be what a schema tells of, by the names of its fields and by those whose value is set; anything else may.
fn fits(value: &Value, schema: &Value, root: &Value, steps: u32) -> bool {
    if let (Some(of), Some(steps)) = (referred(schema, root), steps.checked_sub(1)) {
        return fits(value, of, root, steps);
    }
    let (Value::Object(fields), Some(properties)) = (value, schema["properties"].as_object())
    else {
        return true;
    };
    let is_there = |(name, of): (&String, &Value)| match fields.get(name) {
        Some(value) => {
            let (set, among) = (&of["const"], of["enum"].as_array());
            (set.is_null() || set == value)
                && among.is_none_or(|among| value.is_null() || among.contains(value))
        }
        None => !is_required(schema, name),
    };
    fields.keys().all(|name| properties.contains_key(name)) && properties.iter().all(is_there)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Plan {
        steps: Vec<Step>,
        #[serde(default)]
        first: Option<Box<Step>>,
        #[serde(default)]
        tree: Option<Tree>,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    enum Step {
        Move {
            #[serde(default)]
            fast: bool,
        },
        Say(Said),
        Stop,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(tag = "kind")]
    enum Said {
        Aloud {
            text: Option<String>,
            #[serde(default)]
            loud: u8,
        },
        Sung {
            text: String,
            #[serde(default)]
            loud: u8,
        },
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Tree {
        #[serde(default)]
        name: String,
        #[serde(default)]
        below: Vec<Tree>,
    }

    /// As a strict schema has the model say it.
    fn read<T: JsonSchema + serde::de::DeserializeOwned>(mut told: Value) -> T {
        assert!(crate::tool::strict::strict(&of::<T>()).is_some());
        drop_nulls(&mut told, &of::<T>());
        serde_json::from_value(told.clone()).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    #[test]
    fn null_is_left_out_in_whatever_is_chosen() {
        let told = json!({
            "steps": [
                {"Move": {"fast": null}},
                "Stop",
                {"Say": {"kind": "Aloud", "text": null, "loud": null}},
                {"Say": {"kind": "Sung", "text": "la", "loud": null}},
            ],
            "first": {"Move": {"fast": null}},
            "tree": null,
        });
        let plan: Plan = read(told);
        let steps = [
            Step::Move { fast: false },
            Step::Stop,
            Step::Say(Said::Aloud { text: None, loud: 0 }),
            Step::Say(Said::Sung { text: "la".to_owned(), loud: 0 }),
        ];
        assert_eq!(plan.steps, steps);
        assert_eq!(plan.first.as_deref(), Some(&Step::Move { fast: false }));
    }

    #[test]
    fn null_is_left_out_in_what_contains_itself() {
        let leaf = || Tree { name: String::new(), below: Vec::new() };
        let told = json!({"name": null, "below": [{"name": "a", "below": [{"name": null, "below": null}]}]});
        let tree =
            Tree { below: vec![Tree { name: "a".to_owned(), below: vec![leaf()] }], ..leaf() };
        assert_eq!(read::<Tree>(told.clone()), tree);
        let plan: Plan = read(json!({"steps": [], "first": null, "tree": told}));
        assert_eq!(plan.tree, Some(tree));
    }

    #[test]
    fn a_schema_that_is_nothing_but_itself_ends() {
        let schema = json!({"anyOf": [{"$ref": "#"}], "$defs": {"A": {"$ref": "#/$defs/A"}}});
        drop_nulls(&mut json!({"a": null}), &schema);
        drop_nulls(&mut json!({"a": null}), &json!({"$ref": "#"}));
    }
}
