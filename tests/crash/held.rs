//! What the provider's conversations hold of what was said, in the protocols that have them.

use std::collections::{HashMap, HashSet};

use ai_engine::testing::FakeOpenAi;

use crate::database::Conn;
use crate::provider::{is_told_in_words, text_of};
use crate::question::newest;
use crate::script::Script;
use crate::stored::Run;

/// What stands behind an answer that broke off, where it is sent.
const BREAKS_OFF: &str = "\n\n[This answer breaks off here.]";

/// The provider's conversations hold nothing twice, nothing that left the path, and all in the order of ours.
pub fn held(conn: &mut Conn, runs: &[Run], fake: &FakeOpenAi, broken: &mut Vec<String>) {
    let mut turns: HashMap<(&str, &str), &Run> = HashMap::new();
    for run in runs.iter().filter(|run| !run.superseded) {
        if let Some(question) = run.asked.first() {
            turns.insert((&run.conversation, question), run);
        }
    }
    let threads = conn.rows(
        &["id", "remote_id", "protocol"],
        "FROM ai_engine_assistant_threads WHERE remote_id IS NOT NULL",
    );
    for thread in threads {
        let items = match thread[2].as_str() {
            "assistants" => fake.thread_messages(&thread[1]),
            _ => fake.conversation_items(&thread[1]),
        };
        let Some(items) = items else { continue };
        let mut wrong =
            |what: String| broken.push(format!("thread {} at the provider: {what}", thread[0]));
        let conversation = format!("t{}", thread[0]);
        let mut ids = HashSet::new();
        let mut last: Option<&Run> = None;
        let mut answers = 0;
        for item in &items {
            if !ids.insert(item["id"].as_str().unwrap_or_default()) {
                wrong(format!("{} twice", item["id"]));
            }
            let text = text_of(item);
            match item["role"].as_str() {
                Some("user") if is_told_in_words(&text) => {}
                Some("assistant") if text.starts_with("[Call ") => {}
                Some("user") => match turns.get(&(conversation.as_str(), newest(&text))) {
                    // A request that is cancelled on its way may be carried out after the next run has asked what the
                    // provider holds; nobody can know.
                    Some(run)
                        if run.status == "cancelled"
                            || last.is_none_or(|last| last.seq < run.seq) =>
                    {
                        (last, answers) = (Some(*run), 0)
                    }
                    _ => wrong(format!("{text:?} again, out of turn, off the path, or of no run")),
                },
                Some("assistant") => {
                    let whole = last
                        .and_then(|run| run.asked.first())
                        .map(|question| Script::of(question).text());
                    answers += 1;
                    // An answer that was cut short travels with a mark.
                    let said = text.strip_suffix(BREAKS_OFF).unwrap_or(&text);
                    if !whole.is_some_and(|whole| whole.starts_with(said)) {
                        wrong(format!("{text:?} is no answer to what came before"));
                    }
                    if answers > last.map_or(1, |run| run.attempts.max(1)) {
                        wrong(format!("{text:?} is answered again"));
                    }
                }
                _ => {}
            }
        }
    }
}
