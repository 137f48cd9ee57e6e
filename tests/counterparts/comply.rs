//! `llm-comply`: sends what the Open Responses compliance suite sends, and has the specification's own schema.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ai_engine::testing::{API_KEY, FakeOpenAi};
use serde_json::Value;

/// All its cases but those of what the fake has not: models that reason.
const CASES: [&str; 12] = [
    "assistant-phase",
    "basic-response",
    "compact-missing-model",
    "compact-response",
    "error-handling",
    "image-input",
    "multi-turn",
    "response-output-phase-schema",
    "streaming-response",
    "streaming-usage",
    "system-prompt",
    "tool-calling",
];

/// Has it try a fake without a script, and fails with what it found.
pub(crate) async fn assert_complies(programs: &Path) {
    let fake = FakeOpenAi::start().await.unwrap();
    fake.demo_pace(Duration::ZERO);
    let mut command = Command::new(programs.join("llm-comply"));
    command.env_clear().args(["--json", "--timeout", "10", "--model", "demo"]);
    command.args(["--base-url", &fake.base_url(), "--api-key", API_KEY]);
    command.args(["--filter", &CASES.join(",")]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let said: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{output:?}"));
    let results = said["results"].as_array().unwrap().iter();
    let mut passed: Vec<&str> = results
        // Some cases pass with a warning where a server has not what they try.
        .filter(|result| result["status"] == "passed" && result["warnings"].is_null())
        .map(|result| result["id"].as_str().unwrap())
        .collect();
    passed.sort_unstable();
    assert_eq!(passed, CASES, "{said:#}");
}
