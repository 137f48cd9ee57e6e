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
    match value {
        Value::Object(fields) => {
            let required = schema["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
            let properties = &schema["properties"];
            if properties.is_object() {
                fields.retain(|name, value| !value.is_null() || is_required(name));
            }
            for (name, value) in fields {
                drop_nulls(value, &properties[name.as_str()]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(item, &schema["items"])),
        _ => {}
    }
}
