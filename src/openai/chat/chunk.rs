//! One chunk of an answer, or a whole answer, read leniently: what is missing or has another type counts as absent.

use std::borrow::Cow;

use serde_json::Value;

use crate::openai::lenient::{self, Object, take_object, take_text};
use crate::openai::unstable::Usage;

/// What a chunk says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Chunk<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) usage: Option<Usage>,
    /// How it is served.
    pub(super) service_tier: Option<String>,
    /// The first answer; others were not asked for.
    pub(super) choice: Option<Choice>,
}

/// What it says of the answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Choice {
    /// What the model thinks.
    pub(super) reasoning: String,
    pub(super) text: String,
    pub(super) refusal: String,
    /// Sources of what it says, in the protocol's form.
    pub(super) annotations: Vec<Value>,
    pub(super) calls: Vec<Fragment>,
    pub(super) finish_reason: Option<String>,
    /// It is a whole message, and no piece of one.
    pub(super) is_whole: bool,
}

/// A piece of a call of a tool.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: String,
}

impl Chunk<'_> {
    pub(super) fn from_object(mut object: Object) -> Self {
        let usage = ["usage", "x_groq"].into_iter().find_map(|name| {
            let found = lenient::object(&object, name)?;
            let usage = if name == "usage" { found } else { lenient::object(found, "usage")? };
            Some(Usage::from_object(usage)).filter(|usage| usage.total_tokens() > 0)
        });
        Self {
            id: take_filled(&mut object, "id").map(Cow::Owned),
            model: take_filled(&mut object, "model").map(Cow::Owned),
            usage,
            service_tier: take_filled(&mut object, "service_tier"),
            choice: take_choice(&mut object).map(Choice::from_object),
        }
    }
}

/// The error that stands in the place of an answer.
pub(super) fn error_of_choice(object: &Object) -> Option<&Value> {
    let choices = object.get("choices")?.as_array()?.iter();
    choices.filter_map(|choice| choice.get("error")).find(|error| !error.is_null())
}

fn take_choice(object: &mut Object) -> Option<Object> {
    let Some(Value::Array(choices)) = object.remove("choices") else { return None };
    choices.into_iter().find_map(|choice| match choice {
        // Some servers number none.
        Value::Object(choice) if lenient::index(&choice, "index").unwrap_or(0) == 0 => Some(choice),
        _ => None,
    })
}

impl Choice {
    fn from_object(mut choice: Object) -> Self {
        let finish_reason = take_filled(&mut choice, "finish_reason");
        let delta = take_object(&mut choice, "delta");
        let is_whole = delta.is_none() && choice.contains_key("message");
        let said = delta.or_else(|| take_object(&mut choice, "message")).unwrap_or_default();
        Self { finish_reason, is_whole, ..Self::of_message(said, is_whole) }
    }

    fn of_message(mut said: Object, is_whole: bool) -> Self {
        let mut choice = Self::default();
        // Servers have one name or the other, and some send the same under both.
        for name in ["reasoning_content", "reasoning"] {
            let reasoning = take_filled(&mut said, name).unwrap_or_default();
            if choice.reasoning.is_empty() {
                choice.reasoning = reasoning;
            }
        }
        match said.remove("content") {
            Some(Value::String(text)) => choice.text = text,
            Some(Value::Array(parts)) => parts.iter().for_each(|part| choice.add_part(part)),
            _ => {}
        }
        choice.refusal = take_text(&mut said, "refusal").unwrap_or_default();
        if let Some(Value::Array(annotations)) = said.remove("annotations") {
            choice.annotations = annotations;
        }
        if let Some(Value::Array(calls)) = said.remove("tool_calls") {
            let calls = calls.into_iter().enumerate();
            choice.calls = calls
                .filter_map(|(place, call)| match call {
                    Value::Object(call) => {
                        let mut fragment = Fragment::from_object(call);
                        // In a whole message they are whole, and in order.
                        let place = u64::try_from(place).ok().filter(|_| is_whole);
                        fragment.index = place.or(fragment.index);
                        Some(fragment)
                    }
                    _ => None,
                })
                .collect();
        }
        // The form before there were several calls in an answer.
        if let Some(call) = take_object(&mut said, "function_call") {
            choice.calls.push(Fragment { index: Some(0), ..Fragment::of_function(call) });
        }
        choice
    }

    /// A part of a content in parts, as some servers send it.
    fn add_part(&mut self, part: &Value) {
        let text = |name: &str| part[name].as_str().unwrap_or_default();
        match part["type"].as_str() {
            Some("text" | "output_text") => self.text.push_str(text("text")),
            Some("refusal") => self.refusal.push_str(text("refusal")),
            Some("thinking") => match &part["thinking"] {
                Value::String(thought) => self.reasoning.push_str(thought),
                Value::Array(thoughts) => {
                    let thoughts = thoughts.iter().filter_map(|thought| thought["text"].as_str());
                    self.reasoning.extend(thoughts);
                }
                _ => {}
            },
            _ => {}
        }
    }
}

impl Fragment {
    fn from_object(mut call: Object) -> Self {
        let function = take_object(&mut call, "function").unwrap_or_default();
        Self {
            index: lenient::index(&call, "index"),
            id: take_filled(&mut call, "id"),
            ..Self::of_function(function)
        }
    }

    fn of_function(mut function: Object) -> Self {
        Self {
            name: take_filled(&mut function, "name"),
            arguments: match function.remove("arguments") {
                Some(Value::String(text)) => text,
                // They are to be JSON in a text; some servers send the JSON itself.
                Some(arguments @ Value::Object(_)) => arguments.to_string(),
                _ => String::new(),
            },
            ..Self::default()
        }
    }
}

fn take_filled(object: &mut Object, name: &str) -> Option<String> {
    take_text(object, name).filter(|text| !text.is_empty())
}
