//! Reads the JSON that rustdoc wrote of ai-engine and prints the public API as text, one item a line.
//!
//! Left out is what nobody promised: `openai::unstable`, and what Diesel derives for each column of a table. Of the
//! implementation of a trait there is one line, since the trait says which methods it has.
//!
//! Two things are errors: an asynchronous method whose documentation does not say what dropping its future does, and a stable item
//! whose signature names an unstable type.

use std::process::ExitCode;

use public_api::{Builder, PublicItem};
use serde::de::Deserialize as _;
use serde_json::Value;

/// The version of rustdoc's JSON that the crate `public-api` at our version is known to read.
const FORMAT: u64 = 57;
/// What begins so may change in any release.
const UNSTABLE: &str = "ai_engine::openai::unstable::";
/// Marks that the compiler gives by itself, and that say nothing to a host.
const SELF_EVIDENT: [&str; 6] = [
    "core::marker::Freeze",
    "core::marker::StructuralPartialEq",
    "core::marker::Unpin",
    "core::marker::UnsafeUnpin",
    "core::panic::unwind_safe::RefUnwindSafe",
    "core::panic::unwind_safe::UnwindSafe",
];

fn main() -> ExitCode {
    let path = std::env::args().nth(1).unwrap_or_default();
    match api(&path) {
        Ok(api) if api.wrong.is_empty() => {
            api.lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Ok(api) => {
            api.wrong.iter().for_each(|(what, line)| eprintln!("public-api: {what}:\n  {line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("public-api: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Api {
    lines: Vec<String>,
    /// What is wrong with an item, and the item.
    wrong: Vec<(&'static str, String)>,
}

fn api(path: &str) -> Result<Api, Box<dyn std::error::Error>> {
    let json = read(path)?;
    let format = json["format_version"].as_u64().unwrap_or_default();
    if format != FORMAT {
        return Err(format!(
            "this toolchain's rustdoc writes format {format}, and format {FORMAT} is read here: take the version of the crate \
             public-api that reads it in tools/public-api/Cargo.toml, and change FORMAT"
        )
        .into());
    }
    let index = Index(&json["index"]);
    let all = Builder::from_rustdoc_json(path).omit_blanket_impls(true).build()?;
    let mut api = Api::default();
    for item in all.items() {
        let line = item.to_string();
        if !index.is_promised(item, &line) {
            continue;
        }
        if index.is_async(item, &line) && !index.speaks_of_cancellation(item) {
            let what = "it says under no `# Cancellation` what dropping its future does";
            api.wrong.push((what, line.clone()));
        }
        if line.contains(UNSTABLE) {
            api.wrong.push(("it is stable and names what is not", line.clone()));
        }
        api.lines.push(line);
    }
    api.lines.dedup();
    Ok(api)
}

fn read(path: &str) -> Result<Value, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    reader.disable_recursion_limit();
    Ok(Value::deserialize(&mut reader)?)
}

/// What rustdoc says of each item, by its id.
struct Index<'v>(&'v Value);

impl Index<'_> {
    fn item(&self, item: &PublicItem) -> &Value {
        &self.0[item.id().0.to_string()]
    }

    fn parent(&self, item: &PublicItem) -> &Value {
        item.parent_id().map_or(&Value::Null, |id| &self.0[id.0.to_string()])
    }

    fn is_promised(&self, item: &PublicItem, line: &str) -> bool {
        let is_impl = self.item(item)["inner"].get("impl").is_some();
        let path = path_of(line);
        if path.starts_with(UNSTABLE) || is_impl && line.contains(UNSTABLE) {
            return false;
        }
        if line.contains("ai_engine::schema::") {
            let is_a_row = path.contains("::star::") || path.contains("::table::");
            let is_a_table = line.starts_with("pub mod ") && !path.ends_with("::columns");
            return is_a_table || path.ends_with("::SqlType") && !is_a_row;
        }
        if is_impl {
            return !SELF_EVIDENT.iter().any(|mark| line.contains(&format!("{mark} for ")));
        }
        // It is named there, and described where it is from.
        if path.strip_prefix("ai_engine::prelude::").is_some_and(|path| path.contains("::")) {
            return false;
        }
        let is_function = self.item(item)["inner"].get("function").is_some();
        !(is_function && self.parent(item)["inner"]["impl"]["trait"].is_object())
    }

    fn is_async(&self, item: &PublicItem, line: &str) -> bool {
        // A test that drops a future of the fake's has other things to think of.
        if line.contains("ai_engine::testing::") {
            return false;
        }
        let function = &self.item(item)["inner"]["function"];
        function["header"]["is_async"] == true
            || line.contains("-> impl core::future::future::Future")
    }

    /// In its own documentation, or for all at once in that of its type or trait.
    fn speaks_of_cancellation(&self, item: &PublicItem) -> bool {
        let parent = self.parent(item);
        let of = &self.0[parent["inner"]["impl"]["for"]["resolved_path"]["id"].to_string()];
        [self.item(item), parent, of]
            .iter()
            .any(|item| item["docs"].as_str().is_some_and(|docs| docs.contains("# Cancellation")))
    }
}

/// The path of the item that a line declares.
fn path_of(line: &str) -> &str {
    let start = line.find("ai_engine").unwrap_or(line.len());
    let path = &line[start..];
    let end = path.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).unwrap_or(path.len());
    path[..end].trim_end_matches(':')
}
