//! Answers as a type: what the model is told of its form, and reading what it said.
//!
//! | protocol | at OpenAI | at other servers |
//! |---|---|---|
//! | Responses | `text.format`: a strict schema | the same schema, where `text` is known, and instructions |
//! | Chat Completions | `response_format`: a strict schema | the same schema, where `response_format` is known, and instructions |
//! | Assistants | `response_format`: a strict schema | instructions |
//!
//! A type that has no strict form, such as a map, is told by instructions and a schema that is not strict. Whatever was told: what the
//! model said is checked where it is read.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{schema, strict};
use crate::error::{Error, Result};
use crate::model::{Answer, AssistantDefinition};
use crate::openai::Protocol;

/// The member of an object that stands for a value which is none: strict schemas begin with an object.
const VALUE: &str = "value";
/// What models put around JSON.
const FENCE: &str = "```";

impl AssistantDefinition {
    /// Has the assistant answer in the form of a type: with JSON, which [`Answer::parse`] reads. The model is told the schema of the
    /// type, with its doc comments; where the server can hold the model to it, it does.
    ///
    /// The text streams, and is stored, as the model writes it. A model that calls tools first does so.
    #[must_use]
    pub fn output<T: JsonSchema>(mut self) -> Self {
        let name: String = T::schema_name()
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() { char } else { '_' })
            .take(64)
            .collect();
        self.output = Some(json!({"name": name, "schema": schema::of::<T>()}));
        self
    }
}

/// The form of an answer as one provider is told it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Form {
    /// The member of the request, and whether a server that does not know it is to be asked without.
    pub(crate) member: Option<(&'static str, Value)>,
    pub(crate) is_optional: bool,
    /// What is added to the instructions.
    pub(crate) instructions: Option<String>,
}

/// What a provider is told of the form that a definition asks for.
pub(crate) fn form(output: &Value, protocol: Protocol, is_strict: bool) -> Form {
    let (name, plain) = (&output["name"], &output["schema"]);
    let strict = is_strict.then(|| strict::strict(&as_object(plain))).flatten();
    let is_held = strict.is_some();
    let schema = strict.unwrap_or_else(|| plain.clone());
    let member = match protocol {
        Protocol::Responses => Some((
            "text",
            json!({"format": {"type": "json_schema", "name": name, "schema": schema, "strict": is_held}}),
        )),
        Protocol::Assistants if !is_held => None,
        _ => Some((
            "response_format",
            json!({
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema, "strict": is_held},
            }),
        )),
    };
    let told = "Answer with JSON alone, without any other words, that fits this JSON Schema:";
    Form {
        member,
        is_optional: !is_strict,
        instructions: (!is_held).then(|| format!("{told}\n{plain}")),
    }
}

/// Puts the form that a definition asks for into what a call sends. Returns what is sent only to servers that know it.
pub(crate) fn shape(
    definition: &mut AssistantDefinition,
    protocol: Protocol,
    is_strict: bool,
) -> Option<Value> {
    let Form { member, is_optional, instructions } =
        form(&definition.output.take()?, protocol, is_strict);
    if let Some(further) = instructions {
        let all = definition.instructions.take().into_iter().chain([further]);
        definition.instructions = Some(all.collect::<Vec<_>>().join("\n\n"));
    }
    let (name, value) = member?;
    // What the host says beside it stays, such as how much the model is to say.
    let said = definition.parameters.get(name).and_then(Value::as_object).cloned();
    let mut value = value;
    if let (Some(said), Some(fields)) = (said, value.as_object_mut()) {
        fields.extend(said);
    }
    if is_optional {
        return Some(value);
    }
    definition.parameters.insert(name.to_owned(), value);
    None
}

/// The schema itself, or that of an object with it as its only member.
fn as_object(schema: &Value) -> Value {
    if schema["type"] == "object" {
        return schema.clone();
    }
    let mut inner = schema.clone();
    let types = inner.as_object_mut().and_then(|fields| fields.remove("$defs"));
    let mut object = json!({"type": "object", "properties": {VALUE: inner}, "required": [VALUE]});
    if let Some(types) = types {
        object["$defs"] = types;
    }
    object
}

impl Answer {
    /// Reads the answer as a type ([`parse_or_repair`](Self::parse_or_repair) asks again for one that does not fit), for requests and definitions with an output
    /// ([`RunRequest::output`](crate::RunRequest::output)). Of several messages it is the last one; what some models put
    /// around JSON, such as a fence, is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] when it does not fit the type: with the place, and the text.
    pub fn parse<T: DeserializeOwned + JsonSchema>(&self) -> Result<T> {
        let text = self.message().map(|message| message.content.as_str()).unwrap_or_default();
        read(text)
    }
}

fn read<T: DeserializeOwned + JsonSchema>(text: &str) -> Result<T> {
    let mismatch =
        |path: String, reason: String| Error::Mismatch { path, reason, text: text.to_owned() };
    let value = json_of(text)
        .map_err(|error| mismatch(String::new(), format!("it is no JSON: {error}")))?;
    let schema = schema::of::<T>();
    let first = fit::<T>(value.clone(), &schema);
    let inner = (schema["type"] != "object").then(|| value.get(VALUE).cloned()).flatten();
    match (first, inner) {
        (Ok(read), _) => Ok(read),
        (Err(_), Some(inner)) => {
            fit::<T>(inner, &schema).map_err(|(path, why)| mismatch(path, why))
        }
        (Err((path, why)), None) => Err(mismatch(path, why)),
    }
}

/// The value as a type, or where it does not fit, and why.
fn fit<T: DeserializeOwned>(
    mut value: Value,
    schema: &Value,
) -> std::result::Result<T, (String, String)> {
    schema::drop_nulls(&mut value, schema);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        (path, error.into_inner().to_string())
    })
}

/// The JSON in a text: all of it, what is in a fence, or what is between the first and the last bracket. A text in it may have fences of
/// its own.
fn json_of(text: &str) -> serde_json::Result<Value> {
    let text = text.trim();
    let behind =
        text.split_once(FENCE).map(|(_, behind)| behind.strip_prefix("json").unwrap_or(behind));
    let to_the_last = behind.and_then(|behind| behind.rsplit_once(FENCE));
    let to_the_next = behind.and_then(|behind| behind.split_once(FENCE));
    let fenced = [to_the_last, to_the_next].into_iter().flatten().map(|(inner, _)| inner);
    let bracketed = match (text.find(['{', '[']), text.rfind(['}', ']'])) {
        (Some(begin), Some(end)) => text.get(begin..=end),
        _ => None,
    };
    // What is refused last is the innermost, whose error says most.
    fenced
        .chain(bracketed)
        .fold(serde_json::from_str(text), |read, part| read.or_else(|_| serde_json::from_str(part)))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A dish.
    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Recipe {
        title: String,
        minutes: u32,
        hint: Option<String>,
    }

    fn soup() -> Recipe {
        Recipe { title: "Soup".to_owned(), minutes: 20, hint: None }
    }

    #[test]
    fn an_answer_is_read_whatever_is_around_it() {
        for text in [
            r#"{"title":"Soup","minutes":20,"hint":null}"#,
            "```json\n{\"title\":\"Soup\",\"minutes\":20}\n```",
            "Here it is:\n```\n{\"title\":\"Soup\",\"minutes\":20}\n```\nEnjoy!",
            "Sure! {\"title\":\"Soup\",\"minutes\":20} Enjoy!",
        ] {
            assert_eq!(read::<Recipe>(text).unwrap(), soup(), "{text}");
        }
        let told = r#"{"title":"Run ```sh\nls\n``` first","minutes":1}"#;
        for text in [told.to_owned(), format!("```json\n{told}\n```"), format!("See: {told}!")] {
            assert_eq!(read::<Recipe>(&text).unwrap().title, "Run ```sh\nls\n``` first", "{text}");
        }
        let two = "```json\n{\"title\":\"Soup\",\"minutes\":20}\n``` or {in} ```sh\nls\n```";
        assert_eq!(read::<Recipe>(two).unwrap(), soup());
        assert_eq!(read::<Vec<u8>>(r#"{"value":[1,2]}"#).unwrap(), [1, 2]);
        assert_eq!(read::<Vec<u8>>("[1,2]").unwrap(), [1, 2]);
    }

    #[test]
    fn what_does_not_fit_names_the_place_and_keeps_the_text() {
        for (text, place, why) in [
            (
                r#"{"title":"Soup","minutes":"20"}"#,
                "minutes",
                "invalid type: string \"20\", expected u32",
            ),
            (r#"{"title":"Soup"}"#, "", "missing field `minutes`"),
            ("I cannot.", "", "it is no JSON: expected value at line 1 column 1"),
        ] {
            let Err(Error::Mismatch { path, reason, text: kept }) = read::<Recipe>(text) else {
                panic!("{text}")
            };
            assert_eq!((&*path, &*reason, &*kept), (place, why, text));
        }
    }

    #[test]
    fn openai_is_told_a_strict_schema_and_others_in_words_too() {
        let definition = AssistantDefinition::new("m").output::<Recipe>();
        let output = definition.output.unwrap();
        let at_openai = form(&output, Protocol::ChatCompletions, true);
        let (name, member) = at_openai.member.unwrap();
        assert_eq!((name, &member["json_schema"]["strict"]), ("response_format", &json!(true)));
        assert_eq!((at_openai.is_optional, at_openai.instructions), (false, None));
        let elsewhere = form(&output, Protocol::Responses, false);
        let (name, member) = elsewhere.member.unwrap();
        assert_eq!((name, &member["format"]["strict"]), ("text", &json!(false)));
        assert!(elsewhere.is_optional && elsewhere.instructions.unwrap().contains("minutes"));
        assert_eq!(form(&output, Protocol::Assistants, false).member, None);
    }

    #[test]
    fn a_strict_schema_begins_with_an_object() {
        let output = AssistantDefinition::new("m").output::<Vec<Recipe>>().output.unwrap();
        let (_, member) = form(&output, Protocol::Responses, true).member.unwrap();
        let schema = &member["format"]["schema"];
        assert_eq!((&schema["type"], &schema["required"]), (&json!("object"), &json!([VALUE])));
    }
}
