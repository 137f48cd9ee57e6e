//! OpenAI's API description as a set of JSON schemas.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

const URI: &str = "urn:openai";

pub struct Description {
    document: Value,
    registry: Registry<'static>,
    /// Compiled once each: the document has 1,400 schemas.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Description {
    /// `None`, with a line that says so, when the file is not there.
    pub fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Description>> = OnceLock::new();
        let found = FOUND.get_or_init(Self::read).as_ref();
        if found.is_none() {
            eprintln!("skipped: OpenAI's API description is not here; AI_ENGINE_OPENAPI names it");
        }
        found
    }

    fn read() -> Option<Self> {
        let beside =
            || format!("{}/../shared/openai-spec/openapi.json", env!("CARGO_MANIFEST_DIR"));
        let path = std::env::var("AI_ENGINE_OPENAPI").ok().filter(|path| !path.is_empty());
        let given = path.is_some();
        let path = path.unwrap_or_else(beside);
        if !given && !Path::new(&path).exists() {
            return None;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut document: Value = serde_json::from_str(&text).unwrap();
        one_of_becomes_any_of(&mut document);
        nullable_has_null(&mut document);
        let registry = Registry::new().add(URI, document.clone()).unwrap().prepare().unwrap();
        Some(Self { document, registry, validators: Mutex::default() })
    }

    /// What in `value` breaks the schema of this name.
    pub fn errors(&self, schema: &str, value: &Value) -> Vec<String> {
        let compile = || {
            let whole = json!({"$ref": format!("{URI}#/components/schemas/{schema}")});
            let options = jsonschema::options().with_registry(&self.registry).offline();
            Arc::new(options.build(&whole).unwrap())
        };
        let validator = Arc::clone(
            self.validators.lock().unwrap().entry(schema.to_owned()).or_insert_with(compile),
        );
        let errors = validator.iter_errors(value);
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[track_caller]
    pub fn check(&self, schema: &str, value: &Value) {
        let errors = self.errors(schema, value);
        assert!(errors.is_empty(), "{value:#}\nis no {schema}: {errors:#?}");
    }

    /// The operation that a request is, with the path as the description writes it.
    pub fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let is_it = |template: &str| {
            let (names, path) = (template.split('/'), path.split('/'));
            names.clone().count() == path.clone().count()
                && names.zip(path).all(|(name, part)| name == part || name.starts_with('{'))
        };
        let paths = self.document["paths"].as_object().unwrap();
        // What is written out comes before what stands for anything.
        let mut found: Vec<_> = paths.iter().filter(|(template, _)| is_it(template)).collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        let (template, operations) = found.first()?;
        Some((template, operations.get(method.to_ascii_lowercase())?))
    }

    /// The properties that a schema names. Schemas allow others, so that a misspelled one would pass unseen.
    pub fn properties(&self, schema: &str) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.collect(&self.document["components"]["schemas"][schema], &mut names);
        names
    }

    fn collect<'d>(&'d self, schema: &'d Value, names: &mut BTreeSet<&'d str>) {
        let listed = schema["properties"].as_object().into_iter().flatten();
        names.extend(listed.map(|(name, _)| name.as_str()));
        if let Some(pointer) = schema["$ref"].as_str().and_then(|found| found.strip_prefix('#')) {
            self.collect(self.document.pointer(pointer).unwrap(), names);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect(part, names);
        }
    }
}

/// The description still says `nullable`, which its version of the schema language does not know.
fn nullable_has_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(nullable_has_null);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
                let schema = value.take();
                *value = json!({"anyOf": [schema, {"type": "null"}]});
            }
        }
        Value::Array(values) => values.iter_mut().for_each(nullable_has_null),
        _ => {}
    }
}

/// The description means "one of these, by its `type`", but its alternatives overlap: a message of the short form is
/// also one of the long form.
fn one_of_becomes_any_of(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(alternatives) = fields.remove("oneOf") {
                fields.insert("anyOf".to_owned(), alternatives);
            }
            fields.values_mut().for_each(one_of_becomes_any_of);
        }
        Value::Array(values) => values.iter_mut().for_each(one_of_becomes_any_of),
        _ => {}
    }
}
