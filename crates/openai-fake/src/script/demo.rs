//! The demo model: answers without a script, so that a first try needs no key.
//!
//! It is no model. It finds the subject of a story in the user's text and sets it into a fixed
//! tale; the same text always gets the same answer. It repeats what was asked before, which shows
//! that the conversation reached it. Where a tool is offered that the question seems to be about, it calls that.

use serde_json::{Map, Value, json};

use crate::{Reply, service::snapshot};

/// Places and people, picked by the subject.
const PLACES: [&str; 4] = [
    "a village by the sea",
    "a town between two hills",
    "a quiet street in the old city",
    "a farm at the edge of the woods",
];
const NAMES: [&str; 4] = ["Mira", "Tomas", "Odile", "Jun"];

/// How many earlier questions are recalled.
const RECALLED: usize = 3;

/// Answers the last of these user texts, or, if there is one, the tool output that came last. `request` is the body of the
/// request.
pub(crate) fn answer(user_texts: &[String], tool_output: Option<&str>, request: &Value) -> Reply {
    let (last, earlier) = match user_texts.split_last() {
        Some((last, earlier)) => (last.as_str(), earlier),
        None => ("", user_texts),
    };
    if tool_output.is_none()
        && let Some(tool) = chosen_tool(request, last)
    {
        return Reply::deltas([""; 0]).item(call(tool, last)).without_message();
    }
    let said = match (tool_output, subject(last)) {
        (Some(output), _) => format!("The tool answered: {}", shortened(output, 200)),
        (None, Some(subject)) => recall(earlier) + &story(&subject),
        (None, None) => recall(earlier) + &small_talk(last),
    };
    let text = format!("(demo model) {said}");
    within(text, request["max_output_tokens"].as_u64())
}

/// The tool that the request demands; else one with a word of its name in the user's text: `get_weather` is for "How is the
/// weather?".
fn chosen_tool<'r>(request: &'r Value, text: &str) -> Option<&'r Value> {
    let tools = request["tools"].as_array().into_iter().flatten();
    let mut functions = tools.filter(|tool| tool["type"] == "function");
    let choice = &request["tool_choice"];
    match choice.as_str() {
        Some("none") => None,
        Some("required") => functions.next(),
        _ if choice["type"] == "function" => {
            functions.find(|function| function["name"] == choice["name"])
        }
        _ => {
            let text = text.to_lowercase();
            let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
            functions.find(|function| {
                let name = function["name"].as_str().unwrap_or_default().to_lowercase();
                let mut parts = name.split(['_', '-']).filter(|part| part.len() > 3);
                parts.any(|part| words.contains(&part))
            })
        }
    }
}

/// A call with as little in it as the tool's parameters demand.
fn call(tool: &Value, text: &str) -> Value {
    let parameters = &tool["parameters"];
    let names = parameters["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let value = |name: &str| argument(&parameters["properties"][name], text);
    let arguments: Map<String, Value> = names.map(|name| (name.to_owned(), value(name))).collect();
    let name = &tool["name"];
    json!({"type": "function_call", "name": name, "arguments": Value::Object(arguments).to_string()})
}

/// A value that a parameter's schema allows, in the simple cases.
fn argument(schema: &Value, text: &str) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().unwrap_or(&Value::Null),
        kind => kind,
    };
    match kind.as_str() {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some("null") => Value::Null,
        _ => json!(shortened(text, 80)),
    }
}

/// Stops at the limit, and says so.
fn within(text: String, limit: Option<u64>) -> Reply {
    let Some(limit) = limit.filter(|limit| snapshot::tokens(&text) > *limit) else {
        return Reply::text(text);
    };
    let most = usize::try_from(limit.saturating_mul(4)).unwrap_or(usize::MAX);
    let text: String = text.chars().take(most).collect();
    Reply::text(text).incomplete("max_output_tokens")
}

fn recall(earlier: &[String]) -> String {
    let recent = earlier.iter().skip(earlier.len().saturating_sub(RECALLED));
    let quoted: Vec<String> = recent.map(|text| format!("\"{}\"", shortened(text, 80))).collect();
    if quoted.is_empty() {
        return String::new();
    }
    format!("Earlier you asked: {}. ", quoted.join(", then "))
}

/// What the story shall be about, if a story is asked for.
fn subject(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if !["story", "tale"].iter().any(|word| lower.contains(word)) {
        return None;
    }
    let after = |word: &str| text.get(lower.find(word)? + word.len()..);
    let rest = after(" about ").or_else(|| after(" of "));
    let ends = ['.', '?', '!', ',', ';', '\n'];
    let found = rest.and_then(|rest| rest.split(ends).next());
    let found = found.map(str::trim).filter(|found| !found.is_empty());
    Some(shortened(found.unwrap_or("a lamp that never went out"), 60))
}

/// A story in which the subject is only ever looked for and found, so that it reads well with
/// any: "a lighthouse", "dragons", "the year 1900".
fn story(subject: &str) -> String {
    let pick: usize = subject.bytes().map(usize::from).sum();
    let place = PLACES.get(pick % PLACES.len()).unwrap_or(&PLACES[0]);
    let name = NAMES.get(pick / 4 % NAMES.len()).unwrap_or(&NAMES[0]);
    format!(
        "Here is a story about {subject}.\n\n\
         In {place} lived {name}, who had heard of {subject} in every song but had never met \
         anyone with more to show than the song. So one morning {name} packed bread, a blanket \
         and a short pencil, and set out to see for once with open eyes.\n\n\
         The road was longer than the songs had said. It rained on the first day, and on the \
         second a stranger shared a fire and asked what the journey was for. \"For {subject},\" \
         said {name}. The stranger laughed, but kindly, and pointed down the hill.\n\n\
         And there, in the first light of the third day, the search came to its end. {name} sat \
         down, looked for a long while, and wrote only one line: it is smaller than in the songs, \
         and much better.\n\n\
         Back home the line was read aloud, and then once more. Since that day nobody there \
         sings of {subject} without leaving room for a pencil."
    )
}

fn small_talk(text: &str) -> String {
    let heard = match shortened(text, 80) {
        heard if heard.is_empty() => "I got no words from you.".to_owned(),
        heard => format!("You wrote: \"{heard}\"."),
    };
    format!(
        "{heard} I am only the stand-in that answers while no real model is connected, and the \
         one thing I do well is stories. Try: \"Tell me a story about a lighthouse\"."
    )
}

/// At most so many characters, on one line.
fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let kept: String = line.chars().take(most).collect();
    format!("{}…", kept.trim_end())
}
