//! The chunks that come by the thousand: one piece of a text, a thought or a call each. They are read in one go, into the members
//! that anybody asks for, like the deltas of the other protocol (`delta.rs`); everything else goes through a map of all that was sent
//! (`chunk.rs`).
//!
//! Only what is certain is taken: one answer, its pieces as texts, and nothing beside them that says more. What it does take is
//! read exactly alike by both; the tests and the fuzz target compare them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::chunk::{Choice, Chunk, Fragment};
use crate::openai::delta::certain;

#[derive(Deserialize)]
struct Plain<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    /// One, and no more.
    #[serde(borrow)]
    choices: [Map<Answer<'a>>; 1],
    #[serde(borrow)]
    obfuscation: Option<Text<'a>>,
    // What says more than a piece does; `null` says nothing.
    error: Option<IgnoredAny>,
    usage: Option<IgnoredAny>,
    x_groq: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Map<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    error: Option<IgnoredAny>,
    message: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Map<Call<'a>>>>,
    refusal: Option<IgnoredAny>,
    annotations: Option<IgnoredAny>,
    function_call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Call<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Map<Function<'a>>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    arguments: Option<String>,
}

/// A text as it came, where nothing in it is escaped. Serde borrows none within an `Option` otherwise.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object, and no list of its members in their order, which serde takes for one.
struct Map<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Map<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Map<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Map)
            }
        }

        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// Where the text and the padding stand in the data, without quotes, where they are there as they are meant.
pub(super) type Places = (Option<Range<usize>>, Option<Range<usize>>);

/// Reads the data of an event that is surely a piece of one answer.
pub(super) fn read(data: &str) -> Option<(Chunk<'_>, Places)> {
    let Plain { id, model, choices: [Map(answer)], obfuscation, error, usage, x_groq } =
        certain(data)?;
    let Answer { index, delta: Map(delta), finish_reason, error: failed, message } = answer;
    let says_more = [error, usage, x_groq, failed, message, delta.refusal, delta.annotations];
    let says_more = says_more.iter().any(Option::is_some) || delta.function_call.is_some();
    if says_more || index.is_some_and(|index| index != 0) {
        return None;
    }
    let places = (
        delta.content.as_ref().and_then(|text| place(data, text)),
        obfuscation.and_then(|padding| place(data, &padding)),
    );
    let reasoning = [delta.reasoning_content, delta.reasoning].into_iter().find_map(filled);
    let calls = delta.tool_calls.unwrap_or_default().into_iter().map(|Map(call)| call.fragment());
    let choice = Choice {
        reasoning: reasoning.map(Cow::into_owned).unwrap_or_default(),
        text: delta.content.map(|Text(text)| text.into_owned()).unwrap_or_default(),
        calls: calls.collect(),
        finish_reason: filled(finish_reason).map(Cow::into_owned),
        ..Choice::default()
    };
    let chunk = Chunk {
        id: filled(id),
        model: filled(model),
        usage: None,
        service_tier: None,
        choice: Some(choice),
    };
    (!has_nul(&chunk)).then_some((chunk, places))
}

/// Where a text stands that was borrowed from `data`.
fn place(data: &str, Text(text): &Text<'_>) -> Option<Range<usize>> {
    let Cow::Borrowed(text) = text else { return None };
    let start = text.as_ptr().addr().checked_sub(data.as_ptr().addr())?;
    let range = start..start.checked_add(text.len())?;
    (data.get(range.clone())? == *text).then_some(range)
}

impl Call<'_> {
    fn fragment(self) -> Fragment {
        let (name, arguments) =
            self.function.map_or((None, None), |Map(function)| (function.name, function.arguments));
        Fragment {
            index: self.index,
            id: filled(self.id).map(Cow::into_owned),
            name: filled(name).map(Cow::into_owned),
            arguments: arguments.unwrap_or_default(),
        }
    }
}

fn filled(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|Text(text)| text).filter(|text| !text.is_empty())
}

/// Whether there is one anywhere: nobody can read it, and the long way replaces it.
fn has_nul(chunk: &Chunk<'_>) -> bool {
    let has_nul = |text: &str| text.contains('\0');
    let names = [&chunk.id, &chunk.model].into_iter().flatten().any(|text| has_nul(text));
    names
        || chunk.choice.as_ref().is_some_and(|choice| {
            let texts = [&choice.reasoning, &choice.text].into_iter().any(|text| has_nul(text));
            let calls = || {
                choice.calls.iter().any(|call| {
                    let words = [&call.id, &call.name].into_iter().flatten();
                    words.chain([&call.arguments]).any(|text| has_nul(text))
                })
            };
            texts || choice.finish_reason.as_deref().is_some_and(has_nul) || calls()
        })
}

#[cfg(test)]
#[path = "piece_tests.rs"]
mod tests;
